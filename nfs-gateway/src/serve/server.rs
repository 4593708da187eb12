//! What is served: file systems with their lifecycle and their NFS servers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::{FileSystem, FileSystemId, OpenOptions};
use lifecycle::Lifecycle;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::ServeError;
use crate::export::Export;
use crate::server::{NfsServer, NfsStatus, ServerOptions};

/// A part of the shutdown's time for requests in execution, and one for the batch that the daemon moves.
const REQUESTS_END: Duration = Duration::from_secs(3);
const BATCH_ENDS: Duration = Duration::from_secs(2);

/// Everything that one process serves.
pub(crate) struct Server {
    data: PathBuf,
    file_systems: BTreeMap<FileSystemId, Arc<Served>>,
}

/// A file system that is served.
pub(crate) struct Served {
    pub(crate) file_system: FileSystem,
    pub(crate) lifecycle: Lifecycle<FileSystem>,
    nfs: Mutex<Vec<(SocketAddr, NfsServer)>>,
}

impl Server {
    pub(crate) fn new(data: PathBuf) -> Self {
        Server { data, file_systems: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, id: FileSystemId, served: Served) {
        self.file_systems.insert(id, Arc::new(served));
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The file systems, in the order of their ids.
    pub(crate) fn ids(&self) -> impl Iterator<Item = FileSystemId> + '_ {
        self.file_systems.keys().copied()
    }

    /// A file system.
    pub(crate) fn file_system(&self, id: FileSystemId) -> Option<&Arc<Served>> {
        self.file_systems.get(&id)
    }

    /// Stops all of it in order: first what makes changes, then what holds them.
    pub(crate) async fn stop(&self) -> Result<(), ServeError> {
        let stopped = self
            .file_systems
            .iter()
            .map(|(id, served)| async move { served.stop().await.map_err(|error| error.of(*id)) });
        futures::future::join_all(stopped).await.into_iter().collect()
    }
}

impl Served {
    /// Starts the lifecycle daemon and one NFS server for each listener.
    pub(crate) async fn start(
        file_system: FileSystem,
        listeners: Vec<TcpListener>,
        options: &OpenOptions,
    ) -> Result<Served, ServeError> {
        let environment = &options.environment;
        let lifecycle = Lifecycle::start(
            file_system.clone(),
            environment.clone(),
            lifecycle::Options { batch_bytes: options.budgets.object_bytes, bytes_per_second: None },
        )?;
        let server_options = ServerOptions { stop_timeout: REQUESTS_END, ..ServerOptions::default() };
        let mut nfs = Vec::new();
        for listener in listeners {
            let address = listener.local_addr().map_err(ServeError::Listener)?;
            let export = Export::new(file_system.clone());
            let server = NfsServer::start(listener, export, environment.clone(), server_options).await?;
            nfs.push((address, server));
        }
        Ok(Served { file_system, lifecycle, nfs: Mutex::new(nfs) })
    }

    /// The addresses and the state of the NFS servers.
    pub(crate) fn nfs_status(&self) -> Vec<(SocketAddr, NfsStatus)> {
        self.nfs.lock().iter().map(|(address, server)| (*address, server.status())).collect()
    }

    async fn stop(&self) -> Result<(), ServeError> {
        let servers = std::mem::take(&mut *self.nfs.lock());
        futures::future::join_all(servers.into_iter().map(|(_, server)| server.stop())).await;
        if tokio::time::timeout(BATCH_ENDS, self.lifecycle.stop()).await.is_err() {
            tracing::warn!(
                "a batch was still moving at the shutdown; its files are tried again after the next start"
            );
        }
        self.file_system.shutdown().await?;
        Ok(())
    }
}
