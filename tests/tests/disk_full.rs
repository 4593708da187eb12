//! A full disk is an error for who writes, and nothing else.
use std::fs;
use std::io::Read;
use std::time::Duration;

use anyhow::Result;
use harness::tmpfs::Tmpfs;
use harness::{Cold, Guest, Server, ServerSettings};

const DISK_BYTES: u64 = 1 << 30;
const BLOCK_BYTES: u64 = 24 << 20;
const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_recovers_without_a_restart() -> Result<()> {
    let share = tempfile::tempdir()?;
    let mut random = fs::File::open("/dev/urandom")?.take(BLOCK_BYTES);
    std::io::copy(&mut random, &mut fs::File::create(share.path().join("block"))?)?;

    let disk = Tmpfs::mount(DISK_BYTES)?;
    let work = tempfile::tempdir()?;
    let mut settings = ServerSettings::within(work.path(), Cold::Directory)?;
    settings.data = disk.path().join("data");
    let server = Server::start_with(work, settings)?;
    let guest = Guest::on(server.port()).share(share.path());
    guest.run(LIMIT, include_str!("../guest/scripts/disk_full.sh"), &[])?;
    Ok(())
}
