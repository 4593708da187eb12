//! The server process: puts engine, gateway, lifecycle and control together.

mod data_lock;
mod first_start;
mod greeting;
mod hosted;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use engine::{Environment, FileSystem, FileSystemId, OpenOptions};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Settings;
use crate::control;
use data_lock::DataLock;
pub(crate) use hosted::Hosted;

/// How long an orderly stop may take before the process ends anyway; what was acknowledged is safe either way.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Serves until a signal asks to stop.
pub(crate) async fn serve(settings: Settings) -> Result<()> {
    let environment = Environment::system();
    let listener = bind(settings.listen).await?;
    let options = OpenOptions {
        key_file: settings.key_file.clone(),
        cold: settings.cold.clone(),
        environment: environment.clone(),
        budgets: settings.budgets,
    };
    let mut targets = Vec::new();
    for target in &settings.mount_targets {
        targets.push((target.file_system, bind(target.listen).await?));
    }
    let made = FileSystem::list(&settings.data)?.is_empty();
    if made {
        first_start::check(&settings, &environment).await?;
    }
    let lock = DataLock::take(&settings.data)?;
    if FileSystem::list(&settings.data)?.is_empty() {
        first_start::make(&settings, &options).await?;
    }
    let listeners = assign(FileSystem::list(&settings.data)?, listener, targets)?;
    let mut hosted = Vec::new();
    for (id, listener) in listeners {
        let file_system = FileSystem::open(&settings.data, id, options.clone()).await?;
        hosted.push(Hosted::start(file_system, listener, &settings, &environment).await?);
    }
    let hosted: Arc<[Hosted]> = hosted.into();
    let control = control::Server::start(&settings.data, Arc::clone(&hosted))?;
    greeting::print(&settings, &hosted, made);
    wait_for_signal().await?;
    tracing::info!("stopping");
    let stop = async {
        control.stop().await;
        for one in hosted.iter() {
            one.stop().await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        result = tokio::time::timeout(STOP_LIMIT, stop) => match result {
            Ok(result) => result?,
            Err(_) => tracing::warn!("the stop took too long; the next start recovers"),
        },
        again = wait_for_signal() => again?,
    }
    drop(lock);
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; stop what uses the port or choose another with --listen")
    })
}

/// Which file system is served where: the first on the main listener, others on their mount targets.
fn assign(
    ids: Vec<FileSystemId>,
    listener: TcpListener,
    mut targets: Vec<(FileSystemId, TcpListener)>,
) -> Result<Vec<(FileSystemId, Option<TcpListener>)>> {
    if let Some((unknown, _)) = targets.iter().find(|(id, _)| !ids.contains(id)) {
        bail!("the mount target for {unknown} names a file system that is not in the data directory");
    }
    let mut main = Some(listener);
    Ok(ids
        .into_iter()
        .map(|id| {
            let own =
                targets.iter().position(|(target, _)| *target == id).map(|at| targets.swap_remove(at).1);
            (id, own.or_else(|| main.take()))
        })
        .collect())
}

async fn wait_for_signal() -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
