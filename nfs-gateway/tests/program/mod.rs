//! The built program, with a home of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A home of its own for each test, so that neither settings nor keys of the machine matter.
pub(crate) struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Home { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidefs"));
        command.args(line.split_whitespace()).env_clear().env("HOME", self.directory.path());
        command.current_dir(self.directory.path());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Status and standard error of a command that fails.
    pub(crate) fn failure(&self, line: &str) -> (i32, String) {
        let output = self.run(line);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.path(".config/tidefs/tidefs.key")
    }

    /// What `tidefs status` of the running server says.
    pub(crate) fn status(&self) -> serde_json::Value {
        json(&self.run("status --data data --json"))
    }
}

/// A server that ends with the test.
pub(crate) struct Served(Child);

impl Served {
    pub(crate) fn start(home: &Home) -> Served {
        Served::start_with(home, "")
    }

    pub(crate) fn start_with(home: &Home, flags: &str) -> Served {
        let mut child = home
            .command(&format!("serve --data data --listen 127.0.0.1:0 {flags}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "tidefs: ready"), "the server ended before it was ready");
        Served(child)
    }

    /// Ends it at once, with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn terminate(mut self) -> Option<i32> {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a command that succeeds prints.
pub(crate) fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
