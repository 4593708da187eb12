//! An object store that is away.

use std::time::Duration;

use bytes::Bytes;

use super::super::life::check_nothing_leaked;
use super::super::machine::Machine;
use super::super::{Failure, Result};
use crate::broken::Broken;
use crate::credential::Credential;
use crate::file_system::{CreateMode, Entry, Stability};
use crate::identity::InodeId;
use crate::tiering::Tier;
use crate::tiers::fault::Fault;

/// Removes a cold file while the store answers like this, and looks for what is left when it is back.
fn remove_while(fault: Fault, broken: Option<Broken>) -> Result {
    let machine = Machine::new(1, broken);
    machine.run(1, async {
        let fs = machine.open().await.unwrap();
        fs.release_orphans().await.unwrap();
        let (who, entry) = (Credential::root(), Entry { directory: InodeId::ROOT, name: b"file" });
        let made = fs.create(&who, entry, CreateMode::Guarded, &Default::default()).await.unwrap();
        let file = made.durable().await.unwrap().into_inner().attributes.inode;
        let bytes = Bytes::from(vec![7; 100_000]);
        let written = fs.write(&who, file, 0, bytes, Stability::FileSync).await.unwrap();
        written.ticket.durable().await.unwrap();
        fs.transition(&[file], Tier::InfrequentAccess).await.unwrap();
        assert_eq!(machine.objects.names().await.len(), 1);
        machine.objects.always(fault);
        fs.remove(&who, entry).await.unwrap().durable().await.unwrap();
        fs.volume().reclaim_contents().await.unwrap();
        let dead = fs.volume().dead_segments().unwrap();
        assert!(dead.iter().any(|(_, record)| record.tier == Tier::InfrequentAccess), "{dead:?}");
        let requests = machine.objects.requests();
        let deleted = fs.volume().delete_dead_segments().await;
        assert!(machine.objects.requests() > requests, "nobody tried to delete it: {deleted:?}");
        // Nobody is in the middle of a try any more when the store is back.
        tokio::time::sleep(Duration::from_secs(120)).await;
        machine.objects.always(Fault::Pass);
        tokio::time::sleep(Duration::from_secs(200)).await;
        let left = check_nothing_leaked(&machine, &fs).await.unwrap();
        fs.shutdown().await.unwrap();
        left
    })
}

#[test]
fn an_object_whose_deletion_fails_is_not_forgotten() {
    for fault in [Fault::Refuse, Fault::Status(503), Fault::LoseReply] {
        assert!(remove_while(fault, None).is_ok(), "{fault:?}");
    }
    let forgotten = remove_while(Fault::Status(503), Some(Broken::DeletionNotChecked));
    assert!(matches!(forgotten, Err(Failure::Leaked(_))), "{forgotten:?}");
}
