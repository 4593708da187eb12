//! COMPOUND: operations one after the other until one fails, then one wait for the durability of all of them (rule D6).

mod context;
mod sequence;

use bytes::Bytes;

pub(super) use context::{Compound, directory_of};
use sequence::{Sequenced, SlotGuard};

use super::limits;
use super::operation::{MinorVersion, OP_ILLEGAL, Operation};
use super::ops::Failure;
use super::service::{ConnectionState, Service};
use super::state::CachedReply;
use super::status::Status;
use crate::rpc::Call;
use crate::xdr::{Mark, Writer, XdrError};

/// Executes a request: the encoded result. An error means that it cannot even be read.
pub(super) async fn run(
    service: &Service,
    call: Call,
    connection: &ConnectionState,
) -> Result<Vec<Bytes>, XdrError> {
    let request_bytes = call.length;
    let mut compound = Compound::new(service, call, connection);
    let tag = compound.args.opaque(limits::TAG_BYTES_MAX)?;
    let minor = MinorVersion(compound.args.u32()?);
    let count = compound.args.u32()?;
    let mut results = Results::new(tag);
    if minor != MinorVersion::ONE {
        return Ok(results.finish(Status::MINOR_VERS_MISMATCH));
    }
    let mut guard = None;
    for index in 0..count {
        let status = match (index, Operation::decode(compound.args.u32()?, minor)) {
            (_, None) => results.fail(OP_ILLEGAL, Status::OP_ILLEGAL.into()),
            (0, Some(Operation::SEQUENCE)) => {
                match sequence::sequence(&mut compound, request_bytes, count, &mut results) {
                    Sequenced::Execute(slot) => {
                        guard = Some(slot);
                        Status::OK
                    }
                    Sequenced::Replay(reply) => return Ok(reply),
                    Sequenced::Failed(status) => status,
                }
            }
            (0, Some(operation)) if !operation.stands_alone() => {
                results.fail(operation as u32, Status::OP_NOT_IN_SESSION.into())
            }
            (0, Some(operation)) if count > 1 => results.fail(operation as u32, Status::NOT_ONLY_OP.into()),
            (_, Some(operation)) => {
                compound.is_last = index + 1 == count;
                execute(&mut compound, operation, &mut results).await
            }
        };
        if status != Status::OK {
            return Ok(settle(&compound, results, status, guard).await);
        }
    }
    Ok(settle(&compound, results, Status::OK, guard).await)
}

/// Executes one operation and encodes its result.
async fn execute(compound: &mut Compound<'_>, operation: Operation, results: &mut Results) -> Status {
    let mark = results.writer.mark();
    let outcome = match results.check_room(operation.result_bytes()) {
        Ok(()) => {
            results.writer.u32(operation as u32);
            results.writer.u32(Status::OK.number());
            compound.service.count_operation();
            compound.execute(operation, &mut results.writer).await.map_err(|failure| (failure, operation))
        }
        Err(status) => Err((Failure::from(status), operation)),
    };
    let outcome =
        outcome.and_then(|()| results.check_room(0).map_err(|status| (Failure::from(status), operation)));
    if compound.has_new_ticket() {
        results.first_change.get_or_insert((mark, results.count, operation));
    }
    match outcome {
        Ok(()) => {
            results.count += 1;
            Status::OK
        }
        Err((failure, operation)) => {
            results.writer.truncate(mark);
            results.fail(operation as u32, failure)
        }
    }
}

/// Waits for the durability of what was done, keeps the reply for a retry, and hands it out.
async fn settle(
    compound: &Compound<'_>,
    mut results: Results,
    mut status: Status,
    guard: Option<SlotGuard>,
) -> Vec<Bytes> {
    if let Some((mark, count, operation)) = results.first_change {
        match compound.ticket.durable().await {
            Ok(_) => compound.recorded(),
            Err(error) => {
                tracing::error!(%error, "a change could not be made durable");
                results.writer.truncate(mark);
                results.count = count;
                status = results.fail(operation as u32, Status::from(error).into());
            }
        }
    }
    let reply = results.finish(status);
    if let Some(guard) = guard {
        guard.complete(CachedReply::Whole(reply.clone()));
    }
    reply
}

/// The results so far.
struct Results {
    writer: Writer,
    count: u32,
    tag: Bytes,
    /// The session's limits of this reply and what to answer when one is exceeded.
    room: [(usize, Status); 2],
    /// From where on the results are of no value if the changes are not durable.
    first_change: Option<(Mark, u32, Operation)>,
}

impl Results {
    fn new(tag: Bytes) -> Results {
        let max = limits::MESSAGE_BYTES_MAX as usize;
        Results {
            writer: Writer::with_capacity(RESULTS_CAPACITY),
            count: 0,
            tag,
            room: [(max, Status::REP_TOO_BIG), (max, Status::REP_TOO_BIG)],
            first_change: None,
        }
    }

    /// Whether this many bytes more still fit.
    fn check_room(&self, more: usize) -> Result<(), Status> {
        let length = HEADER_BYTES + self.tag.len() + self.writer.len() + more;
        self.room.iter().find(|(max, _)| length > *max).map_or(Ok(()), |(_, status)| Err(*status))
    }

    /// The operation fails, and with it the compound.
    fn fail(&mut self, operation: u32, failure: Failure) -> Status {
        self.writer.u32(operation);
        failure.encode(operation, &mut self.writer);
        self.count += 1;
        failure.status
    }

    fn finish(self, status: Status) -> Vec<Bytes> {
        let mut head = Writer::with_capacity(HEADER_BYTES + self.tag.len());
        head.u32(status.number());
        head.opaque(&self.tag);
        head.u32(self.count);
        head.segments(&self.writer.finish());
        head.finish()
    }
}

/// RPC header, status, lengths of the tag and of the results, padding.
const HEADER_BYTES: usize = 24 + 12 + 3;
/// Holds the results of most compounds.
const RESULTS_CAPACITY: usize = 512;
