use std::time::Duration;

use bytes::Bytes;

use super::super::ranges::LockKind;
use super::*;
use crate::rpc::Principal;

const INODE: InodeId = InodeId(9);
const READ: Share = Share { access: 1, deny: 0 };
const WRITE: Share = Share { access: 2, deny: 0 };
const BOTH: Share = Share { access: 3, deny: 0 };

fn files() -> Files<Arc<()>> {
    Files::new(Epoch(7))
}

fn client(id: u64) -> Arc<Client> {
    Arc::new(Client::new(
        ClientId(id),
        Bytes::from(vec![id as u8]),
        [0; 8],
        Principal::Nobody,
        Duration::ZERO,
    ))
}

fn open(
    files: &Files<Arc<()>>,
    client: &Arc<Client>,
    owner: &'static str,
    share: Share,
) -> Result<Stateid, Status> {
    let opening = Opening { client: Arc::clone(client), owner: Bytes::from_static(owner.as_bytes()), share };
    files.open(INODE, &opening, Arc::new(())).map_err(status)
}

fn status(refused: Refused) -> Status {
    match refused {
        Refused::Status(status) | Refused::Held { status, .. } => status,
    }
}

fn owner(client: &Arc<Client>, owner: &'static str) -> LockOwner {
    LockOwner { client: Arc::clone(client), owner: Bytes::from_static(owner.as_bytes()) }
}

fn wanted(offset: u64, length: u64, kind: LockKind) -> LockRequest {
    LockRequest { range: Range::new(offset, length).unwrap(), kind }
}

#[test]
fn opens_of_one_owner_are_one_state() {
    let (files, a) = (files(), client(1));
    let first = open(&files, &a, "x", READ).unwrap();
    let second = open(&files, &a, "x", WRITE).unwrap();
    assert_eq!((second.other, second.seqid), (first.other, first.seqid + 1));
    let other = open(&files, &a, "y", READ).unwrap();
    assert_ne!(other.other, first.other);
    assert_eq!(files.counts().0, 2);
    assert_eq!(files.permit(INODE, &second, a.id, Intent::Write).unwrap(), Permission::Opened);
    assert_eq!(files.permit(INODE, &other, a.id, Intent::Write).map_err(status), Err(Status::OPENMODE));
}

#[test]
fn share_denials_work_both_ways_and_against_nobody_in_particular() {
    let (files, a, b) = (files(), client(1), client(2));
    open(&files, &a, "x", Share { access: 1, deny: 2 }).unwrap();
    assert_eq!(open(&files, &b, "x", WRITE), Err(Status::SHARE_DENIED));
    assert_eq!(open(&files, &b, "x", Share { access: 1, deny: 1 }), Err(Status::SHARE_DENIED));
    assert!(open(&files, &b, "x", READ).is_ok());
    let anonymous = Stateid { seqid: 0, other: [0; 12] };
    let bypass = Stateid { seqid: u32::MAX, other: [0xff; 12] };
    let permit = |stateid: &Stateid, intent| files.permit(INODE, stateid, b.id, intent).map_err(status);
    assert_eq!(permit(&anonymous, Intent::Read), Ok(Permission::Mode));
    assert_eq!(permit(&anonymous, Intent::Write), Err(Status::LOCKED));
    assert_eq!(permit(&bypass, Intent::Write), Err(Status::LOCKED));
    assert_eq!(permit(&bypass, Intent::Read), Ok(Permission::Mode));
}

#[test]
fn stateids_are_old_bad_or_somebody_elses() {
    let (files, a, b) = (files(), client(1), client(2));
    let first = open(&files, &a, "x", READ).unwrap();
    let second = open(&files, &a, "x", READ).unwrap();
    let permit = |stateid: Stateid, client: &Client| {
        files.permit(INODE, &stateid, client.id, Intent::Read).map_err(status)
    };
    assert_eq!(permit(first, &a), Err(Status::OLD_STATEID));
    assert_eq!(permit(Stateid { seqid: 9, ..first }, &a), Err(Status::BAD_STATEID));
    assert_eq!(permit(Stateid { seqid: 0, ..first }, &a), Ok(Permission::Opened));
    assert_eq!(permit(second, &b), Err(Status::BAD_STATEID));
    assert_eq!(files.test(&first, &a), Err(Status::OLD_STATEID));
    assert_eq!(files.test(&second, &a), Ok(()));
    assert_eq!(files.test(&second, &b), Err(Status::BAD_STATEID));
    let elsewhere = files.permit(InodeId(10), &second, a.id, Intent::Read).map_err(status);
    assert_eq!(elsewhere, Err(Status::BAD_STATEID));
    assert_eq!(files.close(INODE, &second, &a), Ok(()));
    assert_eq!(files.close(INODE, &second, &a), Err(Status::BAD_STATEID));
    assert!(!a.has_state());
}

#[test]
fn a_downgrade_must_leave_what_was_opened() {
    let (files, a) = (files(), client(1));
    let both = open(&files, &a, "x", BOTH).unwrap();
    assert_eq!(
        files.downgrade(INODE, &both, a.id, READ),
        Err(Status::INVAL),
        "never opened for reading alone"
    );
    let read = open(&files, &a, "x", READ).unwrap();
    let down = files.downgrade(INODE, &read, a.id, READ).unwrap();
    assert_eq!(down.seqid, read.seqid + 1);
    assert_eq!(files.permit(INODE, &down, a.id, Intent::Write).map_err(status), Err(Status::OPENMODE));
    assert_eq!(files.downgrade(INODE, &down, a.id, BOTH), Err(Status::INVAL));
}

#[test]
fn the_pin_goes_with_the_open() {
    let (files, a) = (files(), client(1));
    let pin = Arc::new(());
    let opening = Opening { client: Arc::clone(&a), owner: Bytes::new(), share: READ };
    let stateid = files.open(INODE, &opening, Arc::clone(&pin)).unwrap();
    files.open(INODE, &opening, Arc::clone(&pin)).unwrap();
    assert_eq!(Arc::strong_count(&pin), 2, "one for both");
    assert_eq!(files.close(INODE, &Stateid { seqid: 0, ..stateid }, &a), Ok(()));
    assert_eq!(Arc::strong_count(&pin), 1);
}

#[test]
fn locks_conflict_between_owners_and_name_the_holder() {
    let (files, a, b) = (files(), client(1), client(2));
    let (open_a, open_b) = (open(&files, &a, "x", BOTH).unwrap(), open(&files, &b, "x", BOTH).unwrap());
    let whole = wanted(0, u64::MAX, LockKind::Write);
    let held =
        files.lock_under_open(INODE, &owner(&a, "p"), &open_a, &wanted(10, 5, LockKind::Write)).unwrap();
    match files.lock_under_open(INODE, &owner(&b, "p"), &open_b, &whole) {
        Err(Refused::Held { by, status: Status::DENIED, denied: Some(denied) }) => {
            assert_eq!((by.id, denied.client), (a.id, a.id));
            assert_eq!(denied.lock, wanted(10, 5, LockKind::Write));
        }
        other => panic!("{other:?}"),
    }
    assert!(files.test_lock(INODE, &owner(&a, "p"), &whole).is_ok(), "one's own");
    assert!(files.test_lock(INODE, &owner(&a, "q"), &whole).is_err(), "another owner of the same client");
    let free = files.unlock(INODE, a.id, &held, Range::new(0, u64::MAX).unwrap()).unwrap();
    assert_eq!((free.other, free.seqid), (held.other, held.seqid + 1));
    assert!(files.lock_under_open(INODE, &owner(&b, "p"), &open_b, &whole).is_ok());
}

#[test]
fn a_write_lock_needs_an_open_for_writing() {
    let (files, a) = (files(), client(1));
    let stateid = open(&files, &a, "x", READ).unwrap();
    let lock =
        |kind| files.lock_under_open(INODE, &owner(&a, "p"), &stateid, &wanted(0, 1, kind)).map_err(status);
    assert_eq!(lock(LockKind::Write), Err(Status::OPENMODE));
    let first = lock(LockKind::Read).unwrap();
    assert_eq!(lock(LockKind::Read).unwrap(), Stateid { seqid: 2, ..first }, "the same lock state");
}

#[test]
fn states_with_locks_are_not_freed_and_locks_go_with_their_open() {
    let (files, a) = (files(), client(1));
    let stateid = open(&files, &a, "x", BOTH).unwrap();
    let lock =
        files.lock_under_open(INODE, &owner(&a, "p"), &stateid, &wanted(0, 9, LockKind::Read)).unwrap();
    assert_eq!(files.free(&stateid, &a), Err(Status::LOCKS_HELD));
    assert_eq!(files.free(&lock, &a), Err(Status::LOCKS_HELD));
    let lock = files.unlock(INODE, a.id, &lock, Range::new(0, 9).unwrap()).unwrap();
    assert_eq!(files.free(&lock, &a), Ok(()));
    assert_eq!(files.free(&lock, &a), Err(Status::BAD_STATEID));
    files.lock_under_open(INODE, &owner(&a, "p"), &stateid, &wanted(0, 9, LockKind::Read)).unwrap();
    assert_eq!(files.close(INODE, &stateid, &a), Ok(()));
    assert_eq!((files.counts(), a.has_state()), ((0, 0), false));
}

#[test]
fn an_expired_client_has_nothing_and_gets_nothing() {
    let (files, a, b) = (files(), client(1), client(2));
    let stateid = open(&files, &a, "x", Share { access: 3, deny: 3 }).unwrap();
    assert_eq!(open(&files, &b, "x", READ), Err(Status::SHARE_DENIED));
    files.release_client(&a);
    assert!(open(&files, &b, "x", READ).is_ok());
    assert_eq!(files.permit(INODE, &stateid, a.id, Intent::Read).map_err(status), Err(Status::BAD_STATEID));
    assert_eq!(open(&files, &a, "x", READ), Err(Status::EXPIRED));
}
