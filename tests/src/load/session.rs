//! A connection with an NFSv4.1 session.
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::compound::{Compound, NFS4_OK, NFS4ERR_DELAY, NFS4ERR_GRACE, OP_SEQUENCE, Reply, Results};
use super::xdr::Encoder;

const NFS_PROGRAM: u32 = 100_003;
const AUTH_SYS: u32 = 1;
const LAST_FRAGMENT: u32 = 0x8000_0000;
const REPLY_LENGTH_MAX: usize = 4 << 20;
const REPLY_LIMIT: Duration = Duration::from_secs(120);
/// A server that has just started may ask for patience while others reclaim.
const GRACE_LIMIT: Duration = Duration::from_secs(150);

/// A reply with an error status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionError {
    /// Of RFC 8881, section 15.
    pub(crate) status: u32,
    /// Which operation of the compound failed, counted from 0 (the SEQUENCE).
    pub(crate) operation: u32,
}

impl std::fmt::Display for SessionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "operation {} of the compound was answered with status {}", self.operation, self.status)
    }
}

impl std::error::Error for SessionError {}

/// A session with its only connection.
#[derive(Debug)]
pub(crate) struct Session {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    client: u64,
    id: [u8; 16],
    sequences: Vec<u32>,
    calls: u32,
}

impl Session {
    /// Connects, and makes a client with one session; the server may grant fewer slots than wanted.
    pub(crate) fn connect(server: SocketAddr, owner: &str, slots: u32) -> Result<Session> {
        let writer = TcpStream::connect(server).with_context(|| format!("cannot connect to {server}"))?;
        writer.set_nodelay(true)?;
        writer.set_read_timeout(Some(REPLY_LIMIT))?;
        let reader = BufReader::with_capacity(256 * 1024, writer.try_clone()?);
        let mut session = Session {
            reader,
            writer,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            client: 0,
            id: [0; 16],
            sequences: Vec::new(),
            calls: 0,
        };
        session.establish(owner, slots)?;
        Ok(session)
    }

    fn establish(&mut self, owner: &str, slots: u32) -> Result<()> {
        let mut compound = Compound::default();
        compound.exchange_id(u64::from(std::process::id()), owner.as_bytes());
        let (client, sequence) = self.exchange(&compound, |results| results.exchange_id())?;
        let mut compound = Compound::default();
        compound.create_session(client, sequence, slots);
        let (id, granted) = self.exchange(&compound, |results| results.create_session())?;
        ensure!(granted > 0, "the server granted no slot");
        self.client = client;
        self.id = id;
        self.sequences = vec![0; usize::try_from(granted.min(slots))?];
        let mut compound = Compound::default();
        compound.reclaim_complete();
        self.call(&compound, |_| Ok(()))
    }

    /// Ends the session and the client: a server that restarts would else wait for its reclaim. Nothing may be open.
    pub(crate) fn end(mut self) -> Result<()> {
        let mut compound = Compound::default();
        compound.destroy_session(&self.id);
        self.exchange(&compound, |_| Ok(()))?;
        let mut compound = Compound::default();
        compound.destroy_client(self.client);
        self.exchange(&compound, |_| Ok(()))
    }

    /// The client id.
    pub(crate) fn client(&self) -> u64 {
        self.client
    }

    /// The number of slots.
    pub(crate) fn slots(&self) -> usize {
        self.sequences.len()
    }

    /// Calls a compound on slot 0 and waits, patiently while the server has a grace period or asks for a delay.
    pub(crate) fn call<T>(
        &mut self,
        compound: &Compound,
        take: impl Fn(&mut Results<'_>) -> Result<T>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            self.enqueue(compound, 0)?;
            self.flush()?;
            let reply = self.receive()?;
            match reply.status {
                NFS4_OK => return take(&mut reply.after_sequence()?),
                NFS4ERR_DELAY | NFS4ERR_GRACE if start.elapsed() < GRACE_LIMIT => {}
                status => bail!(SessionError { status, operation: reply.operations.saturating_sub(1) }),
            }
            sleep(Duration::from_millis(200));
        }
    }

    /// Calls a compound that has no SEQUENCE.
    fn exchange<T>(
        &mut self,
        compound: &Compound,
        take: impl Fn(&mut Results<'_>) -> Result<T>,
    ) -> Result<T> {
        self.frame(compound, None);
        self.flush()?;
        let reply = self.receive()?;
        if reply.status != NFS4_OK {
            bail!(SessionError { status: reply.status, operation: 0 });
        }
        take(&mut reply.results())
    }

    /// Puts a compound into the outgoing buffer, as the next request of a slot. Returns the call's number.
    pub(crate) fn enqueue(&mut self, compound: &Compound, slot: usize) -> Result<u32> {
        let highest = u32::try_from(self.sequences.len().saturating_sub(1))?;
        let sequence = self.sequences.get_mut(slot).context("no such slot")?;
        *sequence = sequence.wrapping_add(1);
        let mut operation = Encoder::default();
        operation
            .word(OP_SEQUENCE)
            .raw(&self.id)
            .word(*sequence)
            .word(u32::try_from(slot)?)
            .word(highest)
            .word(0);
        Ok(self.frame(compound, Some(operation.bytes())))
    }

    fn frame(&mut self, compound: &Compound, sequence: Option<&[u8]>) -> u32 {
        self.calls = self.calls.wrapping_add(1);
        let mut header = Encoder::default();
        header.word(self.calls).word(0).word(2).word(NFS_PROGRAM).word(4).word(1);
        let mut credential = Encoder::default();
        credential.word(0).opaque(b"tidefs-load").word(0).word(0).word(0);
        header.word(AUTH_SYS).opaque(credential.bytes()).word(0).word(0);
        header.opaque(b"").word(1).word(compound.operations() + u32::from(sequence.is_some()));
        header.raw(sequence.unwrap_or_default());
        let length = header.bytes().len() + compound.body().len();
        let mark = LAST_FRAGMENT | u32::try_from(length).unwrap_or(0);
        self.outgoing.extend_from_slice(&mark.to_be_bytes());
        self.outgoing.extend_from_slice(header.bytes());
        self.outgoing.extend_from_slice(compound.body());
        self.calls
    }

    /// Sends what is in the outgoing buffer.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.writer.write_all(&self.outgoing)?;
        self.outgoing.clear();
        Ok(())
    }

    /// Whether the next reply may need a wait.
    pub(crate) fn reply_is_not_buffered(&self) -> bool {
        self.reader.buffer().len() < 4
    }

    /// The next reply.
    pub(crate) fn receive(&mut self) -> Result<Reply<'_>> {
        self.incoming.clear();
        loop {
            let mut mark = [0; 4];
            self.reader
                .read_exact(&mut mark)
                .context("the server closed the connection or did not answer")?;
            let mark = u32::from_be_bytes(mark);
            let length = usize::try_from(mark & !LAST_FRAGMENT)?;
            let start = self.incoming.len();
            ensure!(start + length <= REPLY_LENGTH_MAX, "a reply of {} bytes", start + length);
            self.incoming.resize(start + length, 0);
            let fragment = self.incoming.get_mut(start..).context("no room for a fragment")?;
            self.reader.read_exact(fragment)?;
            if mark & LAST_FRAGMENT != 0 {
                return Reply::parse(&self.incoming);
            }
        }
    }
}
