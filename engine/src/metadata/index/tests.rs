//! The index beside a map that does the same.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Index, Indexes, SledIndexes};
use crate::home::Home;
use crate::identity::{Epoch, Lsn};
use crate::limits::INDEX_BUNDLE_BYTES;
use crate::metadata::overlay::Entry;
use crate::metadata::tests::support::Bench;

type Model = BTreeMap<Bytes, Bytes>;

fn index(directory: &std::path::Path, home: &Home, epoch: u32, cache_bytes: u64) -> Index {
    let store = SledIndexes.open(directory, 1 << 20).unwrap();
    Index::new(home, [9; 16], Epoch(epoch), store, cache_bytes)
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Changes of one of the kinds that there are: a few anywhere, a run of neighbours, a run of deletions.
    fn changes(&mut self) -> BTreeMap<Bytes, Option<Bytes>> {
        let kind = self.below(4);
        let count = [40, 400, 900, 4000][usize::try_from(kind).unwrap()];
        let start = self.below(4000);
        let changes = (0..count).map(|step| {
            let number = if kind == 0 { self.below(4000) } else { start + step };
            let deletes = kind == 2 || self.below(5) == 0 || (kind == 3 && start.is_multiple_of(2));
            let large = if self.below(200) == 0 { 5000 } else { 0 };
            let bytes = usize::try_from(self.below(150) + large).unwrap();
            let value = (!deletes).then(|| Bytes::from(vec![self.below(256) as u8; bytes]));
            (Bytes::from(format!("k{number:06}")), value)
        });
        changes.collect()
    }
}

fn rows(index: &Index, from: &str, to: &str) -> Vec<Entry> {
    index.with_range(from.as_bytes(), to.as_bytes(), |rows| rows.collect()).unwrap()
}

fn check(index: &Index, model: &Model, random: &mut Random) {
    let all: Vec<Entry> = model.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    assert_eq!(rows(index, "a", "z"), all);
    for _ in 0..15 {
        let key = format!("k{:06}", random.below(8200));
        assert_eq!(index.get(key.as_bytes()).unwrap(), model.get(key.as_bytes()).cloned(), "{key}");
        let to = format!("k{:06}", random.below(8200));
        let wanted = all.iter().filter(|(row, _)| *row >= *key.as_bytes() && *row < *to.as_bytes());
        assert_eq!(rows(index, &key, &to), wanted.cloned().collect::<Vec<_>>(), "{key} to {to}");
        let upto = all.iter().filter(|(row, _)| *row >= *key.as_bytes() && *row <= *to.as_bytes());
        let last = upto.last().and_then(|(row, value)| Some((row.clone(), value.clone()?)));
        assert_eq!(index.last(key.as_bytes(), to.as_bytes()).unwrap(), last, "the last of {key} to {to}");
    }
}

#[test]
fn an_index_has_what_a_map_has_after_any_changes() {
    for seed in 1..4 {
        let bench = Bench::on_real_disk();
        let mut random = Random(seed * 0x9e37_79b9);
        let mut model = Model::new();
        let directory = bench.file("index");
        let mut open = index(&directory, &bench.home, 1, 64 << 10);
        for round in 1..=12 {
            let changes = random.changes();
            let entries = || changes.iter().map(|(key, value)| Ok((key.clone(), value.clone())));
            if random.below(3) == 0 {
                // A run that was interrupted, and is done again from its beginning.
                let part = usize::try_from(random.below(300)).unwrap();
                open.apply(entries().take(part), Lsn(round)).unwrap();
            }
            open.apply(entries(), Lsn(round)).unwrap();
            for (key, value) in changes {
                match value {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
            }
            check(&open, &model, &mut random);
            assert_eq!(open.applied().unwrap(), Some(Lsn(round)));
            if round % 5 == 0 {
                open.close().unwrap();
                drop(open);
                open = index(&directory, &bench.home, u32::try_from(round).unwrap(), 64 << 10);
                check(&open, &model, &mut random);
            }
        }
    }
}

#[test]
fn a_bundle_that_is_missing_is_noticed() {
    let bench = Bench::on_real_disk();
    let open = index(&bench.file("index"), &bench.home, 1, 0);
    let row = |number: usize| (Bytes::from(format!("k{number:06}")), Some(Bytes::from(vec![1; 100])));
    open.apply((0..200).map(|number| Ok(row(number))), Lsn(1)).unwrap();
    let (lower, _) = open.leaf_to_change(b"k000100").unwrap().unwrap();
    assert!(lower.len() > 1, "there is a bundle below it");
    open.write_leaves(vec![(lower, None)]).unwrap();
    assert!(open.get(b"k000100").is_err());
    assert!(open.with_range(b"k", b"l", |rows| rows.collect::<Result<Vec<_>, _>>()).is_err());
    let change = [Ok((Bytes::from_static(b"k000100"), None))];
    assert!(open.apply(change.into_iter(), Lsn(2)).is_err());
}

#[test]
fn removing_neighbours_leaves_no_bundles_behind() {
    let bench = Bench::on_real_disk();
    let open = index(&bench.file("index"), &bench.home, 1, 0);
    let row = |number: usize, value: Option<&'static [u8]>| {
        Ok((Bytes::from(format!("k{number:06}")), value.map(Bytes::from_static)))
    };
    open.apply((0..20_000).map(|number| row(number, Some(&[1; 100]))), Lsn(1)).unwrap();
    let filled = open.pages();
    assert!(filled > 20_000 * 100 / INDEX_BUNDLE_BYTES && filled < 20_000 * 140 / INDEX_BUNDLE_BYTES);
    open.apply((0..19_999).map(|number| row(number, None)), Lsn(2)).unwrap();
    assert!(open.pages() < filled / 20, "{} of {filled}", open.pages());
}

/// A key that has little in common with its neighbours, so that few of them fit into a branch and the tree becomes high.
fn long_key(number: usize) -> Bytes {
    let noise = Random(number as u64 + 1).below(u64::MAX);
    Bytes::from(format!("{number:07}{}", noise.to_string().repeat(18)))
}

#[test]
fn a_high_tree_grows_and_shrinks_at_both_ends_and_in_the_middle() {
    let bench = Bench::on_real_disk();
    let open = index(&bench.file("index"), &bench.home, 1, 32 << 10);
    let mut model = Model::new();
    let mut lsn = 0;
    let mut apply = |model: &mut Model, changes: BTreeMap<Bytes, Option<Bytes>>| {
        lsn += 1;
        open.apply(changes.iter().map(|(key, value)| Ok((key.clone(), value.clone()))), Lsn(lsn)).unwrap();
        for (key, value) in changes {
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
        let found = open.with_range(b"\0", b"z", |rows| rows.collect::<Result<Vec<_>, _>>()).unwrap();
        assert!(found.iter().map(|(key, value)| (key, value.as_ref().unwrap())).eq(model.iter()), "{lsn}");
        for key in found.iter().step_by(97).map(|(key, _)| key) {
            assert_eq!(open.get(key).unwrap().as_ref(), model.get(key));
        }
    };
    let value = |number: usize| Bytes::from(vec![number as u8; 120]);
    let add = |numbers: &mut dyn Iterator<Item = usize>| {
        numbers.map(|number| (long_key(number), Some(value(number)))).collect()
    };
    let remove =
        |numbers: &mut dyn Iterator<Item = usize>| numbers.map(|number| (long_key(number), None)).collect();
    apply(&mut model, add(&mut (0..9000)));
    let (filled, height) = (open.pages(), open.height());
    assert!(height >= 4, "{height}");
    // From both ends and from the middle, so that pages go that are the first ones below their branches.
    for from in [0, 1, 2, 3] {
        apply(&mut model, remove(&mut (from * 300..from * 300 + 299)));
        apply(&mut model, remove(&mut (8_700 - from * 300..8_999 - from * 300)));
    }
    for round in 0..40 {
        apply(&mut model, remove(&mut (2_000 + round * 50..2_049 + round * 50)));
        apply(&mut model, remove(&mut (5_000 - round..9_000).step_by(41)));
    }
    apply(&mut model, add(&mut (100..9_000).step_by(7)));
    apply(&mut model, remove(&mut (0..8_990)));
    assert!(open.pages() < 12, "{} of {filled}", open.pages());
    apply(&mut model, add(&mut (0..9000)));
    assert!(open.pages() < filled + filled / 10, "{} of {filled}", open.pages());
}

#[test]
fn keys_of_any_length_are_in_a_tree_of_few_levels() {
    let bench = Bench::on_real_disk();
    let open = index(&bench.file("index"), &bench.home, 1, 1 << 20);
    let key = |number: usize| {
        let noise = Random(number as u64 + 1).below(u64::MAX).to_string();
        Bytes::from(format!("{number:05}{}", noise.repeat(150)))
    };
    let entries = (0..400).map(|number| Ok((key(number), Some(Bytes::from_static(b"value")))));
    open.apply(entries, Lsn(1)).unwrap();
    assert!(open.height() <= 4, "{}", open.height());
    assert!((0..400).all(|number| open.get(&key(number)).unwrap().is_some()));
}

/// Nobody learns from the keys of the store what is in the index: neither what it has nor how much of what.
#[test]
fn the_store_gets_numbers_for_keys() {
    let bench = Bench::on_real_disk();
    let directory = bench.file("index");
    let open = index(&directory, &bench.home, 1, 0);
    let rows =
        (0..2_000).map(|number| Ok((Bytes::from(format!("k{number:06}")), Some(Bytes::from_static(b"v")))));
    open.apply(rows, Lsn(1)).unwrap();
    let store = open.into_store().unwrap();
    let keys: Vec<Bytes> = store.range(b"", &[0xff; 64]).map(|row| row.unwrap().0).collect();
    assert!(keys.len() > 8 && keys[0].is_empty() && keys.iter().skip(1).all(|key| key.len() == 8));
    // Of one that is filled in order they say how many pages there are, and nothing else.
    let numbers =
        keys.iter().skip(1).map(|key| u64::from_be_bytes(<[u8; 8]>::try_from(key.as_ref()).unwrap()));
    let steps: std::collections::BTreeSet<u64> =
        numbers.clone().zip(numbers.skip(1)).map(|(one, other)| other - one).collect();
    assert!(steps.len() <= 2, "{steps:?}");
}

#[test]
fn pages_that_come_between_others_get_numbers_between_theirs() {
    let bench = Bench::on_real_disk();
    let open = index(&bench.file("index"), &bench.home, 1, 1 << 20);
    let row = |number: usize| Ok((Bytes::from(format!("k{number:06}")), Some(Bytes::from_static(&[7; 100]))));
    open.apply((0..10_000).step_by(10).map(row), Lsn(1)).unwrap();
    open.apply((0..10_000).step_by(3).map(row), Lsn(2)).unwrap();
    // Those of a place that grows without end must not collide.
    open.apply(
        (0..5_000).map(|number| {
            Ok((Bytes::from(format!("k005000-{number:06}")), Some(Bytes::from_static(&[7; 100]))))
        }),
        Lsn(3),
    )
    .unwrap();
    let numbers = open.leaf_numbers();
    let in_order = numbers.iter().zip(numbers.iter().skip(1)).filter(|(one, other)| one < other).count();
    assert!(in_order > numbers.len() * 4 / 5, "{in_order} of {}", numbers.len());
    assert_eq!(numbers.iter().collect::<std::collections::BTreeSet<_>>().len(), numbers.len());
    assert_eq!(rows(&open, "k", "l").len(), 5_000 + 10_000 - 6_000);
}

#[test]
fn a_page_that_the_store_lost_is_noticed() {
    let bench = Bench::on_real_disk();
    let open = index(&bench.file("index"), &bench.home, 1, 0);
    let row = |number: usize| Ok((Bytes::from(format!("k{number:06}")), Some(Bytes::from_static(&[7; 100]))));
    open.apply((0..200).map(row), Lsn(1)).unwrap();
    open.write_raw(b"k000100", None);
    assert!(open.get(b"k000100").is_err());
    assert!(open.last(b"k000100", b"k000101").is_err());
    assert!(open.with_range(b"k", b"l", |rows| rows.collect::<Result<Vec<_>, _>>()).is_err());
    let change = [Ok((Bytes::from_static(b"k000100"), None))];
    assert!(open.apply(change.into_iter(), Lsn(2)).is_err());
    assert!(open.get(b"k000000").unwrap().is_some() && open.get(b"k000199").unwrap().is_some());
}

/// Readers see what stays, each entry once, while pages are split and taken in beside it.
#[test]
fn readers_find_what_stays_while_pages_come_and_go() {
    let bench = Bench::on_real_disk();
    let open = index(&bench.file("index"), &bench.home, 1, 64 << 10);
    let value = || Some(Bytes::from_static(&[7; 100]));
    let stays = |number: usize| Bytes::from(format!("k{:05}", number * 100));
    open.apply((0..100).map(|number| Ok((stays(number), value()))), Lsn(1)).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut reads = 0;
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        for number in 0..100 {
                            assert!(open.get(&stays(number)).unwrap().is_some());
                        }
                        let found = rows(&open, "k", "l");
                        assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
                        let there = found.iter().filter(|(key, _)| key.ends_with(b"00")).count();
                        assert_eq!(there, 100);
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        for round in 0..30_u64 {
            let passes = (0..10_000).filter(|number| number % 100 != 0);
            let change = passes.map(|number| {
                let key = Bytes::from(format!("k{number:05}"));
                Ok((key, value().filter(|_| round % 2 == 0)))
            });
            open.apply(change, Lsn(2 + round)).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
    });
}
