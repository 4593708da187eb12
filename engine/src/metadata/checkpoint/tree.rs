//! The tree of a checkpoint file: which chunk has which keys, so that a key is found without reading the file from its beginning.
//!
//! A node is an index chunk. It names up to some hundred chunks, one behind the other in the order of their keys: chunks of entries at
//! the lowest level, nodes of the level below at the others. It is written as soon as it is full, so that a writer holds one unfinished
//! node of each level, and a reader that comes by from the beginning knows each node before it gets there.
//!
//! A child of a node:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | number of the chunk |
//! | 8 | offset of the chunk |
//! | 4 + n | the first key below it |

use bytes::Bytes;

use crate::codec::{Malformed, Reader, Writer};
use crate::limits::CHECKPOINT_NODE_BYTES;

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkPlace {
    pub(super) number: u64,
    pub(super) offset: u64,
}

/// The nodes of a file that are not written yet.
#[derive(Debug, Default)]
pub(super) struct TreeBuilder {
    levels: Vec<Unfinished>,
}

#[derive(Debug)]
struct Unfinished {
    first: Bytes,
    first_place: ChunkPlace,
    children: u64,
    content: Writer,
}

/// A node that is to be written next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    level: usize,
    first: Bytes,
    pub(super) content: Vec<u8>,
}

impl TreeBuilder {
    /// Takes in a chunk of entries.
    pub(super) fn entries(&mut self, first: &Bytes, place: ChunkPlace) {
        self.child(0, first, place);
    }

    /// Takes in a node that was written.
    pub(super) fn node(&mut self, node: &Node, place: ChunkPlace) {
        self.child(node.level + 1, &node.first, place);
    }

    fn child(&mut self, level: usize, first: &Bytes, place: ChunkPlace) {
        while self.levels.len() <= level {
            let content = Writer::new();
            self.levels.push(Unfinished { first: Bytes::new(), first_place: place, children: 0, content });
        }
        let Some(unfinished) = self.levels.get_mut(level) else { return };
        if unfinished.children == 0 {
            // The chunk that the key is a part of is not kept for its sake.
            (unfinished.first, unfinished.first_place) = (Bytes::copy_from_slice(first), place);
        }
        unfinished.children += 1;
        unfinished.content.u64(place.number).u64(place.offset).sized(first);
    }

    /// The next node that is full.
    pub(super) fn full(&mut self) -> Option<Node> {
        // One child alone would make a node of its own of each, level above level.
        let is_full = |level: &Unfinished| level.children > 1 && level.content.len() >= CHECKPOINT_NODE_BYTES;
        let level = self.levels.iter().position(is_full)?;
        self.take(level)
    }

    /// The next node at the end of a file, when none is full; `None` if only the root is left.
    pub(super) fn last(&mut self) -> Option<Node> {
        let level = self.levels.iter().position(|level| level.children > 0)?;
        let is_root = level + 1 == self.levels.len() && self.levels.get(level)?.children == 1;
        if is_root { None } else { self.take(level) }
    }

    fn take(&mut self, level: usize) -> Option<Node> {
        let unfinished = self.levels.get_mut(level)?;
        unfinished.children = 0;
        let content = std::mem::take(&mut unfinished.content).into_vec();
        Some(Node { level, first: unfinished.first.clone(), content })
    }

    /// Where every search begins, when there is no last node any more; `None` if there are no entries.
    pub(super) fn root(&self) -> Option<ChunkPlace> {
        let top = self.levels.last().filter(|top| top.children == 1)?;
        Some(top.first_place)
    }
}

/// The chunk below a node that a key is in, if it is in any.
pub(super) fn child_for(node: &[u8], key: &[u8]) -> Result<ChunkPlace, Malformed> {
    let mut reader = Reader::new(node);
    let mut found = None;
    while !reader.is_empty() {
        let place = ChunkPlace { number: reader.u64()?, offset: reader.u64()? };
        let first = reader.sized()?;
        if found.is_some() && first > key {
            break;
        }
        found = Some(place);
    }
    found.ok_or(Malformed("a node without children"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn key(number: u64) -> Bytes {
        Bytes::from(format!("{number:06}").into_bytes())
    }

    /// Builds the tree of so many chunks; the nodes by their places, and the root.
    fn build(chunks: u64) -> (BTreeMap<u64, Vec<u8>>, Option<ChunkPlace>) {
        let (mut tree, mut nodes, mut next) = (TreeBuilder::default(), BTreeMap::new(), 0);
        let mut place = || {
            next += 1;
            ChunkPlace { number: next - 1, offset: (next - 1) * 10 }
        };
        for chunk in 0..chunks {
            tree.entries(&key(chunk * 10), place());
            while let Some(node) = tree.full() {
                let at = place();
                tree.node(&node, at);
                nodes.insert(at.number, node.content);
            }
        }
        while let Some(node) = tree.last() {
            let at = place();
            tree.node(&node, at);
            nodes.insert(at.number, node.content);
        }
        (nodes, tree.root())
    }

    #[test]
    fn each_chunk_is_found_by_each_key_in_it() {
        for chunks in [1, 2, 3, 400, 600, 100_000] {
            let (nodes, root) = build(chunks);
            let step = (chunks / 500).max(1);
            for chunk in (0..chunks).step_by(usize::try_from(step).unwrap()) {
                let mut found = Vec::new();
                for within in [0, 1, 9] {
                    let mut place = root.unwrap();
                    let mut levels = 0;
                    while let Some(node) = nodes.get(&place.number) {
                        place = child_for(node, &key(chunk * 10 + within)).unwrap();
                        levels += 1;
                    }
                    assert!(levels <= 4, "{levels} levels for {chunks} chunks");
                    found.push(place);
                }
                assert!(found.iter().all(|place| *place == found[0]));
                // Nodes have numbers, too, so that it is at or behind its own.
                assert!(found[0].number >= chunk && !nodes.contains_key(&found[0].number));
            }
        }
    }

    #[test]
    fn a_file_without_entries_has_no_root_and_one_chunk_is_its_own() {
        assert_eq!(build(0), (BTreeMap::new(), None));
        assert_eq!(build(1), (BTreeMap::new(), Some(ChunkPlace { number: 0, offset: 0 })));
    }

    #[test]
    fn a_key_before_all_others_is_looked_for_in_the_first_chunk() {
        let (nodes, root) = build(3);
        let node = &nodes[&root.unwrap().number];
        assert_eq!(child_for(node, b"").unwrap().number, 0);
        assert!(child_for(b"", b"").is_err());
        assert!(child_for(&node[..node.len() - 1], b"999999").is_err());
    }
}
