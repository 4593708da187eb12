//! Keeps a number of compounds in flight on one session.
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::compound::{Compound, NFS4_OK, NFS4ERR_DELAY, Reply};
use super::session::{Session, SessionError};

/// How long a run goes on: until either is used up.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Wall time.
    pub duration: Duration,
    /// Operations.
    pub operations: u64,
}

struct Flight {
    call: u32,
    operation: u64,
    start: Instant,
}

/// Runs operations on `depth` slots of a session until the budget is used up. `encode` writes the compound of an
/// operation by its number, `check` looks at its reply. Returns the time that each took.
pub(super) fn drive(
    session: &mut Session,
    depth: usize,
    budget: Budget,
    mut encode: impl FnMut(u64, &mut Compound),
    check: impl Fn(&Reply<'_>) -> Result<()>,
) -> Result<Vec<Duration>> {
    let end = Instant::now() + budget.duration;
    let depth = depth.min(session.slots());
    let mut latencies = Vec::new();
    let mut compound = Compound::default();
    let mut flights: Vec<Option<Flight>> = Vec::new();
    let mut next = 0;
    while flights.len() < depth && next < budget.operations {
        encode(next, &mut compound);
        let call = session.enqueue(&compound, flights.len())?;
        compound.clear();
        flights.push(Some(Flight { call, operation: next, start: Instant::now() }));
        next += 1;
    }
    let mut pending = flights.len();
    while pending > 0 {
        if session.reply_is_not_buffered() {
            session.flush()?;
        }
        let reply = session.receive()?;
        let now = Instant::now();
        let is_landing = |flight: &Option<Flight>| flight.as_ref().is_some_and(|f| f.call == reply.call);
        let slot = flights.iter().position(is_landing).context("a reply that nobody waits for")?;
        let seat = flights.get_mut(slot).context("no such slot")?;
        let landed = seat.take().context("no such flight")?;
        let (operation, start) = match reply.status {
            NFS4_OK => {
                check(&reply)?;
                latencies.push(now - landed.start);
                if now >= end || next >= budget.operations {
                    pending -= 1;
                    continue;
                }
                next += 1;
                (next - 1, now)
            }
            NFS4ERR_DELAY => (landed.operation, landed.start),
            status => bail!(SessionError { status, operation: reply.operations.saturating_sub(1) }),
        };
        encode(operation, &mut compound);
        let call = session.enqueue(&compound, slot)?;
        compound.clear();
        *seat = Some(Flight { call, operation, start });
    }
    Ok(latencies)
}
