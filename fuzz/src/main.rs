//! All fuzz targets in one program: libFuzzer calls the one that `TIDEFS_FUZZ` names.
//!
//! A target gives each input to each of its decoders. `TIDEFS_FUZZ=list` prints the targets, each with the number of its decoders and
//! the longest input that makes sense for it; `TIDEFS_FUZZ` may also name one decoder. With `TIDEFS_FUZZ_SEEDS` the seeds of the target
//! are written to that directory instead.

#![no_main]

use std::alloc::System;
use std::path::Path;
use std::sync::OnceLock;

use cap::Cap;
use libfuzzer_sys::fuzz_target;

/// Counts what is allocated, so that a length that an input claims cannot become memory unseen.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Bytes that a run may allocate whatever its input is: caches, and buffers of a fixed size.
const FREE_BYTES: usize = 64 << 20;
/// Bytes that it may allocate for each byte of its input.
const BYTES_PER_INPUT_BYTE: usize = 256;
/// Inputs may always be so long.
const INPUT_BYTES_MIN: usize = 4096;

/// A decoder under test: what checks it, and real encodings to begin with.
struct Decoder {
    name: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
}

/// What is run for some minutes.
struct Target {
    name: &'static str,
    decoders: Vec<Decoder>,
}

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(init: start(), |data: &[u8]| run(data));

/// The families of the crates; those of one name are one target.
fn targets() -> Vec<Target> {
    let mut targets: Vec<Target> = Vec::new();
    let mut add = |name, decoder| match targets.iter_mut().find(|target| target.name == name) {
        Some(target) => target.decoders.push(decoder),
        None => targets.push(Target { name, decoders: vec![decoder] }),
    };
    for (family, decoders) in engine::fuzzing::families() {
        decoders.iter().for_each(|it| add(family, Decoder { name: it.name, run: it.run, seeds: it.seeds }));
    }
    for it in lifecycle::fuzzing::DECODERS {
        add("settings", Decoder { name: it.name, run: it.run, seeds: it.seeds });
    }
    for (family, decoders) in gateway::fuzzing::families() {
        decoders.iter().for_each(|it| add(family, Decoder { name: it.name, run: it.run, seeds: it.seeds }));
    }
    targets
}

impl Target {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.decoders.iter().flat_map(|decoder| (decoder.seeds)()).collect()
    }

    /// The target of the name, or one of the decoder of the name alone.
    fn find(name: &str) -> Option<Target> {
        if let Some(target) = targets().into_iter().find(|target| target.name == name) {
            return Some(target);
        }
        let decoder = targets().into_iter().flat_map(|target| target.decoders).find(|it| it.name == name)?;
        Some(Target { name: decoder.name, decoders: vec![decoder] })
    }
}

fn start() {
    let asked = std::env::var("TIDEFS_FUZZ").unwrap_or_default();
    if asked == "list" {
        for target in targets() {
            let longest = target.seeds().iter().map(Vec::len).max().unwrap_or_default();
            println!("{} {} {}", target.name, target.decoders.len(), (2 * longest).max(INPUT_BYTES_MIN));
        }
        std::process::exit(0);
    }
    let Some(target) = Target::find(&asked) else {
        eprintln!("TIDEFS_FUZZ must name a target; TIDEFS_FUZZ=list prints them, `{asked}` is none");
        std::process::exit(2);
    };
    let seeds = target.seeds();
    if let Some(directory) = std::env::var_os("TIDEFS_FUZZ_SEEDS") {
        for (number, seed) in seeds.iter().enumerate() {
            let path = Path::new(&directory).join(format!("seed-{number:03}"));
            if let Err(error) = std::fs::write(&path, seed) {
                eprintln!("cannot write {}: {error}", path.display());
                std::process::exit(2);
            }
        }
        std::process::exit(0);
    }
    // What is made once and kept does not count as memory of an input.
    seeds.iter().for_each(|seed| target.decoders.iter().for_each(|decoder| (decoder.run)(seed)));
    let _ = TARGET.set(target);
}

fn run(data: &[u8]) {
    let Some(target) = TARGET.get() else { return };
    let bytes = FREE_BYTES + BYTES_PER_INPUT_BYTE * data.len();
    for decoder in &target.decoders {
        // An allocation beyond the limit fails, which ends the program: libFuzzer reports the input.
        // Nobody can have allocated more than is allowed from now on, so that the limit cannot be refused.
        let _ = MEMORY.set_limit(MEMORY.allocated() + bytes);
        (decoder.run)(data);
        let _ = MEMORY.set_limit(usize::MAX);
    }
}
