//! Golden files: bytes that tidefs wrote once. Today's code must write the same from the same inputs, and must read what was written.
//!
//! `docs/format.md` lists them, and says what to do when a format is to change.

pub mod archive;
mod rows;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

pub use rows::{Row, join_rows, split_rows};

/// A format and its golden file.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The name of the file.
    pub name: &'static str,
    /// Writes it from fixed inputs; `None` if tidefs does not write it, or not any more.
    pub write: Option<fn() -> Vec<u8>>,
    /// Reads what is in the file. Panics if that is not what the fixed inputs say.
    pub read: fn(&[u8]),
}

/// What is done about a golden file that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The test fails.
    Fails,
    /// It is written.
    IsWritten,
}

impl Missing {
    /// As `TIDEFS_GOLDEN` says: `write` writes files that are missing. One that is there is never overwritten.
    pub fn from_environment() -> Self {
        match std::env::var("TIDEFS_GOLDEN") {
            Ok(value) if value == "write" => Missing::IsWritten,
            _ => Missing::Fails,
        }
    }
}

/// Compares each format with its golden file, and reads that. `others` are files in the same directory that are looked at elsewhere.
///
/// # Panics
/// If a file is missing, differs from what is written today or is not read as it should be; or if there is one that no format has.
pub fn check(directory: &Path, formats: &[Format], others: &[&str]) {
    let missing = Missing::from_environment();
    let problems = problems(directory, formats, others, missing);
    assert!(problems.is_empty(), "{}; see \"Golden files\" in docs/format.md", problems.join("; "));
}

fn problems(directory: &Path, formats: &[Format], others: &[&str], missing: Missing) -> Vec<String> {
    let mut problems = Vec::new();
    for format in formats {
        let (path, today) = (directory.join(format.name), format.write.map(|write| write()));
        match stored(&path, missing, today.as_deref()) {
            Err(problem) => problems.push(problem),
            Ok(stored) => {
                let today = today.unwrap_or_else(|| stored.clone());
                problems.extend(difference(&stored, &today).map(|what| format!("{}: {what}", format.name)));
                // Shown if it panics.
                eprintln!("reading {}", path.display());
                (format.read)(&stored);
            }
        }
    }
    problems.extend(strays(directory, formats, others));
    problems
}

/// What is in a golden file. One that is missing may be written.
///
/// # Errors
/// What is wrong, for people.
pub fn stored(path: &Path, missing: Missing, today: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    match (fs::read(path), missing, today) {
        (Err(error), Missing::IsWritten, Some(today)) if error.kind() == ErrorKind::NotFound => {
            fs::write(path, today).map_err(failed)?;
            Ok(today.to_vec())
        }
        (read, ..) => read.map_err(failed),
    }
}

fn difference(stored: &[u8], today: &[u8]) -> Option<String> {
    if stored == today {
        return None;
    }
    let same = stored.iter().zip(today).take_while(|(one, other)| one == other).count();
    let (before, now) = (stored.len(), today.len());
    Some(format!("what is written today ({now} bytes) differs from the file ({before}) at byte {same}"))
}

fn strays(directory: &Path, formats: &[Format], others: &[&str]) -> Vec<String> {
    let names = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let known = |name: &str| others.contains(&name) || formats.iter().any(|format| format.name == name);
    let strays = names.map(|name| name.to_string_lossy().into_owned()).filter(|name| !known(name));
    strays.map(|name| format!("{name} is the golden file of no format")).collect()
}
