//! Sessions (RFC 8881 §2.10, §18.36).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::client::Client;
use super::slots::{Acquired, CachedReply, SlotRequest, Slots};
use crate::nfs4::limits;
use crate::nfs4::status::Status;

/// `sessionid4`.
pub(crate) type SessionId = [u8; 16];

/// `channel_attrs4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelAttributes {
    /// Padding before payloads; not used.
    pub(crate) header_pad: u32,
    /// Bytes of a request.
    pub(crate) request_bytes_max: u32,
    /// Bytes of a reply.
    pub(crate) response_bytes_max: u32,
    /// Bytes of a reply that is kept.
    pub(crate) cached_bytes_max: u32,
    /// Operations in a compound.
    pub(crate) operations_max: u32,
    /// Slots.
    pub(crate) requests_max: u32,
}

/// What CREATE_SESSION asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionRequest {
    /// Flags.
    pub(crate) flags: u32,
    /// From the client to the server.
    pub(crate) fore: ChannelAttributes,
    /// From the server to the client.
    pub(crate) back: ChannelAttributes,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its id.
    pub(crate) id: SessionId,
    /// Whose it is.
    pub(crate) client: Arc<Client>,
    /// As granted.
    pub(crate) granted: SessionRequest,
    slots: Mutex<Slots>,
    destroyed: AtomicBool,
}

impl SessionRequest {
    /// What is granted, never more than was asked for.
    pub(crate) fn negotiate(&self) -> Result<SessionRequest, Status> {
        if self.flags & !(FLAG_PERSIST | FLAG_BACK_CHANNEL | FLAG_RDMA) != 0 {
            return Err(Status::INVAL);
        }
        Ok(SessionRequest {
            // The reply cache does not survive a restart, and there is no RDMA.
            flags: self.flags & FLAG_BACK_CHANNEL,
            fore: self.fore.negotiate()?,
            back: self.back.negotiate_back(),
        })
    }

    /// Whether the connection is to carry callbacks.
    pub(crate) fn has_back_channel(&self) -> bool {
        self.flags & FLAG_BACK_CHANNEL != 0
    }
}

impl ChannelAttributes {
    fn negotiate(&self) -> Result<ChannelAttributes, Status> {
        if self.request_bytes_max < limits::MESSAGE_BYTES_MIN
            || self.response_bytes_max < limits::MESSAGE_BYTES_MIN
        {
            return Err(Status::TOOSMALL);
        }
        if self.operations_max == 0 || self.requests_max == 0 {
            return Err(Status::INVAL);
        }
        Ok(ChannelAttributes {
            header_pad: 0,
            request_bytes_max: self.request_bytes_max.min(limits::MESSAGE_BYTES_MAX),
            response_bytes_max: self.response_bytes_max.min(limits::MESSAGE_BYTES_MAX),
            cached_bytes_max: self.cached_bytes_max.min(limits::CACHED_REPLY_BYTES_MAX),
            operations_max: self.operations_max.min(limits::OPERATIONS_MAX),
            requests_max: self.requests_max.min(limits::SLOTS_MAX),
        })
    }

    /// The back channel as asked for: callbacks are small.
    fn negotiate_back(&self) -> ChannelAttributes {
        ChannelAttributes {
            header_pad: 0,
            operations_max: self.operations_max.min(limits::OPERATIONS_MAX),
            requests_max: self.requests_max.min(limits::SLOTS_MAX),
            ..*self
        }
    }
}

impl Session {
    pub(super) fn new(id: SessionId, client: Arc<Client>, granted: SessionRequest) -> Session {
        let slots = Mutex::new(Slots::new(granted.fore.requests_max, limits::SLOTS_MAX));
        Session { id, client, granted, slots, destroyed: AtomicBool::new(false) }
    }

    /// Whether it is still one.
    pub(crate) fn is_alive(&self) -> bool {
        !self.destroyed.load(Ordering::Acquire)
    }

    /// Decides about a request on a slot.
    pub(crate) fn acquire(&self, request: SlotRequest) -> Result<Acquired, Status> {
        self.slots.lock().acquire(request)
    }

    /// A request has been executed.
    pub(crate) fn complete(&self, slot: u32, reply: CachedReply) {
        self.slots.lock().complete(slot, reply);
    }

    /// The highest slot that may be used.
    pub(crate) fn highest_slot(&self) -> u32 {
        self.slots.lock().highest()
    }

    /// Requests in execution.
    pub(crate) fn busy(&self) -> usize {
        self.slots.lock().busy()
    }

    pub(super) fn destroy(&self) {
        self.destroyed.store(true, Ordering::Release);
    }
}

const FLAG_PERSIST: u32 = 1;
const FLAG_BACK_CHANNEL: u32 = 2;
const FLAG_RDMA: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> SessionRequest {
        let channel = ChannelAttributes {
            header_pad: 8,
            request_bytes_max: 1_049_620,
            response_bytes_max: 1_049_480,
            cached_bytes_max: 2_584,
            operations_max: 8,
            requests_max: 64,
        };
        let back = ChannelAttributes { request_bytes_max: 4096, response_bytes_max: 4096, ..channel };
        SessionRequest { flags: 3, fore: channel, back }
    }

    #[test]
    fn what_linux_asks_for_is_echoed() {
        let granted = asked().negotiate().unwrap();
        assert_eq!(granted.flags, FLAG_BACK_CHANNEL);
        assert_eq!(granted.fore, ChannelAttributes { header_pad: 0, ..asked().fore });
        assert_eq!(granted.back, ChannelAttributes { header_pad: 0, ..asked().back });
    }

    #[test]
    fn nothing_is_granted_beyond_the_limits_or_for_silly_sizes() {
        let with = |change: fn(&mut SessionRequest)| {
            let mut request = asked();
            change(&mut request);
            request.negotiate()
        };
        assert_eq!(with(|r| r.flags = 8).unwrap_err(), Status::INVAL);
        assert_eq!(with(|r| r.fore.request_bytes_max = 20).unwrap_err(), Status::TOOSMALL);
        assert_eq!(with(|r| r.fore.response_bytes_max = 0).unwrap_err(), Status::TOOSMALL);
        let huge = with(|r| {
            r.fore.requests_max = u32::MAX;
            r.fore.operations_max = u32::MAX;
            r.fore.request_bytes_max = u32::MAX;
            r.fore.cached_bytes_max = u32::MAX;
        });
        let fore = huge.unwrap().fore;
        assert_eq!(fore.requests_max, limits::SLOTS_MAX);
        assert_eq!(fore.operations_max, limits::OPERATIONS_MAX);
        assert_eq!(fore.request_bytes_max, limits::MESSAGE_BYTES_MAX);
        assert_eq!(fore.cached_bytes_max, limits::CACHED_REPLY_BYTES_MAX);
    }
}
