//! A rule that a test can break on purpose, to see that a client loses by it: for one client, told by its name, so that others in the
//! same process keep it. Outside of tests the answer is a constant.

/// Whether state is granted to this client before its record is durable (rule D5).
#[cfg(not(test))]
pub(crate) const fn breaks_d5(_owner: &[u8]) -> bool {
    false
}

/// Whether state is granted to this client before its record is durable (rule D5).
#[cfg(test)]
pub(crate) fn breaks_d5(owner: &[u8]) -> bool {
    owner == D5_BROKEN
}

/// The client for which it is.
#[cfg(test)]
pub(crate) const D5_BROKEN: &[u8] = b"a client whose record is not awaited";
