//! Stateids (RFC 8881 §8.2): `other` is the epoch of the server and a number that is never used twice in it.

use engine::Epoch;

use crate::nfs4::status::Status;
use crate::xdr::{Reader, Writer, XdrError};

/// `stateid4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stateid {
    /// Counts the changes of the state.
    pub(crate) seqid: u32,
    /// Which state.
    pub(crate) other: [u8; 12],
}

/// The number of a state within an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StateIndex(pub(crate) u64);

/// What a stateid of a request refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selector {
    /// No state: all zeros.
    Anonymous,
    /// No state, and past the deny modes of others when reading: all ones.
    Bypass,
    /// A state.
    State {
        /// Which one.
        index: StateIndex,
        /// How old the client's knowledge is; 0 is the newest there is.
        seqid: u32,
    },
}

impl Stateid {
    /// What CLOSE answers, and what is never valid.
    pub(crate) const INVALID: Stateid = Stateid { seqid: u32::MAX, other: [0; 12] };

    /// Of a state.
    pub(crate) fn new(epoch: Epoch, index: StateIndex, seqid: u32) -> Stateid {
        let mut other = [0; 12];
        let bytes = epoch.0.to_be_bytes().into_iter().chain(index.0.to_be_bytes());
        for (place, byte) in other.iter_mut().zip(bytes) {
            *place = byte;
        }
        Stateid { seqid, other }
    }

    /// Whether it stands for the current stateid of the compound.
    pub(crate) fn is_current(&self) -> bool {
        self.other == [0; 12] && self.seqid == 1
    }

    /// What it refers to. One of another epoch is bad (STALE_STATEID is of 4.0 only, and hangs 4.1 clients).
    pub(crate) fn selector(&self, epoch: Epoch) -> Result<Selector, Status> {
        match (self.other, self.seqid) {
            (ZEROS, 0) => return Ok(Selector::Anonymous),
            (ONES, u32::MAX) => return Ok(Selector::Bypass),
            (ZEROS | ONES, _) => return Err(Status::BAD_STATEID),
            _ => {}
        }
        let (of_epoch, index) = self.other.split_first_chunk::<4>().ok_or(Status::BAD_STATEID)?;
        if u32::from_be_bytes(*of_epoch) != epoch.0 {
            return Err(Status::BAD_STATEID);
        }
        let index = index.first_chunk::<8>().ok_or(Status::BAD_STATEID)?;
        Ok(Selector::State { index: StateIndex(u64::from_be_bytes(*index)), seqid: self.seqid })
    }

    /// Reads one.
    pub(crate) fn decode(reader: &mut Reader) -> Result<Stateid, XdrError> {
        Ok(Stateid { seqid: reader.u32()?, other: reader.fixed()? })
    }

    /// Writes it.
    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.seqid);
        writer.fixed(&self.other);
    }
}

/// Compares what a client knows with what there is (RFC 8881 §8.2.2).
pub(super) fn check_seqid(known: u32, current: u32) -> Result<(), Status> {
    match known {
        0 => Ok(()),
        known if known == current => Ok(()),
        // Half of the numbers are before and half are after, so that it may wrap.
        known if current.wrapping_sub(known) < 1 << 31 => Err(Status::OLD_STATEID),
        _ => Err(Status::BAD_STATEID),
    }
}

/// The seqid after a change; 0 means something else.
pub(super) fn next_seqid(seqid: u32) -> u32 {
    seqid.checked_add(1).unwrap_or(1)
}

const ZEROS: [u8; 12] = [0; 12];
const ONES: [u8; 12] = [0xff; 12];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_stateids_and_those_of_other_epochs() {
        let epoch = Epoch(3);
        let select = |seqid, other| Stateid { seqid, other }.selector(epoch);
        assert_eq!(select(0, ZEROS), Ok(Selector::Anonymous));
        assert_eq!(select(u32::MAX, ONES), Ok(Selector::Bypass));
        assert_eq!(select(2, ZEROS), Err(Status::BAD_STATEID));
        assert_eq!(Stateid::INVALID.selector(epoch), Err(Status::BAD_STATEID));
        assert_eq!(select(0, ONES), Err(Status::BAD_STATEID));
        assert!(Stateid { seqid: 1, other: ZEROS }.is_current());
        let own = Stateid::new(epoch, StateIndex(9), 4);
        assert_eq!(own.selector(epoch), Ok(Selector::State { index: StateIndex(9), seqid: 4 }));
        assert_eq!(own.selector(Epoch(4)), Err(Status::BAD_STATEID));
    }

    #[test]
    fn seqids_tell_old_from_impossible() {
        assert_eq!(check_seqid(0, 5), Ok(()));
        assert_eq!(check_seqid(5, 5), Ok(()));
        assert_eq!(check_seqid(4, 5), Err(Status::OLD_STATEID));
        assert_eq!(check_seqid(6, 5), Err(Status::BAD_STATEID));
        assert_eq!(check_seqid(u32::MAX, 1), Err(Status::OLD_STATEID));
        assert_eq!(next_seqid(u32::MAX), 1);
    }
}
