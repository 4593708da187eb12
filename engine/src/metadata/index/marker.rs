//! `index.marker`: whether the index on the disk can be trusted.
//!
//! A [`SealedFile`] of kind `tidefsIM`, version 1, with this content:
//!
//! | bytes | field |
//! |---|---|
//! | 16 | index id |
//! | 1 | 3 = in use, 4 = closed; 1 and 2 were that of an index with other keys, which is not read any more |
//! | 8 | when closed: the LSN that it had applied; else 0 |
//! | 4 + n | when in use: the boot of the machine in which it is; else empty |
//!
//! An index that was in use survives the death of its process, because its writes are in the page cache, but not the stop of the
//! machine.

use std::path::Path;

use crate::broken::{Broken, broken};
use crate::codec::{Malformed, Reader, Writer};
use crate::disk::{Disk, sync_parent};
use crate::error::{Error, Result};
use crate::home::Home;
use crate::identity::Lsn;
use crate::keys::SealedFile;

pub(super) const FILE: SealedFile = SealedFile { magic: "tidefsIM", version: 1, length_max: 4096 };
const OLDER: [u8; 2] = [1, 2];
const IN_USE: u8 = 3;
const CLOSED: u8 = 4;

/// The run of the machine since it was started, if it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BootId(Option<String>);

impl BootId {
    /// Of the machine with this disk, now.
    pub(crate) fn current(disk: &dyn Disk) -> Self {
        BootId(disk.boot())
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn of(text: &str) -> Self {
        BootId(Some(text.to_owned()))
    }
}

/// What the marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) index: [u8; 16],
    pub(crate) state: MarkerState,
}

/// How the index was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MarkerState {
    InUse(BootId),
    Closed {
        applied: Lsn,
    },
    /// It is of a kind that is not read any more: it is built anew.
    Older,
}

impl Marker {
    pub(crate) fn publish(&self, home: &Home, path: &Path) -> Result<()> {
        let mut writer = Writer::new();
        writer.bytes(&self.index);
        match &self.state {
            MarkerState::InUse(BootId(boot)) => {
                writer.u8(IN_USE).u64(0).sized(boot.as_deref().unwrap_or_default().as_bytes())
            }
            MarkerState::Closed { applied } => writer.u8(CLOSED).u64(applied.0).sized(b""),
            MarkerState::Older => writer.u8(OLDER[0]).u64(0).sized(b""),
        };
        FILE.publish(home, path, writer.as_slice())
    }

    /// A marker that cannot be read vouches for nothing.
    pub(crate) fn read(home: &Home, path: &Path) -> Option<Self> {
        let content = FILE.read(home, path).ok().flatten()?;
        Self::decode(&content).ok()
    }

    /// Whether it can be read; a missing one can.
    pub(crate) fn check(home: &Home, path: &Path) -> Result<()> {
        FILE.read(home, path)?.map_or(Ok(()), |content| Ok(Self::decode(&content).map(|_| ())?))
    }

    /// Removes it durably, before the index is made unusable.
    pub(crate) fn remove(home: &Home, path: &Path) -> Result<()> {
        home.disk.remove(path).map_err(Error::io("cannot remove", path))?;
        sync_parent(home.disk.as_ref(), path)
    }

    pub(super) fn decode(content: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content);
        let index = reader.array()?;
        let (state, applied) = (reader.u8()?, Lsn(reader.u64()?));
        let boot = String::from_utf8_lossy(reader.sized()?).into_owned();
        reader.finish()?;
        let state = match state {
            IN_USE => MarkerState::InUse(BootId(Some(boot).filter(|boot| !boot.is_empty()))),
            CLOSED => MarkerState::Closed { applied },
            state if OLDER.contains(&state) => MarkerState::Older,
            _ => return Err(Malformed("unknown state of the index")),
        };
        Ok(Marker { index, state })
    }

    /// Whether the index with this id may be looked at, as far as its marker knows.
    pub(crate) fn may_vouch(&self, index: [u8; 16], boot: &BootId) -> bool {
        let state = match &self.state {
            MarkerState::InUse(then) => then.0.is_some() && (then == boot || broken(Broken::IndexTrusted)),
            MarkerState::Closed { .. } => true,
            MarkerState::Older => false,
        };
        self.index == index && state
    }

    /// Whether it may be used. `applied` is what the index itself says.
    pub(crate) fn vouches(&self, index: [u8; 16], boot: &BootId, applied: Lsn) -> bool {
        let state = match &self.state {
            MarkerState::InUse(_) => true,
            MarkerState::Closed { applied: closed } => *closed == applied,
            MarkerState::Older => false,
        };
        state && self.may_vouch(index, boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_boot_or_a_clean_close_is_vouched_for() {
        let (index, boot) = ([1; 16], BootId::of("a"));
        let in_use = Marker { index, state: MarkerState::InUse(boot.clone()) };
        assert!(in_use.vouches(index, &boot, Lsn(1)));
        assert!(!in_use.vouches(index, &BootId::of("b"), Lsn(1)));
        assert!(!in_use.vouches([2; 16], &boot, Lsn(1)));
        let unknown = Marker { index, state: MarkerState::InUse(BootId(None)) };
        assert!(!unknown.vouches(index, &BootId(None), Lsn(1)));
        let closed = Marker { index, state: MarkerState::Closed { applied: Lsn(7) } };
        assert!(closed.vouches(index, &BootId::of("b"), Lsn(7)));
        assert!(!closed.vouches(index, &boot, Lsn(6)));
        let older = Marker { index, state: MarkerState::Older };
        assert!(!older.may_vouch(index, &boot) && !older.vouches(index, &boot, Lsn(0)));
    }
}
