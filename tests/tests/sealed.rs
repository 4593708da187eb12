//! Nothing at rest is readable: neither names nor content, in the data directory or the bucket, nor what a client calls itself.
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::tree::files_below;
use harness::{Cold, Guest, Minio, Server};
use memchr::memmem::Finder;

/// How the names begin that Linux clients give themselves; the server keeps them in hexadecimal digits.
const CLIENT: &[u8] = b"Linux NFSv4";

const LIMIT: Duration = Duration::from_secs(180);

/// Writes the random content of /run/share under the names of /run/share/$1/, small and large, in several ways.
const WRITE: &str = r#"
cd "/run/share/$1"
for name in *; do
    mkdir "/mnt/$name"
    cp "$name" "/mnt/$name/$name-copy"
    cp "$name" /mnt/old; mv /mnt/old "/mnt/$name-renamed"
    for i in $(seq 100); do cat "$name"; done > "/mnt/$name-large"
    ln -s "$name-target" "/mnt/$name-link"
    ln "/mnt/$name-large" "/mnt/$name-hard"
    cp "$name" "/mnt/$name-removed"; rm "/mnt/$name-removed"
    dd if="$name" of="/mnt/$name-durable" conv=fsync status=none
done
sync
"#;

/// A marker is a random name with random bytes as content: both cannot be compressed away.
struct Markers {
    names: Vec<String>,
    contents: Vec<Vec<u8>>,
}

impl Markers {
    fn make(directory: &Path) -> Result<Markers> {
        fs::create_dir_all(directory)?;
        let mut markers = Markers { names: Vec::new(), contents: Vec::new() };
        for _ in 0..5 {
            let name = hex::encode(random(12)?);
            let content = random(700)?;
            fs::write(directory.join(&name), &content)?;
            markers.names.push(name);
            markers.contents.push(content);
        }
        Ok(markers)
    }

    /// The files below a directory that show a marker, and which.
    fn found_in(&self, directory: &Path) -> Result<Vec<(PathBuf, String)>> {
        let digits = hex::encode(CLIENT);
        let names = self.names.iter().map(|name| (format!("name {name}"), name.as_bytes()));
        // A piece of each content: however it is cut into blocks, half of it stays together.
        let contents = self.contents.iter().zip(&self.names).flat_map(|(content, name)| {
            [0, 300, 600].map(|at| (format!("content {name}"), content.get(at..at + 24).unwrap_or_default()))
        });
        let client = [CLIENT, digits.as_bytes()].map(|needle| ("name of the client".to_owned(), needle));
        let finders: Vec<(String, Finder<'_>)> =
            names.chain(contents).chain(client).map(|(what, needle)| (what, Finder::new(needle))).collect();
        let mut found = Vec::new();
        for file in files_below(directory)? {
            let bytes = fs::read(&file)?;
            found.extend(
                finders
                    .iter()
                    .filter(|(_, finder)| finder.find(&bytes).is_some())
                    .map(|(what, _)| (file.clone(), what.clone())),
            );
        }
        Ok(found)
    }
}

#[test]
fn neither_names_nor_content_are_readable_at_rest() -> Result<()> {
    let share = tempfile::tempdir()?;
    let cold = Markers::make(&share.path().join("cold"))?;
    let hot = Markers::make(&share.path().join("hot"))?;
    ensure!(!cold.found_in(share.path())?.is_empty(), "the search finds what is in clear");

    let minio = Minio::start()?;
    let mut server = Server::start(Cold::Bucket(&minio, "sealed"))?;
    let guest = Guest::on(server.port()).share(share.path());
    guest.run(LIMIT, WRITE, &["cold"])?;
    server.command(&["lifecycle", "set", "--to-ia", "1s", "--to-primary", "never"])?.succeeded()?;
    server.wait_until_cold(5 * 4, LIMIT)?;
    server.command(&["lifecycle", "set", "--to-ia", "90d", "--to-primary", "never"])?.succeeded()?;
    guest.run(LIMIT, WRITE, &["hot"])?;
    ensure!(minio.content("sealed")?.bytes > 0, "something is in the bucket");
    ensure!(server.tier_number("standard", "bytes")? > 0, "something is in Standard");

    // Both as a crash leaves it and as a clean stop does.
    for clean in [false, true] {
        if clean {
            server.restart()?;
            server.stop()?;
        } else {
            server.kill9();
        }
        for markers in [&cold, &hot] {
            assert_eq!(markers.found_in(&server.settings().data)?, [], "in the data directory");
            assert_eq!(markers.found_in(minio.data())?, [], "in the bucket");
        }
    }
    Ok(())
}

fn random(length: u64) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open("/dev/urandom")?.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}
