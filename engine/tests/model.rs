//! The engine beside a model of a file system that is small enough to be obviously right, under generated operations, with
//! transitions, rotations of the key, orderly stops and crashes of the process among them.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failure ends it")]

mod support;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use engine::{
    Budgets, CloneRange, Cookie, Error, FileSystem, InodeId, OpenError, Stability, Tier, VerifyOptions,
    VerifyProgress, ZeroSize,
};
use proptest::prelude::*;
use support::*;

const ROOT: InodeId = InodeId::ROOT;
const NAMES: u8 = 3;
const SIZE_MAX: u32 = 300_000;
const UNIT: u32 = 4096;

#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Write {
        name: u8,
        offset: u32,
        length: u32,
        seed: u64,
        stability: Stability,
    },
    Truncate {
        name: u8,
        size: u32,
    },
    Zero {
        name: u8,
        from: u32,
        length: u32,
        size: ZeroSize,
    },
    Clone {
        from: u8,
        to: u8,
        source: u32,
        destination: u32,
        length: u32,
    },
    /// Small writes here and there, each durable.
    Scatter {
        name: u8,
        seed: u64,
    },
    Rename {
        from: u8,
        to: u8,
    },
    Link {
        from: u8,
        to: u8,
    },
    Remove(u8),
    Commit(u8),
    Transition(Tier),
    Rotate,
    Collect,
    Stop,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES;
    let length = prop_oneof![1u32..200, 4096u32..4097, 60_000u32..200_000];
    let stability = prop_oneof![Just(Stability::Unstable), Just(Stability::FileSync)];
    let size = prop_oneof![Just(ZeroSize::Keep), Just(ZeroSize::Extend)];
    let tier = prop_oneof![Just(Tier::InfrequentAccess), Just(Tier::Standard)];
    prop_oneof![
        3 => name.clone().prop_map(Step::Create),
        8 => (name.clone(), 0..SIZE_MAX, length, any::<u64>(), stability)
            .prop_map(|(name, offset, length, seed, stability)| Step::Write { name, offset, length, seed, stability }),
        3 => (name.clone(), 0..SIZE_MAX).prop_map(|(name, size)| Step::Truncate { name, size }),
        1 => name.clone().prop_map(|name| Step::Truncate { name, size: 0 }),
        3 => (name.clone(), 0..SIZE_MAX, 1..SIZE_MAX / 2, size)
            .prop_map(|(name, from, length, size)| Step::Zero { name, from, length, size }),
        3 => (name.clone(), name.clone(), 0..SIZE_MAX / UNIT, 0..SIZE_MAX / UNIT, 0..SIZE_MAX / UNIT)
            .prop_map(|(from, to, source, destination, length)| Step::Clone {
                from, to, source: source * UNIT, destination: destination * UNIT, length: length * UNIT,
            }),
        2 => (name.clone(), any::<u64>()).prop_map(|(name, seed)| Step::Scatter { name, seed }),
        1 => Just(Step::Collect),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename { from, to }),
        1 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Link { from, to }),
        1 => name.clone().prop_map(Step::Remove),
        3 => name.prop_map(Step::Commit),
        3 => tier.prop_map(Step::Transition),
        1 => Just(Step::Rotate),
        1 => Just(Step::Stop),
        1 => Just(Step::Crash),
    ]
}

#[derive(Debug, Clone, Default)]
struct File {
    /// What its users see.
    now: Vec<u8>,
    /// What a crash leaves.
    durable: Vec<u8>,
}

#[derive(Debug, Default)]
struct Model {
    names: BTreeMap<Vec<u8>, InodeId>,
    files: BTreeMap<InodeId, File>,
    changes: BTreeMap<InodeId, u64>,
}

impl Model {
    fn file(&mut self, name: &[u8]) -> Option<(InodeId, &mut File)> {
        let inode = *self.names.get(name)?;
        self.files.get_mut(&inode).map(|file| (inode, file))
    }

    fn unlinked(&mut self, inode: InodeId) {
        if !self.names.values().any(|other| *other == inode) {
            self.files.remove(&inode);
            self.changes.remove(&inode);
        }
    }
}

fn name_of(number: u8) -> Vec<u8> {
    format!("name-{number}").into_bytes()
}

fn budgets() -> Budgets {
    Budgets {
        journal_bytes: 32 << 20,
        overlay_bytes: 4 << 20,
        segment_bytes: 1 << 20,
        object_bytes: 512 << 10,
        ..small_budgets()
    }
}

async fn reopen(home: &Home) -> FileSystem {
    loop {
        match FileSystem::open(&home.data(), home.id, home.options()).await {
            Ok(fs) => return fs,
            Err(Error::Open(OpenError::InUse { .. })) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn apply(fs: FileSystem, home: &Home, model: &mut Model, step: &Step) -> FileSystem {
    match step {
        Step::Create(name) => {
            let name = name_of(*name);
            if !model.names.contains_key(&name) {
                let inode = create(&fs, ROOT, &name).await;
                assert!(model.files.insert(inode, File::default()).is_none(), "inode numbers are not reused");
                model.names.insert(name, inode);
            }
        }
        Step::Write { name, offset, length, seed, stability } => {
            if let Some((inode, file)) = model.file(&name_of(*name)) {
                let data = noise(*seed, *length as usize);
                write(&fs, inode, u64::from(*offset), &data, *stability).await;
                let end = *offset as usize + data.len();
                file.now.resize(file.now.len().max(end), 0);
                file.now[*offset as usize..end].copy_from_slice(&data);
                if *stability == Stability::FileSync {
                    file.durable = file.now.clone();
                }
            }
        }
        Step::Truncate { name, size } => {
            if let Some((inode, file)) = model.file(&name_of(*name)) {
                // So that what a crash leaves is exact.
                commit(&fs, inode).await;
                truncate(&fs, inode, u64::from(*size)).await;
                file.now.resize(*size as usize, 0);
                file.durable = file.now.clone();
            }
        }
        Step::Zero { name, from, length, size } => {
            if let Some((inode, file)) = model.file(&name_of(*name)) {
                let end = *from as usize + *length as usize;
                let range = u64::from(*from)..end as u64;
                let zeroed = fs.zero_range(&root(), inode, range, *size).await.unwrap();
                zeroed.durable().await.unwrap();
                if *size == ZeroSize::Extend {
                    file.now.resize(file.now.len().max(end), 0);
                }
                let end = end.min(file.now.len());
                file.now[(*from as usize).min(end)..end].fill(0);
                file.durable = file.now.clone();
            }
        }
        Step::Clone { from, to, source, destination, length } => {
            let range = [source, destination, length].map(|bytes| *bytes as usize);
            clone(&fs, model, [&name_of(*from), &name_of(*to)], range).await;
        }
        Step::Scatter { name, seed } => {
            if let Some((inode, file)) = model.file(&name_of(*name)) {
                for number in 0..8 {
                    let seed = seed.wrapping_add(number);
                    let at = usize::try_from(seed % u64::from(SIZE_MAX / UNIT)).unwrap() * UNIT as usize;
                    let data = noise(seed, UNIT as usize);
                    write(&fs, inode, at as u64, &data, Stability::FileSync).await;
                    file.now.resize(file.now.len().max(at + data.len()), 0);
                    file.now[at..at + data.len()].copy_from_slice(&data);
                }
                file.durable = file.now.clone();
            }
        }
        Step::Collect => drop(fs.collect().await.unwrap()),
        Step::Rename { from, to } => {
            let (from, to) = (name_of(*from), name_of(*to));
            let result = fs.rename(&root(), at(ROOT, &from), at(ROOT, &to)).await;
            match model.names.get(&from).copied() {
                None => assert!(matches!(result, Err(Error::NotFound))),
                Some(inode) => {
                    result.unwrap().durable().await.unwrap();
                    if model.names.get(&to) != Some(&inode) {
                        model.names.remove(&from);
                        let replaced = model.names.insert(to, inode);
                        replaced.into_iter().for_each(|replaced| model.unlinked(replaced));
                    }
                }
            }
        }
        Step::Link { from, to } => {
            let (from, to) = (name_of(*from), name_of(*to));
            if let Some(inode) = model.names.get(&from).copied() {
                let result = fs.link(&root(), inode, at(ROOT, &to)).await;
                match model.names.entry(to) {
                    Entry::Occupied(_) => assert!(matches!(result, Err(Error::Exists))),
                    Entry::Vacant(free) => {
                        result.unwrap().durable().await.unwrap();
                        free.insert(inode);
                    }
                }
            }
        }
        Step::Remove(name) => {
            let name = name_of(*name);
            let result = fs.remove(&root(), at(ROOT, &name)).await;
            match model.names.remove(&name) {
                None => assert!(matches!(result, Err(Error::NotFound))),
                Some(inode) => {
                    result.unwrap().durable().await.unwrap();
                    model.unlinked(inode);
                }
            }
        }
        Step::Commit(name) => {
            if let Some((inode, file)) = model.file(&name_of(*name)) {
                commit(&fs, inode).await;
                file.durable = file.now.clone();
            }
        }
        Step::Transition(tier) => {
            let files: Vec<_> = model.files.keys().copied().collect();
            fs.transition(&files, *tier).await.unwrap();
        }
        Step::Rotate => match fs.rotate_key(None).await {
            Ok(status) => assert!(status.generations.len() > 1 && status.resealing.is_some()),
            Err(error) => assert!(matches!(error, Error::Invalid { .. }), "{error}"),
        },
        Step::Stop => {
            fs.shutdown().await.unwrap();
            drop(fs);
            model.files.values_mut().for_each(|file| file.durable = file.now.clone());
            return reopen(home).await;
        }
        Step::Crash => {
            drop(fs);
            model.files.values_mut().for_each(|file| file.now = file.durable.clone());
            return reopen(home).await;
        }
    }
    fs
}

/// Clones between two names what the source has of the range.
async fn clone(fs: &FileSystem, model: &mut Model, [from, to]: [&[u8]; 2], range: [usize; 3]) {
    let [source_offset, destination_offset, length] = range;
    let (Some(source), Some(target)) = (model.names.get(from).copied(), model.names.get(to).copied()) else {
        return;
    };
    let size = model.files[&source].now.len();
    let end = (source_offset + length).min(size);
    if end <= source_offset {
        return;
    }
    let data = model.files[&source].now[source_offset..end].to_vec();
    let destination_end = destination_offset + data.len();
    let overlap = source == target && source_offset < destination_end && destination_offset < end;
    let uneven =
        !data.len().is_multiple_of(UNIT as usize) && destination_end < model.files[&target].now.len();
    let bytes = |count: usize| count as u64;
    let range = CloneRange {
        source_offset: bytes(source_offset),
        destination_offset: bytes(destination_offset),
        length: bytes(data.len()),
    };
    let cloned = fs.clone_range(&root(), source, target, range).await;
    if overlap || uneven {
        assert!(matches!(cloned, Err(Error::Invalid { .. })));
        // What was unflushed may be durable now, or not.
        for inode in [source, target] {
            commit(fs, inode).await;
        }
    } else {
        cloned.unwrap().durable().await.unwrap();
        let file = model.files.get_mut(&target).unwrap();
        file.now.resize(file.now.len().max(destination_end), 0);
        file.now[destination_offset..destination_end].copy_from_slice(&data);
    }
    for inode in [source, target] {
        let file = model.files.get_mut(&inode).unwrap();
        file.durable = file.now.clone();
    }
}

async fn check(fs: &FileSystem, model: &mut Model) {
    let report = fs.verify(&VerifyOptions::default(), &VerifyProgress::default()).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    let page = fs.read_directory(&root(), ROOT, Cookie(0), 100).unwrap();
    let listed: BTreeMap<_, _> =
        page.entries.iter().map(|entry| (entry.name.to_vec(), entry.attributes.inode)).collect();
    assert_eq!(listed, model.names);
    for (inode, file) in &model.files {
        let attributes = fs.attributes(*inode).unwrap();
        assert_eq!(attributes.size, file.now.len() as u64);
        let links = model.names.values().filter(|other| *other == inode).count();
        assert_eq!(attributes.links as usize, links);
        assert!(read_all(fs, *inode).await == file.now, "content of inode {inode}");
        let change = model.changes.insert(*inode, attributes.change).unwrap_or(0);
        assert!(
            attributes.change >= change,
            "the change number went back from {change} to {}",
            attributes.change
        );
    }
}

/// What the totals say is what the files have.
fn check_totals(fs: &FileSystem, model: &Model) {
    let status = fs.status().unwrap();
    assert_eq!(status.tiers.iter().map(|tier| tier.files).sum::<u64>(), model.files.len() as u64);
    let facts: Vec<_> = model.files.keys().map(|inode| fs.facts(*inode).unwrap()).collect();
    assert_eq!(status.tiers[0].bytes, facts.iter().map(|facts| facts.standard_bytes).sum::<u64>());
    assert_eq!(status.tiers[1].bytes, facts.iter().map(|facts| facts.infrequent_access_bytes).sum::<u64>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn the_engine_does_what_the_model_does(steps in prop::collection::vec(step(), 10..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let home = Home::with(budgets());
            let mut fs = home.open().await;
            fs.release_orphans().await.unwrap();
            let mut model = Model::default();
            for name in 0..NAMES {
                fs = apply(fs, &home, &mut model, &Step::Create(name)).await;
            }
            for step in &steps {
                fs = apply(fs, &home, &mut model, step).await;
                if matches!(step, Step::Stop | Step::Crash) {
                    fs.release_orphans().await.unwrap();
                }
                check(&fs, &mut model).await;
            }
            check_totals(&fs, &model);
            fs.shutdown().await.unwrap();
        });
    }
}
