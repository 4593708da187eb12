//! The disk itself.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::disk::{Disk, DiskFile, DiskLock, OpenHow, RealDisk};

use super::names::{NameChange, NameLog};
use super::sectors::SectorLog;

/// What a disk says that it has synced, though it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Files in `segments/`.
    Segments,
    /// Writes to the journal.
    Journal,
    /// The last write to the journal.
    LastRecord,
    /// Files in `checkpoint/`.
    Checkpoints,
    /// Names in directories.
    Names,
}

impl Lie {
    /// All of them.
    pub const ALL: [Lie; 5] = [Lie::Segments, Lie::Journal, Lie::LastRecord, Lie::Checkpoints, Lie::Names];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Lie::Segments => "segments",
            Lie::Journal => "journal",
            Lie::LastRecord => "last-record",
            Lie::Checkpoints => "checkpoints",
            Lie::Names => "names",
        }
    }

    /// The lie of that name.
    pub fn named(name: &str) -> Option<Lie> {
        Lie::ALL.into_iter().find(|lie| lie.name() == name)
    }
}

/// A disk on real files that can lose its power.
#[derive(Debug, Clone)]
pub struct LossyDisk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Names above it are not looked after.
    data: PathBuf,
    undo: PathBuf,
    lie: Option<Lie>,
    files: Mutex<HashMap<u64, Arc<Mutex<SectorLog>>>>,
    names: Mutex<HashMap<PathBuf, NameLog>>,
}

impl LossyDisk {
    /// A disk that looks after what is below `data` and keeps its log in `undo`, which must be on the same file system.
    pub fn open(data: &Path, undo: &Path, lie: Option<Lie>) -> io::Result<LossyDisk> {
        for directory in ["files", "names", "kept"] {
            fs::create_dir_all(undo.join(directory))?;
        }
        let (files, names) = (Mutex::default(), Mutex::default());
        let shared = Shared { data: data.to_owned(), undo: undo.to_owned(), lie, files, names };
        Ok(LossyDisk(Arc::new(shared)))
    }
}

/// A thread that panicked while it held a lock has left a log that says more than was done; that is no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn sectors(&self, inode: u64) -> io::Result<Arc<Mutex<SectorLog>>> {
        let mut files = lock(&self.files);
        if let Some(log) = files.get(&inode) {
            return Ok(Arc::clone(log));
        }
        let log = Arc::new(Mutex::new(SectorLog::open(&self.sector_path(inode))?));
        files.insert(inode, Arc::clone(&log));
        Ok(log)
    }

    fn sector_path(&self, inode: u64) -> PathBuf {
        self.undo.join("files").join(inode.to_string())
    }

    /// A number that had another file before: what is known of that is void.
    fn forget_inode(&self, inode: u64) -> io::Result<()> {
        lock(&self.files).remove(&inode);
        RealDisk.remove(&self.sector_path(inode))
    }

    /// Writes a change of names down before `make` makes it. What is not below the data directory is not looked after.
    fn change<T>(
        &self,
        path: &Path,
        change: impl FnOnce(String) -> io::Result<Option<NameChange>>,
        make: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let mut names = lock(&self.names);
        if let (Some(log), Some(name)) = (self.name_log(&mut names, path.parent())?, path.file_name())
            && let Some(change) = change(name.to_string_lossy().into_owned())?
        {
            log.add(change)?;
        }
        make()
    }

    fn name_log<'a>(
        &self,
        names: &'a mut HashMap<PathBuf, NameLog>,
        directory: Option<&Path>,
    ) -> io::Result<Option<&'a mut NameLog>> {
        let Some(directory) = directory.filter(|directory| directory.starts_with(&self.data)) else {
            return Ok(None);
        };
        if !names.contains_key(directory) {
            let log = NameLog::open(&name_path(&self.data, &self.undo, directory)?)?;
            names.insert(directory.to_owned(), log);
        }
        Ok(names.get_mut(directory))
    }

    /// Keeps a file whose removal may have to be undone.
    fn keep(&self, path: &Path) -> io::Result<Option<u64>> {
        let inode = match fs::symlink_metadata(path) {
            Ok(found) if found.is_file() => found.ino(),
            Ok(_) => return Err(io::Error::other("only files are removed and replaced")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match fs::hard_link(path, self.undo.join("kept").join(inode.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Some(inode)),
        }
    }

    /// The logs of a directory that gets another name go with it.
    fn rename_logs(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = lock(&self.names);
        let below: Vec<PathBuf> = names.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for old in below {
            if let (Some(log), Ok(rest)) = (names.remove(&old), old.strip_prefix(from)) {
                let new = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
                fs::rename(
                    name_path(&self.data, &self.undo, &old)?,
                    name_path(&self.data, &self.undo, &new)?,
                )?;
                names.insert(new, log);
            }
        }
        Ok(())
    }
}

/// Where the log of a directory is: its path below the data directory in one word.
fn name_path(data: &Path, undo: &Path, directory: &Path) -> io::Result<PathBuf> {
    let below = directory.strip_prefix(data).map_err(io::Error::other)?;
    Ok(undo.join("names").join(format!("+{}", below.to_string_lossy().replace('/', "+"))))
}

/// The directory whose log has this name.
pub(super) fn directory_of(data: &Path, log: &str) -> PathBuf {
    log.split('+').filter(|part| !part.is_empty()).fold(data.to_owned(), |path, part| path.join(part))
}

impl Disk for LossyDisk {
    fn open(&self, path: &Path, how: OpenHow) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        let file = match how {
            OpenHow::Read => options.open(path)?,
            // Not past the page cache: the old bytes are read through it.
            OpenHow::DirectDurable => options.write(true).open(path)?,
            OpenHow::CreateNew | OpenHow::CreateStream => {
                if path.exists() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                let make = || options.write(true).create_new(true).mode(0o600).open(path);
                let file = self.0.change(path, |name| Ok(Some(NameChange::Make { name })), make)?;
                self.0.forget_inode(file.metadata()?.ino())?;
                file
            }
        };
        let log = self.0.sectors(file.metadata()?.ino())?;
        let (durable, within) = (how == OpenHow::DirectDurable, |name: &str| {
            path.parent().is_some_and(|parent| parent.ends_with(name))
        });
        let (late, lies) = match self.0.lie {
            Some(Lie::Segments) => (false, within("segments")),
            Some(Lie::Journal) => (false, durable),
            Some(Lie::LastRecord) => (durable, durable),
            Some(Lie::Checkpoints) => (false, within("checkpoint")),
            Some(Lie::Names) | None => (false, false),
        };
        Ok(Arc::new(LossyFile { file, log, durable, lies, late }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if from.parent() != to.parent() {
            return Err(io::Error::other("files are renamed within their directory"));
        }
        let is_directory = fs::symlink_metadata(from)?.is_dir();
        let change = |name: String| {
            let from_name = from.file_name().map(|name| name.to_string_lossy().into_owned());
            let inode = fs::symlink_metadata(from)?.ino();
            let (from, replaced) = (from_name.unwrap_or_default(), self.0.keep(to)?);
            Ok(Some(NameChange::Rename { from, to: name, inode, replaced }))
        };
        self.0.change(to, change, || fs::rename(from, to))?;
        if is_directory {
            self.0.rename_logs(from, to)?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let change = |name| Ok(self.0.keep(path)?.map(|inode| NameChange::Remove { name, inode }));
        self.0.change(path, change, || RealDisk.remove(path))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(directory)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
        for directory in missing.into_iter().rev() {
            let make = || DirBuilder::new().mode(0o700).create(directory);
            self.0.change(directory, |name| Ok(Some(NameChange::Make { name })), make)?;
        }
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut names = lock(&self.0.names);
        RealDisk.sync_directory(path)?;
        if self.0.lie == Some(Lie::Names) {
            return Ok(());
        }
        let Some(log) = self.0.name_log(&mut names, Some(path))? else { return Ok(()) };
        for inode in log.forget()? {
            RealDisk.remove(&self.0.undo.join("kept").join(inode.to_string()))?;
        }
        Ok(())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        RealDisk.lock(path)
    }

    fn boot(&self) -> Option<String> {
        let times = fs::read_to_string(self.0.undo.join("boot")).unwrap_or_default();
        Some(format!("boot {}", times.trim()))
    }
}

struct LossyFile {
    file: File,
    log: Arc<Mutex<SectorLog>>,
    durable: bool,
    lies: bool,
    /// It syncs what was written before only when the next write comes.
    late: bool,
}

impl LossyFile {
    fn sync(&self, log: &mut SectorLog) -> io::Result<()> {
        self.file.sync_data()?;
        if self.lies { Ok(()) } else { log.forget() }
    }
}

impl DiskFile for LossyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + done as u64)? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        // One change of a file at a time, so that a sync covers what was written before it and nothing else.
        let mut log = lock(&self.log);
        if self.late {
            log.forget()?;
        }
        log.before_write(&self.file, offset, bytes.len() as u64)?;
        self.file.write_all_at(bytes, offset)?;
        if self.durable { self.sync(&mut log) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(&mut lock(&self.log))
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut log = lock(&self.log);
        log.before_set_length(&self.file, length)?;
        self.file.set_len(length)
    }
}
