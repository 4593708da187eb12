//! The workloads: what each prepares, does, and checks.
use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, anyhow, bail, ensure};

use super::compound::{CURRENT_STATE, Compound, Handle, Reply, StateId};
use super::pipeline::{Budget, drive};
use super::report::{Measurement, Summary};
use super::session::{Session, SessionError};

const SMALL: usize = 4096;
const LARGE: usize = 1 << 20;
const NFS4ERR_EXIST: u32 = 17;

/// Counts the connections of this process, so that each is a client of its own.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// GETATTR of one file.
    Getattr,
    /// OPEN of a new file, a durable WRITE of 4 KiB and CLOSE, in one compound.
    Create,
    /// Durable WRITEs of 4 KiB at random places of a file.
    Write4k,
    /// READs of 4 KiB at random places of a file.
    Read4k,
    /// Durable WRITEs of 1 MiB one after the other, from the start again at the end.
    Write1m,
    /// READs of 1 MiB one after the other, from the start again at the end.
    Read1m,
}

impl Workload {
    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Getattr => "getattr",
            Workload::Create => "create",
            Workload::Write4k => "write4k",
            Workload::Read4k => "read4k",
            Workload::Write1m => "write1m",
            Workload::Read1m => "read1m",
        }
    }

    /// Bytes of file data in each operation.
    fn unit(self) -> usize {
        match self {
            Workload::Getattr => 0,
            Workload::Create | Workload::Write4k | Workload::Read4k => SMALL,
            Workload::Write1m | Workload::Read1m => LARGE,
        }
    }
}

/// How much of it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub server: SocketAddr,
    /// The directory to work in, below the root, made if it is not there.
    pub directory: String,
    /// The file to work on; a connection's number is added to it. It is written first unless it is large enough.
    pub file: String,
    /// The size of the file that is read and overwritten.
    pub file_size_bytes: u64,
    /// Connections, each with a session.
    pub connections: u32,
    /// Compounds in flight on each.
    pub depth: u32,
    /// How long, for each connection.
    pub budget: Budget,
}

/// Runs a workload, and gives its figures.
pub fn run(workload: Workload, plan: &Plan) -> Result<Summary> {
    ensure!(plan.connections > 0 && plan.depth > 0, "there must be at least one connection and one slot");
    ensure!(plan.file_size_bytes >= LARGE as u64, "the file must have at least 1 MiB");
    let barrier = Barrier::new(usize::try_from(plan.connections)?);
    let results = std::thread::scope(|scope| {
        let start = |number| {
            let barrier = &barrier;
            scope.spawn(move || run_connection(workload, plan, number, barrier))
        };
        let threads: Vec<_> = (0..plan.connections).map(start).collect();
        let joined =
            threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?);
        joined.collect::<Result<Vec<Measurement>>>()
    })?;
    let mut whole =
        Measurement { bytes_per_operation: u32::try_from(workload.unit())?, ..Measurement::default() };
    for mut part in results {
        whole.latencies.append(&mut part.latencies);
        whole.elapsed = whole.elapsed.max(part.elapsed);
    }
    Ok(whole.summary(workload.name()))
}

fn run_connection(workload: Workload, plan: &Plan, number: u32, barrier: &Barrier) -> Result<Measurement> {
    let ready = prepare(workload, plan, number);
    // All wait for all, also one that failed: else the others would wait for ever.
    barrier.wait();
    let (mut session, target) = ready?;
    let start = Instant::now();
    let depth = usize::try_from(plan.depth)?;
    let operation = |index: u64, compound: &mut Compound| target.encode(index, compound);
    let latencies = drive(&mut session, depth, plan.budget, operation, |reply| check(workload, reply))?;
    let elapsed = start.elapsed();
    let mut compound = Compound::default();
    compound.put_handle(&target.file).close(target.state);
    session.call(&compound, |_| Ok(()))?;
    session.end()?;
    Ok(Measurement { latencies, elapsed, bytes_per_operation: 0 })
}

/// What a connection works on.
struct Target {
    workload: Workload,
    client: u64,
    owner: Vec<u8>,
    run: String,
    directory: Handle,
    file: Handle,
    state: StateId,
    units: u64,
    data: Vec<u8>,
}

fn prepare(workload: Workload, plan: &Plan, number: u32) -> Result<(Session, Target)> {
    let run = format!("{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let owner = format!("tidefs-load-{run}");
    let mut session = Session::connect(plan.server, &owner, plan.depth)?;
    let directory = enter(&mut session, plan.directory.as_bytes())?;
    let mut compound = Compound::default();
    let name = format!("{}{number}", plan.file);
    compound.put_handle(&directory).open(session.client(), owner.as_bytes(), name.as_bytes()).get_handle();
    let (state, file) = session.call(&compound, |results| {
        results.put_handle()?;
        Ok((results.open()?, results.get_handle()?))
    })?;
    let unit = u64::try_from(workload.unit())?;
    let target = Target {
        workload,
        client: session.client(),
        owner: owner.into_bytes(),
        run,
        directory,
        file,
        state,
        units: plan.file_size_bytes.checked_div(unit).unwrap_or(1),
        data: noise(LARGE, u64::from(number)),
    };
    if matches!(workload, Workload::Write4k | Workload::Read4k | Workload::Read1m) {
        target.fill(&mut session, plan.file_size_bytes)?;
    }
    Ok((session, target))
}

/// The handle of a directory below the root, which is made if it is not there.
pub(crate) fn enter(session: &mut Session, name: &[u8]) -> Result<Handle> {
    let mut compound = Compound::default();
    compound.put_root().make_directory(name);
    let made = session.call(&compound, |results| {
        results.put_root()?;
        results.make_directory()
    });
    if let Err(error) = made {
        match error.downcast_ref::<SessionError>() {
            Some(SessionError { status: NFS4ERR_EXIST, .. }) => {}
            _ => return Err(error),
        }
    }
    let mut compound = Compound::default();
    compound.put_root().look_up(name).get_handle();
    session.call(&compound, |results| {
        results.put_root()?;
        results.look_up()?;
        results.get_handle()
    })
}

impl Target {
    /// Writes the file unless its last byte is there.
    fn fill(&self, session: &mut Session, size_bytes: u64) -> Result<()> {
        let mut compound = Compound::default();
        compound.put_handle(&self.file).read(self.state, size_bytes - 1, 1);
        let there = session.call(&compound, |results| {
            results.put_handle()?;
            Ok(!results.read()?.is_empty())
        })?;
        let large = self.data.len() as u64;
        for number in 0..if there { 0 } else { size_bytes.div_ceil(large) } {
            let offset = number * large;
            let length = usize::try_from((size_bytes - offset).min(large))?;
            let data = self.data.get(..length).unwrap_or_default();
            let mut compound = Compound::default();
            compound.put_handle(&self.file).write_durably(self.state, offset, data);
            session.call(&compound, |results| results.put_handle())?;
        }
        Ok(())
    }

    fn encode(&self, index: u64, compound: &mut Compound) {
        let unit = self.workload.unit();
        let data = self.data.get(..unit).unwrap_or_default();
        let length = u32::try_from(unit).unwrap_or(0);
        let sequential = (index % self.units) * unit as u64;
        let random = (mix(index) % self.units) * unit as u64;
        match self.workload {
            Workload::Getattr => compound.put_handle(&self.file).get_attributes(),
            Workload::Create => {
                let name = format!("{}-{index:08}", self.run);
                compound
                    .put_handle(&self.directory)
                    .open(self.client, &self.owner, name.as_bytes())
                    .write_durably(CURRENT_STATE, 0, data)
                    .close(CURRENT_STATE)
            }
            Workload::Write4k => compound.put_handle(&self.file).write_durably(self.state, random, data),
            Workload::Read4k => compound.put_handle(&self.file).read(self.state, random, length),
            Workload::Write1m => compound.put_handle(&self.file).write_durably(self.state, sequential, data),
            Workload::Read1m => compound.put_handle(&self.file).read(self.state, sequential, length),
        };
    }
}

/// A read must have been whole: a server that answers short would look fast.
fn check(workload: Workload, reply: &Reply<'_>) -> Result<()> {
    if matches!(workload, Workload::Read4k | Workload::Read1m) {
        let mut results = reply.after_sequence()?;
        results.put_handle()?;
        let length = results.read()?.len();
        if length != workload.unit() {
            bail!("a read of {} bytes gave {length}", workload.unit());
        }
    }
    Ok(())
}

/// Incompressible bytes.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let words = (0..length.div_ceil(8) as u64).map(|index| mix(index ^ (seed << 40)).to_le_bytes());
    words.flatten().take(length).collect()
}

/// A good mix of a number's bits (the finalizer of splitmix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
