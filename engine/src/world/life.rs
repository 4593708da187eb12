//! One life of a file system: start, what is there, work, and how it ends.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;

use super::clients::{Client, Trouble, read_all};
use super::machine::Machine;
use super::model::Model;
use super::plan::{Chance, Crash, Life, NAMES};
use super::tree::{self, Kind, Tree};
use super::{Failure, Result, lost};
use crate::error;
use crate::file_system::FileSystem;
use crate::tiering::Tier;
use crate::verify::{Depth, Severity, VerifyOptions, VerifyProgress};

/// After so long everything that is put off was done.
const SETTLED: Duration = Duration::from_secs(200);

/// After so long somebody gives a full disk room again. A change that is made already waits for that.
const FULL: Duration = Duration::from_secs(600);

/// Lives, and leaves the machine as the next life finds it. The last life of a plan is only a look at what is there.
pub(super) fn live(machine: &mut Machine, model: &mut Option<Model>, life: &Life, seed: u64) -> Result {
    machine.indexes.copy();
    machine.clock.go_back(life.clock_back);
    machine.objects.lag(seed, life.lag_percent);
    machine.disk.fail_power_at(life.end.step);
    if let Some(step) = life.sync_fails_at {
        machine.disk.fail_sync_at(step);
    }
    let trouble = Trouble {
        storm: life.storm_percent > 0,
        full: life.room_bytes.is_some() || life.full_at.is_some(),
        syncs_fail: life.sync_fails_at.is_some(),
    };
    machine.run(seed, async {
        let fs = match machine.open().await {
            Ok(fs) => fs,
            Err(_) if machine.disk.is_off() || trouble.syncs_fail => return Ok(()),
            Err(error) => return lost(format!("the file system does not open: {error:?}")),
        };
        match look(&fs, model).await {
            Ok(result) => result?,
            Err(_) if machine.disk.is_off() || trouble.syncs_fail => return Ok(()),
            Err(error) => return lost(format!("the file system cannot be read: {error:?}")),
        }
        match verify(&fs, Depth::default()).await {
            Ok(result) => result?,
            Err(_) if machine.disk.is_off() || trouble.syncs_fail => return Ok(()),
            Err(error) => return lost(format!("the file system cannot be verified: {error:?}")),
        }
        if life.settles && !trouble.syncs_fail {
            tokio::time::sleep(SETTLED).await;
            if !machine.disk.is_off() {
                match check_nothing_leaked(machine, &fs).await {
                    Ok(result) => result?,
                    Err(_) if machine.disk.is_off() => return Ok(()),
                    Err(error) => {
                        return lost(format!("the file system cannot be looked through: {error:?}"));
                    }
                }
            }
        }
        work(machine, &fs, model, life, trouble, seed).await
    })?;
    machine.objects.storm(0, 0);
    machine.disk.set_capacity(None);
    machine.crash(life.end.how, life.end.index);
    Ok(())
}

/// Looks at what a crash left, and whether it may be so.
async fn look(fs: &FileSystem, model: &mut Option<Model>) -> error::Result<Result> {
    fs.release_orphans().await?;
    let found = tree::read(fs)?;
    let Some(model) = model else {
        *model = Some(Model::new(found));
        return Ok(Ok(()));
    };
    let mut notes = BTreeMap::new();
    for key in 0..NAMES {
        if let Some(value) = fs.note(&format!("note/{key}"))? {
            notes.insert(key, value[0]);
        }
    }
    let mut contents = BTreeMap::new();
    for (inode, node) in &found {
        if node.kind == Kind::File {
            contents.insert(*inode, read_all(fs, *inode).await?);
        }
    }
    let mut changes = BTreeMap::new();
    for inode in found.keys() {
        changes.insert(*inode, fs.attributes(*inode)?.change);
    }
    let check = || -> Result {
        let known = model.survived(&found, &notes)?;
        for (inode, content) in &contents {
            let history = &model.files[inode];
            history.check(content, known).map_err(|text| {
                Failure::Lost(format!("inode {inode}, records up to {known} are there: {text}"))
            })?;
        }
        for (inode, change) in &changes {
            model.check_change(*inode, *change)?;
            if let Some(content) = contents.get(inode) {
                model.check_shown(*inode, *change, content)?;
            }
        }
        Ok(())
    };
    let checked = check();
    model.restart(found, notes, contents);
    Ok(checked)
}

/// Everything that the file system says about itself is true.
pub(super) async fn verify(fs: &FileSystem, depth: Depth) -> error::Result<Result> {
    let options = VerifyOptions { depth, ..VerifyOptions::default() };
    let report = fs.verify(&options, &VerifyProgress::default()).await?;
    let text = |leaks| {
        let of = report
            .findings
            .iter()
            .filter(move |finding| finding.problem.severity() != Severity::Notice)
            .filter(move |finding| leaks == (finding.problem.severity() == Severity::Leak));
        of.map(|finding| finding.problem.to_string()).collect::<Vec<_>>().join("; ")
    };
    let (lost, leaked) = (text(false), text(true));
    if !lost.is_empty() {
        return Ok(Err(Failure::Lost(lost)));
    }
    Ok(if leaked.is_empty() { Ok(()) } else { Err(Failure::Leaked(leaked)) })
}

async fn work(
    machine: &Machine,
    fs: &FileSystem,
    model: &mut Option<Model>,
    life: &Life,
    trouble: Trouble,
    seed: u64,
) -> Result {
    let Some(model) = model else { return Ok(()) };
    machine.objects.storm(seed, life.storm_percent);
    machine.disk.set_capacity(life.room_bytes.map(|room| machine.disk.used_bytes() + room));
    if let Some(step) = life.full_at {
        machine.disk.fill_at(step);
    }
    let shared = RefCell::new(std::mem::replace(model, Model::new(Tree::new())));
    let clients = life.clients.len() as u64;
    let work = life.clients.iter().zip(0..).map(|(operations, number)| {
        let chance = Chance::new(seed ^ number << 40);
        let (fs, model) = (fs, &shared);
        async move {
            let open = Vec::new();
            Client { fs, machine, model, number, clients, chance, open, trouble }.work(operations).await
        }
    });
    let relief = async {
        tokio::time::sleep(FULL).await;
        machine.disk.set_capacity(None);
        std::future::pending().await
    };
    let results = tokio::select! {
        results = join_all(work) => results,
        never = relief => never,
    };
    *model = shared.into_inner();
    results.into_iter().collect::<Result<Vec<()>>>()?;
    machine.objects.storm(0, 0);
    machine.disk.set_capacity(None);
    if life.end.how == Crash::Stop && !machine.disk.is_off() {
        if trouble.full {
            // The next look at the disk finds that it has room again.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        match fs.shutdown().await {
            Ok(()) => {
                machine.indexes.close();
                model.all_is_durable();
            }
            Err(_) if machine.disk.is_off() || trouble.syncs_fail => {}
            Err(error) => return lost(format!("the file system does not close: {error:?}")),
        }
    }
    machine.disk.cut_power();
    Ok(())
}

/// Everything is true, and every segment and every object is somebody's.
pub(super) async fn check_nothing_leaked(machine: &Machine, fs: &FileSystem) -> error::Result<Result> {
    let volume = fs.volume();
    let leaked = |what| Ok(Err(Failure::Leaked(what)));
    if let Some(left) = volume.store.rebuilding() {
        return Ok(lost(format!("the index is not there after all that time: {left:?}")));
    }
    let rows = volume.segments()?;
    for (id, record) in &rows {
        if record.live_bytes == 0 && volume.standard.active() != Some(*id) {
            return leaked(format!("segment {id} has nothing live: {record:?}"));
        }
    }
    let of = |tier: Tier| rows.iter().filter(move |(_, row)| row.tier == tier).map(|(id, _)| *id);
    let mut files: Vec<_> = volume.standard.list()?.into_iter().map(|(id, _)| id).collect();
    files.retain(|id| volume.standard.active() != Some(*id));
    files.sort_unstable();
    let expected: Vec<_> = of(Tier::Standard).filter(|id| volume.standard.active() != Some(*id)).collect();
    if files != expected {
        return leaked(format!("segment files {files:?}, but rows {expected:?}"));
    }
    let mut objects = machine.objects.names().await;
    objects.sort_unstable();
    let expected: Vec<_> = of(Tier::InfrequentAccess).map(|id| id.to_string()).collect();
    if objects != expected {
        return leaked(format!("objects {objects:?}, but rows {expected:?}"));
    }
    verify(fs, Depth { local: true, bucket: true }).await
}
