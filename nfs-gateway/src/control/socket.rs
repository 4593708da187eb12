//! The socket in the data directory: nobody but its owner can open it, at no moment.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::router::router;
use crate::serve::{ServeError, Server};

/// In the data directory.
pub(crate) const SOCKET_NAME: &str = "control.sock";
/// `sun_path` of Linux, less its NUL.
const PATH_BYTES_MAX: usize = 107;
/// How long requests in execution may take after the end.
const END_MAX: Duration = Duration::from_secs(1);

/// The control interface, while it is served.
pub(crate) struct ControlSocket {
    path: PathBuf,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl ControlSocket {
    /// Serves the control interface. The caller holds the lock of the data directory.
    pub(crate) async fn open(data: &Path, server: Arc<Server>) -> Result<ControlSocket, ServeError> {
        let path = data.join(SOCKET_NAME);
        // Somebody who answers in spite of the lock must not lose his socket.
        if UnixStream::connect(&path).await.is_ok() {
            return Err(ServeError::ControlSocketInUse { path });
        }
        let listener =
            bind(&path).map_err(|source| ServeError::ControlSocket { path: path.clone(), source })?;
        let (end, ended) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let ended = async { drop(ended.await) };
            if let Err(error) = axum::serve(listener, router(server)).with_graceful_shutdown(ended).await {
                tracing::error!(%error, "the control socket is not served any more");
            }
        });
        Ok(ControlSocket { path, end, task })
    }

    /// Whether the data directory leaves room for the name of the socket.
    pub(crate) fn check_path(data: &Path) -> Result<(), ServeError> {
        let path = data.join(temporary_name());
        if path.as_os_str().len() > PATH_BYTES_MAX {
            let path = data.join(SOCKET_NAME);
            return Err(ServeError::SocketPathTooLong { path, max: PATH_BYTES_MAX });
        }
        Ok(())
    }

    /// Takes no new requests and removes the socket.
    pub(crate) async fn close(mut self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = self.end.send(());
        if tokio::time::timeout(END_MAX, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

fn temporary_name() -> String {
    format!("{SOCKET_NAME}.new")
}

/// Binds under another name, narrows the mode, then renames over a socket that a dead server left.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    let temporary = path.with_file_name(temporary_name());
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&temporary)?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&temporary, path)?;
    Ok(listener)
}
