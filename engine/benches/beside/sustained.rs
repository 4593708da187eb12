//! Creates without a break: what folding into the index can follow, and whether anything stalls.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use engine::{Budgets, InodeId};
use parking_lot::Mutex;

use crate::Arguments;
use crate::metadata::RECORD_BYTES;
use crate::raw_log::RawLog;
use crate::subject::{Limit, Subject};
use crate::table::{Beside, Row, Table, median};

const WRITERS: usize = 16;
const BOUND: f64 = 0.25;
/// Files in a directory before the next one is begun.
const DIRECTORY_FILES: usize = 4096;

pub(crate) fn measure(arguments: &Arguments, below: &Path, table: &mut Table) {
    let subject = Subject::new(below, Budgets::default());
    let log = RawLog::make(&subject.directory.join("log"));
    let mut logs = vec![log.measure(WRITERS, RECORD_BYTES, arguments.time())];
    let time = Duration::from_secs_f64(arguments.sustained);
    let directories: Mutex<Vec<InodeId>> = Mutex::default();
    let done = AtomicUsize::new(0);
    let seconds: Mutex<Vec<usize>> = Mutex::default();
    let started = Instant::now();
    let mut run = subject.in_flight(WRITERS, Limit::Time(time), |_, number| {
        let (subject, directories, done, seconds) = (&subject, &directories, &done, &seconds);
        async move {
            let directory = directory(subject, directories, number / DIRECTORY_FILES).await;
            subject.create(directory, &number.to_string()).await;
            done.fetch_add(1, Ordering::Relaxed);
            let second = usize::try_from(started.elapsed().as_secs()).unwrap();
            let mut seconds = seconds.lock();
            if seconds.len() <= second {
                seconds.resize(second + 1, 0);
            }
            seconds[second] += 1;
        }
    });
    logs.push(log.measure(WRITERS, RECORD_BYTES, arguments.time()));
    let mut seconds = seconds.into_inner();
    // The last one is cut short.
    seconds.pop();
    let slowest = seconds.iter().min().copied().unwrap_or(0);
    table.print(&Row {
        what: format!("durable create, {WRITERS} in flight, {:.0} s long", arguments.sustained),
        value: run.rate,
        unit: "/s",
        beside: Some(Beside { what: "raw log", value: median(logs), bound: BOUND }),
        notes: format!("{}; slowest second {slowest}/s", run.latencies.describe()),
    });
}

/// The directory of that number, made by whoever comes first.
async fn directory(subject: &Subject, directories: &Mutex<Vec<InodeId>>, number: usize) -> InodeId {
    loop {
        if let Some(found) = directories.lock().get(number) {
            return *found;
        }
        let name = format!("directory-{number}");
        let entry = engine::Entry { directory: InodeId::ROOT, name: name.as_bytes() };
        let set = engine::SetAttributes::default();
        let root = engine::Credential::root();
        match subject.fs.make_directory(&root, entry, &set).await {
            Ok(made) => {
                let inode = made.durable().await.unwrap().into_inner().attributes.inode;
                directories.lock().push(inode);
            }
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
