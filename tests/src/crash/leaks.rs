//! Nothing is left over: what the server counts is what the tree has, and what is on the disk is what it counts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::deadline::poll_until;
use crate::server::Server;
use crate::tree::files_below;

/// Folding looks at all pieces every ten seconds, and dead segments wait for a checkpoint.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// What is counted, by name.
type Counts = BTreeMap<&'static str, u64>;

/// What has been leaked, once the backlog is empty. `files` are the paths of all regular files, one for each.
pub(crate) fn leaks(server: &Server, cold: &Path, files: &[String]) -> Result<Vec<String>> {
    let mut last = String::new();
    let drained = poll_until("the backlog drains", DRAIN_LIMIT, || {
        let status = server.json(&["status"])?;
        // While files move, a directory may change under whoever lists it.
        let Some(objects) = objects(cold) else { return Ok(None) };
        let (expected, found) = (expected(server, objects, files)?, counted(&status)?);
        let differences: Vec<String> = found
            .iter()
            .filter(|(name, found)| expected.get(*name) != Some(found))
            .map(|(name, found)| format!("{name}: {found} counted, {:?} there", expected.get(name)))
            .collect();
        last = differences.join("; ");
        Ok(differences.is_empty().then_some(()))
    });
    Ok(match drained {
        Ok(()) => verify(server)?,
        // A command that failed says so itself.
        Err(error) if last.is_empty() => return Err(error),
        Err(_) => vec![format!("after {} s: {last}", DRAIN_LIMIT.as_secs())],
    })
}

fn counted(status: &Value) -> Result<Counts> {
    let number = |pointer: &str| {
        let number = status.pointer(pointer).and_then(Value::as_u64);
        number.with_context(|| format!("no number at {pointer} in {status}"))
    };
    Ok(Counts::from([
        ("unflushed bytes", number("/backlog/unflushed_bytes")?),
        ("bytes in pieces", number("/backlog/piece_bytes")?),
        ("removed files", number("/backlog/orphans")?),
        ("dead segments", number("/backlog/dead_segments")?),
        ("entries of the index to be built", number("/backlog/index_entries")?),
        ("files", number("/tiers/0/files")? + number("/tiers/1/files")?),
        ("bytes in Standard", number("/tiers/0/bytes")?),
        ("bytes in Infrequent Access", number("/tiers/1/bytes")?),
        ("segments", number("/tiers/0/segments")?),
        ("objects", number("/tiers/1/segments")?),
    ]))
}

fn expected(server: &Server, objects: u64, files: &[String]) -> Result<Counts> {
    let mut counts = Counts::from([
        ("unflushed bytes", 0),
        ("bytes in pieces", 0),
        ("removed files", 0),
        ("dead segments", 0),
        ("entries of the index to be built", 0),
        ("files", files.len() as u64),
        ("bytes in Standard", 0),
        ("bytes in Infrequent Access", 0),
        ("segments", segments(&server.settings().data)?),
        ("objects", objects),
    ]);
    for (tier, bytes) in shares(server, files)? {
        *counts.entry(tier).or_default() += bytes;
    }
    Ok(counts)
}

/// The bytes of each file in each tier.
fn shares(server: &Server, files: &[String]) -> Result<Vec<(&'static str, u64)>> {
    let mut shares = Vec::new();
    if files.is_empty() {
        return Ok(shares);
    }
    let mut arguments = vec!["lifecycle", "explain"];
    arguments.extend(files.iter().map(String::as_str));
    let answer = server.json(&arguments)?;
    let rows = answer.as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
    for tier in rows.iter().filter_map(|row| row.get("tiers").and_then(Value::as_array)).flatten() {
        let bytes = tier.get("bytes").and_then(Value::as_u64).context("no bytes")?;
        let name = match tier.get("name").and_then(Value::as_str) {
            Some("standard") => "bytes in Standard",
            _ => "bytes in Infrequent Access",
        };
        shares.push((name, bytes));
    }
    Ok(shares)
}

/// Segment files of the one file system.
fn segments(data: &Path) -> Result<u64> {
    let home = std::fs::read_dir(data)?.flatten().map(|entry| entry.path().join("segments"));
    let directory = home.into_iter().find(|path| path.is_dir()).context("no segments")?;
    Ok(std::fs::read_dir(directory)?.count() as u64)
}

/// Objects of the cold tier, if they can be counted at this moment.
fn objects(cold: &Path) -> Option<u64> {
    if cold.exists() { files_below(cold).ok().map(|files| files.len() as u64) } else { Some(0) }
}

/// What `tidefs verify` finds, where there is such a command.
fn verify(server: &Server) -> Result<Vec<String>> {
    if server.command(&["verify", "--help"])?.code != Some(0) {
        return Ok(Vec::new());
    }
    let outcome = server.command(&["verify", "--deep", "--bucket", "--json"])?;
    Ok(match outcome.code {
        Some(0) => Vec::new(),
        _ => vec![format!("tidefs verify: {outcome}")],
    })
}
