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
/// Seconds without work before each burst.
const REST: u32 = 2;

impl Arguments {
    /// A burst on the files that the last run had: one run gives out its numbers in order.
    fn burst_of(&self, runs: &[Run]) -> Limit {
        Limit::Burst(self.time(), runs.last().map_or(0, |run| run.latencies.0.len()))
    }
}

pub(crate) fn measure(arguments: &Arguments, below: &Path, writers: usize, table: &mut Table) {
    let subject = Subject::new(below, Budgets::default());
    let log = RawLog::make(&subject.directory.join("log"));
    let mut logs = Vec::new();
    let mut rounds: [Vec<Run>; 3] = Default::default();
    for round in 0..arguments.rounds {
        subject.rest(REST);
        logs.push(log.measure(writers, RECORD_BYTES, arguments.time()));
        let directories: Vec<InodeId> =
            (0..writers).map(|writer| subject.make_directory(&format!("{round}-{writer}"))).collect();
        let [created, renamed, removed] = &mut rounds;
        created.push(subject.in_flight(writers, Limit::Time(arguments.time()), |_, number| {
            let (subject, directory) = (&subject, directories[number % writers]);
            async move {
                subject.create(directory, &number.to_string()).await;
            }
        }));
        subject.rest(REST);
        let burst = arguments.burst_of(created);
        renamed.push(subject.in_flight(writers, burst, |_, number| {
            let (subject, directory) = (&subject, directories[number % writers]);
            async move {
                let (from, to) = (number.to_string(), format!("renamed-{number}"));
                let from = Entry { directory, name: from.as_bytes() };
                let to = Entry { directory, name: to.as_bytes() };
                subject.fs.rename(&Credential::root(), from, to).await.unwrap().durable().await.unwrap();
            }
        }));
        subject.rest(REST);
        let burst = arguments.burst_of(renamed);
        removed.push(subject.in_flight(writers, burst, |_, number| {
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
