//! What happens in a run: made of a seed, and data, so that it can be shrunk.

use crate::broken::Broken;
use crate::file_system::Stability;
use crate::tiering::Tier;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// A rule that the engine breaks, to see that it is noticed.
    pub(super) broken: Option<Broken>,
    pub(super) lives: Vec<Life>,
}

/// What happens between a start and the crash that ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    /// What each client does, one after the other.
    pub(super) clients: Vec<Vec<Op>>,
    pub(super) end: End,
    /// Of a hundred requests to the object store so many fail.
    pub(super) storm_percent: u64,
    /// Of a hundred objects that were put or deleted lately so many are listed as they were before.
    pub(super) lag_percent: u64,
    /// The step at or after which a sync fails.
    pub(super) sync_fails_at: Option<u64>,
    /// Bytes that are free on the disk at the start.
    pub(super) room_bytes: Option<u64>,
    /// The step at which the disk is full.
    pub(super) full_at: Option<u64>,
    /// Seconds that the clock goes back when this life begins.
    pub(super) clock_back: i64,
    /// Whether the background work comes to its end before the clients begin, after which nothing may be left over.
    pub(super) settles: bool,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// The step of the disk at which it ends, counted from the start; at the latest when the clients are done.
    pub(super) step: u64,
    pub(super) how: Crash,
    pub(super) index: IndexFate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    PowerFailure,
    Kill,
    /// Not a crash: the file system is closed, if the step is not reached before.
    Stop,
}

/// What becomes of the index, which is written beside the simulated disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexFate {
    Stays,
    Older,
    Damaged,
    Gone,
}

/// One operation. Small numbers choose among what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Create {
        directory: u8,
        name: u8,
    },
    MakeDirectory {
        directory: u8,
        name: u8,
    },
    MakeSymlink {
        directory: u8,
        name: u8,
    },
    Link {
        file: u8,
        directory: u8,
        name: u8,
    },
    Rename {
        from: u8,
        name: u8,
        to: u8,
        new: u8,
    },
    Remove {
        directory: u8,
        name: u8,
    },
    SetMode {
        node: u8,
        mode: u32,
    },
    Truncate {
        file: u8,
        size: u32,
    },
    Write {
        file: u8,
        offset: u32,
        length: u32,
        stability: Stability,
    },
    Commit {
        file: u8,
    },
    Read {
        file: u8,
    },
    /// Keeps a file open.
    Open {
        file: u8,
    },
    CloseAll,
    Transition {
        files: u8,
        to: Tier,
    },
    Checkpoint,
    /// Makes a hole.
    Punch {
        file: u8,
        offset: u32,
        length: u32,
    },
    /// Clones whole units between two files of the client.
    Clone {
        from: u8,
        to: u8,
        unit: u8,
        units: u8,
    },
    RotateKey,
    Collect,
    /// Verifies beside the others.
    Verify,
    Note {
        key: u8,
        value: u8,
    },
    Sleep {
        milliseconds: u32,
    },
}

/// Names in a directory; few, so that operations meet.
pub(super) const NAMES: u8 = 5;
/// Bytes in a file at most, about.
const SIZE_MAX: u32 = 300_000;

/// Numbers of a seed.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Chance(seed)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.number() % u64::from(bound)).unwrap()
    }

    fn byte(&mut self, bound: u8) -> u8 {
        u8::try_from(self.below(u32::from(bound))).unwrap()
    }

    pub(super) fn one_in(&mut self, bound: u32) -> bool {
        self.below(bound) == 0
    }
}

impl Plan {
    pub(super) fn of(seed: u64) -> Plan {
        let mut chance = Chance::new(seed);
        let lives = 2 + chance.below(5);
        Plan { seed, broken: None, lives: (0..lives).map(|_| Life::any(&mut chance)).collect() }
    }

    pub(super) fn operations(&self) -> usize {
        self.lives.iter().flat_map(|life| &life.clients).map(Vec::len).sum()
    }
}

impl Life {
    fn any(chance: &mut Chance) -> Life {
        let most = if chance.one_in(3) { 60 } else { 20 };
        let operations = 1 + chance.below(most);
        let clients = 1 + chance.below(3);
        let large = chance.one_in(4);
        let mut clients: Vec<Vec<Op>> =
            (0..clients).map(|_| (0..operations).map(|_| Op::any(chance, large)).collect()).collect();
        // Of a chance of its own, so that the other lives of a seed stay what they are.
        let mut own = Chance::new(chance.0 ^ 0x51);
        if own.one_in(10)
            && let Some(client) = clients.first_mut()
        {
            let at = own.below(operations + 1) as usize;
            client.splice(at..at, Op::small_writes(&mut own));
        }
        // A start takes some twenty steps and more, an operation some five: a crash may come in any of them.
        let steps = 20 + u64::from(operations) * 12;
        let step = if chance.one_in(4) { 1 + chance.number() % 40 } else { 1 + chance.number() % steps };
        let how = match chance.below(8) {
            0 => Crash::Stop,
            1..=2 => Crash::Kill,
            _ => Crash::PowerFailure,
        };
        let index = match (how, chance.below(6)) {
            (Crash::PowerFailure, 0) => IndexFate::Damaged,
            (_, 1) => IndexFate::Gone,
            (_, 2) => IndexFate::Older,
            _ => IndexFate::Stays,
        };
        Life {
            clients,
            end: End { step, how, index },
            storm_percent: if chance.one_in(3) { u64::from(chance.below(60)) } else { 0 },
            lag_percent: if chance.one_in(2) { u64::from(chance.below(101)) } else { 0 },
            sync_fails_at: chance.one_in(12).then(|| 1 + chance.number() % steps),
            room_bytes: chance.one_in(8).then(|| u64::from(chance.below(6 << 20))),
            full_at: own.one_in(12).then(|| 1 + own.number() % steps),
            clock_back: if chance.one_in(6) { i64::from(chance.below(100_000)) } else { 0 },
            settles: chance.one_in(2),
        }
    }
}

impl Op {
    /// What a log or a database does to a few pages: small writes, durable each, and then some that are committed together.
    fn small_writes(chance: &mut Chance) -> Vec<Op> {
        let file = chance.byte(16);
        let start = chance.below(4) * 65_536 + chance.below(50_000);
        let (step, within) = (1 + chance.below(40), 200 + chance.below(3000));
        let mut write = |at: u32, most: u32, stability| {
            let length = 1 + chance.below(most);
            Op::Write { file, offset: start + at, length, stability }
        };
        let mut operations: Vec<Op> =
            (0..40).map(|number| write(number * step % within, step, Stability::FileSync)).collect();
        let mut at = 0;
        for _ in 0..4 {
            operations.push(write(at, within / 4, Stability::Unstable));
            at += within / 3;
        }
        operations.extend([Op::Commit { file }, Op::Read { file }]);
        // Some are left out at the beginning, so that those that are joined are of any number.
        operations.split_off(chance.below(20) as usize)
    }

    fn any(chance: &mut Chance, large: bool) -> Op {
        let file = chance.byte(16);
        let (directory, name) = (chance.byte(4), chance.byte(NAMES));
        let offset = match chance.below(4) {
            0 => 0,
            1 => chance.below(8) * 65_536,
            _ => chance.below(SIZE_MAX),
        };
        let length = match chance.below(if large { 6 } else { 4 }) {
            0 => 4096,
            1 | 2 => 1 + chance.below(3000),
            3 => 1 + chance.below(70_000),
            _ => 60_000 + chance.below(200_000),
        };
        match chance.below(56) {
            0..=5 => Op::Create { directory, name },
            6 => Op::MakeDirectory { directory, name },
            7 => Op::MakeSymlink { directory, name },
            8 => Op::Link { file, directory, name },
            9..=12 => Op::Rename { from: directory, name, to: chance.byte(4), new: chance.byte(NAMES) },
            13..=15 => Op::Remove { directory, name },
            16 => Op::SetMode { node: file, mode: chance.below(0o1000) },
            17..=19 => Op::Truncate { file, size: offset },
            20..=28 => Op::Write { file, offset, length, stability: Stability::Unstable },
            29..=34 => Op::Write { file, offset, length, stability: Stability::FileSync },
            35..=37 => Op::Commit { file },
            38 => Op::Read { file },
            39 => Op::Open { file },
            40 => Op::CloseAll,
            41..=42 => Op::Transition { files: file, to: Tier::InfrequentAccess },
            43 => Op::Transition { files: file, to: Tier::Standard },
            44 => Op::Checkpoint,
            45 => Op::Note { key: name, value: file },
            46 | 47 => Op::Punch { file, offset, length },
            48 | 49 => Op::Clone {
                from: file,
                to: chance.byte(16),
                unit: chance.byte(40),
                units: 1 + chance.byte(30),
            },
            50 if chance.one_in(3) => Op::RotateKey,
            51 => Op::Collect,
            53 => Op::Verify,
            52 => Op::Sleep { milliseconds: chance.below(2000) },
            _ => Op::Sleep { milliseconds: 10_000 + chance.below(100_000) },
        }
    }
}
