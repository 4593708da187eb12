//! A file system in which something is planted: open, or closed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::super::support::{Filled, Home, assert_clean, deep, fill};
use crate::attributes::FileKind;
use crate::identity::{InodeId, SegmentId};
use crate::records::{Dentry, key};
use crate::tiering::Tier;
use crate::verify::{Repaired, VerifyOptions, VerifyProgress, VerifyReport};
use crate::volume::{Look, Volume};

/// All files by their paths, and directories, whose paths end with a slash; `None` where something cannot be read.
pub(super) type Tree = BTreeMap<String, Option<Vec<u8>>>;

/// All records, and all files that are not written by themselves.
type Everything = (Option<Vec<(Bytes, Bytes)>>, BTreeMap<PathBuf, Vec<u8>>);

pub(super) struct Bench {
    pub(super) home: Home,
    pub(super) filled: Filled,
    open: Option<Arc<Volume>>,
}

impl Bench {
    /// Nothing changes by itself, and no segment is being written.
    pub(super) async fn new() -> Bench {
        let home = Home::new();
        let volume = home.open().await;
        // On a slow machine it would fold what has to lie about as a piece.
        volume.upkeep.abort().await;
        let filled = fill(&volume).await;
        volume.standard.close_active().await.unwrap();
        let bench = Bench { home, filled, open: Some(volume) };
        let report = bench.verify(&deep()).await;
        assert_clean(&report);
        assert!(report.findings.is_empty(), "{report:#?}");
        bench
    }

    pub(super) fn volume(&self) -> &Arc<Volume> {
        self.open.as_ref().unwrap()
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub(super) async fn close(&mut self) {
        if let Some(volume) = self.open.take() {
            volume.shutdown().await.unwrap();
            self.home.let_go(volume).await;
        }
    }

    pub(super) async fn open(&mut self) {
        let volume = self.home.open().await;
        volume.upkeep.abort().await;
        self.open = Some(volume);
    }

    pub(super) async fn verify(&self, options: &VerifyOptions) -> VerifyReport {
        match &self.open {
            Some(volume) => volume.verify(options, &VerifyProgress::default()).await.unwrap(),
            None => self.home.verify_offline(options).await,
        }
    }

    pub(super) async fn repair(&self) -> Repaired {
        match &self.open {
            Some(volume) => volume.repair(&deep(), &VerifyProgress::default()).await.unwrap(),
            None => self.home.repair_offline(&deep()).await,
        }
    }

    /// The file of a local segment.
    pub(super) fn local(&self, segment: SegmentId) -> PathBuf {
        self.home.files().join("segments").join(segment.to_string())
    }

    /// Its records, so that it is as good with a directory that has no inode.
    pub(super) async fn tree(&self) -> Tree {
        let volume = self.volume();
        let mut tree = Tree::new();
        let mut open = vec![(InodeId::ROOT, String::from("/"))];
        while let Some((directory, path)) = open.pop() {
            let rows = volume.store.scan_all(&key::dentries(directory, 0, u64::MAX)).unwrap();
            for (_, value) in rows {
                let dentry = Dentry::decode(&value).unwrap();
                if dentry.is_tombstone() {
                    continue;
                }
                let path = format!("{path}{}", String::from_utf8_lossy(&dentry.name));
                let attributes = volume.attributes(dentry.inode);
                if attributes.as_ref().is_ok_and(|found| found.kind == FileKind::Directory) {
                    open.push((dentry.inode, format!("{path}/")));
                    tree.insert(format!("{path}/"), Some(Vec::new()));
                } else {
                    let size = attributes.ok().map(|found| found.size);
                    tree.insert(path, read(volume, dentry.inode, size).await);
                }
            }
        }
        tree
    }

    /// What a repair that does nothing leaves as it is. The journal's end is marked after a second, and the index is sled's.
    pub(super) fn everything(&self) -> Everything {
        let records = self.volume().store.scan(&[], &[0xff; 64], usize::MAX).ok();
        let mut files = BTreeMap::new();
        let home = self.home.files();
        files.insert(home.join("superblock"), std::fs::read(home.join("superblock")).unwrap());
        for directory in [home.join("checkpoint"), home.join("segments"), self.home.cold()] {
            read_all(&directory, &mut files);
        }
        (records, files)
    }
}

async fn read(volume: &Volume, inode: InodeId, size: Option<u64>) -> Option<Vec<u8>> {
    let size = size?;
    let mut all = Vec::new();
    while (all.len() as u64) < size {
        let part = volume.read(inode, all.len() as u64, 1 << 20).await.ok()?;
        part.parts.iter().for_each(|part| all.extend_from_slice(part));
    }
    Some(all)
}

fn read_all(directory: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, files);
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
}

/// Flips a bit of a file.
pub(super) fn flip(path: &Path, at: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at as usize] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

/// Where the object of a segment is.
pub(super) fn object(home: &Home, segment: SegmentId) -> PathBuf {
    let name = segment.to_string();
    home.cold().join("segments").join(&name[..2]).join(name)
}

/// Lets all that is below one directory of a tree be below another one.
pub(super) fn moved(tree: &mut Tree, from: &str, to: &str) {
    let paths: Vec<String> = tree.keys().filter(|path| path.starts_with(from)).cloned().collect();
    assert!(!paths.is_empty(), "{from}");
    for path in paths {
        let content = tree.remove(&path).unwrap();
        tree.insert(format!("{to}{}", &path[from.len()..]), content);
    }
}

/// Lets there be a directory for what was cut off.
pub(super) fn with_lost_and_found(tree: &mut Tree) {
    tree.insert("/lost+found/".to_owned(), Some(Vec::new()));
}

/// The segment with a file's first block.
pub(super) fn segment_of(volume: &Volume, inode: InodeId, tier: Tier) -> SegmentId {
    let extent = super::super::planted::extent_of(volume, inode, 0);
    assert_eq!(extent.tier, tier);
    extent.address.segment
}
