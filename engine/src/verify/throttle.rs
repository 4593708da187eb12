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
