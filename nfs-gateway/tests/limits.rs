//! The limits of a file system as a client meets them. ALLOCATE and CLONE are of a minor version that is not served; the engine's tests
//! hold theirs.
#![expect(
    unreachable_pub,
    dead_code,
    reason = "a test has no users, and this one does not use all of the client"
)]

#[cfg(test)]
mod raw;

use engine::limits::{FILE_SIZE_MAX, LINKS_MAX};
use engine::{CreateMode, Credential, Entry, FileSystem, InodeId, SetAttributes};
use raw::client::*;
use raw::server::Server;
use raw::wire::Out;

const FBIG: u32 = 27;
const MLINK: u32 = 31;
const DEPTH: usize = 2000;
/// Operations on one level, or two of them, that one compound has at most: the session grants 64.
const LEVELS: usize = 25;

fn entry(name: &[u8]) -> Entry<'_> {
    Entry { directory: InodeId::ROOT, name }
}

/// SETATTR of the size alone.
fn set_size(stateid: &[u8], size: u64) -> Out {
    op(34).raw(stateid).u32(1).u32(1 << 4).opaque(&size.to_be_bytes())
}

/// OPEN with GUARDED creation and a size.
fn open_create_sized(client: u64, name: &[u8], size: u64) -> Out {
    let head = op(18).u32(0).u32(3).u32(0).u64(client).opaque(b"owner").u32(1).u32(1);
    head.u32(1).u32(1 << 4).opaque(&size.to_be_bytes()).u32(0).opaque(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_ends_at_47_9_tebibytes() {
    let server = Server::start().await;
    let mut client = Client::ready(server.port, b"alpha").await;
    let (handle, stateid) = client.create(b"file").await;
    let last = FILE_SIZE_MAX - 1;
    for stable in [0, 2] {
        assert_eq!(client.run(&[putfh(&handle), write(&stateid, last, stable, b"x")]).await.status, 0);
        for (offset, data) in [(FILE_SIZE_MAX, &b"y"[..]), (last, &b"yz"[..]), (u64::MAX, &b"y"[..])] {
            let refused = client.run(&[putfh(&handle), write(&stateid, offset, stable, data)]).await;
            assert_eq!(refused.status, FBIG, "WRITE at {offset}");
        }
    }
    let mut reply = client.run(&[putfh(&handle), read(&stateid, last - 1, 100)]).await;
    reply.results.raw(8 + 8);
    assert_eq!((reply.results.u32(), reply.results.opaque()), (1, b"\0x".to_vec()));
    for size in [FILE_SIZE_MAX + 1, u64::MAX] {
        assert_eq!(client.run(&[putfh(&handle), set_size(&stateid, size)]).await.status, FBIG);
        let opened = client.run(&[putrootfh(), open_create_sized(client.id, b"new", size)]).await;
        assert_eq!(opened.status, FBIG);
    }
    for size in [0, FILE_SIZE_MAX] {
        assert_eq!(client.run(&[putfh(&handle), set_size(&stateid, size)]).await.status, OK);
    }
    let file = server.file_system.lookup(&Credential::root(), entry(b"file")).unwrap();
    assert_eq!(file.size, FILE_SIZE_MAX);
    server.nfs.stop().await;
}

/// All names of a file, up to the largest number of them.
#[expect(clippy::unwrap_used, reason = "a failure ends the test")]
async fn make_links(fs: &FileSystem, name: &[u8]) -> InodeId {
    let (root, set) = (Credential::root(), SetAttributes::default());
    let made = fs.create(&root, entry(name), CreateMode::Guarded, &set).await.unwrap();
    let file = made.durable().await.unwrap().into_inner().attributes.inode;
    for number in 1..LINKS_MAX - 1 {
        let link = fs.link(&root, file, entry(format!("link-{number}").as_bytes())).await.unwrap();
        drop(link.into_parts());
    }
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_65_000_links() {
    let server = Server::start().await;
    let file = make_links(&server.file_system, b"file").await;
    let mut client = Client::ready(server.port, b"alpha").await;
    // SAVEFH of the file, LINK into the root.
    let link = |name: &[u8]| [putrootfh(), lookup(b"file"), op(32), putrootfh(), op(11).opaque(name)];
    assert_eq!(client.run(&link(b"last")).await.status, OK);
    assert_eq!(client.run(&link(b"one more")).await.status, MLINK);
    assert_eq!(server.file_system.attributes(file).unwrap().links, LINKS_MAX);
    assert_eq!(client.run(&[putrootfh(), op(28).opaque(b"link-1")]).await.status, OK);
    assert_eq!(client.run(&link(b"one more")).await.status, OK);
    server.nfs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_2_000_directories_is_walked_both_ways() {
    let server = Server::start().await;
    let mut client = Client::ready(server.port, b"alpha").await;
    // Each CREATE and each LOOKUP goes on from the directory of the one before it.
    let mut at = vec![putrootfh()];
    for _ in 0..DEPTH / LEVELS {
        let levels = std::iter::repeat_n(mkdir(b"d"), LEVELS);
        let request: Vec<Out> = at.iter().cloned().chain(levels).collect();
        assert_eq!(client.run(&request).await.status, OK);
        let down: Vec<Out> = at.into_iter().chain(std::iter::repeat_n(lookup(b"d"), LEVELS)).collect();
        let mut found = client.run(&[&down[..], &[op(10)]].concat()).await;
        assert_eq!(found.status, OK);
        found.results.raw(8 * (1 + LEVELS) + 8);
        at = vec![putfh(&found.results.opaque())];
    }
    let deepest = at.remove(0);
    assert_eq!(client.run(&[deepest.clone(), open_create(client.id, b"o", b"old")]).await.status, OK);
    let renamed = [deepest.clone(), op(32), op(29).opaque(b"old").opaque(b"new")];
    assert_eq!(client.run(&renamed).await.status, OK);
    assert_eq!(client.run(&[deepest.clone(), op(28).opaque(b"new")]).await.status, OK);
    // LOOKUPP and REMOVE of what it came from, up to the root.
    let mut at = deepest;
    for _ in 0..DEPTH / LEVELS {
        let up = vec![[op(16), op(28).opaque(b"d")]; LEVELS].concat();
        let mut reached = client.run(&[&[at][..], &up, &[op(10)]].concat()).await;
        assert_eq!(reached.status, OK);
        reached.results.raw(8 + LEVELS * (8 + 8 + 20) + 8);
        at = putfh(&reached.results.opaque());
    }
    assert_eq!(client.run(&[at.clone(), op(16)]).await.status, 2, "above the root there is nothing");
    assert_eq!(client.run(&[at, lookup(b"d")]).await.status, 2);
    server.nfs.stop().await;
}
