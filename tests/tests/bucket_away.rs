//! The bucket goes away while the server runs: Standard goes on, cold reads wait and then work.
use std::fs;
use std::io::Read;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{Cold, Guest, Minio, Server, poll_until};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(180);
const CONTENT_BYTES: u64 = 8 << 20;

const FILL: &str = "cp /run/share/content /mnt/cold; echo warm > /mnt/warm; sync";
const WARM: &str = "cp /run/share/content /mnt/standard; sync";
const WITHOUT_BUCKET: &str = r"
( cp /mnt/cold /run/share/cold; touch /run/share/cold-is-read ) & reader=$!
cmp /mnt/standard /run/share/content
echo new > /mnt/new
sync /mnt/new
mkdir /mnt/directory
mv /mnt/new /mnt/directory/moved
[ $(stat -c %s /mnt/cold) = $(stat -c %s /run/share/content) ]
touch /run/share/standard-goes-on
wait $reader
[ $(cat /mnt/directory/moved) = new ]
";

#[test]
fn standard_goes_on_and_cold_reads_wait_for_the_bucket() -> Result<()> {
    let share = tempfile::tempdir()?;
    let at = |name: &str| share.path().join(name);
    let mut random = fs::File::open("/dev/urandom")?.take(CONTENT_BYTES);
    std::io::copy(&mut random, &mut fs::File::create(at("content"))?)?;

    let mut minio = Minio::start()?;
    let mut server = Server::start(Cold::Bucket(&minio, "away"))?;
    let guest = Guest::on(server.port()).share(share.path());
    guest.run(LIMIT, FILL, &[])?;
    server.command(&["lifecycle", "set", "--to-ia", "1s", "--to-primary", "never"])?.succeeded()?;
    server.wait_until_cold(2, LIMIT)?;
    server.command(&["lifecycle", "set", "--to-ia", "90d", "--to-primary", "never"])?.succeeded()?;
    guest.run(LIMIT, WARM, &[])?;
    // What the server has in memory of the cold file must not answer for the bucket.
    server.restart()?;

    minio.kill();
    let running = guest.start(WITHOUT_BUCKET, &[])?;
    poll_until("Standard goes on without the bucket", LIMIT, || {
        Ok(at("standard-goes-on").exists().then_some(()))
    })?;
    poll_until("the status says that the bucket is away", LIMIT, || {
        let status = server.json(&["status"])?;
        let state = status.pointer("/health/state").and_then(Value::as_str).map(str::to_owned);
        Ok(state.filter(|state| state == "degraded"))
    })?;
    ensure!(!at("cold-is-read").exists(), "a cold read cannot work without the bucket");

    minio.restart()?;
    running.wait(LIMIT)?.succeeded()?;
    ensure!(fs::read(at("cold"))? == fs::read(at("content"))?, "the cold file has another content");
    Ok(())
}
