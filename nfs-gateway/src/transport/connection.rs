//! One connection: reads requests, executes them side by side, writes replies.
//!
//! A request that needs to wait for nothing is answered without a task of its own: it is polled once where it was read. Only
//! if it has to wait does it join the others that wait. When the connection ends, what is in execution still is brought to
//! its end, since a retry on another connection is to find the result.

use std::future::Future;
use std::io;
use std::pin::Pin;

use bytes::{Buf, Bytes, BytesMut};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::outbox::Outbox;
use crate::nfs4::{ConnectionState, Service, limits};
use crate::rpc::{self, Call, CallError, RecordError, Records};

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// The peer closed it.
    #[error("closed by the peer")]
    Closed,
    /// The server stops.
    #[error("the server stops")]
    Stopping,
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream cannot be cut into records.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record is not RPC.
    #[error("not an RPC message: {0}")]
    Malformed(crate::xdr::XdrError),
}

/// A connection of a listener. The stream may be a socket or what decrypts one.
pub(crate) struct Connection<'a, R, W> {
    service: &'a Service,
    state: &'a ConnectionState,
    reader: R,
    writer: W,
    records: Records,
    received: BytesMut,
    outbox: Outbox,
    in_flight: FuturesUnordered<Execution<'a>>,
    in_flight_bytes: usize,
}

type Execution<'a> = Pin<Box<dyn Future<Output = (Vec<Bytes>, usize)> + Send + 'a>>;

/// Whether more may be read.
#[derive(PartialEq, Eq)]
enum Load {
    Light,
    Heavy,
}

impl<'a, R, W> Connection<'a, R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    /// On a stream of which nothing was read.
    pub(crate) fn new(service: &'a Service, state: &'a ConnectionState, reader: R, writer: W) -> Self {
        Connection {
            service,
            state,
            reader,
            writer,
            records: Records::new(limits::MESSAGE_BYTES_MAX as usize),
            received: BytesMut::with_capacity(limits::RECEIVE_BYTES),
            outbox: Outbox::default(),
            in_flight: FuturesUnordered::new(),
            in_flight_bytes: 0,
        }
    }

    /// Serves until the peer closes, the stream fails or the server stops.
    pub(crate) async fn serve(mut self, mut stopping: watch::Receiver<bool>) -> Ended {
        let ended = self.exchange(&mut stopping).await.err().unwrap_or(Ended::Closed);
        let deliver = matches!(ended, Ended::Stopping);
        while let Some((reply, _)) = self.in_flight.next().await {
            self.outbox.push(reply);
        }
        if deliver {
            while self.outbox.has_remaining() {
                if self.writer.write_buf(&mut self.outbox).await.is_err() {
                    break;
                }
            }
            let _ = self.writer.shutdown().await;
        }
        ended
    }

    async fn exchange(&mut self, stopping: &mut watch::Receiver<bool>) -> Result<(), Ended> {
        loop {
            let light = self.load() == Load::Light;
            tokio::select! {
                biased;
                () = crate::server::stopped(stopping) => return Err(Ended::Stopping),
                Some((reply, bytes)) = self.in_flight.next() => {
                    self.in_flight_bytes -= bytes;
                    self.outbox.push(reply);
                }
                written = self.writer.write_buf(&mut self.outbox), if self.outbox.has_remaining() => {
                    if written? == 0 {
                        return Err(Ended::Closed);
                    }
                }
                received = self.reader.read_buf(&mut self.received), if light => {
                    if received? == 0 {
                        return Err(Ended::Closed);
                    }
                    self.execute_received()?;
                }
            }
        }
    }

    fn load(&self) -> Load {
        let is_heavy = self.in_flight.len() >= limits::IN_FLIGHT_PER_CONNECTION_MAX
            || self.in_flight_bytes >= limits::IN_FLIGHT_BYTES_MAX
            || self.outbox.remaining() >= limits::UNSENT_BYTES_MAX;
        if is_heavy { Load::Heavy } else { Load::Light }
    }

    /// Starts all requests that have been received whole, and makes room for what comes next.
    fn execute_received(&mut self) -> Result<(), Ended> {
        loop {
            match self.records.next(&mut self.received)? {
                Ok(record) => self.execute(record)?,
                Err(needed) => {
                    let missing = needed.saturating_sub(self.received.len());
                    self.received.reserve(missing.max(limits::RECEIVE_BYTES));
                    return Ok(());
                }
            }
        }
    }

    fn execute(&mut self, record: Bytes) -> Result<(), Ended> {
        let bytes = record.len();
        let call = match Call::decode(record) {
            Ok(call) => call,
            // A reply to a callback that was never sent.
            Err(CallError::NotACall) => return Ok(()),
            Err(CallError::Malformed(error)) => return Err(Ended::Malformed(error)),
            Err(CallError::Rejected { xid, why }) => {
                self.outbox.push(rpc::rejected(xid, why));
                return Ok(());
            }
        };
        let (service, state) = (self.service, self.state);
        let mut execution: Execution<'a> = Box::pin(async move { (service.call(call, state).await, bytes) });
        match futures::FutureExt::now_or_never(&mut execution) {
            Some((reply, _)) => self.outbox.push(reply),
            None => {
                self.in_flight_bytes += bytes;
                self.in_flight.push(execution);
            }
        }
        Ok(())
    }
}
