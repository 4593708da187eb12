//! What a run measured.
use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// The raw outcome of a run.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    /// How long each operation took.
    pub(super) latencies: Vec<Duration>,
    /// Wall time of the whole.
    pub(super) elapsed: Duration,
    /// Bytes of file data in each operation.
    pub(super) bytes_per_operation: u32,
}

/// The figures of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The workload's name.
    pub workload: String,
    /// Operations done.
    pub operations: u64,
    /// Wall time.
    pub seconds: f64,
    /// Rate.
    pub operations_per_second: f64,
    /// Rate of file data in MiB.
    pub mebibytes_per_second: f64,
    /// Median time of an operation in microseconds.
    pub p50_us: f64,
    /// What 99 of 100 operations do not exceed.
    pub p99_us: f64,
}

impl Measurement {
    /// Computes the figures.
    pub(super) fn summary(mut self, workload: &str) -> Summary {
        self.latencies.sort_unstable();
        let operations = self.latencies.len();
        let seconds = self.elapsed.as_secs_f64().max(f64::EPSILON);
        let rate = as_float(operations) / seconds;
        Summary {
            workload: workload.to_owned(),
            operations: u64::try_from(operations).unwrap_or(u64::MAX),
            seconds,
            operations_per_second: rate,
            mebibytes_per_second: rate * f64::from(self.bytes_per_operation) / f64::from(1 << 20),
            p50_us: self.percentile(50),
            p99_us: self.percentile(99),
        }
    }

    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.latencies.len() * percent).div_ceil(100).saturating_sub(1);
        self.latencies.get(rank).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    }
}

fn as_float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<12} {:>10.0} ops/s {:>8.1} MiB/s   p50 {:>8.0} us   p99 {:>8.0} us   ({} operations)",
            self.workload,
            self.operations_per_second,
            self.mebibytes_per_second,
            self.p50_us,
            self.p99_us,
            self.operations
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks_of_the_sorted_times() {
        let latencies = (1..=200).rev().map(Duration::from_micros).collect();
        let measurement =
            Measurement { latencies, elapsed: Duration::from_secs(2), bytes_per_operation: 1 << 20 };
        let summary = measurement.summary("any");
        assert_eq!((summary.p50_us.round(), summary.p99_us.round()), (100.0, 198.0));
        assert_eq!((summary.operations_per_second, summary.mebibytes_per_second), (100.0, 100.0));
    }
}
