//! The server under test: the built `tidefs` on a free port, with its own data directory and key.
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::deadline::poll_until;
use crate::minio::{BUCKET, Minio};
use crate::outcome::Outcome;
use crate::prerequisites::tidefs_binary;
use crate::process::{Log, Process, free_port};

const READY_LINE: &str = "tidefs: ready";
const READY_LIMIT: Duration = Duration::from_secs(60);
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Variables of the tester's own environment that must not leak into a server under test.
const FOREIGN_PREFIXES: [&str; 2] = ["AWS_", "TIDEFS_"];

/// Where the cold tier of a server under test stands.
#[derive(Debug, Clone, Copy)]
pub enum Cold<'a> {
    /// In a local directory beside its data.
    Directory,
    /// In the bucket of a MinIO, below a prefix.
    Bucket(&'a Minio, &'a str),
}

/// With what a server is started: all that is on its command line and in its environment.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The program: `tidefs`, or one with its command line.
    pub program: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    /// The key file.
    pub key: PathBuf,
    /// The port to listen on.
    pub port: u16,
    /// Further arguments of `tidefs serve`.
    pub arguments: Vec<OsString>,
    /// Further environment.
    pub environment: Vec<(String, String)>,
    /// What becomes of its log at its end.
    pub log: Log,
}

impl ServerSettings {
    /// Settings with data and key in a directory, on a free port.
    pub fn within(directory: &Path, cold: Cold<'_>) -> Result<ServerSettings> {
        let mut settings = ServerSettings {
            program: tidefs_binary()?,
            data: directory.join("data"),
            key: directory.join("tidefs.key"),
            port: free_port()?,
            arguments: Vec::new(),
            environment: Vec::new(),
            log: Log::Shown,
        };
        match cold {
            Cold::Directory => {
                settings.arguments.extend(["--cold-dir".into(), directory.join("cold").into()]);
            }
            Cold::Bucket(minio, prefix) => {
                let bucket = format!("s3://{BUCKET}/{prefix}");
                settings.arguments.extend(["--bucket".into(), bucket.into()]);
                settings.arguments.extend(["--endpoint".into(), minio.endpoint().into()]);
                settings.set_environment(&minio.credentials());
            }
        }
        Ok(settings)
    }

    /// Adds to the environment.
    pub fn set_environment(&mut self, variables: &[(&str, &str)]) {
        self.environment
            .extend(variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    }

    /// Starts `tidefs serve`, without waiting for anything.
    pub fn spawn(&self, logs: &Path) -> Result<Process> {
        let process = Process::start("tidefs", logs, Signal::KILL, &self.program, |command| {
            clean(command)
                .arg("serve")
                .args(["--listen", &format!("127.0.0.1:{}", self.port)])
                .arg("--data")
                .arg(&self.data)
                .arg("--key-file")
                .arg(&self.key)
                .args(&self.arguments)
                .envs(self.environment.iter().map(|(key, value)| (key, value)))
        })?;
        Ok(match self.log {
            Log::Shown => process,
            Log::Kept => process.without_log(),
        })
    }

    /// Starts `tidefs serve`, and waits until it serves or has ended.
    pub fn attempt(&self) -> Result<Attempt> {
        let logs = tempfile::tempdir()?;
        let mut process = self.spawn(logs.path())?;
        let ended = poll_until("tidefs serve serves or ends", READY_LIMIT, || {
            Ok(if is_ready(&process) { Some(None) } else { process.ended()?.map(Some) })
        })?;
        match ended {
            Some(_) => Ok(Attempt::Refused(process.wait(Duration::ZERO)?)),
            None => Ok(Attempt::Served),
        }
    }

    /// Starts `tidefs serve`, which must refuse.
    pub fn refusal(&self) -> Result<Outcome> {
        match self.attempt()? {
            Attempt::Refused(outcome) => Ok(outcome),
            Attempt::Served => bail!("tidefs serves, though it should have refused"),
        }
    }
}

/// What became of a start.
#[derive(Debug)]
pub enum Attempt {
    /// It served, and was ended then.
    Served,
    /// It ended by itself.
    Refused(Outcome),
}

/// A running server; dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Server {
    settings: ServerSettings,
    process: Option<Process>,
    work: TempDir,
}

impl Server {
    /// Starts a server with a new file system in a temporary directory.
    pub fn start(cold: Cold<'_>) -> Result<Server> {
        let work = tempfile::tempdir()?;
        let settings = ServerSettings::within(work.path(), cold)?;
        Server::start_with(work, settings)
    }

    /// Starts a server with these settings; `work` is removed with it.
    pub fn start_with(work: TempDir, settings: ServerSettings) -> Result<Server> {
        let mut server = Server { settings, process: None, work };
        server.restart()?;
        Ok(server)
    }

    /// Starts it again on the same port with the same data.
    pub fn restart(&mut self) -> Result<()> {
        self.kill9();
        let process = self.process.insert(self.settings.spawn(self.work.path())?);
        poll_until("tidefs is ready", READY_LIMIT, || {
            if let Some(status) = process.ended()? {
                let complaint = String::from_utf8_lossy(&process.stderr()).into_owned();
                bail!("tidefs ended at its start with {status}: {complaint}");
            }
            Ok(is_ready(process).then_some(()))
        })
    }

    /// Ends it at once, with SIGKILL.
    pub fn kill9(&mut self) {
        self.process = None;
    }

    /// Ends it with SIGTERM, which must be a success.
    pub fn stop(&mut self) -> Result<Outcome> {
        let mut process = self.process.take().context("tidefs does not run")?;
        process.signal(Signal::TERM)?;
        process.wait(STOP_LIMIT)?.succeeded()
    }

    /// Its exit status, if it has ended by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.as_mut().context("tidefs does not run")?.ended()
    }

    /// What it has written to standard error so far.
    pub fn complaint(&self) -> String {
        self.process
            .as_ref()
            .map_or_else(String::new, |process| String::from_utf8_lossy(&process.stderr()).into_owned())
    }

    /// Ends it, and leaves its directory there for somebody to look at.
    pub fn keep(mut self) -> PathBuf {
        self.kill9();
        self.work.keep()
    }

    /// The port it serves on.
    pub fn port(&self) -> u16 {
        self.settings.port
    }

    /// Its process id.
    pub fn id(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("tidefs does not run")?.id())
    }

    /// With what it was started.
    pub fn settings(&self) -> &ServerSettings {
        &self.settings
    }

    /// With what it will be started next.
    pub fn settings_mut(&mut self) -> &mut ServerSettings {
        &mut self.settings
    }

    /// The directory that holds its data, key, logs and, if it has no bucket, its cold tier.
    pub fn work(&self) -> &Path {
        self.work.path()
    }

    /// Runs a command of `tidefs` against it.
    pub fn command(&self, arguments: &[&str]) -> Result<Outcome> {
        let mut all: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        all.extend(["--data".into(), self.settings.data.clone().into()]);
        run(&all, &[])
    }

    /// Runs a command that must succeed, with `--json`, and gives its answer.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = arguments.to_vec();
        all.push("--json");
        let outcome = self.command(&all)?.succeeded()?;
        serde_json::from_slice(&outcome.stdout).with_context(|| format!("no JSON: {outcome}"))
    }

    /// A number of `tidefs status --json`, by its JSON pointer.
    pub fn status_number(&self, pointer: &str) -> Result<u64> {
        let status = self.json(&["status"])?;
        let number = status.pointer(pointer).and_then(Value::as_u64);
        number.with_context(|| format!("no number at {pointer} in {status}"))
    }

    /// One field of a tier of `tidefs status --json`.
    pub fn tier_number(&self, tier: &str, field: &str) -> Result<u64> {
        let status = self.json(&["status"])?;
        let tiers = status.get("tiers").and_then(Value::as_array).cloned().unwrap_or_default();
        let row = tiers.iter().find(|row| row.get("name").and_then(Value::as_str) == Some(tier));
        let number = row.and_then(|row| row.get(field)).and_then(Value::as_u64);
        number.with_context(|| format!("no {field} of tier {tier} in {status}"))
    }

    /// Waits until the files with content in Standard are no more than `files`.
    pub fn wait_until_cold(&self, files: u64, limit: Duration) -> Result<()> {
        poll_until("the files age into the cold tier", limit, || {
            Ok((self.tier_number("standard", "bytes")? == 0
                && self.tier_number("infrequent-access", "files")? >= files)
                .then_some(()))
        })
    }

    /// The most memory that it has used, in bytes.
    pub fn peak_memory_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next()).context("no VmHWM")?;
        Ok(kibibytes.parse::<u64>()? * 1024)
    }
}

/// Runs `tidefs` with these arguments to its end.
pub fn run(arguments: &[OsString], environment: &[(&str, &str)]) -> Result<Outcome> {
    let logs = tempfile::tempdir()?;
    let mut process =
        Process::start("tidefs-command", logs.path(), Signal::KILL, &tidefs_binary()?, |command| {
            clean(command).args(arguments).envs(environment.iter().copied())
        })?
        .without_log();
    process.wait(COMMAND_LIMIT)
}

fn clean(command: &mut std::process::Command) -> &mut std::process::Command {
    for (name, _) in std::env::vars_os() {
        let foreign = name.to_str().is_some_and(|name| {
            FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && name != "TIDEFS_BIN"
        });
        if foreign {
            command.env_remove(name);
        }
    }
    command
}

fn is_ready(process: &Process) -> bool {
    process.stdout().split(|byte| *byte == b'\n').any(|line| line.starts_with(READY_LINE.as_bytes()))
}
