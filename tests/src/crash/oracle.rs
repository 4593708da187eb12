//! Compares what is there with what must and may be there, and takes over what was found.

use std::collections::BTreeMap;

use anyhow::Result;

use super::dice::noise;
use super::model::{Body, Known, Model, NodeId, OWN, Operation, SHARED, Way};
use super::observe::{Observed, Seen, SeenNode};
use crate::load::compound::{Kind, Stable};

/// What is wrong with the tree. Empty if `model` or `model` with the operation in flight is what was found; then the model is
/// made to say what was found.
pub(crate) fn judge(
    model: &mut Model,
    in_flight: Option<&Operation>,
    observed: &Observed,
) -> Result<Vec<String>> {
    let mut wrong = compare(model, observed)?;
    if wrong.is_empty() {
        adopt(model, observed)?;
        return Ok(wrong);
    }
    if let Some(operation) = in_flight {
        let mut after = model.clone();
        begin(&mut after, operation)?;
        let wrong_after = compare(&after, observed)?;
        if wrong_after.is_empty() {
            *model = after;
            adopt(model, observed)?;
            return Ok(Vec::new());
        }
        if wrong_after.len() < wrong.len() {
            wrong = wrong_after;
        }
        wrong.push(format!("in flight, whole or not at all: {operation:?}"));
    }
    Ok(wrong)
}

/// Applies an operation that was not acknowledged: a write to a file with uncommitted bytes may have taken any of them along.
fn begin(model: &mut Model, operation: &Operation) -> Result<()> {
    let by_byte = match operation {
        Operation::Write { node, stable: Stable::FileSync, .. } => {
            model.content(*node)?.uncommitted_bytes() > 0
        }
        // It is there or not, byte by byte.
        Operation::Commit(_) => return Ok(()),
        _ => false,
    };
    match operation {
        Operation::Write { node, offset, length, seed, .. } if model.way == Way::Mount => {
            model.node_mut(*node)?.mtime = None;
            model.content_mut(*node)?.write_into_pages(*offset, &noise(*seed, *length));
            Ok(())
        }
        Operation::Write { node, offset, length, seed, .. } if by_byte => {
            let (node, offset, length, seed) = (*node, *offset, *length, *seed);
            model.apply(&Operation::Write { node, offset, length, seed, stable: Stable::Unstable })
        }
        operation => model.apply(operation),
    }
}

/// The nodes of the model as the server has them.
fn compare(model: &Model, observed: &Observed) -> Result<Vec<String>> {
    let mut comparison = Comparison { model, observed, found: BTreeMap::new(), wrong: Vec::new() };
    comparison.node(OWN, observed.own, "own")?;
    comparison.node(SHARED, observed.shared, "shared")?;
    Ok(comparison.wrong)
}

struct Comparison<'a> {
    model: &'a Model,
    observed: &'a Observed,
    found: BTreeMap<NodeId, u64>,
    wrong: Vec<String>,
}

impl Comparison<'_> {
    fn say(&mut self, path: &str, what: impl std::fmt::Display) {
        self.wrong.push(format!("{path}: {what}"));
    }

    fn node(&mut self, id: NodeId, file_id: u64, path: &str) -> Result<()> {
        if let Some(before) = self.found.insert(id, file_id) {
            if before != file_id {
                self.say(path, format_args!("two names of one file are the files {before} and {file_id}"));
            }
            return Ok(());
        }
        let node = self.model.node(id)?;
        let Some(seen) = self.observed.nodes.get(&file_id) else {
            self.say(path, format_args!("file {file_id} cannot be read"));
            return Ok(());
        };
        if let Some(known) = node.known.as_ref().filter(|known| known.handle != seen.handle) {
            self.say(path, format_args!("expected file {}, found file {file_id}", known.file_id));
        }
        if seen.facts.change < node.change {
            self.say(
                path,
                format_args!("the change attribute went back from {} to {}", node.change, seen.facts.change),
            );
        }
        if id != SHARED {
            let (expected, found) = ((node.mode, self.model.links(id)), (seen.facts.mode, seen.facts.links));
            if expected != found {
                self.say(path, format_args!("mode and links: expected {expected:?}, found {found:?}"));
            }
        }
        if let Some(expected) = node.mtime.filter(|mtime| *mtime != seen.facts.mtime) {
            self.say(path, format_args!("mtime: expected {expected:?}, found {:?}", seen.facts.mtime));
        }
        self.body(id, seen, path)
    }

    fn body(&mut self, id: NodeId, seen: &SeenNode, path: &str) -> Result<()> {
        match (&self.model.node(id)?.body, &seen.seen) {
            (Body::File(content), Seen::File(bytes)) => {
                if let Err(what) = content.check(bytes) {
                    self.say(path, what);
                }
            }
            (Body::Symlink(target), Seen::Symlink(found)) => {
                if target.as_bytes() != found {
                    self.say(path, format_args!("the target is {found:?}, expected {target}"));
                }
            }
            (Body::Directory(entries), Seen::Directory(found)) => {
                for (name, child) in entries {
                    let below = format!("{path}/{name}");
                    match found.get(name) {
                        Some(file_id) => self.node(*child, *file_id, &below)?,
                        None => self.say(&below, "expected, not there"),
                    }
                }
                for name in found.keys().filter(|name| !entries.contains_key(*name)) {
                    self.say(&format!("{path}/{name}"), "there, not expected");
                }
            }
            (body, _) => {
                let expected = match body {
                    Body::File(_) => Kind::File,
                    Body::Directory(_) => Kind::Directory,
                    Body::Symlink(_) => Kind::Symlink,
                };
                self.say(path, format_args!("expected a {expected:?}, found a {:?}", seen.facts.kind));
            }
        }
        Ok(())
    }
}

/// What was found after a restart must be found from now on.
fn adopt(model: &mut Model, observed: &Observed) -> Result<()> {
    let mut comparison = Comparison { model, observed, found: BTreeMap::new(), wrong: Vec::new() };
    comparison.node(OWN, observed.own, "own")?;
    comparison.node(SHARED, observed.shared, "shared")?;
    for (id, file_id) in comparison.found {
        let Some(seen) = observed.nodes.get(&file_id) else { continue };
        let node = model.node_mut(id)?;
        node.change = seen.facts.change;
        node.known = Some(Known { handle: seen.handle.clone(), file_id });
        if let (Body::File(content), Seen::File(bytes)) = (&mut node.body, &seen.seen) {
            content.adopt(bytes.clone());
        }
    }
    Ok(())
}
