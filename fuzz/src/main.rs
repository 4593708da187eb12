//! All fuzz targets in one program: libFuzzer calls the one that `TIDEFS_FUZZ` names.
//!
//! `TIDEFS_FUZZ=list` prints the targets, each with the longest input that makes sense for it. With `TIDEFS_FUZZ_SEEDS` the seeds of
//! the target are written to that directory instead.

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

type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(init: start(), |data: &[u8]| run(data));

fn targets() -> Vec<Target> {
    let engine = engine::fuzzing::targets().into_iter().map(|target| (target.name, target.run, target.seeds));
    let lifecycle = lifecycle::fuzzing::TARGETS.iter().map(|target| (target.name, target.run, target.seeds));
    let gateway =
        gateway::fuzzing::targets().into_iter().map(|target| (target.name, target.run, target.seeds));
    engine.chain(lifecycle).chain(gateway).collect()
}

fn start() {
    let asked = std::env::var("TIDEFS_FUZZ").unwrap_or_default();
    if asked == "list" {
        for (name, _, seeds) in targets() {
            let longest = seeds().iter().map(Vec::len).max().unwrap_or_default();
            println!("{name} {}", (2 * longest).max(INPUT_BYTES_MIN));
        }
        std::process::exit(0);
    }
    let Some(target) = targets().into_iter().find(|(name, ..)| *name == asked) else {
        eprintln!("TIDEFS_FUZZ must name a target; TIDEFS_FUZZ=list prints them, `{asked}` is none");
        std::process::exit(2);
    };
    let (_, run, seeds) = target;
    if let Some(directory) = std::env::var_os("TIDEFS_FUZZ_SEEDS") {
        for (number, seed) in seeds().iter().enumerate() {
            let path = Path::new(&directory).join(format!("seed-{number:03}"));
            if let Err(error) = std::fs::write(&path, seed) {
                eprintln!("cannot write {}: {error}", path.display());
                std::process::exit(2);
            }
        }
        std::process::exit(0);
    }
    // What is made once and kept does not count as memory of an input.
    seeds().iter().for_each(|seed| run(seed));
    let _ = TARGET.set(target);
}

fn run(data: &[u8]) {
    let Some((_, run, _)) = TARGET.get() else { return };
    let bytes = FREE_BYTES + BYTES_PER_INPUT_BYTE * data.len();
    // An allocation beyond the limit fails, which ends the program: libFuzzer reports the input.
    // Nobody can have allocated more than is allowed from now on, so that the limit cannot be refused.
    let _ = MEMORY.set_limit(MEMORY.allocated() + bytes);
    run(data);
    let _ = MEMORY.set_limit(usize::MAX);
}
