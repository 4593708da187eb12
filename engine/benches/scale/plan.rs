//! One measurement: the steps in their order, and what they leave on the disk.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Step;
use crate::steps::Found;

/// Files that are created beyond the others before the process is killed.
const GROWTH: u64 = 200_000;

/// What was found for one number of files.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Report {
    pub(crate) files: u64,
    pub(crate) filled: Found,
    /// MiB on the disk after the clean close.
    pub(crate) disk: Disk,
    /// After the clean close.
    pub(crate) clean: Found,
    /// After `kill -9` among creates.
    pub(crate) killed: Found,
    /// Files that were acknowledged before the kill, beyond `files`.
    pub(crate) acknowledged: u64,
    /// With the index gone.
    pub(crate) rebuilt: Found,
    /// Keys in the index, and how many of them were written each second, beside look-ups.
    pub(crate) rebuild_keys_per_second: f64,
}

/// MiB by directory.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Disk {
    pub(crate) journal_mib: u64,
    pub(crate) checkpoint_mib: u64,
    pub(crate) index_mib: u64,
    pub(crate) segments_mib: u64,
}

/// Keys for each file, about: its inode and its entry, and for one in sixteen an extent and a place in the age index.
const KEYS_PER_FILE: f64 = 2.125;

/// Fills a file system below the directory and opens it in every way.
pub(crate) fn measure(below: &Path, files: u64) -> Report {
    std::fs::create_dir_all(below).unwrap();
    let directory = tempfile::Builder::new().prefix("scale-").tempdir_in(below).unwrap();
    let directory = directory.path();
    let started = Instant::now();
    let say = |what: &str| eprintln!("{:7.1} s  {files} files: {what}", started.elapsed().as_secs_f64());
    say("filling");
    let filled = step(Step::Fill, directory, files);
    let home = home(directory);
    let disk = disk(&home);
    say("starting after a clean close");
    let clean = step(Step::Start, directory, files);
    say("growing, and killing it");
    let acknowledged = grow_and_kill(directory, files);
    say("starting after the kill");
    let killed = step(Step::Start, directory, files);
    assert!(
        killed.files >= files + acknowledged,
        "{} files are left of {files} and {acknowledged}",
        killed.files
    );
    say("starting without its index");
    std::fs::remove_dir_all(home.join("index")).unwrap();
    let rebuilt = step(Step::Start, directory, files);
    assert_eq!(rebuilt.files, killed.files, "the rebuilt index has other files");
    say("done");
    let keys = f64::from(u32::try_from(rebuilt.files).unwrap()) * KEYS_PER_FILE;
    let rebuild_keys_per_second = keys / rebuilt.build_seconds;
    Report { files, filled, disk, clean, killed, acknowledged, rebuilt, rebuild_keys_per_second }
}

fn command(step: Step, directory: &Path, files: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--step", step.name(), "--files", &files.to_string(), "--directory"]).arg(directory);
    command.stdout(Stdio::piped());
    command
}

fn step(step: Step, directory: &Path, files: u64) -> Found {
    let output = command(step, directory, files).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{step:?} failed: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The number of files that were known to be durable when the process was killed.
fn grow_and_kill(directory: &Path, files: u64) -> u64 {
    let mut child = command(Step::Grow, directory, files).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut durable = files;
    // The pipe stays open until the process is dead, which would otherwise end by itself.
    for line in lines.by_ref() {
        durable = line.unwrap().parse().unwrap();
        if durable >= files + GROWTH {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    durable - files
}

fn home(directory: &Path) -> std::path::PathBuf {
    let mut entries = std::fs::read_dir(directory.join("data")).unwrap();
    entries.find_map(|entry| Some(entry.unwrap().path()).filter(|path| path.is_dir())).unwrap()
}

fn disk(home: &Path) -> Disk {
    let mib = |name: &str| bytes_below(&home.join(name)) >> 20;
    Disk {
        journal_mib: mib("journal"),
        checkpoint_mib: mib("checkpoint"),
        index_mib: mib("index"),
        segments_mib: mib("segments"),
    }
}

/// Bytes that are allocated to the files below a directory.
fn bytes_below(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let found = entry.metadata().unwrap();
            let own = std::os::unix::fs::MetadataExt::blocks(&found) * 512;
            if found.is_dir() { own + bytes_below(&entry.path()) } else { own }
        })
        .sum()
}
