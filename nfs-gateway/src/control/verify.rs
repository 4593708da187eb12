//! A verification that somebody waits for: its progress as lines of JSON. If he goes away, it ends; a repair goes on.

use std::sync::Arc;

use axum::response::Response;
use engine::{
    Checked, Depth, Error, Finding, Problem, Repaired, Severity, Stage, VerifyOptions, VerifyProgress,
    VerifyReport,
};
use serde::{Deserialize, Serialize};

use super::api::ApiError;
use super::error::Failure;
use super::lines::{INTERVAL, Lines, answer};
use crate::serve::Served;

/// What is to be verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct VerifyRequest {
    /// Reads all blocks, the journal, the checkpoints and, on a server, the index.
    pub(crate) deep: bool,
    /// Reads all objects.
    pub(crate) bucket: bool,
    /// Mends what can be mended.
    pub(crate) repair: bool,
    /// As fast as it goes if absent.
    pub(crate) bytes_per_second: Option<u64>,
}

/// One line of the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum VerifyEvent {
    /// How far it is.
    Progress(VerifyStep),
    /// The end.
    Report(Verified),
    /// The end, if there is no report.
    Error(ApiError),
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VerifyStep {
    /// What it is at.
    pub(crate) stage: StageName,
    /// How much of it is done: records or bytes.
    pub(crate) done: u64,
    /// How much there is; 0 if that is not known.
    pub(crate) total: u64,
}

/// The stages, as they are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StageName {
    Records,
    Files,
    Metadata,
    Standard,
    Objects,
}

/// What a verification found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Verified {
    pub(crate) file_system: String,
    pub(crate) clean: bool,
    pub(crate) findings: Vec<FindingText>,
    /// Findings that are not listed.
    pub(crate) more: u64,
    /// What changed too fast to be judged.
    pub(crate) unsettled: Vec<String>,
    /// What could not be read.
    pub(crate) unread: Vec<String>,
    /// What a repair would do.
    pub(crate) plan: Vec<String>,
    /// What a repair did.
    pub(crate) repaired: Vec<String>,
    /// What a repair could not do.
    pub(crate) failed: Vec<String>,
    pub(crate) checked: Counts,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FindingText {
    /// `damage`, `counter`, `leak` or `notice`.
    pub(crate) severity: String,
    /// For programs: which kind of problem, such as `block-damaged`.
    pub(crate) kind: String,
    pub(crate) message: String,
    /// The files that are hit.
    pub(crate) files: Vec<String>,
    pub(crate) advice: String,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) inodes: u64,
    pub(crate) entries: u64,
    pub(crate) extents: u64,
    pub(crate) pieces: u64,
    pub(crate) segments: u64,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

impl VerifyRequest {
    pub(crate) fn options(&self) -> VerifyOptions {
        VerifyOptions {
            depth: Depth { local: self.deep, bucket: self.bucket },
            bytes_per_second: self.bytes_per_second,
            ..VerifyOptions::default()
        }
    }
}

impl VerifyStep {
    pub(crate) fn of(progress: &VerifyProgress) -> Self {
        let stage = match progress.stage() {
            Stage::Records => StageName::Records,
            Stage::Files => StageName::Files,
            Stage::Metadata => StageName::Metadata,
            Stage::Standard => StageName::Standard,
            Stage::Objects => StageName::Objects,
        };
        VerifyStep { stage, done: progress.done(), total: progress.total() }
    }
}

impl Verified {
    pub(crate) fn of(file_system: &str, report: VerifyReport) -> Self {
        let Checked { inodes, entries, extents, pieces, segments, objects, bytes, .. } = report.checked;
        Verified {
            file_system: file_system.to_owned(),
            clean: report.is_clean(),
            plan: report.plan(),
            findings: report.findings.iter().map(FindingText::of).collect(),
            more: report.more,
            unsettled: report.unsettled,
            unread: report.unread,
            repaired: Vec::new(),
            failed: Vec::new(),
            checked: Counts { inodes, entries, extents, pieces, segments, objects, bytes },
        }
    }

    pub(crate) fn after_repair(file_system: &str, repaired: Repaired) -> Self {
        let Repaired { done, failed, report } = repaired;
        Verified { repaired: done, failed, ..Verified::of(file_system, report) }
    }
}

impl FindingText {
    fn of(finding: &Finding) -> Self {
        let severity = match finding.problem.severity() {
            Severity::Damage => "damage",
            Severity::Counter => "counter",
            Severity::Leak => "leak",
            Severity::Notice => "notice",
        };
        FindingText {
            severity: severity.to_owned(),
            kind: kind(&finding.problem),
            message: finding.problem.to_string(),
            files: finding.files.clone(),
            advice: finding.problem.advice().to_owned(),
        }
    }
}

/// The name of a variant, in words.
fn kind(problem: &Problem) -> String {
    let debug = format!("{problem:?}");
    let mut words = String::new();
    for letter in debug.chars().take_while(char::is_ascii_alphanumeric) {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

pub(super) fn stream(served: Arc<Served>, request: VerifyRequest) -> Response {
    answer(|lines| follow(served, request, lines))
}

async fn follow(served: Arc<Served>, request: VerifyRequest, lines: Lines) {
    let progress = VerifyProgress::default();
    let work = verify(&served, request, &progress);
    tokio::pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            () = lines.closed(), if !request.repair => {
                progress.cancel();
                break work.await;
            }
            () = tokio::time::sleep(INTERVAL) => {
                lines.progress(&VerifyEvent::Progress(VerifyStep::of(&progress)));
            }
        }
    };
    let last = match result {
        Ok(verified) => VerifyEvent::Report(verified),
        Err(error) => VerifyEvent::Error(Failure::from(error).body),
    };
    lines.end(&last).await;
}

async fn verify(
    served: &Served,
    request: VerifyRequest,
    progress: &VerifyProgress,
) -> Result<Verified, Error> {
    let file_system = &served.file_system;
    let (id, options) = (file_system.id().to_string(), request.options());
    if request.repair {
        Ok(Verified::after_repair(&id, file_system.repair(&options, progress).await?))
    } else {
        Ok(Verified::of(&id, file_system.verify(&options, progress).await?))
    }
}
