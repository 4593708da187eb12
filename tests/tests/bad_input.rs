//! Keys, directories, ports, settings and paths that cannot be used: what `tidefs` says, and that it makes nothing.
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use harness::process::free_port;
use harness::tree::{files_below, snapshot};
use harness::{Attempt, Cold, Server, ServerSettings};
use tempfile::TempDir;

/// A file system that was served once and stopped.
fn stopped() -> Result<(TempDir, ServerSettings)> {
    let work = tempfile::tempdir()?;
    let settings = ServerSettings::within(work.path(), Cold::Directory)?;
    let mut server = Server::start_with(tempfile::tempdir()?, settings.clone())?;
    server.stop()?;
    Ok((work, settings))
}

/// A start that must be refused, and must leave data, key and cold tier as they are.
fn refused_and_untouched(work: &TempDir, settings: &ServerSettings, words: &[&str]) -> Result<()> {
    let before = snapshot(work.path())?;
    settings.refusal()?.refused(1, words)?;
    assert_eq!(snapshot(work.path())?, before, "a refused start changes nothing");
    Ok(())
}

/// The directory of the only file system.
fn file_system(settings: &ServerSettings) -> Result<PathBuf> {
    let entries = fs::read_dir(&settings.data)?.collect::<Result<Vec<_>, _>>()?;
    let found = entries.iter().find(|entry| entry.file_name().to_string_lossy().starts_with("fs-"));
    Ok(found.context("no file system")?.path())
}

#[test]
fn a_missing_key_is_not_made_anew() -> Result<()> {
    let (work, settings) = stopped()?;
    fs::remove_file(&settings.key)?;
    refused_and_untouched(&work, &settings, &["key", "missing", &settings.key.to_string_lossy()])
}

#[test]
fn a_wrong_key_is_refused() -> Result<()> {
    let (work, settings) = stopped()?;
    let (_other_work, other) = stopped()?;
    fs::copy(&other.key, &settings.key)?;
    refused_and_untouched(&work, &settings, &["key", "--key-file"])
}

#[test]
fn a_damaged_key_is_refused() -> Result<()> {
    let (work, settings) = stopped()?;
    fs::write(&settings.key, "no key")?;
    refused_and_untouched(&work, &settings, &["key", "damaged"])
}

#[test]
fn a_key_that_others_can_read_is_refused() -> Result<()> {
    let (work, settings) = stopped()?;
    fs::set_permissions(&settings.key, Permissions::from_mode(0o644))?;
    refused_and_untouched(&work, &settings, &["0644", "chmod 600"])
}

#[test]
fn a_new_key_is_private() -> Result<()> {
    let (_work, settings) = stopped()?;
    assert_eq!(fs::metadata(&settings.key)?.permissions().mode() & 0o7777, 0o600);
    Ok(())
}

#[test]
fn a_data_directory_in_use_is_refused() -> Result<()> {
    let server = Server::start(Cold::Directory)?;
    let mut second = server.settings().clone();
    second.port = free_port()?;
    second.refusal()?.refused(1, &["in use"])?;
    server.json(&["status"])?;
    Ok(())
}

#[test]
fn a_file_system_under_another_name_is_refused() -> Result<()> {
    let (work, settings) = stopped()?;
    let path = file_system(&settings)?;
    fs::rename(&path, path.with_file_name("fs-0123456789abcdef0"))?;
    refused_and_untouched(&work, &settings, &["fs-"])
}

#[test]
fn the_cold_tier_of_another_file_system_is_refused() -> Result<()> {
    let (work, settings) = stopped()?;
    let (other_work, _) = stopped()?;
    let mut crossed = settings.clone();
    crossed.arguments = vec!["--cold-dir".into(), other_work.path().join("cold").into()];
    let before = snapshot(other_work.path())?;
    refused_and_untouched(&work, &crossed, &["file system"])?;
    assert_eq!(snapshot(other_work.path())?, before);
    Ok(())
}

/// Whatever file is garbled or cut: the server says so, or it can do without. It never panics.
#[test]
fn damaged_files_are_reported() -> Result<()> {
    let (work, settings) = stopped()?;
    let pristine = work.path().join("pristine");
    copy(&settings.data, &pristine)?;
    let mut refusals = 0;
    for file in files_below(&pristine)? {
        let name = file.strip_prefix(&pristine)?;
        for damage in [garble, cut] {
            fs::remove_dir_all(&settings.data)?;
            copy(&pristine, &settings.data)?;
            if !damage(&settings.data.join(name))? {
                continue;
            }
            if let Attempt::Refused(outcome) = settings.attempt()? {
                outcome.refused(1, &[]).with_context(|| format!("{} damaged", name.display()))?;
                let said = outcome.complaint().to_lowercase();
                ensure!(
                    ["damaged", "key", "version", "no tidefs file system"]
                        .iter()
                        .any(|word| said.contains(word)),
                    "{} is damaged, and the message does not say so: {outcome}",
                    name.display()
                );
                refusals += 1;
            }
        }
    }
    assert!(refusals > 0, "no damage at all was noticed");
    Ok(())
}

/// Each byte becomes another one. Says whether there was any.
fn garble(file: &Path) -> Result<bool> {
    let content: Vec<u8> = fs::read(file)?.iter().map(|byte| byte ^ 0x5a).collect();
    fs::write(file, &content)?;
    Ok(!content.is_empty())
}

/// The second half goes. Says whether there was any.
fn cut(file: &Path) -> Result<bool> {
    let length = fs::metadata(file)?.len();
    fs::OpenOptions::new().write(true).open(file)?.set_len(length / 2)?;
    Ok(length > 0)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = std::process::Command::new("cp").args(["-a", "--"]).arg(from).arg(to).status()?;
    ensure!(copied.success(), "cannot copy {}", from.display());
    Ok(())
}

#[test]
fn a_port_that_is_taken_is_reported() -> Result<()> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (work, mut settings) = stopped()?;
    settings.port = taken.local_addr()?.port();
    refused_and_untouched(&work, &settings, &[&settings.port.to_string(), "--listen"])
}

/// The line of the example configuration that sets `listen`, and the file with another line in its place.
fn configuration_with(work: &Path, line: &str) -> Result<(PathBuf, usize)> {
    let example = harness::server::run(&["config".into(), "example".into()], &[])?.succeeded()?.text();
    let is_listen = |line: &str| line.trim_start_matches(['#', ' ']).starts_with("listen =");
    let number = example.lines().position(is_listen).context("the example sets no listen")?;
    let lines: Vec<&str> =
        example.lines().enumerate().map(|(at, old)| if at == number { line } else { old }).collect();
    let path = work.join("tidefs.toml");
    fs::write(&path, lines.join("\n") + "\n")?;
    Ok((path, number + 1))
}

fn serve_with_configuration(line: &str) -> Result<(harness::Outcome, usize)> {
    let work = tempfile::tempdir()?;
    let (configuration, number) = configuration_with(work.path(), line)?;
    let data = work.path().join("data");
    let arguments: Vec<OsString> =
        vec!["serve".into(), "--config".into(), configuration.into(), "--data".into(), data.clone().into()];
    let outcome = harness::server::run(&arguments, &[])?;
    ensure!(!data.exists(), "a bad configuration must leave no data directory");
    Ok((outcome, number))
}

#[test]
fn an_unknown_setting_is_reported_with_the_nearest_name() -> Result<()> {
    let (outcome, number) = serve_with_configuration("lisen = \"127.0.0.1:1\"")?;
    outcome.refused(2, &["lisen", "listen", &format!("line {number}")])
}

#[test]
fn a_bad_value_is_reported_with_its_line() -> Result<()> {
    let (outcome, number) = serve_with_configuration("listen = \"nowhere\"")?;
    outcome.refused(2, &["listen", &format!("line {number}")])
}

#[test]
fn a_bad_policy_is_refused_and_the_old_one_stays() -> Result<()> {
    let server = Server::start(Cold::Directory)?;
    server.command(&["lifecycle", "set", "--to-ia", "12h"])?.succeeded()?;
    let before = server.json(&["lifecycle", "show"])?;
    server.command(&["lifecycle", "set", "--to-ia", "soon"])?.refused(2, &["soon"])?;
    server.command(&["lifecycle", "set", "--to-primary", "sometimes"])?.refused(2, &["sometimes"])?;
    server.command(&["lifecycle", "set", "--to-ia", "-5d"])?.refused(2, &[])?;
    assert_eq!(server.json(&["lifecycle", "show"])?, before);
    Ok(())
}

#[test]
fn paths_that_cannot_be_are_refused() -> Result<()> {
    let server = Server::start(Cold::Directory)?;
    let long = format!("/{}", "n".repeat(256));
    server.command(&["lifecycle", "explain", &long])?.refused(1, &["255"])?;
    server.command(&["lifecycle", "explain", "/missing"])?.refused(1, &["/missing"])?;
    server.command(&["lifecycle", "explain", "relative"])?.refused(2, &["/"])?;
    Ok(())
}

#[test]
fn a_command_without_a_server_says_so() -> Result<()> {
    let (_work, settings) = stopped()?;
    let arguments = ["status".into(), "--data".into(), settings.data.into_os_string()];
    harness::server::run(&arguments, &[])?.refused(1, &["tidefs serve"])
}

#[test]
fn unknown_commands_and_flags_are_usage_errors() -> Result<()> {
    for arguments in [&["serv"][..], &["serve", "--no-such-flag"], &["lifecycle", "set", "--to-ia"]] {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        harness::server::run(&arguments, &[])?.refused(2, &[])?;
    }
    Ok(())
}
