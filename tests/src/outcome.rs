//! What a finished program left behind.
use std::fmt;

use anyhow::{Result, bail};

/// Exit status and output of a program that has ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Itself if the program succeeded, else an error with all that it said.
    pub fn succeeded(self) -> Result<Outcome> {
        if self.code != Some(0) {
            bail!("{self}");
        }
        Ok(self)
    }

    /// Checks a refusal: this exit status, and a message on standard error that is short, has all of these words in
    /// any letter case, and is neither a panic nor a backtrace.
    pub fn refused(&self, code: i32, words: &[&str]) -> Result<()> {
        const MESSAGE_BYTES_MAX: usize = 2000;
        let complaint = self.complaint();
        let lower = complaint.to_lowercase();
        if self.code != Some(code) {
            bail!("exit status {code} was expected: {self}");
        }
        if let Some(missing) = words.iter().find(|word| !lower.contains(&word.to_lowercase())) {
            bail!("the message should speak of {missing:?}: {self}");
        }
        if complaint.len() > MESSAGE_BYTES_MAX {
            bail!("a message should be one or two sentences: {self}");
        }
        if lower.contains("panicked") || lower.contains("backtrace") {
            bail!("a bad input must not end in a panic: {self}");
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "exit status {code}")?,
            None => write!(f, "ended by a signal")?,
        }
        write!(f, "\nstdout: {}\nstderr: {}", self.text(), self.complaint())
    }
}
