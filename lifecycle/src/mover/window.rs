//! The last outcomes: whether most of them were failures.

use std::collections::VecDeque;

/// Outcomes that are looked at.
const LENGTH: usize = 16;
/// Outcomes without which nothing is concluded: one bad file at the start must not stop a pass.
const OUTCOMES_MIN: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Window {
    failures: VecDeque<bool>,
}

impl Window {
    pub(super) fn succeeded(&mut self) {
        self.push(false);
    }

    pub(super) fn failed(&mut self) {
        self.push(true);
    }

    /// Whether more than half of the last outcomes are failures.
    pub(super) fn mostly_failures(&self) -> bool {
        let failures = self.failures.iter().filter(|failed| **failed).count();
        self.failures.len() >= OUTCOMES_MIN && failures * 2 > self.failures.len()
    }

    fn push(&mut self, failed: bool) {
        if self.failures.len() == LENGTH {
            self.failures.pop_front();
        }
        self.failures.push_back(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_not_more_than_half() {
        let mut window = Window::default();
        for _ in 0..3 {
            window.failed();
            assert!(!window.mostly_failures());
        }
        window.failed();
        assert!(window.mostly_failures());
        for _ in 0..4 {
            window.succeeded();
        }
        assert!(!window.mostly_failures());
        window.failed();
        assert!(window.mostly_failures());
    }

    #[test]
    fn what_is_long_ago_does_not_count() {
        let mut window = Window::default();
        (0..100).for_each(|_| window.succeeded());
        (0..8).for_each(|_| window.failed());
        assert!(!window.mostly_failures());
        window.failed();
        assert!(window.mostly_failures());
    }
}
