//! Each [`Problem`] that there is: planted alone, found as what it is, and mended or left alone.
//!
//! What a repair mends is clean afterwards, and all files that survived are as they were. Of what it does not mend it changes nothing, and
//! the advice does not promise that it would. A new variant does not compile before it is in the catalogue.

mod bench;
mod contents;
mod metadata;
mod namespace;
mod segments;

use super::support::{assert_clean, deep};
use crate::verify::{Finding, Problem, VerifyOptions, VerifyReport};
use bench::{Bench, Tree};

/// Who mends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mended {
    ByRepair,
    /// By the next start; a repair leaves it alone.
    ByStart,
    Never,
}

/// Something wrong that was planted.
struct Planted {
    is: Box<dyn Fn(&Problem) -> bool + Send>,
    mended: Mended,
    /// The files that the finding names, where that matters.
    named: Option<&'static [&'static str]>,
    /// Files of which data is lost.
    lost: &'static [&'static str],
    /// Turns the files from before into those that there must be in the end.
    survived: Box<dyn FnOnce(&mut Tree) + Send>,
}

impl Planted {
    fn new(mended: Mended, is: impl Fn(&Problem) -> bool + Send + 'static) -> Planted {
        Planted { is: Box::new(is), mended, named: None, lost: &[], survived: Box::new(|_| {}) }
    }

    fn naming(self, files: &'static [&'static str]) -> Planted {
        Planted { named: Some(files), ..self }
    }

    fn losing(self, files: &'static [&'static str]) -> Planted {
        Planted { lost: files, ..self }
    }

    fn surviving(self, survived: impl FnOnce(&mut Tree) + Send + 'static) -> Planted {
        Planted { survived: Box::new(survived), ..self }
    }

    /// What was planted among what was found.
    fn among<'a>(&self, kind: &str, report: &'a VerifyReport) -> &'a Finding {
        let found = report.findings.iter().find(|finding| (self.is)(&finding.problem));
        let found = found.unwrap_or_else(|| panic!("{kind} is not among {:#?}", report.findings));
        assert_eq!(kind_of(&found.problem), kind);
        found
    }

    fn without_lost(&self, mut tree: Tree) -> Tree {
        tree.retain(|path, _| !self.lost.contains(&path.as_str()));
        tree
    }
}

/// Makes a test of each kind, and the function that knows all kinds.
macro_rules! catalogue {
    ($($kind:ident: $room:ident::$case:ident,)+) => {
        /// The variant. There is no `_`, so that whoever adds one plants it.
        fn kind_of(problem: &Problem) -> &'static str {
            match problem {
                $(Problem::$kind { .. } => stringify!($kind),)+
            }
        }

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let mut bench = Bench::new().await;
                let before = bench.tree().await;
                let planted = $room::$case(&mut bench).await;
                judge(bench, before, stringify!($kind), planted).await;
            }
        )+
    };
}

catalogue! {
    RootMissing: namespace::root_missing,
    Record: namespace::record,
    IndexUnreadable: metadata::index_unreadable,
    EntryWithoutInode: namespace::entry_without_inode,
    EntriesWithoutDirectory: namespace::entries_without_directory,
    EntryMisplaced: namespace::entry_misplaced,
    Tombstone: namespace::tombstone,
    DirectoryLinked: namespace::directory_linked,
    Parent: namespace::parent,
    Unreachable: namespace::unreachable,
    Loop: namespace::directories_below_each_other,
    UnlinkedNotOrphan: namespace::unlinked_not_orphan,
    OrphanLinked: namespace::orphan_linked,
    OrphanMissing: namespace::orphan_missing,
    InodeCounter: namespace::inode_counter,
    Total: namespace::total,
    NextNumber: namespace::next_number,
    Age: namespace::age,
    ContentTwice: contents::content_twice,
    ContentDoomed: contents::content_doomed,
    ContentUnowned: contents::content_unowned,
    PieceOwner: contents::piece_owner,
    BehindEnd: contents::behind_end,
    Layout: contents::layout,
    ReferenceMissing: contents::reference_missing,
    ReferenceStray: contents::reference_stray,
    SegmentUnknown: segments::segment_unknown,
    SegmentTier: segments::segment_tier,
    SegmentCounter: segments::segment_counter,
    SegmentMissing: segments::segment_missing,
    SegmentShort: segments::segment_short,
    SegmentLeaked: segments::segment_leaked,
    BlockDamaged: segments::block_damaged,
    SegmentDamaged: segments::segment_damaged,
    GarbageDamaged: segments::garbage_damaged,
    FileDamaged: metadata::file_damaged,
    MarkerDamaged: metadata::marker_damaged,
    IndexDiffers: metadata::index_differs,
    StrayFile: segments::stray_file,
    StrayObject: segments::stray_object,
}

async fn judge(bench: Bench, mut before: Tree, kind: &str, mut planted: Planted) {
    let report = bench.verify(&deep()).await;
    let finding = planted.among(kind, &report);
    if let Some(named) = planted.named {
        assert_eq!(finding.files, named, "{kind}");
    }
    let promised = finding.problem.advice().contains("tidefs verify --repair");
    assert_eq!(promised, planted.mended == Mended::ByRepair, "{kind}: {}", finding.problem.advice());
    // A large file system is not stopped to find the same.
    let large = VerifyOptions { standing_inodes_max: 0, ..deep() };
    planted.among(kind, &bench.verify(&large).await);

    std::mem::replace(&mut planted.survived, Box::new(|_| {}))(&mut before);
    let survived = planted.without_lost(before);
    match planted.mended {
        Mended::ByRepair => by_repair(bench, (kind, &planted), &report, &survived).await,
        Mended::ByStart => by_start(bench, (kind, &planted), &report, &survived).await,
        Mended::Never => never(bench, (kind, &planted), &report, &survived).await,
    }
}

async fn by_repair(
    mut bench: Bench,
    (kind, planted): (&str, &Planted),
    report: &VerifyReport,
    survived: &Tree,
) {
    assert!(!report.plan().is_empty(), "{kind}");
    let repaired = bench.repair().await;
    assert!(!repaired.done.is_empty(), "{kind}: {repaired:#?}");
    assert!(repaired.failed.is_empty() && repaired.report.findings.is_empty(), "{kind}: {repaired:#?}");
    assert_clean(&repaired.report);
    assert_eq!(&planted.without_lost(bench.tree().await), survived, "{kind}");
    bench.close().await;
    let closed = bench.verify(&deep()).await;
    assert_clean(&closed);
    assert!(closed.findings.is_empty(), "{kind}: {closed:#?}");
}

async fn by_start(
    mut bench: Bench,
    (kind, planted): (&str, &Planted),
    report: &VerifyReport,
    survived: &Tree,
) {
    assert!(report.plan().is_empty(), "{kind}: {:#?}", report.plan());
    if bench.is_open() {
        let repaired = bench.repair().await;
        assert!(repaired.done.is_empty() && repaired.failed.is_empty(), "{kind}: {repaired:#?}");
        assert_eq!(repaired.report.findings, report.findings, "{kind}");
    }
    bench.close().await;
    bench.open().await;
    let started = bench.verify(&deep()).await;
    assert_clean(&started);
    assert!(started.findings.is_empty(), "{kind}: {started:#?}");
    assert_eq!(&planted.without_lost(bench.tree().await), survived, "{kind}");
    bench.close().await;
    assert!(bench.verify(&deep()).await.findings.is_empty(), "{kind}");
}

async fn never(bench: Bench, (kind, planted): (&str, &Planted), report: &VerifyReport, survived: &Tree) {
    assert!(report.plan().is_empty(), "{kind}: {:#?}", report.plan());
    let before = bench.everything();
    let repaired = bench.repair().await;
    assert!(repaired.done.is_empty() && repaired.failed.is_empty(), "{kind}: {repaired:#?}");
    assert_eq!(repaired.report.findings, report.findings, "{kind}");
    assert_eq!(bench.everything(), before, "{kind}: a repair changed what it cannot mend");
    assert_eq!(&planted.without_lost(bench.tree().await), survived, "{kind}");
}
