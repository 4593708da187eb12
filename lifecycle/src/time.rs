//! Arithmetic on timestamps that cannot overflow, and their printed form.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use engine::Timestamp;

/// Later than any access: the last second of the year 9999, so that it also prints.
pub(crate) const FAR_FUTURE: Timestamp = Timestamp { seconds: 253_402_300_799, nanoseconds: 0 };

/// The time so much later.
pub(crate) fn after(start: Timestamp, delay: Duration) -> Timestamp {
    let nanoseconds = start.nanoseconds.saturating_add(delay.subsec_nanos());
    let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
    Timestamp {
        seconds: start.seconds.saturating_add(seconds).saturating_add(i64::from(nanoseconds / 1_000_000_000)),
        nanoseconds: nanoseconds % 1_000_000_000,
    }
}

/// The time so much earlier, to the second: the fraction is kept.
pub(crate) fn before(end: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp { seconds: end.seconds.saturating_sub(seconds), nanoseconds: end.nanoseconds }
}

/// How long from one time to a later one; zero if it is not later.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Duration {
    if to <= from {
        return Duration::ZERO;
    }
    let seconds = i128::from(to.seconds) - i128::from(from.seconds);
    let nanoseconds = seconds * 1_000_000_000 + i128::from(to.nanoseconds) - i128::from(from.nanoseconds);
    let whole = u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(u64::MAX);
    let rest = u32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0);
    Duration::new(whole, rest)
}

/// A timestamp in UTC as RFC 3339 has it, to the second: `2026-01-31T12:00:00Z`.
pub fn rfc3339(time: Timestamp) -> String {
    match DateTime::<Utc>::from_timestamp(time.seconds, time.nanoseconds) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Secs, true),
        None => format!("{} s after 1970", time.seconds),
    }
}

/// A duration in words with its two largest units: `3 d 4 h`, `12 s`.
pub(crate) fn words(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = duration.as_secs();
    let mut parts = Vec::new();
    for (size, name) in UNITS {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            parts.push(format!("{count} {name}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() { "less than a second".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanoseconds: u32) -> Timestamp {
        Timestamp { seconds, nanoseconds }
    }

    #[test]
    fn sums_carry_and_saturate() {
        assert_eq!(after(at(1, 900_000_000), Duration::from_millis(1_200)), at(3, 100_000_000));
        assert_eq!(after(at(i64::MAX, 0), Duration::MAX).seconds, i64::MAX);
        assert_eq!(before(at(i64::MIN, 7), u64::MAX), at(i64::MIN, 7));
        assert_eq!(between(at(i64::MIN, 0), at(i64::MAX, 0)), Duration::from_secs(u64::MAX));
        assert_eq!(between(at(5, 0), at(4, 0)), Duration::ZERO);
        assert_eq!(between(at(1, 900_000_000), at(3, 100_000_000)), Duration::from_millis(1_200));
    }

    #[test]
    fn durations_read_as_words() {
        for (seconds, text) in
            [(0, "less than a second"), (59, "59 s"), (3_600, "1 h"), (90_061, "1 d 1 h"), (86_405, "1 d")]
        {
            assert_eq!(words(Duration::from_secs(seconds)), text);
        }
        assert_eq!(rfc3339(FAR_FUTURE), "9999-12-31T23:59:59Z");
    }
}
