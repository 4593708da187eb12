//! The part in the guest: workers that use the mount as programs do, with the system's calls.
//!
//! A server that died may have done what it did not answer. The client asks again, in a session that knows nothing of it, so that a
//! program is told of a removal that there is nothing to remove. NFS is so; whether it was done is looked up then.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};

use super::super::dice::{Dice, noise};
use super::super::model::{Close, NodeId, OWN, Operation, Place, SHARED, Way};
use super::super::worker::Worker;
use crate::load::compound::{Mtime, Stable};

/// The workers of one guest: the same in the guest and out of it.
pub(super) fn workers(first: usize, count: usize, seed: u64, start: Instant) -> Vec<Worker> {
    let mut dice = Dice::new(seed);
    (first..first + count).map(|number| Worker::new(number, Way::Mount, dice.fork(), start)).collect()
}

/// Works on the mount until the guest ends; prints `NUMBER COUNT` for each operation that is acknowledged. Only an error ends it.
pub fn work_on_mount(mount: &Path, first: usize, count: usize, seed: u64) -> Result<()> {
    let output = Mutex::new(io::stdout());
    make_directory(&mount.join("shared"))?;
    scope(|scope| {
        let threads: Vec<_> = workers(first, count, seed, Instant::now())
            .into_iter()
            .map(|worker| {
                let output = &output;
                scope.spawn(move || {
                    let ended = MountedWorker::new(worker, mount).work(output);
                    // One that cannot go on ends all of them.
                    if let Err(error) = ended {
                        eprintln!("{error:#}");
                        std::process::exit(1);
                    }
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a worker panicked")))
    })
}

/// Mode 0700, as the model has it.
fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    }
}

struct MountedWorker<'a> {
    worker: Worker,
    mount: &'a Path,
    /// Files that stay open: what is written to them stays in the memory of the client.
    open: BTreeMap<NodeId, File>,
}

impl<'a> MountedWorker<'a> {
    fn new(worker: Worker, mount: &'a Path) -> Self {
        MountedWorker { worker, mount, open: BTreeMap::new() }
    }

    fn work(mut self, output: &Mutex<io::Stdout>) -> Result<()> {
        make_directory(&self.mount.join(self.worker.directory()))?;
        loop {
            let operation = self.worker.next()?;
            self.perform(&operation)
                .with_context(|| format!("worker {}: {operation:?}", self.worker.number))?;
            self.worker.model.apply(&operation)?;
            self.worker.acknowledged += 1;
            if let Operation::Create { place, close: Close::Never } = &operation {
                self.keep_open(place)?;
            }
            let line = format!("{} {}\n", self.worker.number, self.worker.acknowledged);
            let mut output = output.lock().map_err(|_| anyhow!("a worker panicked"))?;
            output.write_all(line.as_bytes())?;
            output.flush()?;
        }
    }

    fn perform(&mut self, operation: &Operation) -> Result<()> {
        match operation {
            Operation::Create { place, .. } => {
                let path = self.place(place)?;
                OpenOptions::new().write(true).create_new(true).mode(0o700).open(path)?;
                Ok(())
            }
            Operation::MakeDirectory(place) => Ok(make_directory(&self.place(place)?)?),
            Operation::Symlink { place, target } => {
                let path = self.place(place)?;
                let is_there = || fs::read_link(&path).is_ok_and(|found| found == Path::new(target));
                done(symlink(target, &path), ErrorKind::AlreadyExists, is_there)
            }
            Operation::Link { node, place } => {
                let (from, to) = (self.path(*node)?, self.place(place)?);
                let same = || inode(&from).is_some() && inode(&from) == inode(&to);
                done(fs::hard_link(&from, &to), ErrorKind::AlreadyExists, same)
            }
            Operation::Rename { from, to } => {
                let moved = self.worker.model.find(from)?.context("a rename of nothing")?;
                let is_noop = self.worker.model.find(to)? == Some(moved);
                if !is_noop {
                    self.close(to)?;
                }
                let (from, to) = (self.place(from)?, self.place(to)?);
                let before = inode(&from).context("what is renamed is not there")?;
                let is_done = || !is_noop && inode(&from).is_none() && inode(&to) == Some(before);
                done(fs::rename(&from, &to), ErrorKind::NotFound, is_done)
            }
            Operation::Remove(place) => {
                self.close(place)?;
                let path = self.place(place)?;
                let removed = match fs::symlink_metadata(&path)?.is_dir() {
                    true => fs::remove_dir(&path),
                    false => fs::remove_file(&path),
                };
                done(removed, ErrorKind::NotFound, || inode(&path).is_none())
            }
            Operation::SetMode { node, mode } => {
                Ok(fs::set_permissions(self.path(*node)?, fs::Permissions::from_mode(*mode))?)
            }
            Operation::SetMtime { node, mtime } => self.on(*node, |file| file.set_modified(time(*mtime))),
            Operation::SetSize { node, size } => self.on(*node, |file| file.set_len(*size as u64)),
            Operation::Write { node, offset, length, seed, stable } => {
                let bytes = noise(*seed, *length);
                self.on(*node, |file| {
                    file.write_all_at(&bytes, *offset as u64)?;
                    if *stable == Stable::FileSync { file.sync_all() } else { Ok(()) }
                })
            }
            Operation::Commit(node) => self.on(*node, |file| file.sync_all()),
        }
    }

    /// Does something with a file that is open, or is opened for it.
    fn on(&mut self, node: NodeId, work: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
        if let Some(file) = self.open.get(&node) {
            return Ok(work(file)?);
        }
        let file = OpenOptions::new().write(true).open(self.path(node)?)?;
        Ok(work(&file)?)
    }

    fn keep_open(&mut self, place: &Place) -> Result<()> {
        let node = self.worker.model.find(place)?.context("what was made is not there")?;
        let file = OpenOptions::new().write(true).open(self.place(place)?)?;
        self.open.insert(node, file);
        Ok(())
    }

    /// Closes a file before its name goes: the client would give one that is open another name.
    fn close(&mut self, place: &Place) -> Result<()> {
        if let Some(node) = self.worker.model.find(place)? {
            self.open.remove(&node);
        }
        Ok(())
    }

    fn path(&self, wanted: NodeId) -> Result<PathBuf> {
        let paths = self.worker.model.paths(&self.worker.directory())?;
        let found = paths.into_iter().find(|(node, _)| *node == wanted);
        let (_, path) = found.with_context(|| format!("{wanted:?} has no name"))?;
        Ok(self.mount.join(path.trim_start_matches('/')))
    }

    fn place(&self, place: &Place) -> Result<PathBuf> {
        let directory = match place.directory {
            OWN => self.mount.join(self.worker.directory()),
            SHARED => self.mount.join("shared"),
            other => self.path(other)?,
        };
        Ok(directory.join(&place.name))
    }
}

/// For so long the client may believe what it knew of a directory before the server died: `acdirmax`, and some seconds more.
const BELIEVED: Duration = Duration::from_secs(70);

/// Takes an error for a success if it says that there is nothing left to do, and that is so.
fn done(result: io::Result<()>, repeated: ErrorKind, is_done: impl Fn() -> bool) -> Result<()> {
    let failed = Instant::now();
    match result {
        Err(error) if error.kind() == repeated => {
            while !is_done() {
                if failed.elapsed() > BELIEVED {
                    return Err(error.into());
                }
                sleep(Duration::from_secs(1));
            }
            Ok(())
        }
        result => Ok(result?),
    }
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|metadata| metadata.ino())
}

fn time((seconds, nanoseconds): Mtime) -> SystemTime {
    UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}
