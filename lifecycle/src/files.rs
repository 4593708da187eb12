//! What the lifecycle needs of a file system: a narrow view of [`engine::FileSystem`].

use std::future::Future;

use engine::{
    Attributes, DueCursor, DuePage, FileFacts, FileSystem, InodeId, Requests, Result, Tier, Timestamp,
    Transitioned,
};

/// The part of the engine's interface that the lifecycle uses; see [`FileSystem`] for what each call promises.
pub trait TieredFiles: Clone + Send + Sync + 'static {
    /// Files with data in Standard, last accessed at or before the time, oldest first.
    fn due(&self, before: Timestamp, after: &DueCursor, limit: usize) -> Result<DuePage>;
    /// What a policy decides on.
    fn facts(&self, inode: InodeId) -> Result<FileFacts>;
    /// The inode at an absolute path.
    fn resolve_path(&self, path: &[u8]) -> Result<Attributes>;
    /// Moves the content of files to a tier.
    fn transition(&self, files: &[InodeId], to: Tier) -> impl Future<Output = Result<Transitioned>> + Send;
    /// Takes files whose cold data was read.
    fn take_cold_reads(&self, limit: usize) -> Vec<InodeId>;
    /// Requests to the object store since the start.
    fn requests(&self) -> Result<Requests>;
    /// A note, by key.
    fn note(&self, key: &str) -> Result<Option<Vec<u8>>>;
    /// Sets a note; durable when it returns.
    fn set_note(&self, key: &str, value: &[u8]) -> impl Future<Output = Result<()>> + Send;
}

impl TieredFiles for FileSystem {
    fn due(&self, before: Timestamp, after: &DueCursor, limit: usize) -> Result<DuePage> {
        FileSystem::due(self, before, after, limit)
    }

    fn facts(&self, inode: InodeId) -> Result<FileFacts> {
        FileSystem::facts(self, inode)
    }

    fn resolve_path(&self, path: &[u8]) -> Result<Attributes> {
        FileSystem::resolve_path(self, path)
    }

    async fn transition(&self, files: &[InodeId], to: Tier) -> Result<Transitioned> {
        FileSystem::transition(self, files, to).await
    }

    fn take_cold_reads(&self, limit: usize) -> Vec<InodeId> {
        FileSystem::take_cold_reads(self, limit)
    }

    fn requests(&self) -> Result<Requests> {
        Ok(self.status()?.requests)
    }

    fn note(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(FileSystem::note(self, key)?.map(|value| value.to_vec()))
    }

    async fn set_note(&self, key: &str, value: &[u8]) -> Result<()> {
        FileSystem::set_note(self, key, Some(value)).await?.durable().await?;
        Ok(())
    }
}
