//! A real source tree, and what is in a directory.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Copies the sources of crates that this workspace's `Cargo.lock` names into a directory, until there are at
/// least `files_min` files: what every machine that has built the workspace has at hand. Returns their number.
pub fn copy_sources(target: &Path, files_min: usize) -> Result<usize> {
    let mut copied = 0;
    for source in locked_sources()? {
        if copied >= files_min {
            return Ok(copied);
        }
        let name = source.file_name().context("a crate's directory has a name")?;
        copied += copy_directory(&source, &target.join(name))?;
    }
    if copied < files_min {
        bail!("the sources of the dependencies have only {copied} files, fewer than {files_min}");
    }
    Ok(copied)
}

/// The source directories of the dependencies from registries, those with the smallest names first.
fn locked_sources() -> Result<Vec<PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--filter-platform=x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages =
        metadata.get("packages").and_then(Value::as_array).context("no packages in cargo metadata")?;
    let mut sources: Vec<PathBuf> = packages
        .iter()
        .filter(|package| package.get("source").is_some_and(Value::is_string))
        .filter_map(|package| Path::new(package.get("manifest_path")?.as_str()?).parent())
        .map(Path::to_owned)
        .collect();
    sources.sort();
    Ok(sources)
}

fn copy_directory(source: &Path, target: &Path) -> Result<usize> {
    fs::create_dir_all(target)?;
    let mut copied = 0;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let target = target.join(entry.file_name());
        if kind.is_dir() {
            copied += copy_directory(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
            copied += 1;
        }
    }
    Ok(copied)
}

/// The SHA-256 of each regular file below a directory as `sha256sum` prints it, sorted by path.
pub fn checksums(directory: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for file in files_below(directory)? {
        let digest = Sha256::digest(fs::read(&file)?);
        lines.push(format!("{}  ./{}", hex::encode(digest), file.strip_prefix(directory)?.display()));
    }
    lines.sort_by(|a, b| a.get(64..).cmp(&b.get(64..)));
    Ok(lines)
}

/// All regular files below a directory; what vanishes meanwhile is left out.
pub fn files_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                pending.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

/// The bytes that the files below a directory take on the disk.
pub fn disk_usage_bytes(directory: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for file in files_below(directory)? {
        match fs::symlink_metadata(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            metadata => bytes += metadata?.blocks() * 512,
        }
    }
    Ok(bytes)
}

/// Path, size and SHA-256 of each regular file below a directory, which may be missing: to see that nothing changed.
pub fn snapshot(directory: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for file in files_below(directory)? {
        let content = fs::read(&file)?;
        lines.push(format!("{} {} {}", file.display(), content.len(), hex::encode(Sha256::digest(&content))));
    }
    lines.sort();
    Ok(lines)
}
