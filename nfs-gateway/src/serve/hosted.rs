//! One file system of the server, with all that serves it.

use std::net::SocketAddr;

use anyhow::Result;
use engine::{Environment, FileSystem};
use gateway::{Export, NfsServer, NfsStatus, ServerOptions};
use lifecycle::{Lifecycle, Options};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::config::Settings;

/// A file system, its lifecycle daemon and its mount target.
pub(crate) struct Hosted {
    pub(crate) file_system: FileSystem,
    pub(crate) lifecycle: Lifecycle<FileSystem>,
    /// Where it is served, if it is.
    pub(crate) address: Option<SocketAddr>,
    nfs: Mutex<Option<NfsServer>>,
}

impl Hosted {
    pub(super) async fn start(
        file_system: FileSystem,
        listener: Option<TcpListener>,
        settings: &Settings,
        environment: &Environment,
    ) -> Result<Hosted> {
        let options = Options {
            batch_bytes: settings.budgets.object_bytes,
            bytes_per_second: settings.lifecycle_bytes_per_second,
        };
        let lifecycle = Lifecycle::start(file_system.clone(), environment.clone(), options)?;
        let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let nfs = match listener {
            Some(listener) => {
                let export = Export::new(file_system.clone());
                let options = ServerOptions {
                    lease: settings.lease,
                    connections_max: settings.connections_max,
                    ..ServerOptions::default()
                };
                Some(NfsServer::start(listener, export, environment.clone(), options).await?)
            }
            None => {
                file_system.release_orphans().await?;
                None
            }
        };
        Ok(Hosted { file_system, lifecycle, address, nfs: Mutex::new(nfs) })
    }

    /// How the NFS side stands.
    pub(crate) async fn nfs_status(&self) -> Option<NfsStatus> {
        self.nfs.lock().await.as_ref().map(NfsServer::status)
    }

    /// Stops serving, then closes the file system.
    pub(super) async fn stop(&self) -> Result<()> {
        if let Some(nfs) = self.nfs.lock().await.take() {
            nfs.stop().await;
        }
        self.lifecycle.stop().await;
        self.file_system.shutdown().await?;
        Ok(())
    }
}
