//! What clients do with the content of files.

use std::time::Duration;

use bytes::Bytes;

use super::super::{Result, lost};
use super::{Client, Next};
use crate::attributes::SetAttributes;
use crate::credential::Credential;
use crate::error::{self, Error, ErrorKind};
use crate::file_system::{Authority, CloneRange, FileSystem, Stability};
use crate::identity::InodeId;
use crate::journal::Ticket;

/// Bytes of the units that can be cloned.
const UNIT: usize = 4096;

impl Client<'_> {
    pub(super) async fn truncate(&self, file: u8, size: usize) -> Result<Next> {
        let Some(inode) = self.file(file) else { return Ok(Next::GoOn) };
        let set = SetAttributes { size: Some(size as u64), ..SetAttributes::default() };
        let done = self.fs.set_attributes(&Credential::root(), inode, &set, Authority::Mode).await;
        match done {
            Ok(pending) => {
                let (attributes, ticket) = pending.into_parts();
                let sequence = {
                    let mut model = self.model.borrow_mut();
                    let sequence = model.change();
                    let history = model.files.get_mut(&inode).unwrap();
                    let from = history.now().len().min(size);
                    let version = history.truncate(size);
                    history.promise_cut(from, version, sequence);
                    sequence
                };
                let next = self.acknowledged(&ticket, sequence).await?;
                self.told(&next, &[(inode, attributes.change)]);
                self.shown(&next, inode, attributes.change)?;
                Ok(next)
            }
            Err(error) => self.refused(&error, !self.exists(inode)),
        }
    }

    /// The change number of a file after a change of its content that nobody else makes.
    fn shown(&self, next: &Next, inode: InodeId, change: u64) -> Result {
        if let Next::GoOn = next {
            self.model.borrow_mut().shown(inode, change)?;
        }
        Ok(())
    }

    pub(super) async fn write(
        &mut self,
        file: u8,
        offset: usize,
        length: usize,
        stability: Stability,
    ) -> Result<Next> {
        let Some(inode) = self.file(file) else { return Ok(Next::GoOn) };
        let word = self.chance.number().to_be_bytes();
        let bytes: Vec<u8> = word
            .iter()
            .copied()
            .cycle()
            .take(length)
            .enumerate()
            .map(|(at, byte)| byte ^ u8::try_from(at / 509 % 251).unwrap())
            .collect();
        let before = self.model.borrow().files[&inode].now().clone();
        // It may be seen from now on.
        let version = {
            let mut model = self.model.borrow_mut();
            let history = model.files.get_mut(&inode).unwrap();
            match stability {
                Stability::Unstable => history.write(offset, &bytes),
                _ => history.write_whole(offset, &bytes),
            }
        };
        let who = Credential::root();
        let written = self.fs.write(&who, inode, offset as u64, Bytes::from(bytes), stability).await;
        match written {
            Ok(written) => {
                let sequence = {
                    let mut model = self.model.borrow_mut();
                    let sequence = model.change();
                    if stability == Stability::FileSync {
                        let history = model.files.get_mut(&inode).unwrap();
                        history.promise_bytes(offset..offset + length, version, sequence);
                    }
                    sequence
                };
                let change = self.fs.attributes(inode).map(|attributes| attributes.change);
                let acknowledged = if stability == Stability::FileSync { sequence } else { 0 };
                let next = self.acknowledged(&written.ticket, acknowledged).await?;
                match change {
                    Ok(change) => {
                        self.told(&next, &[(inode, change)]);
                        self.shown(&next, inode, change)?;
                    }
                    Err(error) => return self.refused(&error, !self.exists(inode)),
                }
                Ok(next)
            }
            Err(error) => {
                let next = self.refused(&error, !self.exists(inode))?;
                self.failed(&next, inode, version);
                self.look_again(inode, &before).await?;
                Ok(next)
            }
        }
    }

    /// A write failed; one that a crash interrupted did not.
    fn failed(&self, next: &Next, inode: InodeId, version: usize) {
        if matches!(next, Next::GoOn) {
            self.model.borrow_mut().files.get_mut(&inode).unwrap().failed(version);
        }
    }

    /// After a write that failed: its bytes may be there or not.
    async fn look_again(&self, inode: InodeId, before: &[u8]) -> Result {
        if self.machine.disk.is_off() || !self.exists(inode) {
            return Ok(());
        }
        let after = self.model.borrow().files[&inode].now().clone();
        let found = loop {
            match read_all(self.fs, inode).await {
                Ok(found) => break found,
                // The index waits for room. Only a look tells what there is.
                Err(error) if matches!(error.kind(), ErrorKind::Retry(_)) && !self.machine.disk.is_off() => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(_) => return Ok(()),
            }
        };
        let of = |version: &[u8], at: usize| version.get(at).copied().unwrap_or(0);
        let allowed = |(at, byte): (usize, &u8)| *byte == of(before, at) || *byte == of(&after, at);
        if !(found.len() == before.len() || found.len() == after.len())
            || !found.iter().enumerate().all(allowed)
        {
            return lost(format!(
                "after a failed write inode {inode} has neither its old nor its new content"
            ));
        }
        self.model.borrow_mut().files.get_mut(&inode).unwrap().push(found);
        Ok(())
    }

    pub(super) async fn commit(&self, file: u8) -> Result<Next> {
        let Some(inode) = self.file(file) else { return Ok(Next::GoOn) };
        let version = self.model.borrow().files[&inode].version();
        match self.fs.commit(inode).await {
            Ok(ticket) => {
                let sequence = {
                    let mut model = self.model.borrow_mut();
                    let sequence = model.change();
                    model.files.get_mut(&inode).unwrap().promise_all(version, sequence);
                    sequence
                };
                let next = self.acknowledged(&ticket, sequence).await?;
                let mut model = self.model.borrow_mut();
                let acknowledged = model.acknowledged();
                model.files.get_mut(&inode).unwrap().prune(acknowledged);
                Ok(next)
            }
            Err(error) => self.refused(&error, !self.exists(inode)),
        }
    }

    pub(super) async fn read(&self, file: u8) -> Result<Next> {
        let Some(inode) = self.file(file) else { return Ok(Next::GoOn) };
        match read_all(self.fs, inode).await {
            Ok(found) => {
                let expected = self.model.borrow().files[&inode].now().clone();
                if self.exists(inode) && found != *expected {
                    return lost(different(inode, &found, &expected));
                }
                Ok(Next::GoOn)
            }
            Err(error) => self.refused(&error, !self.exists(inode)),
        }
    }

    pub(super) async fn punch(&self, file: u8, offset: usize, length: usize) -> Result<Next> {
        let Some(inode) = self.file(file) else { return Ok(Next::GoOn) };
        let size = self.model.borrow().files[&inode].now().len();
        let end = (offset + length).min(size);
        let zeros = vec![0; end.saturating_sub(offset)];
        let range = offset as u64..(offset + length) as u64;
        self.overwrite(inode, offset, &zeros, self.fs.deallocate(&Credential::root(), inode, range)).await
    }

    /// Clones units from one file of this client into another one.
    pub(super) async fn clone_units(&self, (from, to): (u8, u8), unit: usize, units: usize) -> Result<Next> {
        let (Some(source), Some(target)) = (self.file(from), self.file(to)) else { return Ok(Next::GoOn) };
        let content = self.model.borrow().files[&source].now().clone();
        let start = unit * UNIT;
        if source == target || start >= content.len() {
            return Ok(Next::GoOn);
        }
        let data = &content[start..(start + units * UNIT).min(content.len())];
        let offset = unit * 3 % 40 * UNIT;
        let range = CloneRange {
            source_offset: start as u64,
            destination_offset: offset as u64,
            length: data.len() as u64,
        };
        let behind = offset + data.len() < self.model.borrow().files[&target].now().len();
        if !data.len().is_multiple_of(UNIT) && behind {
            return Ok(Next::GoOn);
        }
        if !self.exists(source) {
            return Ok(Next::GoOn);
        }
        let who = Credential::root();
        self.overwrite(target, offset, data, self.fs.clone_range(&who, source, target, range)).await
    }

    /// A change of content that is durable with its ticket.
    async fn overwrite(
        &self,
        inode: InodeId,
        offset: usize,
        bytes: &[u8],
        change: impl Future<Output = error::Result<Ticket>>,
    ) -> Result<Next> {
        let before = self.model.borrow().files[&inode].now().clone();
        // It may be seen from now on.
        let version = {
            let mut model = self.model.borrow_mut();
            let history = model.files.get_mut(&inode).unwrap();
            if bytes.is_empty() { history.version() } else { history.write_whole(offset, bytes) }
        };
        match change.await {
            Ok(ticket) => {
                let sequence = {
                    let mut model = self.model.borrow_mut();
                    let sequence = model.change();
                    let history = model.files.get_mut(&inode).unwrap();
                    if !bytes.is_empty() {
                        history.promise_bytes(offset..offset + bytes.len(), version, sequence);
                    }
                    sequence
                };
                self.acknowledged(&ticket, sequence).await
            }
            Err(error) => {
                let next = self.refused(&error, true)?;
                self.failed(&next, inode, version);
                self.look_again(inode, &before).await?;
                Ok(next)
            }
        }
    }
}

pub(in super::super) async fn read_all(fs: &FileSystem, inode: InodeId) -> error::Result<Vec<u8>> {
    let mut found = Vec::new();
    loop {
        let data = fs.read(inode, found.len() as u64, 1 << 20).await?;
        data.parts.iter().for_each(|part| found.extend_from_slice(part));
        if data.end_of_file {
            return Ok(found);
        }
        if data.parts.iter().all(Bytes::is_empty) {
            return Err(Error::corrupt("a read gave nothing before the end of the file"));
        }
    }
}

fn different(inode: InodeId, found: &[u8], expected: &[u8]) -> String {
    let at = found.iter().zip(expected).position(|(one, other)| one != other);
    format!("inode {inode} has {} bytes and not {}, and differs first at {at:?}", found.len(), expected.len())
}
