//! Two clients on one file system.
use std::time::Duration;

use anyhow::Result;
use harness::{Cold, Guest, Server};

const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn locks_and_closed_files_are_seen_by_the_other_client() -> Result<()> {
    let share = tempfile::tempdir()?;
    let server = Server::start(Cold::Directory)?;
    let guest = Guest::on(server.port()).share(share.path());
    let one = guest.start(include_str!("../guest/scripts/client_one.sh"), &[])?;
    let two = guest.start(include_str!("../guest/scripts/client_two.sh"), &[])?;
    // When one gives up, the other would wait for it in vain: the first to be looked at is the one that asserts last.
    one.wait(LIMIT)?.succeeded()?;
    two.wait(LIMIT)?.succeeded()?;
    Ok(())
}
