//! Files whose moves fail as a test says: the engine does not fail on demand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use engine::{
    Attributes, Clock, DueCursor, DuePage, Environment, Error, FileFacts, InodeId, Requests, Result, Tier,
    Timestamp, Transitioned,
};
use parking_lot::Mutex;

use crate::files::TieredFiles;

/// Files, and what happens to those who move them.
#[derive(Clone, Default)]
pub(crate) struct ScriptedFiles(pub(crate) Arc<Mutex<Script>>);

#[derive(Default)]
pub(crate) struct Script {
    pub(crate) files: BTreeMap<u64, FileFacts>,
    /// Errors of the next transitions.
    pub(crate) errors: VecDeque<Error>,
    /// Files that cannot be moved.
    pub(crate) damaged: BTreeSet<u64>,
    /// The transitions that succeeded.
    pub(crate) moved: Vec<(Vec<u64>, Tier)>,
    pub(crate) cold_reads: Vec<InodeId>,
    pub(crate) note: Option<Vec<u8>>,
    pub(crate) requests: Requests,
}

impl ScriptedFiles {
    /// Files 1 to `count`, last accessed at as many seconds.
    pub(crate) fn hot(count: u64, bytes: u64) -> Self {
        let files = ScriptedFiles::default();
        for number in 1..=count {
            let facts = FileFacts {
                inode: InodeId(number),
                size: bytes,
                last_access: Timestamp { seconds: i64::try_from(number).unwrap(), nanoseconds: 0 },
                standard_bytes: bytes,
                infrequent_access_bytes: 0,
            };
            files.0.lock().files.insert(number, facts);
        }
        files
    }

    pub(crate) fn standard_files(&self) -> usize {
        self.0.lock().files.values().filter(|facts| facts.standard_bytes > 0).count()
    }
}

impl TieredFiles for ScriptedFiles {
    fn due(&self, before: Timestamp, _after: &DueCursor, _limit: usize) -> Result<DuePage> {
        let script = self.0.lock();
        let mut files: Vec<_> =
            script.files.values().filter(|facts| facts.standard_bytes > 0).cloned().collect();
        files.retain(|facts| facts.last_access <= before);
        files.sort_by_key(|facts| facts.last_access);
        Ok(DuePage { files, next: None })
    }

    fn facts(&self, inode: InodeId) -> Result<FileFacts> {
        self.0.lock().files.get(&inode.0).cloned().ok_or(Error::Stale)
    }

    fn resolve_path(&self, _path: &[u8]) -> Result<Attributes> {
        Err(Error::NotFound)
    }

    async fn transition(&self, files: &[InodeId], to: Tier) -> Result<Transitioned> {
        let mut script = self.0.lock();
        script.requests.put += 1;
        if let Some(error) = script.errors.pop_front() {
            return Err(error);
        }
        if let Some(damaged) = files.iter().find(|file| script.damaged.contains(&file.0)) {
            return Err(Error::Corrupt { what: format!("inode {damaged}") });
        }
        let mut done = Transitioned { objects: 1, ..Transitioned::default() };
        for file in files {
            let Some(facts) = script.files.get_mut(&file.0) else { continue };
            let bytes = facts.standard_bytes + facts.infrequent_access_bytes;
            (facts.standard_bytes, facts.infrequent_access_bytes) =
                if to == Tier::Standard { (bytes, 0) } else { (0, bytes) };
            done.files += 1;
            done.bytes += bytes;
        }
        script.moved.push((files.iter().map(|file| file.0).collect(), to));
        Ok(done)
    }

    fn take_cold_reads(&self, _limit: usize) -> Vec<InodeId> {
        std::mem::take(&mut self.0.lock().cold_reads)
    }

    fn requests(&self) -> Result<Requests> {
        Ok(self.0.lock().requests)
    }

    fn note(&self, _key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.lock().note.clone())
    }

    async fn set_note(&self, _key: &str, value: &[u8]) -> Result<()> {
        self.0.lock().note = Some(value.to_vec());
        Ok(())
    }
}

/// A clock that goes with tokio's, from a given second on.
pub(crate) fn environment_at(seconds: i64) -> Environment {
    let mut environment = Environment::system();
    environment.clock = Arc::new(TokioClock { seconds, start: tokio::time::Instant::now() });
    environment
}

struct TokioClock {
    seconds: i64,
    start: tokio::time::Instant,
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        crate::time::after(Timestamp { seconds: self.seconds, nanoseconds: 0 }, self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
