//! Repair: counters, names and leaks. Data is never invented: a block that does not authenticate stays EIO, and is named.
//!
//! What is mended may show what else is wrong (an inode that gets an entry has a wrong number of links next), so that verification and
//! repair take turns until nothing is left that can be mended.
//!
//! # Crash consistency
//! Each step is one record, and each looks again at what it mends. A leak is removed only after the records that do not name it are
//! in a checkpoint (D4). So a repair that is cut short leaves less to mend, and can be repeated.

use std::sync::Arc;

use bytes::Bytes;

use super::mend;
use super::options::{VerifyOptions, VerifyProgress};
use super::problem::{Problem, tier_name};
use super::report::{Finding, Repaired, VerifyReport};
use crate::attributes::SetAttributes;
use crate::credential::Credential;
use crate::error::{Error, Result};
use crate::file_system::Entry;
use crate::identity::{InodeId, SegmentId};
use crate::ops::NewContent;
use crate::records::key;
use crate::tiering::Tier;
use crate::volume::Volume;

/// Turns of verification and repair.
const TURNS: usize = 6;
/// Where what is cut off goes.
const LOST_AND_FOUND: &[u8] = b"lost+found";

impl VerifyReport {
    /// What a repair would do, in sentences, as far as it can be told before.
    pub fn plan(&self) -> Vec<String> {
        let problems = self.findings.iter().map(|finding| &finding.problem);
        problems.filter(|problem| !self.withholds(problem)).filter_map(Problem::remedy).collect()
    }
}

impl Volume {
    /// Verifies and mends, in turns.
    pub(crate) async fn repair(
        self: &Arc<Self>,
        options: &VerifyOptions,
        progress: &VerifyProgress,
    ) -> Result<Repaired> {
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        let mut report = self.verify(options, progress).await?;
        for _ in 0..TURNS {
            let before = done.len();
            failed.clear();
            // What is made on the way needs a number that nothing has.
            let (first, rest): (Vec<_>, Vec<_>) = report
                .findings
                .iter()
                .partition(|finding| matches!(finding.problem, Problem::NextNumber { .. }));
            for Finding { problem, .. } in first.into_iter().chain(rest) {
                let Some(remedy) = problem.remedy().filter(|_| !report.withholds(problem)) else { continue };
                match self.mend(problem).await {
                    Ok(true) => done.push(remedy),
                    Ok(false) => {}
                    Err(error @ Error::Halted { .. }) => return Err(error),
                    // The others can be mended all the same.
                    Err(error) => failed.push(format!("{remedy}: {error}")),
                }
            }
            if done.len() == before {
                break;
            }
            self.store.everything().durable().await?;
            report = self.verify(options, progress).await?;
        }
        Ok(Repaired { done, failed, report })
    }

    /// Mends one problem if it is still there; `false` if there was nothing to do.
    async fn mend(&self, problem: &Problem) -> Result<bool> {
        match problem {
            Problem::Unreachable { inode } | Problem::Loop { inode } => {
                let home = self.lost_and_found().await?;
                self.store.admit().await?;
                let is_loop = matches!(problem, Problem::Loop { .. });
                mend::attach(self, home, *inode, if is_loop { mend::below_root } else { mend::is_named })
            }
            Problem::EntriesWithoutDirectory { directory, .. } => {
                let home = self.lost_and_found().await?;
                self.store.admit().await?;
                mend::house(self, home, *directory)
            }
            Problem::SegmentLeaked { segment, tier, .. } => self.remove_leak(*segment, *tier).await,
            Problem::StrayFile { path } => {
                let (home, _) = self.store.place();
                home.disk.remove(path).map_err(Error::io("cannot remove", path))?;
                Ok(true)
            }
            Problem::StrayObject { name } => self.cold.delete_stray(name).await.map(|()| true),
            other => {
                self.store.admit().await?;
                mend::record(self, other)
            }
        }
    }

    /// The directory for what is cut off; made if it is not there.
    async fn lost_and_found(&self) -> Result<InodeId> {
        let root = Credential::root();
        let entry = Entry { directory: InodeId::ROOT, name: LOST_AND_FOUND };
        match self.lookup(&root, entry) {
            Ok(found) => Ok(found.inode),
            Err(Error::NotFound) => {
                let set = SetAttributes { mode: Some(0o700), ..SetAttributes::default() };
                let made = self.create_other(&root, entry, NewContent::Directory, &set).await?;
                Ok(made.durable().await?.into_inner().attributes.inode)
            }
            Err(error) => Err(error),
        }
    }

    async fn remove_leak(&self, segment: SegmentId, tier: Tier) -> Result<bool> {
        // Whoever was between appending and pointing is done after this.
        drop(self.data_writes.write().await);
        self.store.checkpoint().await?;
        let known: Option<Bytes> = self.store.get(&key::segment(segment))?;
        if known.is_some() || self.standard.active() == Some(segment) || self.uploads.contains(segment) {
            return Ok(false);
        }
        match tier {
            Tier::Standard => self.standard.remove(segment).await?,
            Tier::InfrequentAccess => self.cold.delete(segment).await?,
        }
        Ok(true)
    }
}

impl Problem {
    /// What a repair does about it; `None` if it can do nothing.
    fn remedy(&self) -> Option<String> {
        Some(match self {
            Problem::EntryWithoutInode { directory, name, .. } => {
                let name = String::from_utf8_lossy(name);
                format!("remove the entry {name:?} of directory {directory}, whose inode is lost")
            }
            Problem::EntriesWithoutDirectory { directory, .. } => {
                format!(
                    "make a directory lost+found/#{directory} for the entries that stand below {directory}"
                )
            }
            Problem::EntryMisplaced { directory, name, .. } => {
                let name = String::from_utf8_lossy(name);
                format!("put the entry {name:?} of directory {directory} in its place")
            }
            Problem::Tombstone { directory, cookie } => {
                format!("remove the tombstone at {cookie} of directory {directory}")
            }
            Problem::DirectoryLinked { directory, .. } => {
                format!("leave directory {directory} only the entry in its parent")
            }
            Problem::Parent { directory, found, .. } => {
                format!("set the parent of directory {directory} to {found}")
            }
            Problem::Unreachable { inode } | Problem::Loop { inode } => {
                format!("put inode {inode} into lost+found as #{inode}")
            }
            Problem::UnlinkedNotOrphan { inode } => format!("let inode {inode} be released"),
            Problem::OrphanLinked { inode } | Problem::OrphanMissing { inode } => {
                format!("take inode {inode} out of the orphan set")
            }
            Problem::InodeCounter { inode, counter } => {
                format!("set {} of inode {inode} to {}", counter.name, counter.counted)
            }
            Problem::Total(counter) => format!("set the total of {} to {}", counter.name, counter.counted),
            Problem::NextNumber { used, .. } => format!("give numbers from {} on", used.saturating_add(1)),
            Problem::Age { inode, .. } => format!("put inode {inode} right in the age index"),
            Problem::ContentDoomed { content, .. } => format!("keep content {content}"),
            Problem::ContentUnowned { content, .. } => format!("let content {content} be released"),
            Problem::BehindEnd { inode, .. } => format!("cut off what lies behind the end of inode {inode}"),
            Problem::ReferenceMissing { content, block } => {
                format!("note that block {block} of content {content} is shared")
            }
            Problem::ReferenceStray { segment, frame, .. } => {
                format!("remove a reference to frame {frame} of segment {segment}")
            }
            Problem::SegmentUnknown { segment, .. } => format!("make the row of segment {segment} anew"),
            Problem::SegmentCounter { segment, counter } => {
                format!("correct {} of segment {segment}", counter.name)
            }
            Problem::SegmentLeaked { segment, tier, .. } => {
                format!("remove segment {segment} of {}", tier_name(*tier))
            }
            Problem::StrayFile { path } => format!("remove {}", path.display()),
            Problem::StrayObject { name } => format!("remove the object {name}"),
            _ => return None,
        })
    }
}
