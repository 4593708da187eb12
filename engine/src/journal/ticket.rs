//! Durability as a type: only the journal can make a [`Durable`].

use std::sync::Arc;

use super::Progress;
use crate::error::{Error, Result};
use crate::identity::Lsn;

/// A claim on the durability of a change. [`Ticket::durable`] waits for it.
#[derive(Debug, Clone)]
#[must_use = "a change may be answered only when its ticket is durable"]
pub struct Ticket(Claim);

#[derive(Debug, Clone)]
enum Claim {
    Nothing,
    Record(Record),
    /// Records of several journals.
    Records(Arc<[Record]>),
    /// The change was not accepted.
    Refused(Arc<Error>),
}

#[derive(Debug, Clone)]
struct Record {
    progress: Arc<Progress>,
    lsn: Lsn,
}

/// A value that is on stable storage. Nobody but the journal makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable<T>(T);

/// The result of a change, together with the claim on its durability.
#[derive(Debug)]
#[must_use = "a change may be answered only when its ticket is durable"]
pub struct Pending<T> {
    value: T,
    ticket: Ticket,
}

impl Ticket {
    /// Nothing to wait for.
    pub fn nothing() -> Ticket {
        Ticket(Claim::Nothing)
    }

    /// A ticket for both.
    pub fn merge(self, other: Ticket) -> Ticket {
        match (self.0, other.0) {
            (Claim::Nothing, claim) | (claim, Claim::Nothing) => Ticket(claim),
            (refused @ Claim::Refused(_), _) | (_, refused @ Claim::Refused(_)) => Ticket(refused),
            (mine, theirs) => {
                let mut records: Vec<Record> = Vec::new();
                for record in mine.records().iter().chain(theirs.records()) {
                    match records.iter_mut().find(|known| Arc::ptr_eq(&known.progress, &record.progress)) {
                        Some(known) => known.lsn = known.lsn.max(record.lsn),
                        None => records.push(record.clone()),
                    }
                }
                Ticket::of(records)
            }
        }
    }

    /// Waits until the change is on stable storage; an error means that it may not be.
    pub async fn durable(&self) -> Result<Durable<()>> {
        if let Claim::Refused(error) = &self.0 {
            return Err(Error::clone(error));
        }
        for record in self.0.records() {
            record.progress.reached(record.lsn).await?;
        }
        Ok(Durable(()))
    }

    /// Whether the change is on stable storage by now.
    pub(crate) fn is_durable(&self) -> bool {
        match &self.0 {
            Claim::Refused(_) => false,
            claim => claim.records().iter().all(|record| record.progress.durable() >= record.lsn),
        }
    }

    /// The record that it waits for; 0 if there is none.
    #[cfg(test)]
    pub(crate) fn lsn(&self) -> Lsn {
        self.0.records().iter().map(|record| record.lsn).max().unwrap_or(Lsn(0))
    }

    pub(crate) fn at(progress: Arc<Progress>, lsn: Lsn) -> Ticket {
        Ticket(Claim::Record(Record { progress, lsn }))
    }

    /// The ticket, if the change was accepted: for those who do more when it was, or do not wait for it.
    pub(crate) fn accepted(self) -> Result<Ticket> {
        match self.0 {
            Claim::Refused(error) => Err((*error).clone()),
            claim => Ok(Ticket(claim)),
        }
    }

    /// For a change that was not applied: the error comes out where durability is awaited.
    pub(crate) fn refused(error: Error) -> Ticket {
        Ticket(Claim::Refused(Arc::new(error)))
    }

    fn of(mut records: Vec<Record>) -> Ticket {
        match (records.pop(), records.is_empty()) {
            (None, _) => Ticket::nothing(),
            (Some(record), true) => Ticket(Claim::Record(record)),
            (Some(record), false) => {
                records.push(record);
                Ticket(Claim::Records(records.into()))
            }
        }
    }
}

impl Claim {
    fn records(&self) -> &[Record] {
        match self {
            Claim::Nothing | Claim::Refused(_) => &[],
            Claim::Record(record) => std::slice::from_ref(record),
            Claim::Records(records) => records,
        }
    }
}

impl<T> Durable<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }
    /// The same claim about another value that was derived from it.
    pub fn map<U>(self, with: impl FnOnce(T) -> U) -> Durable<U> {
        Durable(with(self.0))
    }
}

impl<T> Pending<T> {
    /// Binds a value to a ticket.
    pub(crate) fn new(value: T, ticket: Ticket) -> Self {
        Pending { value, ticket }
    }
    /// The value, which may be looked at but not answered yet.
    pub fn value(&self) -> &T {
        &self.value
    }
    /// The value and the ticket apart, to merge tickets of one compound.
    pub fn into_parts(self) -> (T, Ticket) {
        (self.value, self.ticket)
    }
    /// Waits for durability.
    pub async fn durable(self) -> Result<Durable<T>> {
        Ok(self.ticket.durable().await?.map(|()| self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn merged_tickets_of_one_journal_wait_for_the_later_record() {
        let progress = Progress::new(Lsn(0), Lsn(0));
        let ticket = |lsn| Ticket::at(Arc::clone(&progress), Lsn(lsn));
        let merged = ticket(7).merge(Ticket::nothing()).merge(ticket(5));
        assert_eq!(merged.lsn(), Lsn(7));
        progress.advance(Lsn(6));
        assert!(merged.durable().now_or_never().is_none());
        progress.advance(Lsn(7));
        assert_eq!(merged.durable().now_or_never().unwrap().unwrap(), Durable(()));
    }

    #[test]
    fn tickets_of_two_journals_wait_for_both() {
        let (one, other) = (Progress::new(Lsn(0), Lsn(0)), Progress::new(Lsn(0), Lsn(0)));
        let merged = Ticket::at(Arc::clone(&one), Lsn(1)).merge(Ticket::at(Arc::clone(&other), Lsn(1)));
        one.advance(Lsn(1));
        assert!(merged.durable().now_or_never().is_none());
        other.advance(Lsn(1));
        assert!(merged.durable().now_or_never().unwrap().is_ok());
    }

    #[test]
    fn a_halt_fails_what_is_not_durable_and_nothing_else() {
        let progress = Progress::new(Lsn(0), Lsn(0));
        progress.advance(Lsn(1));
        progress.halt("first");
        progress.halt("second");
        let wait = |lsn| Ticket::at(Arc::clone(&progress), Lsn(lsn)).durable().now_or_never().unwrap();
        assert!(wait(1).is_ok());
        assert!(matches!(wait(2), Err(Error::Halted { reason }) if reason == "first"));
    }

    #[test]
    fn a_refused_change_is_an_error_whatever_it_is_merged_with() {
        let refused = Ticket::refused(Error::Invalid { what: "too large" });
        let merged = Ticket::nothing().merge(refused).merge(Ticket::nothing());
        assert!(matches!(merged.durable().now_or_never().unwrap(), Err(Error::Invalid { .. })));
    }
}
