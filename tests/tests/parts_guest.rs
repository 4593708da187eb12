//! The guest itself, without a server.
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::Result;
use harness::Guest;

const LIMIT: Duration = Duration::from_secs(60);

/// A mount that nobody answers hangs: what must come to an end is the guest, when it is dropped.
#[test]
fn a_guest_whose_mount_hangs_is_gone_when_it_is_dropped() -> Result<()> {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let share = tempfile::tempdir()?;
    let guest = Guest::on(silent.local_addr()?.port()).share(share.path());
    let running = guest.start("touch /run/share/mounted", &[])?;
    // The guest's own connection shows that it has booted; the first one is the tool's probe.
    silent.accept()?;
    let (connection, _) = silent.accept()?;
    drop(running);
    connection.set_read_timeout(Some(LIMIT))?;
    assert!(!share.path().join("mounted").exists());
    Ok(())
}
