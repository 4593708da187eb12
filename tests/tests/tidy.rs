//! House rules that a machine can see.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

const LINES_MAX: usize = 700;

/// What no source holds: stubs, tests that are left out, silenced lints.
const BANNED: [&str; 5] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[", "ignore"),
    concat!("#[", "allow("),
    concat!("FIX", "ME"),
];

fn workspace() -> Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate is in a workspace")?.to_owned())
}

/// All files that git tracks.
fn tracked() -> Result<Vec<PathBuf>> {
    let root = workspace()?;
    let output = Command::new("git").arg("-C").arg(&root).args(["ls-files", "-z"]).output()?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout)?;
    let files: Vec<PathBuf> =
        names.split_terminator('\0').map(|name| root.join(name)).filter(|file| file.is_file()).collect();
    ensure!(files.len() > 10, "git tracks only {} files", files.len());
    Ok(files)
}

fn sources() -> Result<Vec<(PathBuf, String)>> {
    let rust =
        tracked()?.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|file| Ok((file.clone(), fs::read_to_string(&file)?))).collect()
}

#[test]
fn no_source_is_too_long() -> Result<()> {
    for (file, text) in sources()? {
        let lines = text.lines().count();
        ensure!(lines <= LINES_MAX, "{} has {lines} lines, more than {LINES_MAX}", file.display());
    }
    Ok(())
}

#[test]
fn no_source_has_stubs_or_tests_left_out() -> Result<()> {
    for (file, text) in sources()? {
        for (number, line) in text.lines().enumerate() {
            let found = BANNED.iter().find(|banned| line.contains(**banned));
            ensure!(found.is_none(), "{}:{} has {found:?}", file.display(), number + 1);
        }
    }
    Ok(())
}

#[test]
fn every_golden_file_is_in_the_page_of_formats() -> Result<()> {
    let page = fs::read_to_string(workspace()?.join("docs/format.md"))?;
    let golden = |file: &PathBuf| file.parent().is_some_and(|parent| parent.ends_with("testdata"));
    let files: Vec<PathBuf> = tracked()?.into_iter().filter(golden).collect();
    ensure!(files.len() > 20, "git tracks only {} golden files", files.len());
    for file in files {
        let name = file.file_name().context("a file has a name")?.to_string_lossy();
        ensure!(page.contains(&format!("`{name}`")), "docs/format.md does not name `{name}`");
    }
    Ok(())
}

#[test]
fn no_tracked_file_names_a_place_of_one_machine() -> Result<()> {
    let here = workspace()?.to_string_lossy().into_owned();
    let places = [here, concat!("/ro", "ot/").to_owned(), concat!("/wo", "rk/").to_owned()];
    for file in tracked()? {
        // What is not text names nothing.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (number, line) in text.lines().enumerate() {
            let found = places.iter().find(|place| line.contains(place.as_str()));
            ensure!(found.is_none(), "{}:{} names {found:?}", file.display(), number + 1);
        }
    }
    Ok(())
}

/// `make fuzz` takes an hour and runs seldom; with a dependency that its lock file does not know it does not even begin.
#[test]
fn the_lock_file_of_the_fuzz_targets_knows_what_the_crates_need() -> Result<()> {
    let root = workspace()?;
    let read = |path: &str| -> Result<toml::Table> { Ok(fs::read_to_string(root.join(path))?.parse()?) };
    let lock = read("fuzz/Cargo.lock")?;
    let packages = lock.get("package").and_then(toml::Value::as_array).context("packages")?;
    for directory in ["engine", "lifecycle", "nfs-gateway"] {
        let manifest = read(&format!("{directory}/Cargo.toml"))?;
        let name = manifest.get("package").and_then(|package| package.get("name")).context("a name")?;
        let locked = packages.iter().find(|package| package.get("name") == Some(name));
        let locked = locked.with_context(|| format!("fuzz/Cargo.lock does not know {name}"))?;
        let locked = locked.get("dependencies").and_then(toml::Value::as_array).context("dependencies")?;
        let locked: Vec<_> = locked.iter().filter_map(|text| text.as_str()?.split(' ').next()).collect();
        let needed = manifest.get("dependencies").and_then(toml::Value::as_table).context("a table")?;
        ensure!(needed.len() > 5, "{directory} needs {} crates", needed.len());
        for crate_name in needed.keys() {
            ensure!(
                locked.contains(&crate_name.as_str()),
                "fuzz/Cargo.lock lacks {crate_name}, which {directory} needs: `cargo update --workspace --manifest-path fuzz/Cargo.toml`"
            );
        }
    }
    Ok(())
}

/// A promise is held by a test, and not by a name that a test once had.
#[test]
fn every_test_that_the_page_of_durability_names_is_there() -> Result<()> {
    let page = fs::read_to_string(workspace()?.join("docs/durability.md"))?;
    let is_function = |word: &&str| {
        word.matches('_').count() > 2
            && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    let named: Vec<&str> = page.split('`').filter(is_function).collect();
    ensure!(named.len() > 20, "docs/durability.md names only {} tests", named.len());
    let sources = sources()?;
    for name in named {
        let declared = format!("fn {name}(");
        let found = sources.iter().any(|(_, text)| text.contains(&declared));
        ensure!(found, "docs/durability.md names the test `{name}`, which is nowhere");
    }
    Ok(())
}
