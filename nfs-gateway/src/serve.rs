//! `tidefs serve`: composes engine, lifecycle daemon, NFS servers and control socket, and takes them down in order.
//!
//! The order of a start is chosen so that a start that fails leaves nothing half made: ports first, then the lock of the data
//! directory, then key and file system, which are taken back if the file system cannot be opened.

mod announce;
mod data_directory;
mod error;
mod first_start;
mod listeners;
mod server;
mod signals;

use std::sync::Arc;
use std::time::Duration;

use engine::{Environment, FileSystem, FileSystemId, OpenOptions};

use crate::config::Settings;
use crate::control::ControlSocket;

pub(crate) use error::ServeError;
pub(crate) use server::{Served, Server};

use data_directory::DataDirectory;
use first_start::FirstStart;
use listeners::{Listeners, assign};
use signals::Signals;

/// How long an orderly shutdown may take; what is not done then is recovered at the next start.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// Serves until a signal ends it.
pub(crate) async fn run(settings: Settings, environment: Environment) -> Result<(), ServeError> {
    let mut signals = Signals::listen()?;
    ControlSocket::check_path(&settings.data)?;
    let listeners = Listeners::bind(&settings).await?;
    let (server, socket, _directory) = tokio::select! {
        started = start(&settings, environment, listeners) => started?,
        () = signals.ended() => return Ok(()),
    };
    announce::ready();
    tracing::info!("ready");
    signals.ended().await;
    tracing::info!("shutting down");
    tokio::select! {
        stopped = tokio::time::timeout(SHUTDOWN_MAX, stop(server, socket)) => match stopped {
            Ok(result) => result,
            Err(_) => Err(ServeError::ShutdownTooLong { seconds: SHUTDOWN_MAX.as_secs() }),
        },
        () = signals.ended() => Err(ServeError::Interrupted),
    }
}

async fn start(
    settings: &Settings,
    environment: Environment,
    listeners: Listeners,
) -> Result<(Arc<Server>, ControlSocket, DataDirectory), ServeError> {
    let options = open_options(settings, environment)?;
    let directory = DataDirectory::take(&settings.data)?;
    let first = FirstStart::prepare(settings, &options, &directory)?;
    let opened = open_and_serve(settings, listeners, &options).await;
    let (server, first_id) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            first.take_back(directory, &options);
            return Err(error);
        }
    };
    let server = Arc::new(server);
    let socket = match ControlSocket::open(&settings.data, Arc::clone(&server)).await {
        Ok(socket) => socket,
        Err(error) => {
            server.stop().await?;
            first.take_back(directory, &options);
            return Err(error);
        }
    };
    announce::started(settings, &server, first_id, first.happened());
    Ok((server, socket, directory))
}

/// How the settings open a file system.
pub(crate) fn open_options(settings: &Settings, environment: Environment) -> Result<OpenOptions, ServeError> {
    Ok(OpenOptions {
        key: settings.key.source().map_err(engine::Error::Open)?,
        cold: settings.cold.clone(),
        environment,
        budgets: settings.budgets,
    })
}

async fn open_and_serve(
    settings: &Settings,
    listeners: Listeners,
    options: &OpenOptions,
) -> Result<(Server, Option<FileSystemId>), ServeError> {
    let ids = FileSystem::list(&settings.data)?;
    let mut assigned = assign(&ids, settings, listeners)?;
    let mut server = Server::new(settings.data.clone());
    let mut first = None;
    for id in ids {
        let listeners = assigned.remove(&id).unwrap_or_default();
        if !listeners.is_empty() && first.is_none() {
            first = Some(id);
        }
        let opened = async {
            let file_system = FileSystem::open(&settings.data, id, options.clone()).await?;
            if let Some(scrub) = settings.scrub {
                file_system.scrub(scrub)?;
            }
            Served::start(file_system, listeners, options).await
        };
        match opened.await {
            Ok(served) => server.add(id, served),
            Err(error) => {
                server.stop().await?;
                return Err(error.of(id));
            }
        }
    }
    Ok((server, first))
}

async fn stop(server: Arc<Server>, socket: ControlSocket) -> Result<(), ServeError> {
    let stopped = server.stop().await;
    socket.close().await;
    stopped
}
