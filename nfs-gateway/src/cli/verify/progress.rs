//! One line on a terminal that is written over and over: what is done, how much there is, and when it will be done.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::super::table::bytes;
use crate::control::verify::{StageName, VerifyStep};

/// Between two looks.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);
const BAR_WIDTH: u64 = 30;

/// A progress bar on standard error, if that is a terminal.
pub(super) struct ProgressBar {
    shown: bool,
    stage: Option<StageName>,
    started: Instant,
}

impl ProgressBar {
    pub(super) fn new(json: bool) -> Self {
        let shown = !json && std::io::stderr().is_terminal();
        ProgressBar { shown, stage: None, started: Instant::now() }
    }

    pub(super) fn show(&mut self, step: VerifyStep) {
        if self.stage != Some(step.stage) {
            self.stage = Some(step.stage);
            self.started = Instant::now();
        }
        if self.shown {
            let text = format!("\r\x1b[K{}", line(step, self.started.elapsed()));
            // A terminal that has gone away shows nothing.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }

    pub(super) fn clear(&self) {
        if self.shown {
            let _ = std::io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

fn line(step: VerifyStep, elapsed: Duration) -> String {
    let (name, in_bytes) = match step.stage {
        StageName::Records => ("records", false),
        StageName::Files => ("files", false),
        StageName::Metadata => ("metadata", true),
        StageName::Standard => ("Standard", true),
        StageName::Objects => ("objects", true),
    };
    let count = |count: u64| if in_bytes { bytes(count) } else { count.to_string() };
    // Traffic may have added to what there was.
    let total = step.total.max(step.done);
    if step.total == 0 {
        return format!("{name}: {}", count(step.done));
    }
    let filled = usize::try_from(step.done.saturating_mul(BAR_WIDTH) / total).unwrap_or(0);
    let bar: String = (0..BAR_WIDTH).map(|place| if place < filled as u64 { '#' } else { '.' }).collect();
    let mut line = format!("{name} [{bar}] {} of {}", count(step.done), count(total));
    if let Some(left) = left(step.done, total, elapsed) {
        line.push_str(&format!(", {} left", humantime::format_duration(left)));
    }
    line
}

/// How long it still takes at the rate so far; nothing is said in the first second.
fn left(done: u64, total: u64, elapsed: Duration) -> Option<Duration> {
    if done == 0 || elapsed < Duration::from_secs(1) {
        return None;
    }
    let seconds = elapsed.as_secs_f64() * (total - done.min(total)) as f64 / done as f64;
    Some(Duration::from_secs(seconds.ceil() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_much_is_left() {
        let step = |done, total| VerifyStep { stage: StageName::Standard, done, total };
        let second = Duration::from_secs(10);
        assert_eq!(
            line(step(1 << 20, 4 << 20), second),
            "Standard [#######.......................] 1.0 MiB of 4.0 MiB, 30s left"
        );
        assert_eq!(line(step(5, 0), second), "Standard: 5 B");
        assert!(!line(step(0, 100), second).contains("left"));
        assert!(line(step(200, 100), second).contains("200 B of 200 B, 0s left"));
    }
}
