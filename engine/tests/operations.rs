//! The operations of a file system, over restarts and tiers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure ends it")]

mod support;

use std::path::Path;

use engine::{Cookie, Credential, Error, FileSystem, InodeId, SetAttributes, Stability, Tier};
use support::*;

const ROOT: InodeId = InodeId::ROOT;

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_survive_an_orderly_stop_and_a_drop() {
    let home = Home::with(small_budgets());
    let fs = home.open().await;
    let directory = mkdir(&fs, ROOT, b"directory").await;
    let small = create(&fs, directory, b"small").await;
    write(&fs, small, 0, b"hello", Stability::FileSync).await;
    let large = create(&fs, directory, b"large").await;
    let content = noise(1, 3_000_000);
    for (number, part) in content.chunks(1 << 20).enumerate() {
        assert_send(write(&fs, large, (number as u64) << 20, part, Stability::Unstable)).await;
    }
    assert_eq!(read_all(&fs, large).await, content);
    commit(&fs, large).await;
    assert_eq!(read_all(&fs, large).await, content);
    fs.shutdown().await.unwrap();
    drop(fs);

    let fs = home.open().await;
    assert_eq!(fs.lookup(&root(), at(directory, b"small")).unwrap().inode, small);
    assert_eq!(read_all(&fs, small).await, b"hello");
    assert_eq!(read_all(&fs, large).await, content);
    write(&fs, small, 5, b" world", Stability::FileSync).await;
    drop(fs);

    let fs = reopen(&home).await;
    assert_eq!(read_all(&fs, small).await, b"hello world");
    assert_eq!(read_all(&fs, large).await, content);
}

/// Opens again after a drop, whose background task may still be letting go of the lock.
async fn reopen(home: &Home) -> engine::FileSystem {
    for _ in 0..200 {
        match engine::FileSystem::open(&home.data(), home.id, home.options()).await {
            Ok(fs) => return fs,
            Err(Error::Open(engine::OpenError::InUse { .. })) => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the lock is still held")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cold_files_read_as_before_and_local_segments_are_released() {
    let home = Home::with(small_budgets());
    let fs = home.open().await;
    let mut files = Vec::new();
    for number in 0..200u64 {
        let file = create(&fs, ROOT, format!("file-{number}").as_bytes()).await;
        let content = noise(number, usize::try_from(number * 50).unwrap());
        write(&fs, file, 0, &content, Stability::FileSync).await;
        files.push((file, content));
    }
    let large = create(&fs, ROOT, b"large").await;
    let content = noise(999, 10_000_000);
    for (number, part) in content.chunks(1 << 20).enumerate() {
        write(&fs, large, (number as u64) << 20, part, Stability::Unstable).await;
    }
    commit(&fs, large).await;
    files.push((large, content));

    let before: Vec<_> = files.iter().map(|(file, _)| fs.attributes(*file).unwrap()).collect();
    let inodes: Vec<_> = files.iter().map(|(file, _)| *file).collect();
    let mut moved = fs.transition(&inodes, Tier::InfrequentAccess).await.unwrap();
    let mut objects = moved.objects;
    while moved.files < 200 {
        // What was being folded at that moment was left for the next time.
        moved = fs.transition(&inodes, Tier::InfrequentAccess).await.unwrap();
        objects += moved.objects;
    }
    assert_eq!((moved.files, moved.skipped), (200, 1), "the empty file has nothing to move");
    assert!(objects <= 8, "{objects}");
    for ((file, content), before) in files.iter().zip(before) {
        assert_eq!(fs.attributes(*file).unwrap(), before, "a transition is not seen");
        assert_eq!(&read_all(&fs, *file).await, content);
    }
    let status = fs.status().unwrap();
    assert_eq!(status.tiers[0].bytes, 0);
    assert_eq!(status.tiers[1].files, 200);
    wait_until(|| disk_usage(&home.data().join(home.id.to_string()).join("segments")) < 1 << 20).await;

    // A write to a cold file lands in Standard, and only the rest stays cold.
    write(&fs, large, 100_000, b"warm", Stability::FileSync).await;
    let (_, content) = files.last_mut().unwrap();
    content[100_000..100_004].copy_from_slice(b"warm");
    assert_eq!(&read_all(&fs, large).await, content);
    fs.shutdown().await.unwrap();
    drop(fs);

    let fs = home.open().await;
    for (file, content) in &files {
        assert_eq!(&read_all(&fs, *file).await, content);
    }
    drop(fs);
    let elsewhere = engine::ColdStoreConfig::Directory(home.data().join("../elsewhere"));
    let options = engine::OpenOptions { cold: elsewhere, ..home.options() };
    let wrong = engine::FileSystem::open(&home.data(), home.id, options).await.err().unwrap();
    assert!(wrong.to_string().contains("does not hold the cold data"), "{wrong}");

    let fs = reopen(&home).await;
    let recalled = fs.transition(&inodes, Tier::Standard).await.unwrap();
    assert_eq!(recalled.files, 201);
    assert_eq!(fs.status().unwrap().tiers[1].bytes, 0);
    for (file, content) in &files {
        assert_eq!(&read_all(&fs, *file).await, content);
    }
}

async fn wait_until(holds: impl Fn() -> bool) {
    for _ in 0..1500 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("did not come to hold within 30 s");
}

/// A file that grows has what was written in it, however often its end is read meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_reader_of_a_growing_file_sees_no_zeros() {
    const APPENDS: u64 = 20_000;
    let home = Home::with(small_budgets());
    let fs = std::sync::Arc::new(home.open().await);
    let file = create(&fs, ROOT, b"log").await;
    let writer = std::sync::Arc::clone(&fs);
    let writing = tokio::spawn(async move {
        for number in 0..APPENDS {
            write(&writer, file, number * 100, &[1; 100], Stability::Unstable).await;
        }
    });
    let mut from = 0;
    while !writing.is_finished() {
        let parts = fs.read(file, from, 1000).await.unwrap().parts;
        assert!(parts.iter().flatten().all(|byte| *byte == 1), "a zero behind {from}");
        from += parts.iter().map(|part| part.len() as u64).sum::<u64>();
    }
    writing.await.unwrap();
    commit(&fs, file).await;
    assert_eq!(read_all(&fs, file).await, vec![1; usize::try_from(APPENDS * 100).unwrap()]);
}

/// What a file shows beside changes of it is what was there before one or after it, be it in the buffer, in pieces or in blocks.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_reader_of_a_file_that_is_cut_and_grows_again_sees_no_zeros() {
    const ROUNDS: u64 = 400;
    const SIZE: usize = 70_000;
    let home = Home::with(small_budgets());
    let fs = std::sync::Arc::new(home.open().await);
    let file = create(&fs, ROOT, b"file").await;
    write(&fs, file, 0, &[1; SIZE], Stability::FileSync).await;
    let writer = std::sync::Arc::clone(&fs);
    let writing = tokio::spawn(async move {
        for round in 0..ROUNDS {
            let (cut, stability) = match round % 4 {
                0 => (10, Stability::FileSync),
                1 => (10, Stability::Unstable),
                2 => (0, Stability::FileSync),
                _ => (66_000, Stability::Unstable),
            };
            truncate(&writer, file, cut).await;
            let rest = vec![1; SIZE - usize::try_from(cut).unwrap()];
            write(&writer, file, cut, &rest, stability).await;
            if round % 8 < 4 {
                commit(&writer, file).await;
            }
        }
    });
    while !writing.is_finished() {
        for (from, length) in [(0, 4000), (5_000, 100), (66_000, 4000), (0, SIZE)] {
            let parts = fs.read(file, from, length).await.unwrap().parts;
            assert!(parts.iter().flatten().all(|byte| *byte == 1), "a zero behind {from}");
        }
    }
    writing.await.unwrap();
    assert_eq!(read_all(&fs, file).await, vec![1; SIZE]);
}

/// Data that a commit moves out of the buffer is seen all the time, and so is the size that it makes.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_reader_sees_no_step_back_while_data_is_committed() {
    const ROUNDS: u64 = 3000;
    let home = Home::with(small_budgets());
    let fs = std::sync::Arc::new(home.open().await);
    let file = create(&fs, ROOT, b"file").await;
    let writer = std::sync::Arc::clone(&fs);
    let writing = tokio::spawn(async move {
        for round in 1..=ROUNDS {
            let mut data = vec![0; 8 + usize::try_from(round).unwrap()];
            data[..8].copy_from_slice(&round.to_le_bytes());
            write(&writer, file, 0, &data, Stability::Unstable).await;
            commit(&writer, file).await;
        }
    });
    let (mut last, mut size, mut change) = (0, 0, 0);
    while !writing.is_finished() {
        let now = fs.attributes(file).unwrap();
        assert!(now.size >= size && now.change >= change, "{now:?} after size {size} and change {change}");
        (size, change) = (now.size, now.change);
        let read = fs.read(file, 0, 8).await.unwrap().parts.concat();
        let round = read.try_into().map_or(0, u64::from_le_bytes);
        assert!(round >= last, "round {round} after {last}");
        last = round;
    }
    writing.await.unwrap();
    assert_eq!(fs.attributes(file).unwrap().size, 8 + ROUNDS);
}

/// Each of them takes more room in a record than its bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_many_small_writes_has_all_of_them() {
    const WRITES: usize = 30_000;
    let home = Home::with(engine::Budgets::default());
    let fs = home.open().await;
    let file = create(&fs, ROOT, b"file").await;
    for number in 0..WRITES {
        write(&fs, file, number as u64 * 4096, &[7; 40], Stability::Unstable).await;
    }
    commit(&fs, file).await;
    drop(fs);
    let fs = reopen(&home).await;
    let content = read_all(&fs, file).await;
    assert_eq!(content.len(), (WRITES - 1) * 4096 + 40);
    assert!(content.chunks(4096).all(|page| page[..40] == [7; 40]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_sets_no_time_back() {
    let home = Home::with(small_budgets());
    let fs = home.open().await;
    let file = create(&fs, ROOT, b"file").await;
    write(&fs, file, 0, &[1; 100], Stability::Unstable).await;
    let mode = SetAttributes { mode: Some(0o600), ..SetAttributes::default() };
    let set = fs.set_attributes(&root(), file, &mode, engine::Authority::Mode).await.unwrap();
    let changed = set.durable().await.unwrap().into_inner();
    commit(&fs, file).await;
    assert_eq!(fs.attributes(file).unwrap().ctime, changed.ctime);
    write(&fs, file, 0, &[1; 100], Stability::Unstable).await;
    truncate(&fs, file, 50).await;
    let cut = fs.attributes(file).unwrap();
    commit(&fs, file).await;
    let committed = fs.attributes(file).unwrap();
    assert_eq!((committed.mtime, committed.size), (cut.mtime, 50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncation_leaves_no_old_bytes_behind() {
    let home = Home::with(small_budgets());
    let fs = home.open().await;
    let file = create(&fs, ROOT, b"file").await;
    for stability in [Stability::FileSync, Stability::Unstable] {
        write(&fs, file, 0, &noise(1, 200_000), stability).await;
        truncate(&fs, file, 70_000).await;
        truncate(&fs, file, 200_000).await;
        let mut expected = noise(1, 70_000);
        expected.resize(200_000, 0);
        assert!(read_all(&fs, file).await == expected, "{stability:?}");
        commit(&fs, file).await;
        assert!(read_all(&fs, file).await == expected, "{stability:?}");
        truncate(&fs, file, 0).await;
        assert_eq!(fs.attributes(file).unwrap().space_used, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_file_outlives_its_last_name() {
    let home = Home::with(small_budgets());
    let fs = home.open().await;
    fs.release_orphans().await.unwrap();
    let file = create(&fs, ROOT, b"file").await;
    write(&fs, file, 0, b"content", Stability::FileSync).await;
    let pin = fs.pin(file).unwrap();
    fs.remove(&root(), at(ROOT, b"file")).await.unwrap().durable().await.unwrap();
    assert_eq!(fs.attributes(file).unwrap().links, 0);
    assert_eq!(read_all(&fs, file).await, b"content");
    drop(pin);
    assert!(matches!(fs.attributes(file), Err(Error::Stale)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rename_follows_posix() {
    let home = Home::with(small_budgets());
    let fs = home.open().await;
    let a = mkdir(&fs, ROOT, b"a").await;
    let b = mkdir(&fs, a, b"b").await;
    let file = create(&fs, a, b"file").await;
    let other = create(&fs, b, b"other").await;
    let rename =
        async |from, to| fs.rename(&root(), from, to).await.map(|pending| drop(pending.into_parts()));
    assert!(matches!(rename(at(ROOT, b"a"), at(b, b"x")).await, Err(Error::Invalid { .. })));
    assert!(matches!(rename(at(a, b"file"), at(a, b"b")).await, Err(Error::IsDirectory)));
    assert!(matches!(rename(at(a, b"b"), at(a, b"file")).await, Err(Error::NotDirectory)));
    assert!(matches!(rename(at(a, b"none"), at(a, b"x")).await, Err(Error::NotFound)));
    rename(at(a, b"file"), at(b, b"other")).await.unwrap();
    assert_eq!(fs.lookup(&root(), at(b, b"other")).unwrap().inode, file);
    assert!(fs.resolve(other, engine::Generation(1)).is_ok(), "kept while clients may reclaim");
    let c = mkdir(&fs, ROOT, b"c").await;
    assert!(matches!(rename(at(ROOT, b"c"), at(a, b"b")).await, Err(Error::NotEmpty)));
    rename(at(a, b"b"), at(c, b"b")).await.unwrap();
    assert_eq!(fs.lookup_parent(&root(), b).unwrap().inode, c);
    assert_eq!((fs.attributes(a).unwrap().links, fs.attributes(c).unwrap().links), (2, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listings_are_complete_and_resume_after_removed_entries() {
    let home = Home::with(small_budgets());
    let fs = home.open().await;
    let directory = mkdir(&fs, ROOT, b"d").await;
    for number in 0..300 {
        create(&fs, directory, format!("n{number}").as_bytes()).await;
    }
    let (mut names, mut after) = (Vec::new(), Cookie(0));
    loop {
        let page = fs.read_directory(&root(), directory, after, 7).unwrap();
        for entry in &page.entries {
            assert!(entry.cookie > after && entry.cookie.0 > 2);
            after = entry.cookie;
            names.push(entry.name.clone());
        }
        // The entry that the next page goes on from is removed meanwhile.
        if let Some(last) = page.entries.last() {
            fs.remove(&root(), at(directory, &last.name)).await.unwrap().durable().await.unwrap();
        }
        if page.end {
            break;
        }
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permissions_are_checked() {
    let home = Home::with(small_budgets());
    let fs = home.open().await;
    let user = Credential { uid: 1000, gid: 1000, groups: vec![] };
    let set = SetAttributes::default();
    let denied = fs.make_directory(&user, at(ROOT, b"d"), &set).await;
    assert!(matches!(denied, Err(Error::AccessDenied)));
    let shared = SetAttributes { mode: Some(0o1777), ..SetAttributes::default() };
    let tmp =
        fs.make_directory(&root(), at(ROOT, b"tmp"), &shared).await.unwrap().into_parts().0.attributes.inode;
    create(&fs, tmp, b"roots").await;
    assert!(matches!(fs.remove(&user, at(tmp, b"roots")).await, Err(Error::NotPermitted)));
    fs.make_directory(&user, at(tmp, b"mine"), &set).await.unwrap().durable().await.unwrap();
    fs.remove(&user, at(tmp, b"mine")).await.unwrap().durable().await.unwrap();
}

async fn mkdir(fs: &FileSystem, directory: InodeId, name: &[u8]) -> InodeId {
    let pending = fs.make_directory(&root(), at(directory, name), &SetAttributes::default()).await.unwrap();
    pending.durable().await.unwrap().into_inner().attributes.inode
}

/// Bytes of all files below a directory.
fn disk_usage(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let size = |entry: std::fs::DirEntry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() { disk_usage(&entry.path()) } else { metadata.len() }
    };
    entries.map(|entry| size(entry.unwrap())).sum()
}
