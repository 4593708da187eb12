//! A child process with a log, which never outlives its owner.
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};

use crate::deadline::poll_until;
use crate::outcome::Outcome;

/// How much of a log is shown when the process goes away.
const LOG_SHOWN_BYTES: usize = 16 * 1024;

/// What becomes of a child's log at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// It is printed, which a test shows only if it fails.
    Shown,
    /// It is not printed.
    Kept,
}

/// A running child; dropping it ends it and prints its log.
///
/// The kernel ends it too when the thread that started it dies, so that not even an aborted test run leaves it
/// behind. It must therefore be started by the thread that owns it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    ending: Signal,
    log: Log,
}

impl Process {
    /// Starts `program` with the signal `ending` as its end, its output going to `DIR/NAME.stdout` and `.stderr`.
    pub fn start(
        name: &str,
        logs: &Path,
        ending: Signal,
        program: &Path,
        prepare: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Process> {
        let (stdout, stderr) = (logs.join(format!("{name}.stdout")), logs.join(format!("{name}.stderr")));
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig").arg(if ending == Signal::KILL { "KILL" } else { "TERM" }).arg(program);
        prepare(&mut command);
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("cannot start {name} (setpriv of util-linux, {})", program.display()))?;
        Ok(Process { name: name.to_owned(), child, stdout, stderr, ending, log: Log::Shown })
    }

    /// Does not print its log: for a command whose output is its answer.
    pub fn without_log(mut self) -> Process {
        self.log = Log::Kept;
        self
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> Vec<u8> {
        fs::read(&self.stdout).unwrap_or_default()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> Vec<u8> {
        fs::read(&self.stderr).unwrap_or_default()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id())?;
        let pid = Pid::from_raw(id).ok_or_else(|| anyhow!("{} has no process id", self.name))?;
        kill_process(pid, signal)?;
        Ok(())
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<Outcome> {
        let what = format!("end of {}", self.name);
        let status = poll_until(&what, limit, || self.ended())?;
        Ok(Outcome { code: status.code(), stdout: self.stdout(), stderr: self.stderr() })
    }

    fn show_log(&self) {
        for (stream, bytes) in [("stdout", self.stdout()), ("stderr", self.stderr())] {
            let tail = bytes.get(bytes.len().saturating_sub(LOG_SHOWN_BYTES)..).unwrap_or_default();
            if !tail.is_empty() {
                println!("--- {stream} of {} ---\n{}", self.name, String::from_utf8_lossy(tail));
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.ended(), Ok(Some(_))) {
            let stopped = self.ending != Signal::KILL
                && self.signal(self.ending).is_ok()
                && self.wait(Duration::from_secs(10)).is_ok();
            if !stopped {
                // Both fail only if the process is gone already.
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        if self.log == Log::Shown {
            self.show_log();
        }
    }
}

/// A port of the loopback that nobody listens on at this moment.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
