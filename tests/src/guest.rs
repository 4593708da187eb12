//! A real Linux NFS client: a user-mode Linux kernel with the server mounted on `/mnt`.
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::outcome::Outcome;
use crate::prerequisites::check_guest;
use crate::process::{Log, Process};

/// How a guest is booted; see the opening comment of `guest/guest-run`.
///
/// `/tmp` and `/run` of the guest are its own. What it shall share with the test goes into the shared directory,
/// which it sees as `/run/share`.
#[derive(Debug, Clone)]
pub struct Guest {
    port: u16,
    options: String,
    share: Option<PathBuf>,
    name: Option<String>,
    log: Log,
}

/// A guest at work. Dropping it powers it off.
#[derive(Debug)]
pub struct RunningGuest {
    process: Process,
    _logs: TempDir,
}

impl Guest {
    /// A guest that mounts the server on this port with `vers=4.1`.
    pub fn on(port: u16) -> Guest {
        Guest { port, options: "vers=4.1".to_owned(), share: None, name: None, log: Log::Shown }
    }

    /// With other mount options.
    pub fn options(mut self, options: &str) -> Guest {
        options.clone_into(&mut self.options);
        self
    }

    /// With a host name, by which the server knows it again when it is booted anew.
    pub fn named(mut self, name: &str) -> Guest {
        self.name = Some(name.to_owned());
        self
    }

    /// Without printing what it said when it goes.
    pub fn without_log(mut self) -> Guest {
        self.log = Log::Kept;
        self
    }

    /// With a directory of the host as `/run/share`.
    pub fn share(mut self, directory: &Path) -> Guest {
        self.share = Some(directory.to_owned());
        self
    }

    /// Boots it and starts a bash script, which ends at its first error; `arguments` are the script's `$1` and on.
    pub fn start(&self, script: &str, arguments: &[&str]) -> Result<RunningGuest> {
        check_guest()?;
        let logs = tempfile::tempdir().context("a directory for the guest's output")?;
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest/guest-run");
        let process = Process::start("guest", logs.path(), Signal::TERM, &tool, |command| {
            command.args(["--opts", &self.options, "--port", &self.port.to_string()]);
            if let Some(share) = &self.share {
                command.arg("--share").arg(share);
            }
            if let Some(name) = &self.name {
                command.args(["--name", name]);
            }
            command.args(["/", "--", "bash", "-euo", "pipefail", "-c", script, "guest"]).args(arguments)
        })?;
        let process = match self.log {
            Log::Shown => process,
            Log::Kept => process.without_log(),
        };
        Ok(RunningGuest { process, _logs: logs })
    }

    /// Runs a script to its end, which must be a success.
    pub fn run(&self, limit: Duration, script: &str, arguments: &[&str]) -> Result<Outcome> {
        self.start(script, arguments)?.wait(limit)?.succeeded()
    }
}

impl RunningGuest {
    /// Waits for the script's end.
    pub fn wait(mut self, limit: Duration) -> Result<Outcome> {
        self.process.wait(limit)
    }

    /// Whether the script has ended.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.ended()?.is_some())
    }

    /// What the script has said on standard error so far.
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.process.stderr()).into_owned()
    }

    /// What the script has printed so far.
    pub fn output(&self) -> Vec<u8> {
        self.process.stdout()
    }
}
