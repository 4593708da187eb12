//! `tidefs status`.

use engine::{HealthState, Tier};
use lifecycle::LifecycleStatus;

use super::arguments::StatusCommand;
use super::place::Place;
use super::table::{bytes, facts, numbers};
use super::{Failure, print, print_json};
use crate::config::Surroundings;
use crate::control::api::FileSystemStatus;

pub(super) async fn run(command: StatusCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    let place = Place::find(command.target, surroundings).await?;
    let mut all: Vec<FileSystemStatus> = Vec::new();
    for id in &place.file_systems {
        all.push(place.client.get(&format!("/v1/file-systems/{id}/status")).await?);
    }
    match (place.json, all.as_slice()) {
        (true, [only]) => print_json(only),
        (true, several) => print_json(&serde_json::json!({ "file_systems": several })),
        (false, all) => print(&all.iter().map(table).collect::<Vec<_>>().join("\n\n")),
    }
}

fn table(status: &FileSystemStatus) -> String {
    let engine = &status.engine;
    let tiers = engine.tiers.iter().map(|tier| {
        vec![
            tier_name(tier.name).to_owned(),
            tier.files.to_string(),
            bytes(tier.bytes),
            bytes(tier.stored_bytes),
            tier.segments.to_string(),
        ]
    });
    let tiers = numbers(&["TIER", "FILES", "SIZE", "STORED", "SEGMENTS"], tiers.collect());
    let backlog = &engine.backlog;
    let requests = &engine.requests;
    let index = match backlog.index_entries {
        0 => String::new(),
        entries => format!(", {entries} entries of the metadata index"),
    };
    let mut rows = vec![
        ("journal", format!("{} of {}", bytes(engine.journal.bytes), bytes(engine.journal.bytes_max))),
        (
            "backlog",
            format!(
                "{} unflushed, {} in pieces, {} removed files, {} dead segments{index}",
                bytes(backlog.unflushed_bytes),
                bytes(backlog.piece_bytes),
                backlog.orphans,
                backlog.dead_segments
            ),
        ),
        (
            "requests",
            format!(
                "{} put, {} get, {} list, {} delete, {} failed; {} sent, {} received",
                requests.put,
                requests.get,
                requests.list,
                requests.delete,
                requests.failed,
                bytes(requests.bytes_sent),
                bytes(requests.bytes_received)
            ),
        ),
    ];
    rows.extend(status.mount_targets.iter().map(|target| {
        let nfs = &target.nfs;
        let grace = if nfs.in_grace { ", in grace" } else { "" };
        let Nfs { clients, connections, opens, locks } = Nfs::of(nfs);
        ("nfs", format!("{}: {clients}, {connections}, {opens}, {locks}{grace}", target.listen))
    }));
    rows.extend(lifecycle_rows(&status.lifecycle));
    let key = engine.keys.generations.last().map_or(0, |key| key.generation);
    let resealing = engine.keys.resealing.is_some().then(|| super::key::resealing(&engine.keys));
    let resealing = resealing.map_or_else(String::new, |line| format!("; re-sealing: {line}"));
    rows.push(("key", format!("generation {key}, {}{resealing}", engine.keys.wrapped_with)));
    rows.push(("health", health(engine)));
    format!("{}\n\n{tiers}\n\n{}", engine.id, facts(rows))
}

/// The counts of an NFS server in words.
struct Nfs {
    clients: String,
    connections: String,
    opens: String,
    locks: String,
}

impl Nfs {
    fn of(nfs: &crate::control::api::Nfs) -> Nfs {
        let count = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        Nfs {
            clients: count(nfs.clients, "client"),
            connections: count(nfs.connections, "connection"),
            opens: count(nfs.opens, "open file"),
            locks: count(nfs.locks, "lock"),
        }
    }
}

/// The rows about the lifecycle, here and in `tidefs lifecycle show`.
pub(super) fn lifecycle_rows(status: &LifecycleStatus) -> Vec<(&'static str, String)> {
    let policy = status.policy;
    let to_ia = lifecycle::policy::print_to_ia(policy.to_ia);
    let mut rows = vec![("policy", format!("to-ia {to_ia}, to-primary {}", policy.to_primary))];
    if let Some(progress) = &status.running {
        rows.push(("running", format!("{} files, {} so far", progress.files, bytes(progress.bytes))));
    }
    rows.push((
        "last pass",
        match &status.last_pass {
            Some(pass) => format!("{}: {}", pass.started, super::lifecycle::summary_line(pass)),
            None => "none since the start".to_owned(),
        },
    ));
    rows.push((
        "next pass",
        status.next_pass.clone().unwrap_or_else(|| "none: the policy is off".to_owned()),
    ));
    if status.promoted.files > 0 {
        rows.push(("promoted", format!("{} files, {}", status.promoted.files, bytes(status.promoted.bytes))));
    }
    if let Some(error) = &status.last_error {
        rows.push(("error", format!("{} ({} times, last at {})", error.message, error.times, error.at)));
    }
    rows
}

fn health(status: &engine::Status) -> String {
    let state = match status.health.state {
        HealthState::Ok => "ok",
        HealthState::Degraded => "degraded",
        HealthState::Halted => "halted",
    };
    if status.health.reasons.is_empty() {
        return state.to_owned();
    }
    format!("{state}: {}", status.health.reasons.join("; "))
}

/// A tier as people call it.
pub(super) fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Standard => "Standard",
        Tier::InfrequentAccess => "Infrequent Access",
    }
}
