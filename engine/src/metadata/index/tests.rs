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
    let (lower, _) = open.bundle_of(b"k000100").unwrap().unwrap();
    assert!(lower.len() > 1, "there is a bundle below it");
    open.write_bundles(&[(lower, None)]).unwrap();
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
    let bundles = |index: &Index| index.bundles().unwrap();
    let filled = bundles(&open);
    assert!(filled > 20_000 * 100 / INDEX_BUNDLE_BYTES && filled < 20_000 * 140 / INDEX_BUNDLE_BYTES);
    open.apply((0..19_999).map(|number| row(number, None)), Lsn(2)).unwrap();
    assert!(bundles(&open) < filled / 20, "{} of {filled}", bundles(&open));
}
