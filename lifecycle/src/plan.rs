//! Packs due files into batches: one batch is one transition, and small files of one batch share objects.

use engine::{FileFacts, InodeId};

/// Files in one batch at most: bounds the memory of a transition and the work lost when one fails.
pub const BATCH_FILES_MAX: usize = 10_000;

/// Files that are moved together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The files, oldest first.
    pub files: Vec<InodeId>,
    /// Bytes of content to be moved.
    pub bytes: u64,
}

/// Collects files until a batch is full. A file as large as a batch or larger is a batch of its own.
#[derive(Debug)]
pub struct Planner {
    bytes_max: u64,
    pending: Batch,
}

impl Planner {
    /// A planner for batches of about so many bytes of content: the size of a cold object.
    pub fn new(bytes_max: u64) -> Self {
        Planner { bytes_max, pending: Batch::empty() }
    }

    /// Adds a file of which so many bytes are to be moved; gives a batch when one is full.
    pub fn add(&mut self, file: InodeId, bytes: u64) -> Option<Batch> {
        if bytes >= self.bytes_max {
            return Some(Batch { files: vec![file], bytes });
        }
        let full = self.pending.bytes.saturating_add(bytes) > self.bytes_max
            || self.pending.files.len() >= BATCH_FILES_MAX;
        let batch = if full { self.finish() } else { None };
        self.pending.files.push(file);
        self.pending.bytes = self.pending.bytes.saturating_add(bytes);
        batch
    }

    /// Adds a file that is due.
    pub fn add_due(&mut self, facts: &FileFacts) -> Option<Batch> {
        self.add(facts.inode, facts.standard_bytes)
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> Option<Batch> {
        let batch = std::mem::replace(&mut self.pending, Batch::empty());
        (!batch.files.is_empty()).then_some(batch)
    }
}

impl Batch {
    fn empty() -> Self {
        Batch { files: Vec::new(), bytes: 0 }
    }

    /// The two halves of a batch of two files or more. Their bytes are estimates: the sum is kept.
    pub(crate) fn split(mut self) -> (Batch, Batch) {
        let second = self.files.split_off(self.files.len() / 2);
        let bytes = self.bytes / 2;
        (Batch { files: self.files, bytes }, Batch { files: second, bytes: self.bytes - bytes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(sizes: &[u64], bytes_max: u64) -> Vec<Batch> {
        let mut planner = Planner::new(bytes_max);
        let mut batches = Vec::new();
        for (number, size) in (1_u64..).zip(sizes) {
            batches.extend(planner.add(InodeId(number), *size));
        }
        batches.extend(planner.finish());
        batches
    }

    #[test]
    fn small_files_share_a_batch_and_a_large_one_is_alone() {
        let files = |batch: &Batch| batch.files.iter().map(|file| file.0).collect::<Vec<_>>();
        let batches = plan(&[10, 500, 20, 70, 1, 100], 100);
        let found: Vec<_> = batches.iter().map(|batch| (files(batch), batch.bytes)).collect();
        assert_eq!(found, [(vec![2], 500), (vec![1, 3, 4], 100), (vec![6], 100), (vec![5], 1)]);
    }

    #[test]
    fn many_tiny_files_are_bounded_by_their_number() {
        let batches = plan(&vec![1; BATCH_FILES_MAX * 2 + 1], u64::MAX);
        let lengths: Vec<_> = batches.iter().map(|batch| batch.files.len()).collect();
        assert_eq!(lengths, [BATCH_FILES_MAX, BATCH_FILES_MAX, 1]);
    }

    proptest! {
        #[test]
        fn every_file_is_planned_once_and_no_batch_is_too_large(
            sizes in proptest::collection::vec(0..300_u64, 0..200), bytes_max in 1..250_u64,
        ) {
            let batches = plan(&sizes, bytes_max);
            let mut planned: Vec<u64> = batches.iter().flat_map(|batch| &batch.files).map(|file| file.0).collect();
            planned.sort_unstable();
            prop_assert_eq!(planned, (1..=sizes.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(batches.iter().map(|batch| batch.bytes).sum::<u64>(), sizes.iter().sum::<u64>());
            for batch in batches {
                prop_assert!(batch.bytes <= bytes_max || batch.files.len() == 1);
            }
        }
    }
}
