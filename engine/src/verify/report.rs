//! What a verification found.

use std::collections::BTreeSet;

use super::problem::{Problem, Severity};

/// One thing that is wrong, with whom it hits and what can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// The files that are hit: paths where they have one, else `inode N`.
    pub files: Vec<String>,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// Inodes.
    pub inodes: u64,
    /// Directory entries.
    pub entries: u64,
    /// Extents.
    pub extents: u64,
    /// Pieces.
    pub pieces: u64,
    /// Segments of the Standard tier.
    pub segments: u64,
    /// Objects of the cold tiers.
    pub objects: u64,
    /// Bytes of data that were read and authenticated.
    pub bytes: u64,
    /// Segments and objects with nothing in use that wait for their deletion. They are no leak.
    pub dead_segments: u64,
}

/// Bytes that have no meaning: they may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    /// The file, within the directory of the file system.
    pub place: String,
    /// From this offset.
    pub from: u64,
    /// To before this offset.
    pub to: u64,
}

/// What a verification found.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// What is wrong, at most [`super::VerifyOptions::findings_max`] of it.
    pub findings: Vec<Finding>,
    /// Findings that were not kept.
    pub more: u64,
    /// What was looked at.
    pub checked: Checked,
    /// What changed too fast to be judged beside traffic, or was not there yet, in sentences; nothing is known to be wrong with it.
    pub unsettled: Vec<String>,
    /// What could not be read, in sentences: whether it is whole is not known.
    pub unread: Vec<String>,
    /// With depth: bytes that were not checked because they have no meaning.
    pub unused: Vec<Unused>,
    /// Families of records of which some could not be decoded, or are missing for sure.
    pub(super) undecoded: BTreeSet<u8>,
}

/// What a repair did, and what is left.
#[derive(Debug, Clone, Default)]
pub struct Repaired {
    /// What was done, in sentences.
    pub done: Vec<String>,
    /// What could not be done, and why, in sentences.
    pub failed: Vec<String>,
    /// A verification after it.
    pub report: VerifyReport,
}

impl VerifyReport {
    /// Whether all was read and nothing is wrong. Notices are not: a crash leaves an unfinished write of which nobody has any use.
    pub fn is_clean(&self) -> bool {
        self.more == 0 && self.unread.is_empty() && self.count(Severity::Notice) == self.findings.len()
    }

    /// Whether nothing may be done about a problem, because it may only seem to be one: records that cannot be decoded may be of a newer
    /// tidefs, and what belongs to them looks as if it were of nobody.
    pub(super) fn withholds(&self, problem: &Problem) -> bool {
        let rests_on: &[u8] = match problem {
            Problem::ContentUnowned { .. }
            | Problem::EntryWithoutInode { .. }
            | Problem::Total(_)
            | Problem::OrphanLinked { .. }
            | Problem::OrphanMissing { .. }
            | Problem::Age { .. } => b"i",
            Problem::SegmentCounter { .. }
            | Problem::SegmentUnknown { .. }
            | Problem::SegmentLeaked { .. }
            | Problem::ReferenceStray { .. } => b"e",
            Problem::InodeCounter { .. } => b"dep",
            Problem::Unreachable { .. } | Problem::Loop { .. } | Problem::EntriesWithoutDirectory { .. } => {
                b"di"
            }
            _ => b"",
        };
        rests_on.iter().any(|family| self.undecoded.contains(family))
    }

    /// How many findings there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.problem.severity() == severity).count()
    }
}

impl Problem {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Problem::RootMissing
            | Problem::Record { .. }
            | Problem::IndexUnreadable { .. }
            | Problem::EntryWithoutInode { .. }
            | Problem::EntriesWithoutDirectory { .. }
            | Problem::EntryMisplaced { .. }
            | Problem::DirectoryLinked { .. }
            | Problem::Unreachable { .. }
            | Problem::Loop { .. }
            | Problem::OrphanLinked { .. }
            | Problem::ContentTwice { .. }
            | Problem::ContentDoomed { .. }
            | Problem::PieceOwner { .. }
            | Problem::BehindEnd { .. }
            | Problem::NextNumber { .. }
            | Problem::SegmentUnknown { .. }
            | Problem::ReferenceMissing { .. }
            | Problem::Layout { .. }
            | Problem::SegmentTier { .. }
            | Problem::SegmentMissing { .. }
            | Problem::SegmentShort { .. }
            | Problem::BlockDamaged { .. }
            | Problem::SegmentDamaged { .. }
            | Problem::FileDamaged { .. }
            | Problem::IndexDiffers { .. } => Severity::Damage,
            Problem::GarbageDamaged { .. } | Problem::MarkerDamaged { .. } => Severity::Notice,
            Problem::Parent { .. }
            | Problem::InodeCounter { .. }
            | Problem::Total(_)
            | Problem::Age { .. }
            | Problem::SegmentCounter { .. } => Severity::Counter,
            Problem::Tombstone { .. }
            | Problem::UnlinkedNotOrphan { .. }
            | Problem::OrphanMissing { .. }
            | Problem::ContentUnowned { .. }
            | Problem::ReferenceStray { .. }
            | Problem::SegmentLeaked { .. }
            | Problem::StrayFile { .. }
            | Problem::StrayObject { .. } => Severity::Leak,
        }
    }

    /// What can be done about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Problem::IndexUnreadable { .. } | Problem::IndexDiffers { .. } => {
                "start the server anew: it builds the index from checkpoints and journal"
            }
            Problem::RootMissing | Problem::Record { .. } => {
                "restore the file system from a backup, or copy out what can still be read"
            }
            Problem::FileDamaged { .. } => {
                "put the file back from a backup of the data directory; as long as the server runs, what it has in memory and in the metadata \
                 index is whole: copy out what matters before it is stopped"
            }
            Problem::MarkerDamaged { .. } => "nothing need be done: the next start builds the index anew",
            Problem::GarbageDamaged { .. } => {
                "no data is hit, but check the disk (smartctl, the log of the kernel)"
            }
            Problem::BlockDamaged { .. } => {
                "these bytes of the file read as EIO; restore the file from a backup, or overwrite or truncate what is hit"
            }
            Problem::SegmentDamaged { .. } => {
                "blocks that are lost are listed on their own; the rest is readable: copy the files out or touch them, and check the disk"
            }
            Problem::EntryWithoutInode { .. } => {
                "the file is lost; `tidefs verify --repair` removes the entry; restore the file from a backup"
            }
            Problem::SegmentUnknown { .. } => {
                "`tidefs verify --repair` makes its row anew; if its file or object is gone, too, put that back from a backup, or restore \
                 the files that are named"
            }
            Problem::ContentTwice { .. }
            | Problem::PieceOwner { .. }
            | Problem::Layout { .. }
            | Problem::SegmentTier { .. } => {
                "no repair knows what is right: copy the files that are named out, compare the copies with a backup, then remove the files \
                 and put the copies in their place"
            }
            Problem::SegmentMissing { .. } | Problem::SegmentShort { .. } => {
                "the data in it is lost: put the segment back from a backup, or restore the files that are named"
            }
            Problem::Unreachable { .. } | Problem::Loop { .. } | Problem::EntriesWithoutDirectory { .. } => {
                "`tidefs verify --repair` puts what is cut off into lost+found"
            }
            _ if self.severity() == Severity::Leak => {
                "no data is hit; `tidefs verify --repair` gives the space back"
            }
            _ if self.severity() == Severity::Counter => {
                "no data is hit; `tidefs verify --repair` corrects it"
            }
            _ => {
                "`tidefs verify --repair` mends it as far as it goes; compare the files that are named with a backup"
            }
        }
    }
}
