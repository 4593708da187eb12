//! The socket.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{SOCKET, routes};
use crate::serve::Hosted;

/// How long a stop waits for requests in execution.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Serves the control API.
pub(crate) struct Server {
    path: PathBuf,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts to serve on the data directory's socket. The caller holds the lock of the directory.
    pub(crate) fn start(data: &Path, hosted: Arc<[Hosted]>) -> Result<Server> {
        let path = data.join(SOCKET);
        let listener = bind(&path)?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let until = async {
                let _ = stopped.await;
            };
            if let Err(error) =
                axum::serve(listener, routes::router(hosted)).with_graceful_shutdown(until).await
            {
                tracing::error!(%error, "the control API ended");
            }
        });
        Ok(Server { path, stop, task })
    }

    /// Stops, and removes the socket.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(STOP_LIMIT, self.task).await;
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Binds under another name and renames, so that nobody ever sees the socket with wider permissions, and an old one is replaced.
fn bind(path: &Path) -> Result<UnixListener> {
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            bail!("{} is in the way and is no socket; move it away", path.display());
        }
        if StdUnixStream::connect(path).is_ok() {
            bail!("another server answers on {}; stop it first", path.display());
        }
    }
    let fresh = path.with_extension("sock.new");
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh).with_context(|| {
        format!("cannot make the control socket {}; its path must be shorter than 108 bytes", fresh.display())
    })?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}
