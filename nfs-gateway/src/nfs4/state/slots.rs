//! The slots of a session (RFC 8881 §2.10.6): exactly-once execution.

use bytes::Bytes;

use crate::nfs4::status::Status;

/// What SEQUENCE says about its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotRequest {
    /// The slot.
    pub(crate) slot: u32,
    /// Counts the requests on it.
    pub(crate) sequence: u32,
    /// Of the request and its principal, without what may differ in a retry.
    pub(crate) digest: u64,
}

/// What is kept of an answered request.
#[derive(Debug, Clone)]
pub(crate) enum CachedReply {
    /// The whole result of the compound.
    Whole(Vec<Bytes>),
    /// The client asked for no more than the knowledge that it was executed.
    Executed,
}

/// What to do with a request.
#[derive(Debug)]
pub(crate) enum Acquired {
    /// Execute it, then call [`Slots::complete`].
    New,
    /// It was executed: answer this.
    Replay(CachedReply),
}

/// A table of slots. It only grows.
#[derive(Debug)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    max: usize,
    busy: usize,
}

#[derive(Debug, Clone)]
struct Slot {
    /// Of the newest request; a new slot has seen request 0.
    sequence: u32,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Unused,
    Busy { digest: u64 },
    Done { digest: u64, reply: CachedReply },
}

impl Slots {
    /// A table that starts with `count` slots and grows to `max`.
    pub(crate) fn new(count: u32, max: u32) -> Slots {
        let count = usize::try_from(count).unwrap_or(1).max(1);
        let max = usize::try_from(max).unwrap_or(count).max(count);
        Slots { slots: vec![Slot::NEW; count], max, busy: 0 }
    }

    /// The highest slot that may be used.
    pub(crate) fn highest(&self) -> u32 {
        u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
    }

    /// Requests in execution.
    pub(crate) fn busy(&self) -> usize {
        self.busy
    }

    /// Decides about a request. An error is the status of SEQUENCE and leaves the slot as it is.
    pub(crate) fn acquire(&mut self, request: SlotRequest) -> Result<Acquired, Status> {
        let last = self.highest() == request.slot;
        let index = usize::try_from(request.slot).map_err(|_| Status::BADSLOT)?;
        let slot = self.slots.get_mut(index).ok_or(Status::BADSLOT)?;
        if request.sequence == slot.sequence.wrapping_add(1) {
            if matches!(slot.state, State::Busy { .. }) {
                // The client gave up on a request that is still being executed; one at a time.
                return Err(Status::DELAY);
            }
            *slot = Slot { sequence: request.sequence, state: State::Busy { digest: request.digest } };
            self.busy += 1;
            if last {
                // The client uses all it has: it may have more.
                let grown = (self.slots.len() * 2).min(self.max);
                self.slots.resize(grown, Slot::NEW);
            }
            return Ok(Acquired::New);
        }
        if request.sequence != slot.sequence {
            return Err(Status::SEQ_MISORDERED);
        }
        match &slot.state {
            State::Unused => Err(Status::SEQ_MISORDERED),
            State::Busy { digest } | State::Done { digest, .. } if *digest != request.digest => {
                Err(Status::SEQ_FALSE_RETRY)
            }
            State::Busy { .. } => Err(Status::DELAY),
            State::Done { reply, .. } => Ok(Acquired::Replay(reply.clone())),
        }
    }

    /// The request on the slot has been executed.
    pub(crate) fn complete(&mut self, slot: u32, reply: CachedReply) {
        let found = usize::try_from(slot).ok().and_then(|index| self.slots.get_mut(index));
        if let Some(slot) = found {
            if let State::Busy { digest } = slot.state {
                slot.state = State::Done { digest, reply };
                self.busy -= 1;
            }
        }
    }
}

impl Slot {
    const NEW: Slot = Slot { sequence: 0, state: State::Unused };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(slot: u32, sequence: u32, digest: u64) -> SlotRequest {
        SlotRequest { slot, sequence, digest }
    }

    fn outcome(slots: &mut Slots, slot: u32, sequence: u32, digest: u64) -> Result<&'static str, Status> {
        slots.acquire(request(slot, sequence, digest)).map(|acquired| match acquired {
            Acquired::New => "new",
            Acquired::Replay(CachedReply::Whole(_)) => "whole",
            Acquired::Replay(CachedReply::Executed) => "executed",
        })
    }

    #[test]
    fn the_table_of_sequence_numbers() {
        let mut slots = Slots::new(2, 2);
        assert_eq!(outcome(&mut slots, 2, 1, 0), Err(Status::BADSLOT));
        assert_eq!(outcome(&mut slots, 0, 0, 0), Err(Status::SEQ_MISORDERED));
        assert_eq!(outcome(&mut slots, 0, 2, 0), Err(Status::SEQ_MISORDERED));
        assert_eq!(outcome(&mut slots, 0, 1, 7), Ok("new"));
        assert_eq!(outcome(&mut slots, 0, 1, 7), Err(Status::DELAY));
        assert_eq!(outcome(&mut slots, 0, 1, 8), Err(Status::SEQ_FALSE_RETRY));
        assert_eq!(outcome(&mut slots, 0, 2, 9), Err(Status::DELAY));
        assert_eq!(slots.busy(), 1);
        slots.complete(0, CachedReply::Whole(vec![]));
        assert_eq!(slots.busy(), 0);
        assert_eq!(outcome(&mut slots, 0, 1, 7), Ok("whole"));
        assert_eq!(outcome(&mut slots, 0, 1, 8), Err(Status::SEQ_FALSE_RETRY));
        assert_eq!(outcome(&mut slots, 0, 3, 7), Err(Status::SEQ_MISORDERED));
        assert_eq!(outcome(&mut slots, 0, 2, 7), Ok("new"));
        slots.complete(0, CachedReply::Executed);
        assert_eq!(outcome(&mut slots, 0, 2, 7), Ok("executed"));
        assert_eq!(outcome(&mut slots, 1, 1, 7), Ok("new"));
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut slots = Slots::new(1, 1);
        slots.slots[0] = Slot { sequence: u32::MAX, state: State::Unused };
        assert_eq!(outcome(&mut slots, 0, 0, 1), Ok("new"));
        slots.complete(0, CachedReply::Executed);
        assert_eq!(outcome(&mut slots, 0, 1, 1), Ok("new"));
    }

    #[test]
    fn a_client_that_uses_its_last_slot_gets_more() {
        let mut slots = Slots::new(64, 200);
        assert_eq!(outcome(&mut slots, 63, 1, 0), Ok("new"));
        assert_eq!(slots.highest(), 127);
        assert_eq!(outcome(&mut slots, 127, 1, 0), Ok("new"));
        assert_eq!(slots.highest(), 199);
        assert_eq!(outcome(&mut slots, 199, 1, 0), Ok("new"));
        assert_eq!(slots.highest(), 199);
    }
}
