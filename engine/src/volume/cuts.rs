//! Notices that data was taken away while somebody looked at what lies in a file.
//!
//! A read looks at an inode, then at pieces and extents, without a lock. What is taken away in between would read as zeros up to a size
//! that the file no longer has. So each change that takes data away is counted before and after it is made, and who sees another count
//! after the look than before it looks again. Changes are made one at a time, so that an odd count says that one is under way.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the beginnings and the ends of such changes.
#[derive(Debug, Default)]
pub(crate) struct Cuts(AtomicU64);

/// The count before a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CutsSeen(u64);

impl Cuts {
    /// Before a look; `None` while a change is under way.
    pub(crate) fn now(&self) -> Option<CutsSeen> {
        let count = self.0.load(Ordering::SeqCst);
        count.is_multiple_of(2).then_some(CutsSeen(count))
    }

    /// After it: whether nothing was taken away meanwhile.
    pub(crate) fn none_since(&self, seen: CutsSeen) -> bool {
        self.0.load(Ordering::SeqCst) == seen.0
    }

    /// Makes a change that takes data away. The caller sees to it that there is one at a time.
    pub(super) fn during<T>(&self, make: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, Ordering::SeqCst);
        let made = make();
        self.0.fetch_add(1, Ordering::SeqCst);
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_a_change_falls_into_is_noticed_wherever_it_begins() {
        let cuts = Cuts::default();
        let before = cuts.now().unwrap();
        assert!(cuts.none_since(before));
        cuts.during(|| {
            assert_eq!(cuts.now(), None);
            assert!(!cuts.none_since(before));
        });
        assert!(!cuts.none_since(before));
        assert!(cuts.none_since(cuts.now().unwrap()));
    }
}
