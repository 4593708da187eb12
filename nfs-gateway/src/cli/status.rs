//! `tidefs status`.

use anyhow::Result;
use clap::Args;
use engine::Status;
use hyper::Method;
use lifecycle::LifecycleStatus;
use serde::Deserialize;
use serde_json::Value;

use super::table::{numbers, print, print_json, size};
use super::{Target, lifecycle::words_of};

/// Show sizes by tier, journal, requests to the bucket, clients, lifecycle and health.
#[derive(Args)]
pub(super) struct StatusArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Deserialize)]
struct Report {
    #[serde(flatten)]
    status: Status,
    nfs: Option<Nfs>,
    lifecycle: LifecycleStatus,
}

#[derive(Deserialize)]
struct Nfs {
    listen: String,
    clients: u64,
    connections: u64,
    opens: u64,
    locks: u64,
    in_grace: bool,
}

pub(super) async fn run(arguments: StatusArguments) -> Result<()> {
    let client = arguments.target.client().await?;
    let report: Value = client.ask(Method::GET, "status", None::<&()>).await?;
    if arguments.json {
        return print_json(&report);
    }
    print(&text(&serde_json::from_value(report)?))
}

fn text(report: &Report) -> String {
    let Status { id, tiers, journal, backlog, requests, health } = &report.status;
    let state = format!("{:?}", health.state).to_lowercase();
    let mut out = format!("{id}: {state}\n");
    for reason in &health.reasons {
        out += &format!("  {reason}\n");
    }
    let row = |tier: &engine::TierStatus| {
        let name = match tier.name {
            engine::Tier::Standard => "Standard",
            engine::Tier::InfrequentAccess => "Infrequent Access",
        };
        let counts = [tier.files.to_string(), tier.segments.to_string()];
        let [files, segments] = counts;
        vec![name.to_owned(), size(tier.bytes), files, size(tier.stored_bytes), segments]
    };
    out += "\n";
    out += &numbers(&["Tier", "Content", "Files", "Stored", "Segments"], tiers.iter().map(row).collect());
    out += &format!(
        "\nJournal    {} of {} in use\nWaiting    {} not committed, {} in small writes, {} removed files, {} empty segments\n",
        size(journal.bytes),
        size(journal.bytes_max),
        size(backlog.unflushed_bytes),
        size(backlog.piece_bytes),
        backlog.orphans,
        backlog.dead_segments,
    );
    out += &format!(
        "Requests   {} PUT, {} GET, {} LIST, {} DELETE, {} failed; {} sent, {} received\n",
        requests.put,
        requests.get,
        requests.list,
        requests.delete,
        requests.failed,
        size(requests.bytes_sent),
        size(requests.bytes_received),
    );
    if let Some(nfs) = &report.nfs {
        let grace = if nfs.in_grace { "; clients are reclaiming after a restart" } else { "" };
        out += &format!(
            "NFS        {}: {} clients, {} connections, {} opens, {} locks{grace}\n",
            nfs.listen, nfs.clients, nfs.connections, nfs.opens, nfs.locks,
        );
    }
    out + &lifecycle_text(&report.lifecycle)
}

fn lifecycle_text(status: &LifecycleStatus) -> String {
    let mut out = format!("Lifecycle  {}\n", words_of(&status.policy));
    if let Some(running) = &status.running {
        out += &format!(
            "           a pass is under way: {} files, {} so far\n",
            running.files,
            size(running.bytes)
        );
    }
    if let Some(pass) = &status.last_pass {
        out +=
            &format!("           last pass {}: {} files, {}\n", pass.started, pass.files, size(pass.bytes));
    }
    if let Some(next) = &status.next_pass {
        out += &format!("           next look {next}\n");
    }
    if let Some(error) = &status.last_error {
        out += &format!("           trouble since {}: {}\n", error.at, error.message);
    }
    out
}
