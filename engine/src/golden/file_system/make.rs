//! How the file system was made.

use bytes::Bytes;

use super::contents::{
    CLONED_FROM, COLD_TEXT, DEVICE, HALF, LARGE, LONG_NAME, MTIME, NOTES, SPARSE, TARGET, noise, text,
};
use super::home::{Home, end_upkeep};
use crate::golden::fixed::environment;
use crate::{
    Authority, CloneRange, CreateMode, Credential, Entry, FileKind, FileSystem, FileSystemId, InodeId,
    KeyFile, SetAttributes, SetTime, Stability, Tier,
};

/// The file system as a kill left it, and closed. Each has the key beside it.
pub(super) async fn make() -> [Vec<u8>; 2] {
    let mut home = Home::new(FileSystemId::from_random([0; 16]));
    let environment = environment();
    KeyFile::create(&home.key(), environment.entropy.as_ref()).unwrap();
    let options = home.options_in(environment);
    home.id = FileSystem::make(&home.data(), &options).unwrap();
    let fs = home.open_with(options).await;
    // What waits to be folded or released is to stay so.
    end_upkeep(&fs).await;
    under_the_first_key(&fs).await;
    fs.volume().store.fold().await.unwrap();
    fs.rotate_key(None).await.unwrap();
    under_the_second_key(&fs).await;
    fs.volume().store.fold().await.unwrap();
    until_merged(&home).await;
    over_the_base(&fs).await;
    fs.volume().store.fold().await.unwrap();
    in_the_journal_only(&fs).await;
    let killed = ::golden::archive::pack(home.path()).unwrap();
    fs.shutdown().await.unwrap();
    drop(fs);
    [killed, ::golden::archive::pack(home.path()).unwrap()]
}

async fn under_the_first_key(fs: &FileSystem) {
    let root = InodeId::ROOT;
    let a = mkdir(fs, root, b"a").await;
    let b = mkdir(fs, a, b"b").await;
    let empty = mkdir(fs, b, b"empty").await;
    set(fs, empty, SetAttributes { mode: Some(0o1777), ..SetAttributes::default() }).await;
    let odd = mkdir(fs, root, b"odd").await;
    for (length, name) in
        (1..).zip([b"\xff\xfe not text".as_slice(), b"new\nline", b"\xe2\x98\x83", &LONG_NAME])
    {
        file(fs, odd, name, &text(length)).await;
    }
    let large = file(fs, root, b"large", &noise(LARGE)).await;
    let cold = mkdir(fs, root, b"cold").await;
    let written =
        [file(fs, cold, b"text", &text(COLD_TEXT)).await, file(fs, cold, b"half", &text(HALF)).await];
    fold(fs).await;
    let clone = create(fs, root, b"clone").await;
    let range = CloneRange { source_offset: CLONED_FROM, destination_offset: 0, length: 0 };
    fs.clone_range(&Credential::root(), large, clone, range).await.unwrap().durable().await.unwrap();
    let moved = fs.transition(&written, Tier::InfrequentAccess).await.unwrap();
    assert_eq!((moved.files, moved.skipped), (2, 0));
    create(fs, root, b"empty").await;
}

async fn under_the_second_key(fs: &FileSystem) {
    let root = InodeId::ROOT;
    let sparse = file(fs, root, b"sparse", &text(5000)).await;
    write(fs, sparse, 4_000_000, &text(3000)).await;
    set(fs, sparse, SetAttributes { size: Some(SPARSE as u64), ..SetAttributes::default() }).await;
    let cold = fs.resolve_path(b"/cold").unwrap().inode;
    let written = [file(fs, cold, b"noise", &noise(5000)).await, file(fs, cold, b"small", &text(300)).await];
    let truncated = file(fs, root, b"truncated", &noise(3000)).await;
    file(fs, root, b"orphan", &noise(5000)).await;
    fold(fs).await;
    fs.transition(&written, Tier::InfrequentAccess).await.unwrap();
    // Its first content waits for its release.
    set(fs, truncated, SetAttributes { size: Some(0), ..SetAttributes::default() }).await;
    write(fs, truncated, 0, b"new").await;
    for (key, value) in NOTES {
        fs.set_note(key, Some(value)).await.unwrap().durable().await.unwrap();
    }
}

async fn over_the_base(fs: &FileSystem) {
    let nodes = mkdir(fs, InodeId::ROOT, b"nodes").await;
    for (name, kind) in [
        (b"block".as_slice(), FileKind::BlockDevice),
        (b"character", FileKind::CharacterDevice),
        (b"fifo", FileKind::Fifo),
        (b"socket", FileKind::Socket),
    ] {
        let (who, entry) = (Credential::root(), Entry { directory: nodes, name });
        let made = fs.make_node(&who, entry, kind, DEVICE, &with_mode(0o600)).await.unwrap();
        made.durable().await.unwrap();
    }
    let entry = Entry { directory: InodeId::ROOT, name: b"symlink" };
    let made = fs.make_symlink(&Credential::root(), entry, TARGET, &with_mode(0o777)).await.unwrap();
    made.durable().await.unwrap();
    let large = fs.resolve_path(b"/large").unwrap().inode;
    write(fs, large, 70_000, b"a piece over a block").await;
}

async fn in_the_journal_only(fs: &FileSystem) {
    let root = InodeId::ROOT;
    let small = file(fs, root, b"small", &text(100)).await;
    let links = mkdir(fs, root, b"links").await;
    let entry = Entry { directory: links, name: b"other name" };
    fs.link(&Credential::root(), small, entry).await.unwrap().durable().await.unwrap();
    let (mode, uid, gid) = (Some(0o4640), Some(1000), Some(100));
    let mtime = Some(SetTime::To(MTIME));
    set(fs, small, SetAttributes { uid, gid, mtime, ..SetAttributes::default() }).await;
    set(fs, small, SetAttributes { mode, ..SetAttributes::default() }).await;
    let entry = Entry { directory: root, name: b"exclusive" };
    let mode = CreateMode::Exclusive(*b"verifier");
    let made = fs.create(&Credential::root(), entry, mode, &with_mode(0o644)).await.unwrap();
    let exclusive = made.durable().await.unwrap().into_inner().attributes.inode;
    write(fs, exclusive, 0, &text(10)).await;
    let half = fs.resolve_path(b"/cold/half").unwrap().inode;
    write(fs, half, 3000, b"over what is cold").await;
    // Somebody has it open still.
    let entry = Entry { directory: root, name: b"orphan" };
    fs.remove(&Credential::root(), entry).await.unwrap().durable().await.unwrap();
}

/// Waits until what was under the first key is in a base under the second one, and the journal has its spare file.
async fn until_merged(home: &Home) {
    let names = |below: &str| {
        let entries = std::fs::read_dir(home.data().join(home.id.to_string()).join(below)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let has = |below, end| names(below).iter().any(|name| name.ends_with(end));
    while has("checkpoint", "00000001.delta") || !has("journal", ".spare") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

fn with_mode(mode: u32) -> SetAttributes {
    SetAttributes { mode: Some(mode), ..SetAttributes::default() }
}

pub(super) async fn create(fs: &FileSystem, directory: InodeId, name: &[u8]) -> InodeId {
    let entry = Entry { directory, name };
    let made = fs.create(&Credential::root(), entry, CreateMode::Guarded, &with_mode(0o644)).await.unwrap();
    made.durable().await.unwrap().into_inner().attributes.inode
}

pub(super) async fn file(fs: &FileSystem, directory: InodeId, name: &[u8], content: &[u8]) -> InodeId {
    let inode = create(fs, directory, name).await;
    write(fs, inode, 0, content).await;
    inode
}

/// What was written so far goes from the journal into blocks.
pub(super) async fn fold(fs: &FileSystem) {
    fs.volume().fold_pieces(true).await.unwrap();
}

pub(super) async fn mkdir(fs: &FileSystem, directory: InodeId, name: &[u8]) -> InodeId {
    let entry = Entry { directory, name };
    let made = fs.make_directory(&Credential::root(), entry, &with_mode(0o755)).await.unwrap();
    made.durable().await.unwrap().into_inner().attributes.inode
}

pub(super) async fn set(fs: &FileSystem, inode: InodeId, set: SetAttributes) {
    let done = fs.set_attributes(&Credential::root(), inode, &set, Authority::Mode).await.unwrap();
    done.durable().await.unwrap();
}

/// A small write is a piece in the journal.
pub(super) async fn write(fs: &FileSystem, inode: InodeId, offset: u64, content: &[u8]) {
    let data = Bytes::copy_from_slice(content);
    let written = fs.write(&Credential::root(), inode, offset, data, Stability::Unstable).await.unwrap();
    written.ticket.durable().await.unwrap();
    fs.commit(inode).await.unwrap().durable().await.unwrap();
}
