//! A disk that has little room left.

use bytes::Bytes;

use super::super::machine::Machine;
use crate::credential::Credential;
use crate::file_system::{CreateMode, Entry, FileSystem, Stability};
use crate::identity::InodeId;

const SLOT: u64 = 64 << 10;
const SLOTS: u64 = 12;

async fn create(fs: &FileSystem, name: &[u8]) -> InodeId {
    let (who, entry) = (Credential::root(), Entry { directory: InodeId::ROOT, name });
    let made = fs.create(&who, entry, CreateMode::Guarded, &Default::default()).await.unwrap();
    made.durable().await.unwrap().into_inner().attributes.inode
}

async fn write(fs: &FileSystem, file: InodeId, offset: u64, bytes: Vec<u8>, stability: Stability) {
    let bytes = Bytes::from(bytes);
    let written = fs.write(&Credential::root(), file, offset, bytes, stability).await.unwrap();
    written.ticket.durable().await.unwrap();
}

/// A piece of a few bytes becomes a block of many: there is no room for that where new data has none either.
#[test]
fn pieces_wait_in_the_metadata_while_there_is_no_room_for_blocks() {
    let machine = Machine::new(1, None);
    machine.run(1, async {
        let fs = machine.open().await.unwrap();
        let file = create(&fs, b"file").await;
        for slot in 0..SLOTS {
            write(&fs, file, slot * SLOT, vec![1; SLOT as usize], Stability::Unstable).await;
        }
        fs.commit(file).await.unwrap().durable().await.unwrap();
        for slot in 0..SLOTS {
            write(&fs, file, slot * SLOT + 100, vec![2; 10], Stability::FileSync).await;
        }
        // Something for a checkpoint, which comes first.
        for number in 0..100 {
            create(&fs, format!("other {number}").as_bytes()).await;
        }
        let pieces = || fs.volume().totals().unwrap().piece_bytes;
        // Enough for the blocks, and nothing else.
        machine.disk.set_capacity(Some(machine.disk.used_bytes() + SLOTS * SLOT + (16 << 10)));
        let before = machine.disk.used_bytes();
        fs.volume().fold_pieces(true).await.unwrap();
        assert_eq!((pieces(), machine.disk.used_bytes()), (SLOTS * 10, before));
        // What there is room for is a checkpoint.
        fs.volume().store.checkpoint().await.unwrap();
        machine.disk.set_capacity(None);
        fs.volume().fold_pieces(true).await.unwrap();
        assert_eq!(pieces(), 0);
        for slot in 0..SLOTS {
            let read = fs.read(file, slot * SLOT + 99, 12).await.unwrap().parts.concat();
            assert_eq!(read, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
        }
        fs.shutdown().await.unwrap();
    });
}
