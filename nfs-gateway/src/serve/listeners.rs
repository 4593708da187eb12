//! The ports: bound before anything is made, then given to the file systems.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;

use engine::FileSystemId;
use tokio::net::TcpListener;

use super::ServeError;
use crate::config::Settings;

/// Bound ports that nobody serves yet.
pub(super) struct Listeners {
    first: TcpListener,
    others: Vec<(FileSystemId, TcpListener)>,
}

impl Listeners {
    pub(super) async fn bind(settings: &Settings) -> Result<Listeners, ServeError> {
        let first = bind(settings.listen).await?;
        let mut others = Vec::new();
        for target in &settings.mount_targets {
            others.push((target.file_system, bind(target.listen).await?));
        }
        Ok(Listeners { first, others })
    }
}

async fn bind(listen: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(listen).await.map_err(|error| {
        let problem = match error.kind() {
            ErrorKind::AddrInUse => {
                "the port is taken; stop who has it, or choose another port with --listen".to_owned()
            }
            ErrorKind::PermissionDenied => {
                "ports below 1024 are for root; choose a higher one with --listen".to_owned()
            }
            ErrorKind::AddrNotAvailable => {
                "this machine does not have that address; choose another with --listen".to_owned()
            }
            _ => error.to_string(),
        };
        ServeError::Listen { listen, problem }
    })
}

/// Gives each file system its listeners: mount targets to those they name, `listen` to the one that none names.
pub(super) fn assign(
    ids: &[FileSystemId],
    settings: &Settings,
    listeners: Listeners,
) -> Result<BTreeMap<FileSystemId, Vec<TcpListener>>, ServeError> {
    let mut assigned: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (id, listener) in listeners.others {
        if !ids.contains(&id) {
            let data = settings.data.clone();
            return Err(ServeError::UnknownFileSystem { file_system: id, data, known: names(ids) });
        }
        assigned.entry(id).or_default().push(listener);
    }
    let free: Vec<_> = ids.iter().copied().filter(|id| !assigned.contains_key(id)).collect();
    match free.as_slice() {
        [] => tracing::warn!("every file system has a mount target of its own: --listen serves none"),
        [only] => assigned.entry(*only).or_default().push(listeners.first),
        several => {
            let data = settings.data.clone();
            return Err(ServeError::WhichFileSystem { data, names: names(several) });
        }
    }
    Ok(assigned)
}

fn names(ids: &[FileSystemId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
