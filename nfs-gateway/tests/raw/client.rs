//! Calls and operations.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wire::{In, Out};

pub const OK: u32 = 0;

/// The result of a compound.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u32,
    pub count: u32,
    /// Stands at the first result.
    pub results: In,
    /// All that follows the RPC header.
    pub bytes: Vec<u8>,
}

/// A connection.
pub struct Wire {
    stream: TcpStream,
    xid: u32,
}

impl Wire {
    pub async fn connect(port: u16) -> Wire {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Wire { stream, xid: 1 }
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// One record, without its mark; nothing if the server closes.
    pub async fn receive(&mut self) -> Option<In> {
        let mut mark = [0; 4];
        self.stream.read_exact(&mut mark).await.ok()?;
        let mut record = vec![0; (u32::from_be_bytes(mark) & 0x7fff_ffff) as usize];
        self.stream.read_exact(&mut record).await.ok()?;
        Some(In(record, 0))
    }

    pub async fn call(&mut self, program: u32, version: u32, procedure: u32, arguments: &[u8]) -> In {
        self.send(program, version, procedure, arguments).await;
        let mut reply = self.receive().await.expect("the server closed the connection");
        assert_eq!((reply.u32(), reply.u32()), (self.xid, 1));
        reply
    }

    pub async fn send(&mut self, program: u32, version: u32, procedure: u32, arguments: &[u8]) {
        self.xid += 1;
        let system = Out::default().u32(0).opaque(b"test").u32(0).u32(0).u32(0);
        let head = [self.xid, 0, 2, program, version, procedure, 1];
        let head = head.into_iter().fold(Out::default(), Out::u32).opaque(&system.0).u32(0).u32(0);
        let record = head.raw(arguments).0;
        let framed = Out::default().u32(record.len() as u32 | 1 << 31).raw(&record);
        self.send_bytes(&framed.0).await;
    }

    pub async fn compound(&mut self, minor: u32, operations: &[Out]) -> Reply {
        self.send_compound(minor, operations).await;
        self.reply().await
    }

    pub async fn send_compound(&mut self, minor: u32, operations: &[Out]) {
        let body = Out::default().opaque(b"tag").u32(minor).u32(operations.len() as u32);
        let body = operations.iter().fold(body, |body, operation| body.raw(&operation.0));
        self.send(100_003, 4, 1, &body.0).await;
    }

    pub async fn reply(&mut self) -> Reply {
        let mut reply = self.receive().await.expect("the server closed the connection");
        let head: Vec<u32> = (0..6).map(|_| reply.u32()).collect();
        assert_eq!(head[1..], [1, 0, 0, 0, 0]);
        let bytes = reply.0[reply.1..].to_vec();
        let status = reply.u32();
        assert_eq!(reply.opaque(), b"tag");
        Reply { status, count: reply.u32(), results: reply, bytes }
    }
}

/// A client with one session and one slot.
pub struct Client {
    pub wire: Wire,
    pub id: u64,
    pub session: Vec<u8>,
    pub sequence: u32,
}

pub fn exchange_id(owner: &[u8], verifier: u64) -> Out {
    op(42).u64(verifier).opaque(owner).u32(0).u32(0).u32(0)
}

pub fn create_session(client: u64, sequence: u32) -> Out {
    let channel = |out: Out| [0, 1_100_000, 1_100_000, 8192, 64, 16, 0].into_iter().fold(out, Out::u32);
    channel(channel(op(43).u64(client).u32(sequence).u32(0))).u32(0x4000_0000).u32(1).u32(0)
}

impl Client {
    /// EXCHANGE_ID and CREATE_SESSION.
    pub async fn new(port: u16, owner: &[u8]) -> Client {
        let mut wire = Wire::connect(port).await;
        let mut reply = wire.compound(1, &[exchange_id(owner, 1)]).await;
        assert_eq!(reply.status, OK);
        reply.results.raw(8);
        let (id, sequence) = (reply.results.u64(), reply.results.u32());
        let mut reply = wire.compound(1, &[create_session(id, sequence)]).await;
        assert_eq!(reply.status, OK);
        reply.results.raw(8);
        let session = reply.results.raw(16);
        Client { wire, id, session, sequence: 0 }
    }

    /// The same, and RECLAIM_COMPLETE.
    pub async fn ready(port: u16, owner: &[u8]) -> Client {
        let mut client = Client::new(port, owner).await;
        assert_eq!(client.run(&[op(58).u32(0)]).await.status, OK);
        client
    }

    pub fn sequence(&self, sequence: u32) -> Out {
        op(53).raw(&self.session).u32(sequence).u32(0).u32(0).u32(1)
    }

    /// A compound in the session. The results are after that of SEQUENCE.
    pub async fn run(&mut self, operations: &[Out]) -> Reply {
        self.sequence += 1;
        self.again(operations).await
    }

    /// The same request on the slot as before.
    pub async fn again(&mut self, operations: &[Out]) -> Reply {
        let all: Vec<Out> = [self.sequence(self.sequence)].iter().chain(operations).cloned().collect();
        let mut reply = self.wire.compound(1, &all).await;
        if reply.count > 1 || reply.status == OK {
            reply.results.raw(8 + 16 + 5 * 4);
        }
        reply
    }

    /// OPEN of a name in the root with creation: handle and stateid.
    pub async fn create(&mut self, name: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut reply = self.run(&[putrootfh(), open_create(self.id, b"owner", name), op(10)]).await;
        assert_eq!(reply.status, OK);
        let results = &mut reply.results;
        results.raw(8 + 8);
        let stateid = results.raw(16);
        results.raw(4 + 16 + 4);
        let words = results.u32() as usize;
        results.raw(words * 4 + 4 + 8);
        (results.opaque(), stateid)
    }
}

pub fn op(number: u32) -> Out {
    Out::default().u32(number)
}
pub fn putrootfh() -> Out {
    op(24)
}
pub fn putfh(handle: &[u8]) -> Out {
    op(22).opaque(handle)
}
pub fn lookup(name: &[u8]) -> Out {
    op(15).opaque(name)
}
/// UNCHECKED with mode 0644, for reading and writing.
pub fn open_create(client: u64, owner: &[u8], name: &[u8]) -> Out {
    let head = op(18).u32(0).u32(3).u32(0).u64(client).opaque(owner).u32(1).u32(0);
    head.u32(2).u32(0).u32(2).opaque(&0o644u32.to_be_bytes()).u32(0).opaque(name)
}
pub fn open_previous(client: u64, owner: &[u8]) -> Out {
    op(18).u32(0).u32(3).u32(0).u64(client).opaque(owner).u32(0).u32(1).u32(0)
}
pub fn write(stateid: &[u8], offset: u64, stable: u32, data: &[u8]) -> Out {
    op(38).raw(stateid).u64(offset).u32(stable).opaque(data)
}
pub fn read(stateid: &[u8], offset: u64, count: u32) -> Out {
    op(25).raw(stateid).u64(offset).u32(count)
}
pub fn mkdir(name: &[u8]) -> Out {
    op(6).u32(2).opaque(name).u32(0).u32(0)
}
/// A write lock by a new lock owner.
pub fn lock(client: u64, open: &[u8], reclaim: u32) -> Out {
    let head = op(12).u32(2).u32(reclaim).u64(0).u64(u64::MAX);
    head.u32(1).u32(0).raw(open).u32(0).u64(client).opaque(b"locker")
}
