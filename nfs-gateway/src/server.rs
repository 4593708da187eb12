//! The NFS server: a listener on an export, and the clock of its leases.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use engine::Environment;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::export::Export;
use crate::nfs4::{ConnectionState, Service};
use crate::transport::{Connection, Ended};

/// A server that serves one export on one listener.
pub struct NfsServer {
    service: Arc<Service>,
    connections: Arc<AtomicUsize>,
    stopping: watch::Sender<bool>,
    acceptor: JoinHandle<JoinSet<()>>,
    clock: JoinHandle<()>,
    stop_timeout: Duration,
}

/// What can be chosen about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerOptions {
    /// How long a client keeps what it holds without a sign of life; also the length of the grace period.
    pub lease: Duration,
    /// Connections at once; more are closed as they come.
    pub connections_max: usize,
    /// How long a stop waits for requests in execution.
    pub stop_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            lease: Duration::from_secs(90),
            // Each may hold some buffers of a megabyte; Linux makes at most 16 for a mount.
            connections_max: 4096,
            stop_timeout: Duration::from_secs(10),
        }
    }
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NfsStatus {
    /// Known clients.
    pub clients: usize,
    /// Their sessions.
    pub sessions: usize,
    /// Open connections.
    pub connections: usize,
    /// Open files, counted once for each open owner.
    pub opens: usize,
    /// Locked byte ranges.
    pub locks: usize,
    /// Whether clients are reclaiming what they held before the server was started.
    pub in_grace: bool,
    /// Operations executed since the start.
    pub operations: u64,
}

/// Why a server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// What a former life of the server left cannot be read.
    #[error("cannot read the records of NFS clients: {0}")]
    Records(#[from] engine::Error),
    /// The options contradict themselves.
    #[error("the lease must be at least a second")]
    LeaseTooShort,
}

impl NfsServer {
    /// Starts to serve. Must run inside a tokio runtime.
    pub async fn start(
        listener: TcpListener,
        export: Export,
        environment: Environment,
        options: ServerOptions,
    ) -> Result<NfsServer, ServerError> {
        if options.lease < Duration::from_secs(1) {
            return Err(ServerError::LeaseTooShort);
        }
        let service = Arc::new(Service::start(export, environment, options.lease)?);
        // Without clients to wait for, what was unlinked while it was open is released at once.
        if !service.in_grace() {
            service.release_orphans().await?;
        }
        let (stopping, stop) = watch::channel(false);
        let connections = Arc::new(AtomicUsize::new(0));
        let acceptor = Acceptor {
            listener,
            service: Arc::clone(&service),
            connections: Arc::clone(&connections),
            options,
            stop: stop.clone(),
        };
        Ok(NfsServer {
            acceptor: tokio::spawn(acceptor.run()),
            clock: tokio::spawn(run_clock(Arc::clone(&service), stop)),
            service,
            connections,
            stopping,
            stop_timeout: options.stop_timeout,
        })
    }

    /// How things stand.
    pub fn status(&self) -> NfsStatus {
        let (clients, sessions) = self.service.client_counts();
        let (opens, locks) = self.service.file_counts();
        NfsStatus {
            clients,
            sessions,
            connections: self.connections.load(Ordering::Relaxed),
            opens,
            locks,
            in_grace: self.service.in_grace(),
            operations: self.service.operations(),
        }
    }

    /// Takes no new connections and requests, and waits a bounded time for those in execution.
    pub async fn stop(self) {
        // Nobody may listen any more; then there is nobody to tell.
        let _ = self.stopping.send(true);
        let _ = self.clock.await;
        if let Ok(mut connections) = self.acceptor.await {
            let all = async { while connections.join_next().await.is_some() {} };
            if tokio::time::timeout(self.stop_timeout, all).await.is_err() {
                tracing::warn!("some requests were not finished when the server stopped");
                connections.shutdown().await;
            }
        }
    }
}

struct Acceptor {
    listener: TcpListener,
    service: Arc<Service>,
    connections: Arc<AtomicUsize>,
    options: ServerOptions,
    stop: watch::Receiver<bool>,
}

impl Acceptor {
    /// Accepts until the server stops; the connections that are left then.
    async fn run(self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                () = stopped(&mut stop) => return tasks,
                Some(_) = tasks.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        tracing::debug!(%peer, "a connection");
                        self.spawn(stream, &mut tasks);
                    }
                    Err(error) => {
                        // Out of file descriptors, most likely: some will be closed.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream, tasks: &mut JoinSet<()>) {
        if self.connections.load(Ordering::Relaxed) >= self.options.connections_max {
            tracing::warn!(max = self.options.connections_max, "too many connections: one is closed");
            return;
        }
        let counted = Counted::new(&self.connections);
        let (service, stop) = (Arc::clone(&self.service), self.stop.clone());
        tasks.spawn(async move {
            let _counted = counted;
            match serve(&service, stream, stop).await {
                Ended::Closed | Ended::Stopping => {}
                ended => tracing::debug!(%ended, "a connection ended"),
            }
        });
    }
}

/// Counts a connection as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(counter: &Arc<AtomicUsize>) -> Counted {
        counter.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(service: &Service, mut stream: TcpStream, mut stop: watch::Receiver<bool>) -> Ended {
    let prepared = tokio::select! {
        () = stopped(&mut stop) => return Ended::Stopping,
        prepared = prepare(&stream) => prepared,
    };
    if let Err(ended) = prepared {
        return ended;
    }
    let state = ConnectionState::default();
    let (reader, writer) = stream.split();
    Connection::new(service, &state, reader, writer).serve(stop).await
}

/// Small replies leave at once, and the first byte tells what the peer speaks.
async fn prepare(stream: &TcpStream) -> Result<(), Ended> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(Ended::Closed),
        _ if first == [TLS_HANDSHAKE] => {
            let refused = "the peer speaks TLS at once, which this listener does not serve";
            Err(Ended::Io(io::Error::new(io::ErrorKind::Unsupported, refused)))
        }
        _ => Ok(()),
    }
}

/// Waits until the server stops.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error is that there is no server any more.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn run_clock(service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(Service::TICK) => {}
        }
        if let Err(error) = service.tick().await {
            tracing::error!(%error, "leases cannot be kept");
        }
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The content type of a TLS handshake record; no record mark of an RPC call starts so.
const TLS_HANDSHAKE: u8 = 0x16;
