//! The next operation, one that must succeed: names are few, so that they meet often.

use anyhow::Result;

use super::dice::Dice;
use super::model::{Body, Close, Model, NodeId, OWN, Operation, Place, SHARED};
use crate::load::compound::Stable;

const NAMES: u64 = 7;
const SUBDIRECTORIES: u64 = 3;
const SIZE_MAX: u64 = 1 << 20;
/// COMMIT comes before so much is uncommitted that it would take several records.
const UNCOMMITTED_BYTES_MAX: usize = 900_000;

/// Makes operations for one worker.
#[derive(Debug)]
pub(crate) struct Generator {
    dice: Dice,
    /// Begins its names in the shared directory, and ends up in nobody else's.
    prefix: String,
}

impl Generator {
    pub(crate) fn new(dice: Dice, prefix: String) -> Generator {
        Generator { dice, prefix }
    }

    pub(crate) fn next(&mut self, model: &Model) -> Result<Operation> {
        loop {
            if let Some(operation) = self.attempt(model)? {
                return Ok(operation);
            }
        }
    }

    fn attempt(&mut self, model: &Model) -> Result<Option<Operation>> {
        Ok(match self.dice.below(100) {
            0..14 => self.free_place(model)?.map(|place| {
                let close = if self.dice.percent(25) { Close::Never } else { Close::AtOnce };
                Operation::Create { place, close }
            }),
            14..18 => self.subdirectory(model)?,
            18..22 => self.free_place(model)?.map(|place| {
                let target = format!("../{:x}", self.dice.number() >> self.dice.below(60));
                Operation::Symlink { place, target }
            }),
            22..27 => {
                let place = self.free_place(model)?;
                let file = self.file(model)?;
                file.zip(place).map(|(node, place)| Operation::Link { node, place })
            }
            27..40 => self.rename(model)?,
            40..47 => self.removable(model)?.map(Operation::Remove),
            47..50 => self.any(model)?.map(|node| {
                let mode = 0o600 | u32::try_from(self.dice.below(0o200)).unwrap_or(0);
                Operation::SetMode { node, mode }
            }),
            50..53 => self.file(model)?.map(|node| {
                let mtime =
                    (self.dice.below(1 << 31), u32::try_from(self.dice.below(1_000_000_000)).unwrap_or(0));
                Operation::SetMtime { node, mtime }
            }),
            53..59 => match self.file(model)? {
                Some(node) => Some(self.truncation(model, node)?),
                None => None,
            },
            59..66 => self.file(model)?.map(Operation::Commit),
            _ => match self.file(model)? {
                Some(node) => Some(self.write(model, node)?),
                None => None,
            },
        })
    }

    fn truncation(&mut self, model: &Model, node: NodeId) -> Result<Operation> {
        let now = model.content(node)?.size() as u64;
        let size = match self.dice.below(4) {
            0 => 0,
            1 => self.dice.below(now + 1),
            2 => self.dice.below(SIZE_MAX),
            _ => (now + self.dice.below(100_000)).min(SIZE_MAX),
        };
        Ok(Operation::SetSize { node, size: usize::try_from(size)? })
    }

    fn write(&mut self, model: &Model, node: NodeId) -> Result<Operation> {
        let content = model.content(node)?;
        if content.uncommitted_bytes() > UNCOMMITTED_BYTES_MAX / 2 {
            return Ok(Operation::Commit(node));
        }
        let length = match self.dice.below(10) {
            0..3 => 1 + self.dice.below(300),
            3..6 => 4096,
            6..8 => 1 + self.dice.below(30_000),
            8 => 65_536 * (1 + self.dice.below(3)),
            _ => 100_000 + self.dice.below(300_000),
        };
        let now = content.size() as u64;
        let offset = match self.dice.below(5) {
            0 => now,
            1 => self.dice.below(now + 1),
            2 => self.dice.below(SIZE_MAX / 4096) * 4096,
            3 => self.dice.below(16) * 65_536,
            _ => 0,
        };
        let offset = offset.min(SIZE_MAX - length);
        let stable = if self.dice.percent(50) { Stable::FileSync } else { Stable::Unstable };
        let seed = self.dice.number();
        Ok(Operation::Write {
            node,
            offset: usize::try_from(offset)?,
            length: usize::try_from(length)?,
            seed,
            stable,
        })
    }

    fn subdirectory(&mut self, model: &Model) -> Result<Option<Operation>> {
        let name = format!("d{}", self.dice.below(SUBDIRECTORIES));
        let place = Place { directory: OWN, name };
        Ok(model.find(&place)?.is_none().then_some(Operation::MakeDirectory(place)))
    }

    /// A rename, mostly over something.
    fn rename(&mut self, model: &Model) -> Result<Option<Operation>> {
        let places = model.places()?;
        let Some((from, node)) = self.dice.pick(&places).cloned() else { return Ok(None) };
        let is_directory =
            |id: NodeId| Ok::<_, anyhow::Error>(matches!(model.node(id)?.body, Body::Directory(_)));
        if is_directory(node)? {
            // Directories stay directly in the own one, so that none gets into itself; they may replace empty ones.
            let to = Place { directory: OWN, name: format!("d{}", self.dice.below(SUBDIRECTORIES)) };
            let free = match model.find(&to)? {
                None => true,
                Some(other) => other != node && model.entries(other)?.is_empty(),
            };
            return Ok(free.then_some(Operation::Rename { from, to }));
        }
        let to = self.place(model)?;
        Ok(match model.find(&to)? {
            Some(other) if is_directory(other)? => None,
            _ => Some(Operation::Rename { from, to }),
        })
    }

    fn removable(&mut self, model: &Model) -> Result<Option<Place>> {
        let places = model.places()?;
        let Some((place, node)) = self.dice.pick(&places).cloned() else { return Ok(None) };
        let full = match &model.node(node)?.body {
            Body::Directory(entries) => !entries.is_empty(),
            _ => false,
        };
        Ok((!full).then_some(place))
    }

    fn free_place(&mut self, model: &Model) -> Result<Option<Place>> {
        let place = self.place(model)?;
        Ok(model.find(&place)?.is_none().then_some(place))
    }

    fn place(&mut self, model: &Model) -> Result<Place> {
        let mut directories = vec![OWN, SHARED];
        for (_, node) in model.places()? {
            if matches!(model.node(node)?.body, Body::Directory(_)) {
                directories.push(node);
            }
        }
        let directory = self.dice.pick(&directories).copied().unwrap_or(OWN);
        let number = self.dice.below(NAMES);
        let name = match directory {
            SHARED => format!("{}{number}", self.prefix),
            _ => format!("n{number}"),
        };
        Ok(Place { directory, name })
    }

    fn file(&mut self, model: &Model) -> Result<Option<NodeId>> {
        let files = model.nodes().filter(|(_, node)| matches!(node.body, Body::File(_)));
        let files: Vec<NodeId> = files.map(|(id, _)| id).collect();
        Ok(self.dice.pick(&files).copied())
    }

    fn any(&mut self, model: &Model) -> Result<Option<NodeId>> {
        let all = model.nodes().filter(|(id, node)| *id != SHARED && !matches!(node.body, Body::Symlink(_)));
        let all: Vec<NodeId> = all.map(|(id, _)| id).collect();
        Ok(self.dice.pick(&all).copied())
    }
}
