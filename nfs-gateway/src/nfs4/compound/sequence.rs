//! SEQUENCE (RFC 8881 §18.46): which session and slot, and whether the request is to be executed at all.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use super::{Compound, Results};
use crate::nfs4::operation::Operation;
use crate::nfs4::state::{Acquired, CachedReply, Session, SessionId, SlotRequest};
use crate::nfs4::status::Status;
use crate::xdr::Writer;

/// What SEQUENCE leads to.
pub(super) enum Sequenced {
    /// The rest is to be executed.
    Execute(SlotGuard),
    /// It was executed before; this is the answer.
    Replay(Vec<Bytes>),
    /// No.
    Failed(Status),
}

/// Holds a slot while its request is in execution.
pub(super) struct SlotGuard {
    session: Arc<Session>,
    slot: u32,
    keep: Keep,
    done: bool,
}

/// What the client wants to be kept of the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Reply,
    Nothing,
}

impl SlotGuard {
    /// The request has been executed.
    pub(super) fn complete(mut self, reply: CachedReply) {
        self.done = true;
        let kept = match self.keep {
            Keep::Reply => reply,
            Keep::Nothing => CachedReply::Executed,
        };
        self.session.complete(self.slot, kept);
    }
}

impl Drop for SlotGuard {
    /// The execution was broken off: how far it got is not known, so it must not be executed again.
    fn drop(&mut self) {
        if !self.done {
            self.session.complete(self.slot, CachedReply::Executed);
        }
    }
}

/// The arguments.
struct Arguments {
    session: SessionId,
    sequence: u32,
    slot: u32,
    cache_this: bool,
}

/// Executes SEQUENCE and encodes its result.
pub(super) fn sequence(
    compound: &mut Compound<'_>,
    request_bytes: usize,
    operation_count: u32,
    results: &mut Results,
) -> Sequenced {
    match try_sequence(compound, request_bytes, operation_count, results) {
        Ok(sequenced) => sequenced,
        Err(status) => Sequenced::Failed(results.fail(Operation::SEQUENCE as u32, status.into())),
    }
}

fn try_sequence(
    compound: &mut Compound<'_>,
    request_bytes: usize,
    operation_count: u32,
    results: &mut Results,
) -> Result<Sequenced, Status> {
    let args = decode(compound)?;
    let session = find_session(compound, &args.session)?;
    let fore = session.granted.fore;
    if operation_count > fore.operations_max {
        return Err(Status::TOO_MANY_OPS);
    }
    if request_bytes > fore.request_bytes_max as usize {
        return Err(Status::REQ_TOO_BIG);
    }
    let request = SlotRequest { slot: args.slot, sequence: args.sequence, digest: digest(compound) };
    let acquired = session.acquire(request)?;
    session.client.renew(compound.service.now());
    let highest = session.highest_slot();
    results.writer.u32(Operation::SEQUENCE as u32);
    encode(&mut results.writer, &args, highest);
    results.count += 1;
    match acquired {
        Acquired::Replay(CachedReply::Whole(reply)) => Ok(Sequenced::Replay(reply)),
        Acquired::Replay(CachedReply::Executed) => Ok(Sequenced::Replay(uncached(compound, results))),
        Acquired::New => {
            let keep = match args.cache_this || operation_count == 1 {
                true => Keep::Reply,
                false => Keep::Nothing,
            };
            let response = (fore.response_bytes_max as usize, Status::REP_TOO_BIG);
            let cached = (fore.cached_bytes_max as usize, Status::REP_TOO_BIG_TO_CACHE);
            results.room = [response, if args.cache_this { cached } else { response }];
            compound.enter(Arc::clone(&session));
            Ok(Sequenced::Execute(SlotGuard { session, slot: args.slot, keep, done: false }))
        }
    }
}

fn decode(compound: &mut Compound<'_>) -> Result<Arguments, Status> {
    let args = &mut compound.args;
    let (session, sequence, slot) = (args.fixed()?, args.u32()?, args.u32()?);
    let _highest = args.u32()?;
    Ok(Arguments { session, sequence, slot, cache_this: args.bool()? })
}

/// The session, which the connection thereby is bound to (without state protection nothing else is needed).
fn find_session(compound: &Compound<'_>, id: &SessionId) -> Result<Arc<Session>, Status> {
    let mut last = compound.connection.session.lock();
    match &*last {
        Some(session) if session.id == *id && session.is_alive() => Ok(Arc::clone(session)),
        _ => {
            let session = compound.service.clients.session(id)?;
            *last = Some(Arc::clone(&session));
            Ok(session)
        }
    }
}

fn encode(writer: &mut Writer, args: &Arguments, highest: u32) {
    writer.u32(Status::OK.number());
    writer.fixed(&args.session);
    writer.u32(args.sequence);
    writer.u32(args.slot);
    writer.u32(highest);
    writer.u32(highest);
    writer.u32(0);
}

/// What tells a retry from another request: who asks, and the operations after SEQUENCE. Of a long payload, the start.
fn digest(compound: &Compound<'_>) -> u64 {
    let rest = compound.args.rest();
    let mut hasher = DefaultHasher::new();
    compound.principal.hash(&mut hasher);
    rest.len().hash(&mut hasher);
    rest.get(..DIGEST_BYTES_MAX).unwrap_or(rest).hash(&mut hasher);
    hasher.finish()
}

/// The answer to a retry whose reply was not to be kept: the operation after SEQUENCE says so.
fn uncached(compound: &mut Compound<'_>, results: &mut Results) -> Vec<Bytes> {
    let next = compound.args.u32().unwrap_or(Operation::SEQUENCE as u32);
    let status = results.fail(next, Status::RETRY_UNCACHED_REP.into());
    let empty = Results::new(Bytes::new());
    std::mem::replace(results, empty).finish(status)
}

const DIGEST_BYTES_MAX: usize = 256;
