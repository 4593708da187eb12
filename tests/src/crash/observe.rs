//! What is really there: one worker's part of the tree, read through the server.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::load::compound::{ANONYMOUS, Compound, Facts, FilesCount, Handle, Kind};
use crate::load::session::{Session, SessionError};

const READ_BYTES: u32 = 1 << 20;
const NFS4ERR_STALE: u32 = 70;

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Directory(BTreeMap<String, u64>),
    File(Vec<u8>),
    Symlink(Vec<u8>),
}

/// A node as the server shows it.
#[derive(Debug, Clone)]
pub(crate) struct SeenNode {
    pub(crate) handle: Handle,
    pub(crate) facts: Facts,
    pub(crate) seen: Seen,
}

/// Nodes by their file ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    pub(crate) nodes: BTreeMap<u64, SeenNode>,
    /// The worker's own directory and the shared one; of this, only the worker's own names are looked at.
    pub(crate) own: u64,
    pub(crate) shared: u64,
}

/// Reads all that a worker has made.
pub(crate) fn observe(session: &mut Session, own: &str, prefix: &str) -> Result<Observed> {
    let mut observed = Observed::default();
    for (name, prefix) in [(own, ""), ("shared", prefix)] {
        let (handle, facts) = find(session, None, name)?;
        let id = facts.file_id;
        if name == own {
            observed.own = id;
        } else {
            observed.shared = id;
        }
        read_node(session, &mut observed, (handle, facts), prefix).context(name.to_owned())?;
    }
    Ok(observed)
}

/// Reads a node and all below it.
fn read_node(
    session: &mut Session,
    observed: &mut Observed,
    (handle, facts): (Handle, Facts),
    prefix: &str,
) -> Result<()> {
    let seen = match facts.kind {
        Kind::File => Seen::File(read_file(session, &handle, facts.size)?),
        Kind::Symlink => Seen::Symlink(read_link(session, &handle)?),
        Kind::Directory => {
            let mut entries = BTreeMap::new();
            for (name, id) in list(session, &handle)? {
                let name = String::from_utf8(name).context("a name that nobody made")?;
                if !name.starts_with(prefix) {
                    continue;
                }
                if !observed.nodes.contains_key(&id) {
                    let found = find(session, Some(&handle), &name)?;
                    ensure!(
                        found.1.file_id == id,
                        "{name}: listed as {id}, looked up as {}",
                        found.1.file_id
                    );
                    read_node(session, observed, found, "").with_context(|| name.clone())?;
                }
                entries.insert(name, id);
            }
            Seen::Directory(entries)
        }
    };
    observed.nodes.insert(facts.file_id, SeenNode { handle, facts, seen });
    Ok(())
}

/// Looks a name up in a directory, or in the root.
fn find(session: &mut Session, directory: Option<&Handle>, name: &str) -> Result<(Handle, Facts)> {
    let mut compound = Compound::default();
    match directory {
        Some(handle) => compound.put_handle(handle),
        None => compound.put_root(),
    };
    compound.look_up(name.as_bytes()).get_handle().get_facts();
    let found = session.call(&compound, |results| {
        match directory {
            Some(_) => results.put_handle()?,
            None => results.put_root()?,
        }
        results.look_up()?;
        Ok((results.get_handle()?, results.facts()?))
    });
    found.with_context(|| format!("looking up {name}"))
}

fn list(session: &mut Session, handle: &Handle) -> Result<Vec<(Vec<u8>, u64)>> {
    let (mut entries, mut cookie) = (Vec::new(), Some(0));
    while let Some(from) = cookie {
        let mut compound = Compound::default();
        compound.put_handle(handle).read_directory(from);
        let (page, next) = session.call(&compound, |results| {
            results.put_handle()?;
            results.read_directory()
        })?;
        entries.extend(page);
        cookie = next;
    }
    Ok(entries)
}

fn read_file(session: &mut Session, handle: &Handle, size: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < size {
        let mut compound = Compound::default();
        compound.put_handle(handle).read(ANONYMOUS, bytes.len() as u64, READ_BYTES);
        let part = session.call(&compound, |results| {
            results.put_handle()?;
            Ok(results.read()?.to_vec())
        })?;
        ensure!(!part.is_empty(), "a file of {size} bytes ends at {}", bytes.len());
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn read_link(session: &mut Session, handle: &Handle) -> Result<Vec<u8>> {
    let mut compound = Compound::default();
    compound.put_handle(handle).read_link();
    session.call(&compound, |results| {
        results.put_handle()?;
        results.read_link()
    })
}

/// Whether the server knows nothing any more under a handle.
pub(crate) fn is_stale(session: &mut Session, handle: &Handle) -> Result<bool> {
    let mut compound = Compound::default();
    compound.put_handle(handle).get_facts();
    match session.call(&compound, |_| Ok(())) {
        Ok(()) => Ok(false),
        Err(error) => match error.downcast_ref::<SessionError>() {
            Some(refused) if refused.status == NFS4ERR_STALE => Ok(true),
            _ => Err(error),
        },
    }
}

/// How many inodes the server counts.
pub(crate) fn inodes(session: &mut Session) -> Result<u64> {
    let mut compound = Compound::default();
    compound.put_root().get_files_count();
    let FilesCount { free, total } = session.call(&compound, |results| {
        results.put_root()?;
        results.files_count()
    })?;
    Ok(total.saturating_sub(free))
}
