//! One client: sends operations one after the other, and knows which were acknowledged.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};

use super::dice::{Dice, noise};
use super::generate::Generator;
use super::model::{Close, Known, Model, NodeId, OWN, Operation, Place, SHARED, Way};
use crate::load::compound::{ANONYMOUS, CURRENT_STATE, Compound, Facts, Stable, Written};
use crate::load::session::{Session, SessionError};

/// Operations that are shown when something is wrong.
const HISTORY_MAX: usize = 40;

/// A client with its part of the tree.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) number: usize,
    pub(crate) model: Model,
    /// Sent, and not acknowledged.
    pub(crate) in_flight: Option<Operation>,
    pub(crate) acknowledged: u64,
    generator: Generator,
    history: VecDeque<String>,
    start: Instant,
    /// Of this life of the server.
    verifier: Option<[u8; 8]>,
    session: Option<Session>,
}

/// What a server said of an operation.
#[derive(Debug, Default)]
struct Answer {
    made: Option<Known>,
    /// Of the node that was made or changed.
    change: u64,
    /// Of the directories that were changed.
    directories: Vec<(NodeId, u64)>,
}

impl Worker {
    pub(crate) fn new(number: usize, way: Way, mut dice: Dice, start: Instant) -> Worker {
        Worker {
            number,
            model: Model::new(way),
            in_flight: None,
            acknowledged: 0,
            generator: Generator::new(dice.fork(), format!("w{number}-")),
            history: VecDeque::new(),
            start,
            verifier: None,
            session: None,
        }
    }

    /// The name of its own directory.
    pub(crate) fn directory(&self) -> String {
        format!("worker-{}", self.number)
    }

    /// What begins its names in the shared directory.
    pub(crate) fn prefix(&self) -> String {
        format!("w{}-", self.number)
    }

    /// What it did last, newest last.
    pub(crate) fn history(&self) -> impl Iterator<Item = &String> {
        self.history.iter()
    }

    /// Connects anew, as the client that it always was. Nothing that it had open is reclaimed.
    pub(crate) fn connect(&mut self, server: SocketAddr) -> Result<()> {
        self.verifier = None;
        self.session = None;
        self.session = Some(Session::connect(server, &format!("tidefs-crash-{}", self.number), 1)?);
        Ok(())
    }

    pub(crate) fn session(&mut self) -> Result<&mut Session> {
        self.session.as_mut().ok_or_else(|| anyhow::anyhow!("not connected"))
    }

    /// Works until it is told to stop or the server is gone. An error is an answer that should not have been.
    pub(crate) fn work(&mut self, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Ordering::Acquire) {
            let operation = self.generator.next(&self.model)?;
            self.note("sent", &operation);
            self.in_flight = Some(operation.clone());
            match self.send(&operation) {
                Ok(answer) => self.acknowledge(&operation, answer)?,
                Err(error) if error.is::<SessionError>() => {
                    return Err(error.context(format!("worker {}: {operation:?} was refused", self.number)));
                }
                Err(error) if error.is::<Unexpected>() => return Err(error),
                // The server is gone; whoever ended it knows why.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// The next operation.
    pub(crate) fn next(&mut self) -> Result<Operation> {
        self.generator.next(&self.model)
    }

    /// Knows what another process has done that was made as this one: so many operations were acknowledged, and the next one is in flight.
    pub(crate) fn replay(&mut self, acknowledged: u64) -> Result<()> {
        for _ in 0..acknowledged {
            let operation = self.next()?;
            self.acknowledge(&operation, Answer::default())?;
        }
        let operation = self.next()?;
        self.note("sent", &operation);
        self.in_flight = Some(operation);
        Ok(())
    }

    fn note(&mut self, what: &str, operation: &Operation) {
        let at = self.start.elapsed().as_micros();
        self.history.push_back(format!("{at} µs {what} {operation:?}"));
        let excess = self.history.len().saturating_sub(HISTORY_MAX);
        self.history.drain(..excess);
    }

    fn acknowledge(&mut self, operation: &Operation, answer: Answer) -> Result<()> {
        self.in_flight = None;
        self.acknowledged += 1;
        self.note("acknowledged", operation);
        self.model.apply(operation)?;
        for (directory, change) in answer.directories {
            let node = self.model.node_mut(directory)?;
            node.change = node.change.max(change);
        }
        let touched = match operation {
            Operation::Create { place, .. }
            | Operation::MakeDirectory(place)
            | Operation::Symlink { place, .. } => self.model.find(place)?,
            Operation::SetMode { node, .. }
            | Operation::SetMtime { node, .. }
            | Operation::SetSize { node, .. }
            | Operation::Write { node, .. }
            | Operation::Link { node, .. }
            | Operation::Commit(node) => Some(*node),
            Operation::Rename { .. } | Operation::Remove(_) => None,
        };
        if let Some(touched) = touched {
            let node = self.model.node_mut(touched)?;
            ensure!(
                answer.change >= node.change,
                Unexpected(format!(
                    "the change attribute went from {} to {} by {operation:?}",
                    node.change, answer.change
                ))
            );
            node.change = answer.change;
            node.known = answer.made.or_else(|| node.known.take());
        }
        Ok(())
    }

    fn send(&mut self, operation: &Operation) -> Result<Answer> {
        match operation {
            Operation::Create { place, close } => self.create(place, *close),
            Operation::MakeDirectory(place) => self.make(place, |compound, name| {
                compound.make_directory(name);
            }),
            Operation::Symlink { place, target } => self.make(place, |compound, name| {
                compound.make_symlink(name, target.as_bytes());
            }),
            Operation::Link { node, place } => self.link(*node, place),
            Operation::Rename { from, to } => self.rename(from, to),
            Operation::Remove(place) => self.remove(place),
            Operation::SetMode { node, mode } => self.set(*node, |compound| {
                compound.set_mode(*mode);
            }),
            Operation::SetMtime { node, mtime } => self.set(*node, |compound| {
                compound.set_mtime(*mtime);
            }),
            Operation::SetSize { node, size } => self.set(*node, |compound| {
                compound.set_size(*size as u64);
            }),
            Operation::Write { node, offset, length, seed, stable } => {
                self.write(*node, *offset, &noise(*seed, *length), *stable)
            }
            Operation::Commit(node) => self.commit(*node),
        }
    }

    fn at(&self, node: NodeId) -> Result<Compound> {
        let mut compound = Compound::default();
        compound.put_handle(self.model.handle(node)?);
        Ok(compound)
    }

    fn create(&mut self, place: &Place, close: Close) -> Result<Answer> {
        let mut compound = self.at(place.directory)?;
        let (client, owner) = (self.session()?.client(), format!("owner-{}", self.number));
        compound.open(client, owner.as_bytes(), place.name.as_bytes()).get_handle().get_facts();
        if close == Close::AtOnce {
            compound.close(CURRENT_STATE);
        }
        let (change, handle, facts) = self.session()?.call(&compound, |results| {
            results.put_handle()?;
            let (_, change) = results.open_with_change()?;
            let answer = (change, results.get_handle()?, results.facts()?);
            if close == Close::AtOnce {
                results.close()?;
            }
            Ok(answer)
        })?;
        Ok(made(place, change, handle, facts))
    }

    fn make(&mut self, place: &Place, what: impl FnOnce(&mut Compound, &[u8])) -> Result<Answer> {
        let mut compound = self.at(place.directory)?;
        what(&mut compound, place.name.as_bytes());
        compound.get_handle().get_facts();
        let (change, handle, facts) = self.session()?.call(&compound, |results| {
            results.put_handle()?;
            Ok((results.create()?, results.get_handle()?, results.facts()?))
        })?;
        Ok(made(place, change, handle, facts))
    }

    fn link(&mut self, node: NodeId, place: &Place) -> Result<Answer> {
        let mut compound = self.at(node)?;
        compound.save_handle().put_handle(self.model.handle(place.directory)?);
        compound.link(place.name.as_bytes()).put_handle(self.model.handle(node)?).get_facts();
        let (change, facts) = self.session()?.call(&compound, |results| {
            results.put_handle()?;
            results.save_handle()?;
            results.put_handle()?;
            let change = results.link()?;
            results.put_handle()?;
            Ok((change, results.facts()?))
        })?;
        Ok(Answer { change: facts.change, directories: vec![(place.directory, change)], ..Answer::default() })
    }

    fn rename(&mut self, from: &Place, to: &Place) -> Result<Answer> {
        let mut compound = self.at(from.directory)?;
        compound.save_handle().put_handle(self.model.handle(to.directory)?);
        compound.rename(from.name.as_bytes(), to.name.as_bytes());
        let (source, target) = self.session()?.call(&compound, |results| {
            results.put_handle()?;
            results.save_handle()?;
            results.put_handle()?;
            results.rename()
        })?;
        let directories = vec![(from.directory, source), (to.directory, target)];
        Ok(Answer { directories, ..Answer::default() })
    }

    fn remove(&mut self, place: &Place) -> Result<Answer> {
        let mut compound = self.at(place.directory)?;
        compound.remove(place.name.as_bytes());
        let change = self.session()?.call(&compound, |results| {
            results.put_handle()?;
            results.remove()
        })?;
        Ok(Answer { directories: vec![(place.directory, change)], ..Answer::default() })
    }

    fn set(&mut self, node: NodeId, what: impl FnOnce(&mut Compound)) -> Result<Answer> {
        let mut compound = self.at(node)?;
        what(&mut compound);
        compound.get_facts();
        let facts = self.session()?.call(&compound, |results| {
            results.put_handle()?;
            results.set_attributes()?;
            results.facts()
        })?;
        Ok(Answer { change: facts.change, ..Answer::default() })
    }

    fn write(&mut self, node: NodeId, offset: usize, data: &[u8], stable: Stable) -> Result<Answer> {
        let mut compound = self.at(node)?;
        compound.write(ANONYMOUS, offset as u64, stable, data).get_facts();
        let (written, facts) = self.session()?.call(&compound, |results| {
            results.put_handle()?;
            Ok((results.write()?, results.facts()?))
        })?;
        let Written { length, stable: given, verifier } = written;
        let whole = usize::try_from(length)? == data.len() && (stable == Stable::Unstable || given == stable);
        ensure!(whole, Unexpected(format!("a write of {} bytes was answered with {written:?}", data.len())));
        self.same_verifier(verifier)?;
        Ok(Answer { change: facts.change, ..Answer::default() })
    }

    fn commit(&mut self, node: NodeId) -> Result<Answer> {
        let mut compound = self.at(node)?;
        compound.commit().get_facts();
        let (verifier, facts) = self.session()?.call(&compound, |results| {
            results.put_handle()?;
            Ok((results.commit()?, results.facts()?))
        })?;
        self.same_verifier(verifier)?;
        Ok(Answer { change: facts.change, ..Answer::default() })
    }

    /// The write verifier stays as long as the server lives: that what was written before it is still in memory.
    fn same_verifier(&mut self, verifier: [u8; 8]) -> Result<()> {
        let before = *self.verifier.get_or_insert(verifier);
        ensure!(
            before == verifier,
            Unexpected("the write verifier changed under a living server".to_owned())
        );
        Ok(())
    }

    /// Makes its directory and the shared one, unless they are there, and learns their handles.
    pub(crate) fn settle(&mut self) -> Result<()> {
        let own = self.directory();
        for (node, name) in [(OWN, own.as_str()), (SHARED, "shared")] {
            let handle = crate::load::enter(self.session()?, name.as_bytes())?;
            let mut compound = Compound::default();
            compound.put_handle(&handle).get_facts();
            let facts = self.session()?.call(&compound, |results| {
                results.put_handle()?;
                results.facts()
            })?;
            let node = self.model.node_mut(node)?;
            node.change = facts.change;
            node.known = Some(Known { handle, file_id: facts.file_id });
        }
        Ok(())
    }
}

fn made(place: &Place, directory_change: u64, handle: Vec<u8>, facts: Facts) -> Answer {
    Answer {
        made: Some(Known { handle, file_id: facts.file_id }),
        change: facts.change,
        directories: vec![(place.directory, directory_change)],
    }
}

/// An answer that no server should give.
#[derive(Debug)]
pub(crate) struct Unexpected(pub(crate) String);

impl std::fmt::Display for Unexpected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unexpected {}
