//! The whole way: a real tree is written through a real client, ages into a real bucket, and is read back.
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::tree::{checksums, copy_sources, disk_usage_bytes};
use harness::{Cold, Guest, Minio, Server, poll_until};

const TREE_FILES_MIN: usize = 5_000;
const BIG_BYTES: u64 = 256 << 20;
const SLICE_OFFSET: u64 = BIG_BYTES / 2;
const FILL_LIMIT: Duration = Duration::from_secs(600);
const AGE_LIMIT: Duration = Duration::from_secs(300);

const FILL: &str = include_str!("../guest/scripts/fill.sh");
const MANIFEST: &str = include_str!("../guest/scripts/manifest.sh");
const READ_SLICE: &str =
    "dd if=/mnt/big of=/run/share/slice bs=4096 count=1 skip=$1 iflag=direct status=none";

#[test]
fn a_source_tree_ages_into_the_bucket_and_is_read_back_whole() -> Result<()> {
    let share = tempfile::tempdir()?;
    let tree_files = prepare_input(share.path())?;
    let minio = Minio::start()?;
    let server = Server::start(Cold::Bucket(&minio, "whole/way"))?;
    let guest = Guest::on(server.port()).share(share.path());
    guest.run(FILL_LIMIT, &format!("{FILL}\n{MANIFEST}"), &["before"])?;
    assert_eq!(
        tree_checksums(&share.path().join("before.tree"))?,
        checksums(&share.path().join("tree"))?,
        "what the client reads back is what was copied in"
    );
    let disk_before = disk_usage_bytes(&server.settings().data)?;
    let status = server.json(&["status"])?;
    ensure!(status.pointer("/requests/put").is_some(), "no requests in {status}");

    server.command(&["lifecycle", "set", "--to-ia", "5s", "--to-primary", "never"])?.succeeded()?;
    server.wait_until_cold(tree_files as u64, AGE_LIMIT)?;
    let in_bucket = minio.content("whole/way")?;
    assert!(in_bucket.objects > 0 && in_bucket.bytes > BIG_BYTES, "the content is there: {in_bucket:?}");
    assert!(
        in_bucket.objects * 100 <= tree_files as u64,
        "{tree_files} small files and a big one took {} objects",
        in_bucket.objects
    );
    poll_until("the local copies are released", AGE_LIMIT, || {
        let disk = disk_usage_bytes(&server.settings().data)?;
        Ok((disk + BIG_BYTES * 9 / 10 < disk_before).then_some(()))
    })?;

    let received_before = server.status_number("/requests/bytes_received")?;
    let sent_before = minio.bytes_sent()?;
    let block = (SLICE_OFFSET / 4096).to_string();
    guest.run(FILL_LIMIT, READ_SLICE, &[&block])?;
    let received = server.status_number("/requests/bytes_received")? - received_before;
    assert_eq!(fs::read(share.path().join("slice"))?, slice_of(&share.path().join("big"))?);
    assert!((4096..1 << 20).contains(&received), "a read of 4 KiB moved {received} bytes from the bucket");
    let sent = minio.bytes_sent()? - sent_before;
    assert!(sent < f64::from(1 << 20), "a read of 4 KiB made MinIO send {sent} bytes");

    // A guest that has just booted has nothing in its caches.
    guest.run(FILL_LIMIT, MANIFEST, &["after"])?;
    let (before, after) = (fs::read(share.path().join("before"))?, fs::read(share.path().join("after"))?);
    assert_same_lines(&before, &after);
    let status = server.json(&["status"])?;
    assert_eq!(status.pointer("/health/state").and_then(|state| state.as_str()), Some("ok"), "{status}");
    Ok(())
}

/// Puts the tree and the big file into the shared directory. Returns the number of the tree's files.
fn prepare_input(share: &Path) -> Result<usize> {
    let tree_files = copy_sources(&share.join("tree"), TREE_FILES_MIN)?;
    let mut random = fs::File::open("/dev/urandom")?.take(BIG_BYTES);
    std::io::copy(&mut random, &mut fs::File::create(share.join("big"))?)?;
    Ok(tree_files)
}

fn slice_of(big: &Path) -> Result<Vec<u8>> {
    let mut file = fs::File::open(big)?;
    file.seek(SeekFrom::Start(SLICE_OFFSET))?;
    let mut slice = vec![0; 4096];
    file.read_exact(&mut slice)?;
    Ok(slice)
}

/// The checksums that the guest took, without the one file that a hard link added to the tree.
fn tree_checksums(file: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let mut lines: Vec<String> =
        text.lines().filter(|line| !line.ends_with("  ./third")).map(str::to_owned).collect();
    lines.sort_by(|a, b| a.get(64..).cmp(&b.get(64..)));
    Ok(lines)
}

fn assert_same_lines(before: &[u8], after: &[u8]) {
    let lines = |bytes: &[u8]| -> Vec<String> {
        bytes.split(|byte| *byte == 0).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    };
    let (before, after) = (lines(before), lines(after));
    let first = before.iter().zip(&after).find(|(a, b)| a != b);
    assert!(first.is_none(), "the first difference after the way through the bucket: {first:?}");
    assert_eq!(before.len(), after.len(), "the number of entries");
}
