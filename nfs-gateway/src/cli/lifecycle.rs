//! `tidefs lifecycle`.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};

use anyhow::{Result, bail};
use clap::builder::TypedValueParser;
use clap::{Args, Subcommand};
use hyper::Method;
use lifecycle::policy::{parse_to_ia, print_to_ia};
use lifecycle::{Age, Ending, PassSummary, Policy, PolicyChange, Progress, ToPrimary};

use super::table::{print, print_json, size};
use super::{Target, explain};
use crate::control::RunLine;

#[derive(Subcommand)]
pub(super) enum LifecycleCommand {
    /// Show the policy
    Show(ShowArguments),
    /// Change the policy; what is not given stays as it is
    ///
    /// Examples:
    ///   tidefs lifecycle set --to-ia 30d
    ///   tidefs lifecycle set --to-ia AFTER_90_DAYS --to-primary on-first-access
    ///   tidefs lifecycle set --to-ia never
    #[command(verbatim_doc_comment)]
    Set(SetArguments),
    /// Move everything that is due now, and show the progress
    Run(ShowArguments),
    /// Say which rule holds for a file, where it is, and what happens next
    Explain(ExplainArguments),
}

#[derive(Args)]
pub(super) struct ShowArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub(super) struct SetArguments {
    /// Files not read or written for this long move to Infrequent Access: 20s, 15m, 12h, 45d, AFTER_30_DAYS …, or never
    #[arg(long, value_name = "AGE", value_parser = to_ia, required_unless_present = "to_primary")]
    to_ia: Option<ToIa>,
    /// Whether a file moves back to Standard when it is read: never, or on-first-access
    #[arg(long, value_name = "WHEN", value_parser = to_primary)]
    to_primary: Option<ToPrimary>,
    /// Print the new policy as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Args)]
pub(super) struct ExplainArguments {
    /// Absolute paths within the file system, such as /projects/data.csv
    #[arg(required = true, value_name = "PATH", value_parser = clap::builder::OsStringValueParser::new().try_map(explain::absolute))]
    paths: Vec<OsString>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// An age, or never. A type of its own, because clap gives an `Option` another meaning.
#[derive(Clone, Copy)]
struct ToIa(Option<Age>);

fn to_ia(text: &str) -> Result<ToIa, String> {
    parse_to_ia(text).map(ToIa).map_err(|error| error.to_string())
}

fn to_primary(text: &str) -> Result<ToPrimary, String> {
    text.parse().map_err(|error: lifecycle::PolicyError| error.to_string())
}

pub(super) async fn run(command: LifecycleCommand) -> Result<()> {
    match command {
        LifecycleCommand::Show(arguments) => {
            let client = arguments.target.client().await?;
            let policy: Policy = client.ask(Method::GET, "lifecycle", None::<&()>).await?;
            show(&policy, arguments.json)
        }
        LifecycleCommand::Set(arguments) => {
            let change =
                PolicyChange { to_ia: arguments.to_ia.map(|age| age.0), to_primary: arguments.to_primary };
            let client = arguments.target.client().await?;
            let policy: Policy = client.ask(Method::PUT, "lifecycle", Some(&change)).await?;
            show(&policy, arguments.json)
        }
        LifecycleCommand::Run(arguments) => pass(&arguments).await,
        LifecycleCommand::Explain(arguments) => {
            let client = arguments.target.client().await?;
            explain::run(&client, &arguments.paths, arguments.json).await
        }
    }
}

fn show(policy: &Policy, json: bool) -> Result<()> {
    if json { print_json(policy) } else { print(&(words_of(policy) + "\n")) }
}

/// A policy in one line.
pub(super) fn words_of(policy: &Policy) -> String {
    format!("to-ia {}, to-primary {}", print_to_ia(policy.to_ia), policy.to_primary)
}

async fn pass(arguments: &ShowArguments) -> Result<()> {
    let client = arguments.target.client().await?;
    let live = !arguments.json && std::io::stderr().is_terminal();
    let mut last = None;
    client
        .run(|line| {
            match line {
                RunLine::Progress(progress) if live => show_progress(&progress),
                RunLine::Progress(_) => {}
                RunLine::Summary(summary) => last = Some(summary),
                RunLine::Error(failure) => bail!("{}", failure.message),
            }
            Ok(())
        })
        .await?;
    if live {
        eprint!("\r\x1b[K");
    }
    let Some(summary) = last else { bail!("the server ended the pass without a word; see its log") };
    if arguments.json {
        print_json(&summary)?
    } else {
        print(&summary_text(&summary))?
    }
    match (summary.ending, summary.reason) {
        (Ending::Complete, _) => Ok(()),
        (Ending::Stopped, reason) => bail!("the pass stopped before its end: {}", reason.unwrap_or_default()),
    }
}

fn show_progress(progress: &Progress) {
    let waiting = match progress.phase {
        lifecycle::Phase::Moving => "",
        lifecycle::Phase::Waiting => ", waiting for the object store",
    };
    eprint!(
        "\r\x1b[K{} files, {}, {} objects{waiting}",
        progress.files,
        size(progress.bytes),
        progress.objects
    );
    let _ = std::io::stderr().flush();
}

fn summary_text(summary: &PassSummary) -> String {
    let PassSummary { files, bytes, objects, skipped, failed, seconds, requests, .. } = summary;
    format!(
        "moved {files} files, {} in {objects} objects, in {seconds:.1} s; {skipped} in use, {failed} failed; {} PUT, {} GET, {} DELETE\n",
        size(*bytes),
        requests.put,
        requests.get,
        requests.delete,
    )
}
