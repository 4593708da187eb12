//! `tidefs verify`: by way of the server if there is one, else by itself.

mod progress;

use engine::{FileSystem, FileSystemId, VerifyProgress};

use super::arguments::VerifyCommand;
use super::place::Place;
use super::table::bytes;
use super::{Failure, print, print_json};
use crate::config::{Settings, Surroundings};
use crate::control::api::ApiError;
use crate::control::client::{Client, ClientError};
use crate::control::verify::{FindingText, Verified, VerifyEvent, VerifyRequest, VerifyStep};
use progress::ProgressBar;

/// Files that are named for one finding on a terminal; `--json` has all.
const FILES_SHOWN: usize = 10;
/// What is said of the index where no server has it open.
const INDEX_NOT_READ: &str = "the metadata index: it cannot be read without a server; --repair has it built anew from checkpoints and journal, \
                              which were read";

/// Scans block, and the progress is shown meanwhile, so that there are several threads.
pub(super) fn run(command: VerifyCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| could_not(format!("cannot start: {error}")))?;
    runtime.block_on(verify(command, surroundings))
}

async fn verify(command: VerifyCommand, surroundings: &Surroundings) -> Result<(), Failure> {
    let request = VerifyRequest {
        deep: command.deep,
        bucket: command.bucket,
        repair: command.repair && !command.dry_run,
        bytes_per_second: command.bytes_per_second.map(|size| size.0),
    };
    let json = command.target.json;
    let dry_run = command.dry_run;
    let settings = Settings::load(command.layer(), surroundings)?;
    let client = Client::new(&settings.data);
    let asked = command.target.file_system;
    let verified = match Place::of(client, asked, json).await {
        Ok(place) => online(&place, request).await?,
        Err(ClientError::NoServer { .. }) => offline(&settings, asked, request, json).await?,
        Err(error) => return Err(could_not(error)),
    };
    show(&verified, json, dry_run)?;
    let findings: usize = verified.iter().map(|one| one.findings.len()).sum();
    if verified.iter().all(|one| one.clean) {
        Ok(())
    } else {
        let plural = if findings == 1 { "" } else { "s" };
        let unread = verified.iter().any(|one| !one.unread.is_empty());
        let unread = if unread { ", and not all could be read" } else { "" };
        Err(Failure::Failed(format!("{findings} finding{plural}{unread}")))
    }
}

/// Status 2: nothing was found out.
fn could_not(error: impl std::fmt::Display) -> Failure {
    Failure::Usage(error.to_string())
}

async fn online(place: &Place, request: VerifyRequest) -> Result<Vec<Verified>, Failure> {
    let mut all = Vec::new();
    for id in &place.file_systems {
        let mut bar = ProgressBar::new(place.json);
        let mut last = None;
        let address = format!("/v1/file-systems/{id}/verify");
        let sent = place.client.post_lines(&address, &request, |event: VerifyEvent| match event {
            VerifyEvent::Progress(step) => bar.show(step),
            end => last = Some(end),
        });
        sent.await.map_err(could_not)?;
        bar.clear();
        match last {
            Some(VerifyEvent::Report(verified)) => all.push(verified),
            Some(VerifyEvent::Error(ApiError { message, .. })) => return Err(could_not(message)),
            Some(VerifyEvent::Progress(_)) | None => {
                return Err(could_not("the server ended before the verification did; verify again"));
            }
        }
    }
    Ok(all)
}

async fn offline(
    settings: &Settings,
    asked: Option<FileSystemId>,
    request: VerifyRequest,
    json: bool,
) -> Result<Vec<Verified>, Failure> {
    let ids = match asked {
        Some(id) => vec![id],
        None => FileSystem::list(&settings.data).map_err(could_not)?,
    };
    if ids.is_empty() {
        let data = settings.data.display();
        return Err(could_not(format!("{data} holds no file system; name the right directory with --data")));
    }
    let mut all = Vec::new();
    for id in ids {
        all.push(offline_one(settings, id, request, json).await?);
    }
    Ok(all)
}

async fn offline_one(
    settings: &Settings,
    id: FileSystemId,
    request: VerifyRequest,
    json: bool,
) -> Result<Verified, Failure> {
    let open = crate::serve::open_options(settings, engine::Environment::system()).map_err(could_not)?;
    let options = request.options();
    let progress = VerifyProgress::default();
    if request.repair {
        let work = FileSystem::repair_offline(&settings.data, id, &open, &options, &progress);
        let repaired = watched(work, &progress, json).await.map_err(could_not)?;
        return Ok(Verified::after_repair(&id.to_string(), repaired));
    }
    let work = FileSystem::verify_offline(&settings.data, id, &open, &options, &progress);
    let report = watched(work, &progress, json).await.map_err(could_not)?;
    let mut verified = Verified::of(&id.to_string(), report);
    if request.deep {
        verified.unsettled.push(INDEX_NOT_READ.to_owned());
    }
    Ok(verified)
}

/// Shows the progress of work in this process.
async fn watched<T>(work: impl Future<Output = T>, progress: &VerifyProgress, json: bool) -> T {
    let mut bar = ProgressBar::new(json);
    tokio::pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            () = tokio::time::sleep(progress::INTERVAL) => bar.show(VerifyStep::of(progress)),
        }
    };
    bar.clear();
    result
}

fn show(verified: &[Verified], json: bool, dry_run: bool) -> Result<(), Failure> {
    match (json, verified) {
        (true, [only]) => print_json(only),
        (true, several) => print_json(&serde_json::json!({ "file_systems": several })),
        (false, all) => print(&all.iter().map(|one| told(one, dry_run)).collect::<Vec<_>>().join("\n\n")),
    }
}

fn told(verified: &Verified, dry_run: bool) -> String {
    let counts = &verified.checked;
    let mut lines = vec![format!(
        "{}: {} inodes, {} entries, {} blocks, {} segments, {} objects; {} read",
        verified.file_system,
        counts.inodes,
        counts.entries,
        counts.extents,
        counts.segments,
        counts.objects,
        bytes(counts.bytes)
    )];
    lines.extend(verified.repaired.iter().map(|done| format!("repaired: {done}")));
    lines.extend(verified.failed.iter().map(|text| format!("could not {text}")));
    lines.extend(verified.findings.iter().flat_map(finding_lines));
    if verified.more > 0 {
        lines.push(format!("and {} more findings", verified.more));
    }
    lines.extend(verified.unread.iter().map(|text| format!("not read: {text}")));
    lines.extend(verified.unsettled.iter().map(|text| format!("not judged: {text}")));
    if dry_run {
        lines.extend(verified.plan.iter().map(|plan| format!("would {plan}")));
    }
    if verified.clean {
        lines.push("clean".to_owned());
    }
    lines.join("\n")
}

fn finding_lines(finding: &FindingText) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", finding.severity, finding.message)];
    lines.extend(finding.files.iter().take(FILES_SHOWN).map(|file| format!("  file: {file}")));
    if let Some(more) = finding.files.len().checked_sub(FILES_SHOWN).filter(|more| *more > 0) {
        lines.push(format!("  and {more} more files; --json names them"));
    }
    lines.push(format!("  {}", finding.advice));
    lines
}

#[cfg(test)]
mod tests {
    use engine::{Environment, KeyFile};

    use super::*;
    use crate::config::{KeyChoice, Layer};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn without_a_server_the_index_is_not_read_and_a_repair_discards_it() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        KeyFile::create(&key, Environment::system().entropy.as_ref()).unwrap();
        let layer = Layer {
            key: Some(KeyChoice::KeyFile(key)),
            data: Some(directory.path().join("data")),
            ..Layer::default()
        };
        let surroundings = Surroundings::of(&[("HOME", directory.path().to_str().unwrap())]);
        let settings = Settings::load(layer, &surroundings).unwrap();
        let open = crate::serve::open_options(&settings, Environment::system()).unwrap();
        let id = FileSystem::make(&settings.data, &open).unwrap();
        let file_system = FileSystem::open(&settings.data, id, open).await.unwrap();
        // A close does not wait for the index to be built.
        while file_system.status().unwrap().backlog.index_entries > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        file_system.shutdown().await.unwrap();
        drop(file_system);
        let marker = settings.data.join(id.to_string()).join("index.marker");

        let deep = VerifyRequest { deep: true, ..VerifyRequest::default() };
        let verified = offline_one(&settings, id, deep, true).await.unwrap();
        assert!(verified.clean && marker.exists(), "{verified:?}");
        assert_eq!(verified.unsettled, [INDEX_NOT_READ]);

        let repair = VerifyRequest { repair: true, ..deep };
        let repaired = offline_one(&settings, id, repair, true).await.unwrap();
        assert!(repaired.clean && repaired.unsettled.is_empty() && !marker.exists(), "{repaired:?}");
        assert!(repaired.repaired.iter().any(|done| done.contains("metadata index")), "{repaired:?}");
    }
}
