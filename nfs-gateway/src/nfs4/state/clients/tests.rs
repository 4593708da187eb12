use super::super::session::ChannelAttributes;
use super::*;

const LEASE: Duration = Duration::from_secs(90);
const NOW: Duration = Duration::from_secs(1000);
const ALICE: Principal = Principal::User { uid: 1, gid: 1 };
const BOB: Principal = Principal::User { uid: 2, gid: 2 };

fn clients() -> Clients {
    Clients::new(Epoch(7), LEASE)
}

fn asked(verifier: u8, principal: Principal, registration: Registration) -> ExchangeId {
    ExchangeId { owner: Bytes::from_static(b"owner"), verifier: [verifier; 8], principal, registration }
}

fn create(client: ClientId, sequence: u32, principal: Principal) -> CreateSession {
    let channel = ChannelAttributes {
        header_pad: 0,
        request_bytes_max: 4096,
        response_bytes_max: 4096,
        cached_bytes_max: 1024,
        operations_max: 16,
        requests_max: 8,
    };
    CreateSession {
        client,
        sequence,
        principal,
        request: SessionRequest { flags: 0, fore: channel, back: channel },
    }
}

/// A confirmed client with a session.
fn confirmed(clients: &Clients, verifier: u8, principal: Principal) -> (ClientId, SessionId) {
    let id = clients.exchange_id(&asked(verifier, principal, Registration::New), NOW).unwrap().id;
    let ((session, _), _) = clients.create_session(&create(id, 1, principal), [0; 4], NOW).unwrap();
    (id, session)
}

#[test]
fn a_new_owner_gets_a_new_unconfirmed_record() {
    let clients = clients();
    let first = clients.exchange_id(&asked(1, ALICE, Registration::New), NOW).unwrap();
    assert!(!first.confirmed && first.sequence == 1);
    assert_eq!(first.id.0 >> 32, 7, "the epoch is in the id");
    // An unconfirmed record is replaced, whoever asks.
    let second = clients.exchange_id(&asked(1, BOB, Registration::New), NOW).unwrap();
    assert_ne!(first.id, second.id);
    let stale = clients.create_session(&create(first.id, 1, ALICE), [0; 4], NOW);
    assert_eq!(stale.unwrap_err(), Status::STALE_CLIENTID);
    assert_eq!(clients.counts(), (1, 0));
}

#[test]
fn the_same_verifier_finds_the_confirmed_record() {
    let clients = clients();
    let (id, _) = confirmed(&clients, 1, ALICE);
    let again = clients.exchange_id(&asked(1, ALICE, Registration::New), NOW).unwrap();
    assert_eq!((again.id, again.confirmed, again.sequence), (id, true, 2));
}

#[test]
fn a_client_that_was_started_anew_replaces_itself_when_it_confirms() {
    let clients = clients();
    let (old, session) = confirmed(&clients, 1, ALICE);
    let new = clients.exchange_id(&asked(2, ALICE, Registration::New), NOW).unwrap();
    assert!(!new.confirmed && new.replaced.is_none() && new.id != old);
    assert!(clients.session(&session).is_ok(), "until it confirms");
    let (_, former) = clients.create_session(&create(new.id, 1, ALICE), [0; 4], NOW).unwrap();
    assert_eq!(former.unwrap().id, old);
    assert_eq!(clients.session(&session).unwrap_err(), Status::BADSESSION);
}

#[test]
fn another_principal_is_refused_while_the_client_lives() {
    let clients = clients();
    let (id, _) = confirmed(&clients, 1, ALICE);
    let other = asked(1, BOB, Registration::New);
    assert_eq!(clients.exchange_id(&other, NOW).unwrap_err(), Status::CLID_INUSE);
    let later = NOW + LEASE + Duration::from_secs(1);
    let replaced = clients.exchange_id(&other, later).unwrap().replaced.unwrap();
    assert_eq!(replaced.id, id);
}

#[test]
fn updates_need_the_same_confirmed_client() {
    let clients = clients();
    let update = |verifier, principal| {
        clients
            .exchange_id(&asked(verifier, principal, Registration::Update), NOW)
            .map(|found| found.confirmed)
    };
    assert_eq!(update(1, ALICE), Err(Status::NOENT));
    clients.exchange_id(&asked(1, ALICE, Registration::New), NOW).unwrap();
    assert_eq!(update(1, ALICE), Err(Status::NOENT), "an unconfirmed record does not count");
    confirmed(&clients, 1, ALICE);
    assert_eq!(update(1, ALICE), Ok(true));
    assert_eq!(update(2, ALICE), Err(Status::NOT_SAME));
    assert_eq!(update(1, BOB), Err(Status::PERM));
}

#[test]
fn a_retransmitted_create_session_gets_the_same_answer() {
    let clients = clients();
    let id = clients.exchange_id(&asked(1, ALICE, Registration::New), NOW).unwrap().id;
    assert_eq!(
        clients.create_session(&create(id, 2, ALICE), [0; 4], NOW).unwrap_err(),
        Status::SEQ_MISORDERED
    );
    let wrong = clients.create_session(&create(id, 1, BOB), [0; 4], NOW);
    assert_eq!(wrong.unwrap_err(), Status::CLID_INUSE);
    let replayed = clients.create_session(&create(id, 1, ALICE), [0; 4], NOW);
    assert_eq!(replayed.unwrap_err(), Status::CLID_INUSE, "a cached error");
    let ((session, _), _) = clients.create_session(&create(id, 2, ALICE), [1; 4], NOW).unwrap();
    let ((again, _), _) = clients.create_session(&create(id, 2, ALICE), [2; 4], NOW).unwrap();
    assert_eq!(session, again);
    assert_eq!(clients.counts(), (1, 1));
    let ((another, _), _) = clients.create_session(&create(id, 3, ALICE), [1; 4], NOW).unwrap();
    assert_ne!(session, another);
}

#[test]
fn a_client_goes_when_its_sessions_are_gone() {
    let clients = clients();
    let (id, session) = confirmed(&clients, 1, ALICE);
    assert_eq!(clients.destroy_client(id).unwrap_err(), Status::CLIENTID_BUSY);
    assert_eq!(clients.destroy_session(&session, 0), Ok(()));
    assert_eq!(clients.destroy_session(&session, 0), Err(Status::BADSESSION));
    assert!(clients.destroy_client(id).is_ok());
    assert_eq!(clients.destroy_client(id).unwrap_err(), Status::STALE_CLIENTID);
    assert_eq!(clients.counts(), (0, 0));
}

#[test]
fn a_session_in_use_is_not_destroyed() {
    use super::super::slots::{CachedReply, SlotRequest};
    let clients = clients();
    let (_, id) = confirmed(&clients, 1, ALICE);
    let session = clients.session(&id).unwrap();
    session.acquire(SlotRequest { slot: 0, sequence: 1, digest: 0 }).unwrap();
    assert_eq!(clients.destroy_session(&id, 0), Err(Status::DELAY));
    session.complete(0, CachedReply::Executed);
    assert_eq!(clients.destroy_session(&id, 0), Ok(()));
    assert!(!session.is_alive());
}

#[test]
fn who_has_nothing_to_lose_goes_after_a_lease() {
    let clients = clients();
    let (_, session) = confirmed(&clients, 1, ALICE);
    let client = Arc::clone(&clients.session(&session).unwrap().client);
    assert!(clients.overdue(NOW + LEASE).is_empty());
    let later = NOW + LEASE + Duration::from_secs(1);
    assert_eq!(clients.overdue(later).len(), 1);
    client.hold(super::super::stateid::StateIndex(1), engine::InodeId(5)).unwrap();
    assert!(clients.overdue(later).is_empty(), "courtesy");
    assert_eq!(clients.overdue(NOW + COURTESY + Duration::from_secs(1)).len(), 1);
}
