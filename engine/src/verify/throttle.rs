//! Reading no faster than allowed.

use std::time::Duration;

/// Bytes in a second.
pub(crate) struct Throttle {
    bytes_per_second: Option<u64>,
}

impl Throttle {
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Self {
        Throttle { bytes_per_second: bytes_per_second.filter(|bytes| *bytes > 0) }
    }

    /// Waits as long as so many bytes take.
    pub(crate) async fn pace(&self, bytes: u64) {
        if let Some(rate) = self.bytes_per_second {
            let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
            tokio::time::sleep(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    async fn paced(throttle: &Throttle, bytes: u64) -> Duration {
        let start = Instant::now();
        throttle.pace(bytes).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_take_as_long_as_the_rate_says() {
        let throttle = Throttle::new(Some(4 << 20));
        let expected_ms =
            [(0, 0), (1, 0), (1 << 20, 250), (4 << 20, 1000), (6 << 20, 1500), (400 << 20, 100_000)];
        for (bytes, expected_ms) in expected_ms {
            let took = paced(&throttle, bytes).await;
            let expected = Duration::from_millis(expected_ms);
            // Timers go by the millisecond.
            assert!((expected..=expected + Duration::from_millis(1)).contains(&took), "{bytes}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nothing_waits() {
        for unlimited in [None, Some(0)] {
            let took = paced(&Throttle::new(unlimited), 1 << 40).await;
            assert_eq!(took, Duration::ZERO, "{unlimited:?}");
        }
    }
}
