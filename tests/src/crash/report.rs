//! What came of it.

use std::fmt;

use serde::Serialize;

/// What came of some rounds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Servers that were killed, those in the middle of a recovery included.
    pub crashes: u64,
    /// Operations that were acknowledged.
    pub acknowledged: u64,
    /// What should have been there and was not, or was otherwise: one text for each crash.
    pub lost: Vec<String>,
    /// What should have been gone and was not.
    pub leaked: Vec<String>,
}

impl Report {
    /// Adds the rounds of another lane.
    pub fn add(&mut self, other: Report) {
        self.crashes += other.crashes;
        self.acknowledged += other.acknowledged;
        self.lost.extend(other.lost);
        self.leaked.extend(other.leaked);
    }

    /// Whether nothing was lost and nothing leaked.
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.leaked.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} crashes, {} lost, {} leaked", self.crashes, self.lost.len(), self.leaked.len())
    }
}
