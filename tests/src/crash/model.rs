//! The reference model of one worker's part of the tree: a directory of its own, and its names in the shared one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use super::content::Content;
use super::dice::noise;
use crate::load::compound::{Handle, Mtime, Stable};

/// Names a node in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(u64);

/// The worker's own directory.
pub(crate) const OWN: NodeId = NodeId(0);
/// The directory that all workers share.
pub(crate) const SHARED: NodeId = NodeId(1);

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) directory: NodeId,
    pub(crate) name: String,
}

/// One change, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// OPEN of a new file, which stays open or not.
    Create {
        place: Place,
        close: Close,
    },
    MakeDirectory(Place),
    Symlink {
        place: Place,
        target: String,
    },
    Link {
        node: NodeId,
        place: Place,
    },
    Rename {
        from: Place,
        to: Place,
    },
    Remove(Place),
    SetMode {
        node: NodeId,
        mode: u32,
    },
    SetMtime {
        node: NodeId,
        mtime: Mtime,
    },
    SetSize {
        node: NodeId,
        size: usize,
    },
    Write {
        node: NodeId,
        offset: usize,
        length: usize,
        seed: u64,
        stable: Stable,
    },
    Commit(NodeId),
}

/// Whether a file that is made is closed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    AtOnce,
    /// Never: it is open when the server dies.
    Never,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Directory(BTreeMap<String, NodeId>),
    File(Content),
    Symlink(String),
}

/// What the server calls a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) handle: Handle,
    pub(crate) file_id: u64,
}

/// A file, a directory or a link.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) body: Body,
    pub(crate) mode: u32,
    /// If it was set and nothing has changed it since.
    pub(crate) mtime: Option<Mtime>,
    /// From when it is known.
    pub(crate) known: Option<Known>,
    /// The largest change attribute that was promised.
    pub(crate) change: u64,
}

impl Node {
    fn new(body: Body) -> Node {
        Node { body, mode: 0o700, mtime: None, known: None, change: 0 }
    }
}

/// By what way a worker gets at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It sends each operation itself.
    Native,
    /// A mount of the kernel's: what is not synced is in the client's memory, and goes page by page.
    Mount,
}

/// A worker's part of the tree.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) way: Way,
    /// Files that stay open on a mount; all others are committed when they are closed.
    open: BTreeSet<NodeId>,
    nodes: BTreeMap<NodeId, Node>,
    next: u64,
    /// Handles of what was removed.
    pub(crate) gone: Vec<Handle>,
}

/// How many handles of removed files are kept to be tried.
const GONE_MAX: usize = 16;

impl Model {
    pub(crate) fn new(way: Way) -> Model {
        let empty = || Node::new(Body::Directory(BTreeMap::new()));
        let nodes = BTreeMap::from([(OWN, empty()), (SHARED, empty())]);
        Model { way, open: BTreeSet::new(), nodes, next: 2, gone: Vec::new() }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    pub(crate) fn node(&self, id: NodeId) -> Result<&Node> {
        self.nodes.get(&id).with_context(|| format!("the model has no {id:?}"))
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> Result<&mut Node> {
        self.nodes.get_mut(&id).with_context(|| format!("the model has no {id:?}"))
    }

    pub(crate) fn handle(&self, id: NodeId) -> Result<&Handle> {
        Ok(&self.node(id)?.known.as_ref().with_context(|| format!("{id:?} has no handle"))?.handle)
    }

    pub(crate) fn entries(&self, directory: NodeId) -> Result<&BTreeMap<String, NodeId>> {
        match &self.node(directory)?.body {
            Body::Directory(entries) => Ok(entries),
            _ => bail!("{directory:?} is no directory"),
        }
    }

    fn entries_mut(&mut self, directory: NodeId) -> Result<&mut BTreeMap<String, NodeId>> {
        match &mut self.node_mut(directory)?.body {
            Body::Directory(entries) => Ok(entries),
            _ => bail!("{directory:?} is no directory"),
        }
    }

    pub(crate) fn find(&self, place: &Place) -> Result<Option<NodeId>> {
        Ok(self.entries(place.directory)?.get(&place.name).copied())
    }

    pub(crate) fn content(&self, id: NodeId) -> Result<&Content> {
        match &self.node(id)?.body {
            Body::File(content) => Ok(content),
            _ => bail!("{id:?} is no file"),
        }
    }

    pub(crate) fn content_mut(&mut self, id: NodeId) -> Result<&mut Content> {
        match &mut self.node_mut(id)?.body {
            Body::File(content) => Ok(content),
            _ => bail!("{id:?} is no file"),
        }
    }

    /// All places, directories before what is in them.
    pub(crate) fn places(&self) -> Result<Vec<(Place, NodeId)>> {
        let (mut places, mut directories) = (Vec::new(), vec![OWN, SHARED]);
        while let Some(directory) = directories.pop() {
            for (name, id) in self.entries(directory)? {
                places.push((Place { directory, name: name.clone() }, *id));
                if matches!(self.node(*id)?.body, Body::Directory(_)) {
                    directories.push(*id);
                }
            }
        }
        Ok(places)
    }

    /// Where the names of all nodes stand: directories come before what is in them.
    pub(crate) fn paths(&self, own: &str) -> Result<Vec<(NodeId, String)>> {
        let mut directories = BTreeMap::from([(OWN, format!("/{own}")), (SHARED, "/shared".to_owned())]);
        let mut paths: Vec<(NodeId, String)> =
            directories.iter().map(|(node, path)| (*node, path.clone())).collect();
        for (place, node) in self.places()? {
            let directory = directories.get(&place.directory);
            let directory = directory.context("a directory comes before what is in it")?;
            let path = format!("{directory}/{}", place.name);
            if matches!(self.node(node)?.body, Body::Directory(_)) {
                directories.insert(node, path.clone());
            }
            paths.push((node, path));
        }
        Ok(paths)
    }

    /// How many names a file has, or how many links a directory shows.
    pub(crate) fn links(&self, id: NodeId) -> u32 {
        let directories = self.nodes.values().filter_map(|node| match &node.body {
            Body::Directory(entries) => Some(entries),
            _ => None,
        });
        let names = directories.flat_map(|entries| entries.values()).filter(|entry| **entry == id).count();
        let own = match self.nodes.get(&id).map(|node| &node.body) {
            Some(Body::Directory(entries)) => {
                let is_directory = |id: &&NodeId| {
                    self.nodes.get(id).is_some_and(|node| matches!(node.body, Body::Directory(_)))
                };
                return u32::try_from(2 + entries.values().filter(is_directory).count()).unwrap_or(u32::MAX);
            }
            _ => names,
        };
        u32::try_from(own).unwrap_or(u32::MAX)
    }

    /// Does what a server does.
    pub(crate) fn apply(&mut self, operation: &Operation) -> Result<()> {
        match operation {
            Operation::Create { place, close } => {
                self.make(place, Body::File(Content::default()))?;
                if *close == Close::Never {
                    self.open.extend(self.find(place)?);
                }
                Ok(())
            }
            Operation::MakeDirectory(place) => self.make(place, Body::Directory(BTreeMap::new())),
            Operation::Symlink { place, target } => {
                self.make(place, Body::Symlink(target.clone()))?;
                let link = self.find(place)?.filter(|_| self.way == Way::Mount);
                // The kernel makes them so.
                link.map_or(Ok(()), |link| self.node_mut(link).map(|node| node.mode = 0o777))
            }
            Operation::Link { node, place } => {
                self.entries_mut(place.directory)?.insert(place.name.clone(), *node);
                Ok(())
            }
            Operation::Rename { from, to } => {
                let node = self.entries(from.directory)?.get(&from.name).copied();
                let node = node.context("a rename of nothing")?;
                // Two names of one file stay as they are.
                if self.find(to)? == Some(node) {
                    return Ok(());
                }
                self.close(to)?;
                self.entries_mut(from.directory)?.remove(&from.name);
                let replaced = self.entries_mut(to.directory)?.insert(to.name.clone(), node);
                replaced.into_iter().for_each(|replaced| self.unlinked(replaced));
                Ok(())
            }
            Operation::Remove(place) => {
                self.close(place)?;
                let removed = self.entries_mut(place.directory)?.remove(&place.name);
                self.unlinked(removed.context("a removal of nothing")?);
                Ok(())
            }
            Operation::SetMode { node, mode } => {
                self.node_mut(*node)?.mode = *mode;
                Ok(())
            }
            Operation::SetMtime { node, mtime } => {
                self.node_mut(*node)?.mtime = Some(*mtime);
                Ok(())
            }
            Operation::SetSize { node, size } => {
                self.node_mut(*node)?.mtime = None;
                self.content_mut(*node)?.set_size(*size);
                Ok(())
            }
            Operation::Write { node, offset, length, seed, stable } => {
                self.node_mut(*node)?.mtime = None;
                let (way, closed) = (self.way, !self.open.contains(node));
                let (content, bytes) = (self.content_mut(*node)?, noise(*seed, *length));
                match (way, stable) {
                    (Way::Native, Stable::FileSync) => content.write_durably(*offset, &bytes),
                    (Way::Native, Stable::Unstable) => content.write_unstable(*offset, bytes),
                    (Way::Mount, stable) => {
                        content.write_into_pages(*offset, &bytes);
                        if *stable == Stable::FileSync || closed {
                            content.commit();
                        }
                    }
                }
                Ok(())
            }
            Operation::Commit(node) => {
                self.content_mut(*node)?.commit();
                Ok(())
            }
        }
    }

    /// On a mount a file is closed before its name goes.
    fn close(&mut self, place: &Place) -> Result<()> {
        if self.way == Way::Mount
            && let Some(node) = self.find(place)?
            && self.open.remove(&node)
        {
            self.content_mut(node)?.commit();
        }
        Ok(())
    }

    fn make(&mut self, place: &Place, body: Body) -> Result<()> {
        let id = NodeId(self.next);
        self.next += 1;
        self.nodes.insert(id, Node::new(body));
        let replaced = self.entries_mut(place.directory)?.insert(place.name.clone(), id);
        ensure!(replaced.is_none(), "something is made in place of something");
        Ok(())
    }

    fn unlinked(&mut self, id: NodeId) {
        let directory = self.nodes.get(&id).is_some_and(|node| matches!(node.body, Body::Directory(_)));
        if directory || self.links(id) == 0 {
            let known = self.nodes.remove(&id).and_then(|node| node.known);
            self.gone.extend(known.map(|known| known.handle));
            let excess = self.gone.len().saturating_sub(GONE_MAX);
            self.gone.drain(..excess);
        }
    }
}
