//! Why a server does not start or does not end well. Each text says what to do.

use std::net::SocketAddr;
use std::path::PathBuf;

use engine::FileSystemId;

use crate::server::ServerError;

/// Why a server does not start or does not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("cannot listen on {listen}: {problem}")]
    Listen { listen: SocketAddr, problem: String },
    #[error("cannot make or use the data directory {}: {source}; choose another --data", path.display())]
    DataDirectory {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the control socket {} would have a path of more than {max} bytes, which Unix sockets cannot have; choose a shorter --data", path.display())]
    SocketPathTooLong { path: PathBuf, max: usize },
    #[error("cannot make the control socket {}: {source}; check who may write to the data directory", path.display())]
    ControlSocket {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("another server answers on {}; stop it first or choose another --data", path.display())]
    ControlSocketInUse { path: PathBuf },
    #[error("mount target: there is no file system {file_system} in {}; there are: {known}", data.display())]
    UnknownFileSystem { file_system: FileSystemId, data: PathBuf, known: String },
    #[error("{} holds several file systems ({names}); give all but one a [[mount_target]] in tidefs.toml, so that it is clear which one --listen serves", data.display())]
    WhichFileSystem { data: PathBuf, names: String },
    #[error(
        "the log filter `{filter}` is wrong: {problem}; give error, warn, info, debug or trace, or one such as info,engine=debug"
    )]
    LogFilter { filter: String, problem: String },
    #[error("file system {id}: {source}{}", advice(source))]
    FileSystem {
        id: FileSystemId,
        #[source]
        source: Box<ServeError>,
    },
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Lifecycle(#[from] lifecycle::Error),
    #[error(transparent)]
    Nfs(#[from] ServerError),
    #[error("a listener does not know its address: {0}")]
    Listener(#[source] std::io::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] std::io::Error),
    #[error(
        "the shutdown was not done after {seconds} s; nothing acknowledged is lost, and the next start recovers"
    )]
    ShutdownTooLong { seconds: u64 },
    #[error("interrupted during the shutdown; nothing acknowledged is lost, and the next start recovers")]
    Interrupted,
}

impl ServeError {
    /// Names the file system that it is about.
    pub(super) fn of(self, id: FileSystemId) -> ServeError {
        ServeError::FileSystem { id, source: Box::new(self) }
    }

    /// Whether the settings are wrong, rather than the world.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(
            self,
            ServeError::UnknownFileSystem { .. }
                | ServeError::WhichFileSystem { .. }
                | ServeError::LogFilter { .. }
                | ServeError::SocketPathTooLong { .. }
        )
    }
}

fn advice(error: &ServeError) -> &'static str {
    match error {
        ServeError::Engine(engine::Error::Unavailable { .. }) => {
            "; check that it is up and that --endpoint is right, then start again"
        }
        _ => "",
    }
}
