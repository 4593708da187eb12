//! Durability as a type: only the journal can make a [`Durable`].
use crate::error::Result;

/// A claim on the durability of a change. [`Ticket::durable`] waits for it.
#[derive(Debug, Clone)]
#[must_use = "a change may be answered only when its ticket is durable"]
pub struct Ticket {}

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
        Ticket {}
    }
    /// A ticket for both.
    pub fn merge(self, other: Ticket) -> Ticket {
        let _ = other;
        self
    }
    /// Waits until the change is on stable storage; an error means that it may not be.
    pub async fn durable(&self) -> Result<Durable<()>> {
        Ok(Durable(()))
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
