//! Durable creates, renames and unlinks.

use std::path::Path;

use engine::{Budgets, Credential, Entry, InodeId};

use crate::Arguments;
use crate::raw_log::RawLog;
use crate::subject::{Limit, Run, Subject};
use crate::table::{Beside, Row, Table, median};

/// Bytes of a record of the raw log: what a create, a rename or an unlink is in the journal, about.
pub(crate) const RECORD_BYTES: usize = 512;
/// The aim with 16 in flight; one alone pays for the way to the journal's thread and back.
const BOUND: f64 = 0.6;

pub(crate) fn measure(arguments: &Arguments, below: &Path, writers: usize, table: &mut Table) {
    let subject = Subject::new(below, Budgets::default());
    let log = RawLog::make(&subject.directory.join("log"));
    let mut logs = Vec::new();
    let mut rounds: [Vec<Run>; 3] = Default::default();
    for round in 0..arguments.rounds {
        logs.push(log.measure(writers, RECORD_BYTES, arguments.time()));
        let directories: Vec<InodeId> =
            (0..writers).map(|writer| subject.make_directory(&format!("{round}-{writer}"))).collect();
        let [created, renamed, removed] = &mut rounds;
        let made = std::sync::atomic::AtomicUsize::new(0);
        created.push(subject.in_flight(writers, Limit::Time(arguments.time()), |_, number| {
            let (subject, directory) = (&subject, directories[number % writers]);
            made.fetch_max(number + 1, std::sync::atomic::Ordering::Relaxed);
            async move {
                subject.create(directory, &number.to_string()).await;
            }
        }));
        let count = Limit::Count(made.into_inner());
        renamed.push(subject.in_flight(writers, count, |_, number| {
            let (subject, directory) = (&subject, directories[number % writers]);
            async move {
                let (from, to) = (number.to_string(), format!("renamed-{number}"));
                let from = Entry { directory, name: from.as_bytes() };
                let to = Entry { directory, name: to.as_bytes() };
                subject.fs.rename(&Credential::root(), from, to).await.unwrap().durable().await.unwrap();
            }
        }));
        removed.push(subject.in_flight(writers, count, |_, number| {
            let (subject, directory) = (&subject, directories[number % writers]);
            async move {
                let name = format!("renamed-{number}");
                let entry = Entry { directory, name: name.as_bytes() };
                subject.fs.remove(&Credential::root(), entry).await.unwrap().durable().await.unwrap();
            }
        }));
    }
    let log = median(logs);
    for (what, runs) in ["create", "rename", "unlink"].iter().zip(rounds) {
        let mut runs = runs;
        let value = median(runs.iter().map(|run| run.rate).collect());
        let notes = runs.last_mut().map_or_else(String::new, |run| run.latencies.describe());
        let what = format!("durable {what}, {writers} in flight");
        let bound = if writers > 1 { BOUND } else { 0.0 };
        let beside = Some(Beside { what: "raw log", value: log, bound });
        table.print(&Row { what, value, unit: "/s", beside, notes });
    }
}
