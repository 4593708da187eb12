//! What people do with files, with their usual programs, on the mount.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::prerequisites::check_program;
use harness::tree::copy_sources;
use harness::{Cold, Guest, Server};

const LIMIT: Duration = Duration::from_secs(600);

/// Runs a script of `guest/scripts` on a new file system, beside a source tree of a few hundred files.
fn work(script: &str, arguments: &[&str]) -> Result<()> {
    let share = tempfile::tempdir()?;
    copy_sources(&share.path().join("tree"), 300)?;
    let server = Server::start(Cold::Directory)?;
    Guest::on(server.port()).share(share.path()).run(LIMIT, script, arguments)?;
    let status = server.json(&["status"])?;
    ensure!(status.pointer("/health/state").and_then(|state| state.as_str()) == Some("ok"), "{status}");
    Ok(())
}

#[test]
fn git_keeps_a_repository_that_fsck_finds_clean() -> Result<()> {
    check_program("git", "git")?;
    work(include_str!("../guest/scripts/git.sh"), &[])
}

#[test]
fn copies_and_archives_are_equal() -> Result<()> {
    work(include_str!("../guest/scripts/archives.sh"), &[])
}

#[test]
fn a_second_rsync_moves_nothing() -> Result<()> {
    check_program("rsync", "rsync")?;
    work(include_str!("../guest/scripts/rsync.sh"), &[])
}

#[test]
fn cargo_builds_and_rebuilds() -> Result<()> {
    let toolchain = toolchain()?;
    work(include_str!("../guest/scripts/cargo.sh"), &[&toolchain.to_string_lossy()])
}

#[test]
fn sqlite_locks_and_stays_whole() -> Result<()> {
    check_program("sqlite3", "sqlite3")?;
    work(include_str!("../guest/scripts/sqlite.sh"), &[])
}

#[test]
fn editors_write_beside_and_rename_over() -> Result<()> {
    check_program("vim", "vim")?;
    work(include_str!("../guest/scripts/editor.sh"), &[])
}

#[test]
fn locks_exclude_other_processes() -> Result<()> {
    work(include_str!("../guest/scripts/locks.sh"), &[])
}

#[test]
fn what_cannot_be_done_is_refused_with_the_usual_error() -> Result<()> {
    work(include_str!("../guest/scripts/refusals.sh"), &[])
}

/// The bin directory of the toolchain itself: rustup's proxies want to write to their home.
fn toolchain() -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output()?;
    ensure!(output.status.success(), "rustc names no sysroot");
    Ok(Path::new(String::from_utf8(output.stdout)?.trim()).join("bin"))
}
