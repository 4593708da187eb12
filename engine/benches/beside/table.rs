//! Rows as they are found.

use std::time::Duration;

/// Prints rows.
pub(crate) struct Table {
    json: bool,
}

/// A figure, and perhaps what it stands beside.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// What it is compared with.
    pub(crate) beside: Option<Beside>,
    /// Anything else that belongs to it.
    pub(crate) notes: String,
}

#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Beside {
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    /// The share that is aimed at; 0 if none is.
    pub(crate) bound: f64,
}

impl Table {
    pub(crate) fn new(json: bool) -> Self {
        Table { json }
    }

    pub(crate) fn print(&mut self, row: &Row) {
        if self.json {
            println!("{}", serde_json::to_string(row).unwrap());
            return;
        }
        let value = format!("{:.0} {}", row.value, row.unit);
        let beside = row.beside.as_ref().map_or_else(String::new, |beside| {
            let share = 100.0 * row.value / beside.value;
            let bound = 100.0 * beside.bound;
            let mark = if share >= bound { "" } else { "  MISSED" };
            let bound = if bound > 0.0 { format!("; bound {bound:.0} %{mark}") } else { String::new() };
            format!("{share:>4.0} % of {} ({:.0}){bound}", beside.what, beside.value)
        });
        println!("{:<44}{value:>16}  {beside}  {}", row.what, row.notes);
    }
}

/// The median.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Latencies, sorted on demand.
#[derive(Debug, Default)]
pub(crate) struct Latencies(pub(crate) Vec<Duration>);

impl Latencies {
    /// p50, p99, p99.9 and the longest.
    pub(crate) fn describe(&mut self) -> String {
        self.0.sort_unstable();
        let at = |thousandths: usize| {
            let position = (self.0.len() * thousandths / 1000).min(self.0.len().saturating_sub(1));
            self.0.get(position).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        format!("p50 {:.2} p99 {:.2} p99.9 {:.2} max {:.1} ms", at(500), at(990), at(999), at(1000))
    }
}

pub(crate) fn rate(count: usize, elapsed: Duration) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from) / elapsed.as_secs_f64()
}
