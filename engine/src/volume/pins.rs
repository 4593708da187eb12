//! Which inodes are open, so that an unlinked one stays until it is closed.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::identity::InodeId;

/// Counts the pins of each inode.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    counts: Mutex<HashMap<InodeId, u64>>,
}

impl Pins {
    pub(crate) fn add(&self, inode: InodeId) {
        *self.counts.lock().entry(inode).or_insert(0) += 1;
    }

    /// Takes one pin away, and says whether it was the last.
    pub(crate) fn remove(&self, inode: InodeId) -> bool {
        let mut counts = self.counts.lock();
        match counts.get_mut(&inode) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            Some(_) => {
                counts.remove(&inode);
                true
            }
            None => false,
        }
    }

    pub(crate) fn is_pinned(&self, inode: InodeId) -> bool {
        self.counts.lock().contains_key(&inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_pin_lets_go() {
        let pins = Pins::default();
        pins.add(InodeId(5));
        pins.add(InodeId(5));
        assert!(!pins.remove(InodeId(5)));
        assert!(pins.is_pinned(InodeId(5)));
        assert!(pins.remove(InodeId(5)));
        assert!(!pins.is_pinned(InodeId(5)));
    }
}
