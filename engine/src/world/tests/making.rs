//! A crash at every step of the making of a file system: key, superblock, directories, journal, root.

use super::super::machine::Machine;
use super::super::plan::{Crash, IndexFate};
use crate::credential::Credential;
use crate::error::{self, Error};
use crate::file_system::{CreateMode, Entry, FileSystem};
use crate::identity::InodeId;
use crate::verify::{VerifyOptions, VerifyProgress};

/// Crashes of one step: what a loss of power leaves is up to chance.
const LOSSES: u64 = 6;

/// How far a first start came.
#[derive(Debug, Default)]
struct Came {
    /// It was said that the file system is made.
    made: bool,
    /// It was said that a file in it is made.
    first: bool,
}

/// Starts a server, and makes a file of that name. Whatever the power cut off is an error.
fn serve(machine: &mut Machine, seed: u64, name: &[u8], came: &mut Came) -> error::Result<()> {
    machine.start()?;
    came.made = true;
    machine.run(seed, async {
        let fs = machine.open().await?;
        let entry = Entry { directory: InodeId::ROOT, name };
        let made = fs.create(&Credential::root(), entry, CreateMode::Guarded, &Default::default()).await?;
        made.durable().await?;
        came.first = true;
        fs.shutdown().await
    })
}

/// What is there is whole: these files, and others at most.
fn check(machine: &mut Machine, seed: u64, names: &[&[u8]]) -> error::Result<()> {
    machine.start()?;
    machine.run(seed, async {
        let fs: FileSystem = machine.open().await?;
        for name in names {
            fs.lookup(&Credential::root(), Entry { directory: InodeId::ROOT, name })?;
        }
        let report = fs.verify(&VerifyOptions::default(), &VerifyProgress::default()).await?;
        assert!(report.is_clean(), "{:?}", report.findings);
        fs.shutdown().await
    })
}

fn crash_at(step: u64, how: Crash, seed: u64) {
    let about = format!("step {step}, {how:?}, seed {seed}");
    let fail = |what: &str, error: Error| panic!("{about}: {what}: {error:?}");
    let mut machine = Machine::bare(seed, None);
    machine.disk.fail_power_at(step);
    let mut came = Came::default();
    let cut_off = serve(&mut machine, seed, b"first", &mut came);
    assert!(cut_off.is_err() || !machine.disk.is_off(), "{about}: it did not notice that the power failed");
    let id = machine.id();
    machine.crash(how, IndexFate::Stays);

    let there = FileSystem::list_on(&machine.disk, machine.data()).unwrap();
    assert!(!came.made || there == [id], "{about}: it was made, and is {there:?}");
    let expected: &[&[u8]] = if came.first { &[b"first"] } else { &[] };
    check(&mut machine, seed + 1, expected).unwrap_or_else(|error| fail("the next start", error));
    assert!(!came.made || machine.id() == id, "{about}: another one was made");
    assert_eq!(
        machine.names().iter().filter(|name| name.starts_with("fs-")).count(),
        1,
        "{about}: something is left"
    );

    // What is acknowledged now does not hang on what the first process had not made durable.
    let id = machine.id();
    serve(&mut machine, seed + 2, b"second", &mut came)
        .unwrap_or_else(|error| fail("the start after that", error));
    machine.crash(Crash::PowerFailure, IndexFate::Gone);
    let expected = [expected, &[b"second"]].concat();
    check(&mut machine, seed + 3, &expected)
        .unwrap_or_else(|error| fail("the start after a loss of power", error));
    assert_eq!(machine.id(), id, "{about}: another one was made after a loss of power");
}

/// Durable steps of a first start.
fn steps() -> u64 {
    let mut machine = Machine::bare(0, None);
    let disk = machine.disk.clone();
    serve(&mut machine, 0, b"first", &mut Came::default()).unwrap();
    disk.steps()
}

#[test]
fn a_crash_at_every_step_of_the_making_of_a_file_system() {
    let steps = steps();
    assert!((60..400).contains(&steps), "{steps}");
    for step in 1..=steps {
        crash_at(step, Crash::Kill, step);
        (0..LOSSES).for_each(|loss| crash_at(step, Crash::PowerFailure, loss * 1000 + step));
    }
    println!("{steps} steps, {} crashes", steps * (1 + LOSSES));
}

/// The first start failed for another reason, and what it made is taken back: either it is there, whole, or it is not.
#[test]
fn a_crash_at_every_step_of_taking_a_file_system_back() {
    let take_back =
        |machine: &mut Machine| FileSystem::take_back(machine.data(), machine.id(), &machine.options());
    let made = |seed| {
        let mut machine = Machine::bare(seed, None);
        serve(&mut machine, seed, b"first", &mut Came::default()).unwrap();
        machine.crash(Crash::Kill, IndexFate::Gone);
        machine
    };
    for seed in 0..20 {
        for step in 1..=3 {
            let mut machine = made(seed);
            machine.disk.fail_power_at(step);
            let taken = take_back(&mut machine);
            let how = if seed % 3 == 0 { Crash::Kill } else { Crash::PowerFailure };
            machine.crash(how, IndexFate::Gone);
            let ids = FileSystem::list_on(&machine.disk, machine.data()).unwrap();
            assert!(taken.is_err() || ids.is_empty(), "seed {seed}: it was taken back and is there");
            let expected: &[&[u8]] = if ids.is_empty() { &[] } else { &[b"first"] };
            check(&mut machine, seed, expected).unwrap();
            assert!(machine.names().iter().all(|name| !name.contains("unfinished")));
        }
    }
}
