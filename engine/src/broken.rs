//! Orderings that a test can break on purpose, to see that the simulated world notices.
//!
//! Each place that keeps one of the rules of `docs/durability.md` asks [`broken`] whether it shall, for once, not do so. Outside of tests
//! the answer is a constant.

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// D1: an extent points to bytes of a segment that were not synced.
    SegmentNotSynced,
    /// D1: the name of a segment's file was not synced.
    SegmentNameNotSynced,
    /// D2: an upload counts without being read back.
    ObjectNotVerified,
    /// D3: the journal is trimmed before the checkpoint that covers it is written.
    TrimmedBeforeCheckpoint,
    /// D3: a row is left out of a checkpoint before the record that deletes it is durable, or there at all.
    PassedTooEarly,
    /// D3: a checkpoint file was not synced.
    CheckpointNotSynced,
    /// D3: a manifest was not synced before it got its name.
    PublishedNotSynced,
    /// D3: the new name of a manifest was not synced.
    PublishedNameNotSynced,
    /// D4: a segment is deleted while the record that unreferences it is not durable.
    DeletedBeforeDurable,
    /// D4: objects are deleted before they were unreferenced.
    DeletedWhileLive,
    /// D5: a note, such as a client's record, is answered before it is durable.
    NoteNotAwaited,
    /// D6: a record is called durable before it is written.
    DurableBeforeWritten,
    /// A commit leaves the data in memory.
    CommitWithoutFlush,
    /// The name of a journal file was not synced.
    JournalNameNotSynced,
    /// A recycled journal file is used before its old name is durably gone.
    RecycledNotSynced,
    /// A write of the journal that failed is taken for one that did not.
    FailedSyncIgnored,
    /// What a killed process had written counts as durable when it was only read.
    ReplayNotSynced,
    /// An index is trusted although the machine was stopped.
    IndexTrusted,
    /// An index is used that lacks what was folded while it was built.
    IndexTakenOverEarly,
    /// An object is uploaded without having been announced.
    UploadNotAnnounced,
    /// An unlinked file that is open stands in no orphan set.
    OrphanNotNoted,
    /// The content of a removed file is forgotten instead of released.
    ContentNotReleased,
    /// A counter of live bytes is not moved with its cause.
    CounterNotMoved,
    /// A truncation while data is being flushed is not noticed.
    TruncationNotNoticed,
    /// A list of objects is taken for what there is.
    ListTrusted,
    /// A deletion that failed counts as done.
    DeletionNotChecked,
    /// A change that fits into one record is put into several.
    WriteSplit,
    /// A change number is shown that a crash gives out again.
    ChangeNotReserved,
}

/// Whether the rule is broken now.
#[cfg(not(test))]
pub(crate) const fn broken(_rule: Broken) -> bool {
    false
}

/// Whether the rule is broken now.
#[cfg(test)]
pub(crate) fn broken(rule: Broken) -> bool {
    crate::threads::simulated::current().is_some_and(|schedule| schedule.broken() == Some(rule))
}
