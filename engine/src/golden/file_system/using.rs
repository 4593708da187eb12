//! Using it on: something is done with everything that is there.

use super::contents::{Content, Kind, Node, Tree, noise, text, with};
use super::make::{file, fold, mkdir, set, write};
use crate::{CloneRange, Credential, Entry, FileSystem, InodeId, SetAttributes, Tier};

/// Writes to each file, and changes names, tiers and sizes; the tree follows.
pub(super) async fn change_everything(fs: &FileSystem, tree: &mut Tree) {
    write_to_each(fs, tree).await;
    change_names(fs, tree).await;
    let inode = |path: &[u8]| fs.resolve_path(path).unwrap().inode;
    for (path, to) in [
        (b"/large".as_slice(), Tier::InfrequentAccess),
        (b"/cold/text", Tier::Standard),
        (b"/cold/half", Tier::InfrequentAccess),
    ] {
        fs.transition(&[inode(path)], to).await.unwrap();
    }
    let range = CloneRange { source_offset: 0, destination_offset: 4096, length: 65_536 };
    let cloned = fs.clone_range(&Credential::root(), inode(b"/cold/text"), inode(b"/clone"), range).await;
    cloned.unwrap().durable().await.unwrap();
    let part = content(tree, b"/cold/text")[..65_536].to_vec();
    let changed = with(content(tree, b"/clone"), 4096, &part);
    put(tree, b"/clone", changed);
    set(fs, inode(b"/sparse"), SetAttributes { size: Some(2_000_000), ..SetAttributes::default() }).await;
    let shorter = content(tree, b"/sparse")[..2_000_000].to_vec();
    put(tree, b"/sparse", shorter);
    fs.set_note("engine/golden", None).await.unwrap().durable().await.unwrap();
    fs.collect().await.unwrap();
}

/// In the middle and behind the end. Half of that becomes blocks, the rest stays in the journal.
async fn write_to_each(fs: &FileSystem, tree: &mut Tree) {
    let files: Vec<Vec<u8>> = tree
        .iter()
        .filter(|(path, node)| matches!(node.kind, Kind::File(_)) && path.as_slice() != b"/links/other name")
        .map(|(path, _)| path.clone())
        .collect();
    assert!(files.len() > 14);
    for (number, path) in files.iter().enumerate() {
        if number == files.len() / 2 {
            fold(fs).await;
        }
        let (inode, before) = (fs.resolve_path(path).unwrap().inode, content(tree, path));
        write(fs, inode, before.len() as u64, &text(100)).await;
        write(fs, inode, before.len() as u64 / 2, b"middle").await;
        let after = with([before.as_slice(), &text(100)].concat(), before.len() / 2, b"middle");
        put(tree, path, after);
    }
    let (both, mode) = (tree[b"/small".as_slice()].clone(), fs.resolve_path(b"/small").unwrap().mode);
    // The superuser's writes leave the set-id bits.
    tree.insert(b"/links/other name".to_vec(), Node { mode, ..both });
}

async fn change_names(fs: &FileSystem, tree: &mut Tree) {
    let root = Credential::root();
    let entry = |directory: &str, name: &'static [u8]| {
        let directory = fs.resolve_path(directory.as_bytes()).unwrap().inode;
        Entry { directory, name }
    };
    let (from, to) = (entry("/odd", b"new\nline"), entry("/a/b", b"one line"));
    fs.rename(&root, from, to).await.unwrap().durable().await.unwrap();
    let renamed = tree.remove(b"/odd/new\nline".as_slice()).unwrap();
    tree.insert(b"/a/b/one line".to_vec(), renamed);
    for (directory, name, path) in [
        ("/odd", b"\xff\xfe not text".as_slice(), b"/odd/\xff\xfe not text".as_slice()),
        ("/cold", b"noise", b"/cold/noise"),
        ("/nodes", b"fifo", b"/nodes/fifo"),
        ("/a/b", b"empty", b"/a/b/empty"),
    ] {
        fs.remove(&root, entry(directory, name)).await.unwrap().durable().await.unwrap();
        tree.remove(path).unwrap();
    }
    tree.get_mut(b"/a/b".as_slice()).unwrap().links -= 1;
    let new = mkdir(fs, InodeId::ROOT, b"new").await;
    file(fs, new, b"file", &noise(70_000)).await;
    let directory = tree[b"/cold".as_slice()].clone();
    tree.insert(b"/new".to_vec(), directory);
    let file = tree[b"/cold/text".as_slice()].clone();
    tree.insert(b"/new/file".to_vec(), Node { kind: Kind::File(Content(noise(70_000))), ..file });
    tree.get_mut(b"/".as_slice()).unwrap().links += 1;
}

fn content(tree: &Tree, path: &[u8]) -> Vec<u8> {
    match &tree[path].kind {
        Kind::File(Content(content)) => content.clone(),
        other => panic!("{other:?}"),
    }
}

/// What was written has another time.
fn put(tree: &mut Tree, path: &[u8], content: Vec<u8>) {
    let node = tree.get_mut(path).unwrap();
    node.kind = Kind::File(Content(content));
    node.mtime = None;
}
