//! The table.

use crate::plan::Report;

/// A row: what is measured, its bound, and how it is found in a report.
type Row = (&'static str, &'static str, fn(&Report) -> String);

const ROWS: &[Row] = &[
    ("files", "", |report| report.files.to_string()),
    ("created, files/s", "", |report| format!("{:.0}", count(report.files) / report.filled.fill_seconds)),
    ("longest wait of a create, ms", "", |report| format!("{:.0}", report.filled.longest_create_ms)),
    ("peak memory while filling, MiB", "1536", |report| report.filled.memory.peak_mib.to_string()),
    ("memory after it, MiB", "", |report| report.filled.memory.resident_mib.to_string()),
    ("close, s", "", |report| format!("{:.2}", report.filled.close_seconds)),
    ("journal on the disk, MiB", "", |report| report.disk.journal_mib.to_string()),
    ("checkpoints, MiB", "", |report| report.disk.checkpoint_mib.to_string()),
    ("index, MiB", "", |report| report.disk.index_mib.to_string()),
    ("segments, MiB", "", |report| report.disk.segments_mib.to_string()),
    ("look-up + attributes, p50, us", "±20 %", |report| micros(typical(report))),
    ("look-up + attributes, p99, us", "", |report| micros(report.clean.lookups.working_set.p99_us)),
    ("the same anywhere, p50, us", "", |report| micros(report.clean.lookups.anywhere.p50_us)),
    ("the same anywhere, p99, us", "", |report| micros(report.clean.lookups.anywhere.p99_us)),
    ("start after a clean close, s", "2", |report| format!("{:.2}", report.clean.open_seconds)),
    ("peak memory of it, MiB", "1536", |report| report.clean.memory.peak_mib.to_string()),
    ("start after kill -9, s", "10", |report| format!("{:.2}", report.killed.open_seconds)),
    ("peak memory of it, MiB", "1536", |report| report.killed.memory.peak_mib.to_string()),
    ("start without the index, s", "10", |report| format!("{:.2}", report.rebuilt.open_seconds)),
    ("until the index is built, s", "", |report| format!("{:.2}", report.rebuilt.build_seconds)),
    ("look-up meanwhile anywhere, p50, us", "", |report| micros(report.rebuilt.while_building.p50_us)),
    ("look-up meanwhile anywhere, p99, us", "", |report| micros(report.rebuilt.while_building.p99_us)),
    ("rebuilt, keys/s", "", |report| format!("{:.0}", report.rebuild_keys_per_second)),
    ("peak memory of it, MiB", "1536", |report| report.rebuilt.memory.peak_mib.to_string()),
];

/// Prints what was found, a column for each number of files.
pub(crate) fn print(reports: &[Report]) {
    for (name, bound, value) in ROWS {
        let values: String = reports.iter().map(|report| format!("{:>14}", value(report))).collect();
        println!("{name:<37}{bound:>8}{values}");
    }
}

/// The median of all steps: a spell of something else on the machine is as long as one of them.
fn typical(report: &Report) -> f64 {
    let steps = [&report.filled, &report.clean, &report.killed, &report.rebuilt];
    let mut found = steps.map(|step| step.lookups.working_set.p50_us);
    found.sort_unstable_by(f64::total_cmp);
    f64::midpoint(found[1], found[2])
}

fn micros(value: f64) -> String {
    format!("{value:.2}")
}

fn count(value: u64) -> f64 {
    u32::try_from(value).map_or(f64::INFINITY, f64::from)
}
