//! Power failures and killed processes against a model.
//!
//! The oracle: after a crash the store has the first so many of the committed transactions, each whole, and all of those whose tickets
//! were durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::support::{Bench, wait};
use crate::disk::simulated::SimulatedDisk;
use crate::error::{Error, Result};
use crate::identity::{Epoch, Lsn};
use crate::keys::DataKey;
use crate::metadata::Store;
use crate::metadata::index::BootId;
use crate::metadata::reseal::small_files;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;
type Change = (u8, Option<usize>);

#[derive(Debug, Clone)]
enum Step {
    /// Keys, and the lengths of their new values.
    Commit(Vec<Change>),
    Wait,
    Checkpoint,
    MergeAll,
    /// A newer key seals from now on.
    RotateKey,
    /// Everything is sealed under the newest key, and the older ones are forgotten.
    Reseal,
}

/// What was committed over the whole life of a store.
#[derive(Default)]
struct History {
    /// The content after each record.
    models: Vec<Model>,
    durable: u64,
}

impl History {
    fn model(&self, lsn: Lsn) -> Model {
        match lsn.0.checked_sub(1) {
            Some(index) => self.models[usize::try_from(index).unwrap()].clone(),
            None => Model::new(),
        }
    }

    fn commit(&mut self, store: &Store, changes: &[Change]) -> bool {
        let Ok(mut transaction) = store.begin() else { return false };
        let mut model = self.models.last().cloned().unwrap_or_default();
        for (key, length) in changes {
            let key = vec![b'k', *key];
            match length {
                Some(length) => {
                    let mut value = (self.models.len() as u64).to_be_bytes().to_vec();
                    value.resize(8 + length, *key.last().unwrap());
                    model.insert(key.clone(), value.clone());
                    transaction.put(key, value);
                }
                None => {
                    model.remove(&key);
                    transaction.delete(key);
                }
            }
        }
        let ticket = transaction.commit();
        if !changes.is_empty() {
            self.models.push(model);
            assert_eq!(ticket.lsn(), Lsn(self.models.len() as u64));
        }
        true
    }

    /// Runs the steps until one fails.
    fn run(&mut self, store: &Store, steps: &[Step]) {
        for step in steps {
            let went_on = match step {
                Step::Commit(changes) => wait(store.admit()).is_ok() && self.commit(store, changes),
                Step::Wait => wait(store.everything().durable()).is_ok(),
                Step::Checkpoint => wait(store.checkpoint()).is_ok(),
                Step::MergeAll => {
                    let checkpoints = &store.parts().checkpoints;
                    checkpoints.merge(&checkpoints.whole_plan(), 0, || true).is_ok()
                }
                Step::RotateKey => {
                    store.parts().home.keys.add(DataKey::from_bytes([9; 32]));
                    true
                }
                Step::Reseal => self.reseal(store),
            };
            if went_on && matches!(step, Step::Wait | Step::Checkpoint) {
                self.durable = self.models.len() as u64;
            }
            self.check_now(store);
            if !went_on {
                return;
            }
        }
    }

    fn reseal(&mut self, store: &Store) -> bool {
        let parts = store.parts();
        if !wait(store.until_index_is_built()) {
            return false;
        }
        let mut from = Some(Vec::new());
        while let Some(at) = from.take() {
            match parts.index.reseal(&at) {
                Ok(resealed) => from = resealed.next,
                Err(_) => return false,
            }
        }
        while store.reseal_checkpoints() > 0 {
            if store.halted().is_some() {
                return false;
            }
            std::thread::yield_now();
        }
        let covered = self.commit(store, &[(5, Some(1))]) && wait(store.checkpoint()).is_ok();
        if !covered || small_files(parts).is_err() {
            return false;
        }
        assert!(!store.has_old_journal() && store.reseal_checkpoints() == 0);
        parts.home.keys.forget_older();
        store.forget_older_than(parts.home.keys.newest());
        true
    }

    /// `false` if nothing can be read: without power no index is built, and the checkpoints are away, too.
    fn check_now(&self, store: &Store) -> bool {
        match content(store) {
            Err(Error::Io { source, .. }) if source.to_string().contains("the power failed") => false,
            found => {
                assert_eq!(found.unwrap(), self.model(store.committed()));
                true
            }
        }
    }

    /// Checks what came back and forgets what did not.
    fn check_recovered(&mut self, store: &Store) {
        let (recovered, committed) = (store.committed().0, self.models.len() as u64);
        assert!(
            (self.durable..=committed).contains(&recovered),
            "{} <= {recovered} <= {committed}",
            self.durable
        );
        if self.check_now(store) {
            self.models.truncate(usize::try_from(recovered).unwrap());
            self.durable = recovered;
        }
    }
}

fn content(store: &Store) -> Result<Model> {
    let found = store.scan(b"k", b"l", usize::MAX)?;
    Ok(found.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect())
}

/// Opens on what the power failure left; the machine has another boot id then.
fn reopened(bench: &mut Bench, disk: &SimulatedDisk, boot: usize) -> SimulatedDisk {
    let after = disk.after_power_failure();
    bench.home.disk = Arc::new(after.clone());
    bench.boot = BootId::of(&format!("boot {boot}"));
    after
}

/// Runs the script with a power failure at every step of it.
fn crash_everywhere(script: &[Step]) {
    let first = SimulatedDisk::new(0);
    let bench = Bench::on(Arc::new(first.clone()));
    bench.create().unwrap();
    let made = first.steps();
    let store = bench.open_at_once().unwrap();
    let mut history = History::default();
    history.run(&store, script);
    assert_eq!(
        history.models.len() as u64,
        store.committed().0,
        "the script runs to its end without a crash"
    );
    wait(store.close()).unwrap();
    drop(store);
    let all = first.steps();
    assert!(all > made + 20);

    for at in made + 1..=all {
        let disk = SimulatedDisk::new(at);
        let mut bench = Bench::on(Arc::new(disk.clone()));
        bench.create().unwrap();
        disk.fail_power_at(at);
        let mut history = History::default();
        let mut epoch = Epoch(0);
        if let Ok(store) = bench.open_at_once() {
            epoch = store.epoch();
            history.run(&store, script);
            // A failure leaves nothing to close; without one this is the part of the script that fails.
            let _ = wait(store.close());
        }
        reopened(&mut bench, &disk, 1);
        let store = bench.open_at_once().unwrap_or_else(|error| panic!("step {at}: {error}"));
        assert!(store.epoch() > epoch, "step {at}");
        history.check_recovered(&store);
        history.run(&store, &[Step::Commit(vec![(1, Some(1)), (2, None)]), Step::Wait]);
        drop(store);
        history.check_recovered(&bench.open_at_once().unwrap());
    }
}

#[test]
fn a_power_failure_at_any_step_of_a_fold_loses_nothing_durable() {
    crash_everywhere(&[
        Step::Commit(vec![(1, Some(10)), (2, Some(10))]),
        Step::Wait,
        Step::Commit(vec![(2, None), (3, Some(5000))]),
        Step::Checkpoint,
        Step::Commit(vec![(1, Some(20)), (3, None)]),
        Step::Commit(vec![(4, Some(20))]),
        Step::Checkpoint,
        Step::Commit(vec![(4, None)]),
        Step::Wait,
    ]);
}

#[test]
fn a_power_failure_at_any_step_of_a_merge_loses_nothing_durable() {
    crash_everywhere(&[
        Step::Commit(vec![(1, Some(10)), (2, Some(10)), (3, Some(70_000))]),
        Step::Checkpoint,
        Step::Commit(vec![(2, None), (4, Some(70_000))]),
        Step::Checkpoint,
        Step::MergeAll,
        Step::Commit(vec![(1, None)]),
        Step::Checkpoint,
        Step::MergeAll,
    ]);
}

#[test]
fn a_power_failure_at_any_step_of_a_rotation_loses_nothing_durable() {
    let large = |key| Step::Commit(vec![(key, Some(700_000))]);
    let mut script = Vec::new();
    for key in 0..7 {
        script.extend([large(key), Step::Wait]);
        if key == 3 {
            script.push(Step::Checkpoint);
        }
    }
    crash_everywhere(&script);
}

#[test]
fn a_power_failure_at_any_step_of_sealing_anew_leaves_nothing_under_a_forgotten_key() {
    crash_everywhere(&[
        Step::Commit(vec![(1, Some(10)), (2, Some(700_000))]),
        Step::Checkpoint,
        Step::Commit(vec![(1, None), (3, Some(700_000))]),
        Step::Wait,
        Step::RotateKey,
        Step::Commit(vec![(4, Some(10))]),
        Step::Checkpoint,
        Step::Commit(vec![(3, Some(20))]),
        Step::Reseal,
        Step::Commit(vec![(4, None)]),
        Step::Checkpoint,
    ]);
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0..12_u8, prop_oneof![1 => Just(None), 3 => (0..6000_usize).prop_map(Some)]);
    prop_oneof![
        8 => prop::collection::vec(change, 1..5).prop_map(Step::Commit),
        3 => Just(Step::Wait),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::MergeAll),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn power_failures_in_a_row_leave_a_prefix(
        seed in any::<u64>(),
        rounds in prop::collection::vec((prop::collection::vec(step(), 1..25), 1..120_u64), 1..5),
    ) {
        let mut disk = SimulatedDisk::new(seed);
        let mut bench = Bench::on(Arc::new(disk.clone()));
        bench.create().unwrap();
        let mut history = History::default();
        for (boot, (steps, crash)) in rounds.iter().enumerate() {
            disk.fail_power_at(disk.steps() + crash);
            if let Ok(store) = bench.open_at_once() {
                history.check_recovered(&store);
                history.run(&store, steps);
            }
            disk = reopened(&mut bench, &disk, boot);
        }
        history.check_recovered(&bench.open_at_once().unwrap());
    }

    #[test]
    fn killed_processes_leave_a_prefix_and_keep_their_index(
        rounds in prop::collection::vec((any::<bool>(), prop::collection::vec(step(), 1..25)), 1..4),
    ) {
        let bench = Bench::on_real_disk();
        bench.create().unwrap();
        let (mut history, mut has_index) = (History::default(), false);
        for (with_index, steps) in &rounds {
            let store = bench.open_at_once().unwrap();
            assert!(!has_index || store.rebuilding().is_none());
            if *with_index {
                has_index |= wait(store.until_index_is_built());
            }
            history.check_recovered(&store);
            history.run(&store, steps);
        }
        history.check_recovered(&bench.open_at_once().unwrap());
    }
}
