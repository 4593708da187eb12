//! Content: durable overwrites, streams, and reads.

use std::path::Path;
use std::time::Instant;

use engine::{Budgets, Stability};

use crate::Arguments;
use crate::raw_disk::RawDisk;
use crate::raw_log::RawLog;
use crate::subject::{Limit, Run, Subject, incompressible, processor_seconds};
use crate::table::{Beside, Row, Table, median, rate};
use crate::{raw_cipher, raw_disk};

const IN_FLIGHT: usize = 16;
const PAGE: usize = 4096;
/// Bytes of a record of the raw log that carries a page.
const PAGE_RECORD_BYTES: usize = PAGE + 256;
const STREAM_MIB: u64 = 256;
/// Larger than what the block cache may hold here.
const UNCACHED_MIB: u64 = 512;
const UNCACHED_READS: usize = 16_384;
/// Of the file that is written at random first.
const AT_RANDOM_MIB: u64 = 256;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn page_offset(number: usize, mebibytes: u64) -> u64 {
    (number as u64).wrapping_mul(GOLDEN) % (mebibytes << 8) * PAGE as u64
}

/// Durable writes of 4 KiB anywhere in a file.
pub(crate) fn overwrites(arguments: &Arguments, below: &Path, table: &mut Table) {
    let subject = Subject::new(below, Budgets::default());
    let log = RawLog::make(&subject.directory.join("log"));
    let file = subject.write_in_order("file", 64);
    let page = incompressible(PAGE);
    let (mut logs, mut runs): (Vec<f64>, Vec<Run>) = Default::default();
    for _ in 0..=arguments.rounds {
        subject.rest(8);
        logs.push(log.measure(IN_FLIGHT, PAGE_RECORD_BYTES, arguments.time()));
        runs.push(subject.in_flight(IN_FLIGHT, Limit::Time(arguments.time()), |_, number| {
            subject.write(file, page_offset(number, 64), page.clone(), Stability::FileSync)
        }));
    }
    // In the first one the journal's files are made, as those of the log were before.
    logs.remove(0);
    runs.remove(0);
    table.print(&Row {
        what: format!("durable 4 KiB overwrite, {IN_FLIGHT} in flight"),
        value: median(runs.iter().map(|run| run.rate).collect()),
        unit: "/s",
        beside: Some(Beside { what: "raw log", value: median(logs), bound: 0.6 }),
        notes: runs.last_mut().map_or_else(String::new, |run| run.latencies.describe()),
    });
}

/// 1 MiB at a time, in order: written and committed, and read with nothing in memory.
pub(crate) fn streams(arguments: &Arguments, below: &Path, table: &mut Table) {
    let budgets = Budgets { block_cache_bytes: 8 << 20, ..Budgets::default() };
    let subject = Subject::new(below, budgets);
    let disk = RawDisk::make(&subject.directory.join("raw"));
    let mut ciphers: [Vec<f64>; 4] = Default::default();
    let mut found: [Vec<f64>; 6] = Default::default();
    for round in 0..arguments.rounds {
        let time = arguments.time() / 8;
        let (ours, other) = (raw_cipher::aws_lc(time), raw_cipher::aes_gcm(time));
        for (all, one) in ciphers.iter_mut().zip([ours.seal, ours.open, other.seal, other.open]) {
            all.push(one);
        }
        let [disk_write, disk_read, write, read, write_cores, read_cores] = &mut found;
        disk_write.push(disk.write_in_order(256));
        let (started, used) = (Instant::now(), processor_seconds());
        let file = subject.write_in_order(&format!("stream-{round}"), STREAM_MIB);
        write.push(rate(usize::try_from(STREAM_MIB).unwrap(), started.elapsed()));
        write_cores.push((processor_seconds() - used) / started.elapsed().as_secs_f64());
        disk_read.push(disk.read_in_order(256));
        subject.drop_page_cache();
        let (started, used) = (Instant::now(), processor_seconds());
        for number in 0..STREAM_MIB {
            subject.runtime.block_on(subject.fs.read(file, number << 20, 1 << 20)).unwrap();
        }
        read.push(rate(usize::try_from(STREAM_MIB).unwrap(), started.elapsed()));
        read_cores.push((processor_seconds() - used) / started.elapsed().as_secs_f64());
    }
    let [seal, open, other_seal, other_open] = ciphers.map(median);
    let [disk_write, disk_read, write, read, write_cores, read_cores] = found.map(median);
    for (what, value, cipher, other, disk, cores) in [
        ("1 MiB writes in order and COMMIT", write, seal, other_seal, disk_write, write_cores),
        ("1 MiB reads in order, uncached", read, open, other_open, disk_read, read_cores),
    ] {
        let beside = Beside { what: "min(AES-256-GCM, disk)", value: cipher.min(disk), bound: 0.7 };
        let notes = format!(
            "AES {cipher:.0} (aes-gcm {other:.0}), disk {disk:.0}; {value:.0} MiB/s in all, {cores:.2} cores"
        );
        let (what, value) = (format!("{what}, by core used"), value / cores);
        table.print(&Row { what, value, unit: "MiB/s", beside: Some(beside), notes });
    }
}

/// 4 KiB anywhere in a file that is in memory, on one core.
pub(crate) fn cached_reads(arguments: &Arguments, below: &Path, table: &mut Table) {
    const MIB: u64 = 64;
    let subject = Subject::new(below, Budgets::default());
    let file = subject.write_in_order("file", MIB);
    let mut rates = Vec::new();
    for _ in 0..=arguments.rounds {
        let run = subject.in_flight(1, Limit::Time(arguments.time() / 2), |_, number| {
            let fs = &subject.fs;
            async move { drop(fs.read(file, page_offset(number, MIB), PAGE).await.unwrap()) }
        });
        rates.push(run.rate);
    }
    // The first one fills the cache.
    rates.remove(0);
    let (what, value) = ("4 KiB reads anywhere, cached, one core".to_owned(), median(rates));
    let beside = Some(Beside { what: "the aim", value: 300_000.0, bound: 1.0 });
    table.print(&Row { what, value, unit: "/s", beside, notes: String::new() });
}

/// 4 KiB anywhere in files that are not in memory.
pub(crate) fn uncached_reads(arguments: &Arguments, below: &Path, table: &mut Table) {
    let budgets = Budgets { block_cache_bytes: 4 << 20, ..Budgets::default() };
    let subject = Subject::new(below, budgets);
    let disk = RawDisk::make(&subject.directory.join("raw"));
    assert_eq!(raw_disk::FILE_BYTES as u64, UNCACHED_MIB << 20);
    let streamed = subject.write_in_order("streamed", UNCACHED_MIB);
    let at_random = subject.write_in_order("at-random", AT_RANDOM_MIB);
    // What a database does to its file, before it is read: pages anywhere, and time to fold them.
    let page = incompressible(PAGE);
    let pages = usize::try_from(AT_RANDOM_MIB << 8).unwrap();
    subject.in_flight(IN_FLIGHT, Limit::Count(pages), |_, number| {
        subject.write(at_random, page_offset(number, AT_RANDOM_MIB), page.clone(), Stability::FileSync)
    });
    subject.rest(8);
    for (what, file, mebibytes) in
        [("written in order", streamed, UNCACHED_MIB), ("written at random", at_random, AT_RANDOM_MIB)]
    {
        let (mut raw, mut rates, mut used) = (Vec::new(), Vec::new(), 0.0);
        for round in 0..arguments.rounds {
            raw.push(disk.read_anywhere(IN_FLIGHT, arguments.time()));
            subject.drop_page_cache();
            let before = processor_seconds();
            let run = subject.spread(IN_FLIGHT, Limit::Count(UNCACHED_READS), |_, number| {
                let fs = &subject.fs;
                let offset = page_offset(number + round * (1 << 20), mebibytes);
                async move { drop(fs.read(file, offset, PAGE).await.unwrap()) }
            });
            used += processor_seconds() - before;
            rates.push(run.rate);
        }
        let rounds: Vec<_> = rates.iter().map(|rate| format!("{:.0}k", rate / 1000.0)).collect();
        let notes = format!(
            "{:.0} µs of processor time each; rounds {}",
            used * 1e6 / (arguments.rounds * UNCACHED_READS) as f64,
            rounds.join(" ")
        );
        let what = format!("4 KiB reads anywhere, uncached, {what}");
        let beside = Some(Beside { what: "raw O_DIRECT", value: median(raw), bound: 0.7 });
        table.print(&Row { what, value: median(rates), unit: "/s", beside, notes });
    }
}
