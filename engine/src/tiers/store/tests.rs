use std::time::Duration;

use tokio::time::Instant;

use super::fault::{Fault, FaultyStore};
use super::*;

/// The same pauses in every run, of middling length.
struct Even;

impl crate::environment::Entropy for Even {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0x40);
    }
}

fn stack(store: &Arc<FaultyStore>) -> Stack {
    Stack::new(store.clone(), &Environment { entropy: Arc::new(Even), ..Environment::system() })
}

fn create() -> Request {
    Request::Create { path: Path::from("object"), content: PutPayload::from_static(b"0123456789") }
}

fn get() -> Request {
    Request::Get { path: Path::from("object"), range: 2..6 }
}

async fn content(stack: &Stack) -> Result<Bytes, StoreError> {
    match stack.store.call(&get()).await? {
        Reply::Content { bytes, object_bytes: 10 } => Ok(bytes),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn passing_faults_are_repeated_and_counted() {
    use Fault::{Delay, LoseReply, Pass, Refuse, Status, Truncate};
    let store = FaultyStore::new(&[
        Pass,
        Status(503),
        Status(429),
        Status(444),
        Refuse,
        LoseReply,
        Truncate,
        Delay(Duration::from_secs(5)),
    ]);
    let stack = stack(&store);
    stack.store.call(&create()).await.unwrap();
    assert_eq!(content(&stack).await.unwrap(), "2345");
    let requests = stack.meter.requests();
    assert_eq!((requests.put, requests.get), (1, 8));
    assert_eq!(requests.failed, 7);
    assert_eq!((requests.bytes_sent, requests.bytes_received), (10, 4));
    assert_eq!(stack.circuit.failure(), None);
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_was_lost_finds_its_own_object() {
    let store = FaultyStore::new(&[Fault::LoseReply]);
    let stack = stack(&store);
    assert_eq!(stack.store.call(&create()).await.unwrap_err(), StoreError::AlreadyExists);
    assert_eq!(content(&stack).await.unwrap(), "2345");
}

#[tokio::test(start_paused = true)]
async fn what_a_person_must_mend_is_not_repeated() {
    for status in [400, 401, 403, 404] {
        let store = FaultyStore::new(&[Fault::Status(status)]);
        let stack = stack(&store);
        let error = stack.store.call(&create()).await.unwrap_err();
        match status {
            404 => assert!(matches!(error, StoreError::NoBucket(_)), "{error:?}"),
            400 => assert!(matches!(error, StoreError::Refused(_)), "{error:?}"),
            _ => assert!(matches!(error, StoreError::Denied(_)), "{error:?}"),
        }
        assert_eq!(store.requests(), 1);
        assert!(stack.circuit.failure().is_some());
        stack.store.call(&create()).await.unwrap();
        assert_eq!(stack.circuit.failure(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_store_costs_ten_seconds_once() {
    for habit in [Fault::Refuse, Fault::Status(503), Fault::Delay(Duration::from_secs(3600))] {
        let store = FaultyStore::new(&[Fault::Pass]);
        let stack = stack(&store);
        stack.store.call(&create()).await.unwrap();
        store.always(habit);
        let start = Instant::now();
        let error = content(&stack).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { retry_after: RETRY_AFTER, .. }), "{error:?}");
        assert!(start.elapsed() <= CALL_LIMIT + Duration::from_secs(1), "{:?}", start.elapsed());
        assert!(stack.circuit.failure().is_some());

        let (before, start) = (store.requests(), Instant::now());
        for _ in 0..1000 {
            assert!(matches!(content(&stack).await, Err(StoreError::Unavailable { .. })));
        }
        assert_eq!(store.requests(), before, "nothing is sent while the circuit is open");
        assert_eq!(start.elapsed(), Duration::ZERO);

        store.always(Fault::Pass);
        tokio::time::advance(RETRY_AFTER).await;
        assert_eq!(content(&stack).await.unwrap(), "2345");
        assert_eq!(stack.circuit.failure(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_one_request_in_a_second_looks_for_it() {
    let store = FaultyStore::new(&[]);
    let stack = stack(&store);
    store.always(Fault::Refuse);
    content(&stack).await.unwrap_err();
    tokio::time::advance(RETRY_AFTER).await;
    let start = Instant::now();
    let all = futures::future::join_all((0..100).map(|_| async {
        let result = content(&stack).await;
        (result.is_err(), start.elapsed())
    }))
    .await;
    assert!(all.iter().all(|(failed, _)| *failed));
    let waited = all.iter().filter(|(_, elapsed)| *elapsed > Duration::ZERO).count();
    assert_eq!(waited, 1);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_requests_are_out_at_once() {
    let store = FaultyStore::new(&[Fault::Pass]);
    let stack = stack(&store);
    stack.store.call(&create()).await.unwrap();
    store.always(Fault::Delay(Duration::from_millis(100)));
    let all = futures::future::join_all((0..100).map(|_| content(&stack))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(store.under_way_max(), CONCURRENT_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_queue_for_a_slow_store_has_an_end() {
    let store = FaultyStore::new(&[Fault::Pass]);
    let stack = stack(&store);
    stack.store.call(&create()).await.unwrap();
    store.always(Fault::Delay(Duration::from_secs(3)));
    let start = Instant::now();
    let all = futures::future::join_all((0..200).map(|_| content(&stack))).await;
    let served = all.iter().filter(|result| result.is_ok()).count();
    assert!((48..=80).contains(&served), "{served}");
    assert!(start.elapsed() <= 2 * CALL_LIMIT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_end_of_an_object_is_told_from_half_an_answer() {
    let store = FaultyStore::new(&[]);
    let stack = stack(&store);
    stack.store.call(&create()).await.unwrap();
    let over = Request::Get { path: Path::from("object"), range: 6..20 };
    match stack.store.call(&over).await.unwrap() {
        Reply::Content { bytes, object_bytes } => assert_eq!((&bytes[..], object_bytes), (&b"6789"[..], 10)),
        other => panic!("{other:?}"),
    }
    let behind = Request::Get { path: Path::from("object"), range: 10..20 };
    assert_eq!(stack.store.call(&behind).await.unwrap_err(), StoreError::TooShort);
    let missing = Request::Get { path: Path::from("other"), range: 0..1 };
    assert_eq!(stack.store.call(&missing).await.unwrap_err(), StoreError::NotFound);
}

/// A read of several ranges gives up when one of them is turned away. Its trial must find out all the same that the store is
/// back, or else such reads would never work again.
#[tokio::test(start_paused = true)]
async fn a_trial_that_nobody_waits_for_closes_the_circuit() {
    let store = FaultyStore::new(&[Fault::Pass]);
    let stack = stack(&store);
    stack.store.call(&create()).await.unwrap();
    store.always(Fault::Refuse);
    assert!(content(&stack).await.is_err());
    store.always(Fault::Delay(Duration::from_millis(100)));
    tokio::time::sleep(RETRY_AFTER).await;
    {
        let trial = content(&stack);
        tokio::pin!(trial);
        assert!(futures::poll!(&mut trial).is_pending());
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stack.circuit.failure(), None);
}

const MIB: u64 = 1 << 20;

async fn parts(stack: &Stack, count: u64) -> Vec<Result<Reply, StoreError>> {
    let part = |number: u64| {
        let range = number % 4 * MIB..(number % 4 + 1) * MIB;
        async move { stack.store.call(&Request::Get { path: Path::from("object"), range }).await }
    };
    futures::future::join_all((0..count).map(part)).await
}

/// More at once than one try alone has time for, and behind a queue.
#[tokio::test(start_paused = true)]
async fn a_slow_line_gives_everybody_his_share() {
    let store = FaultyStore::new(&[]);
    let stack = stack(&store);
    store.always(Fault::Slow(MIB * 5 / 4));
    let object = |name: &str| Request::Create {
        path: Path::from(name),
        content: PutPayload::from(vec![7; 4 * MIB as usize]),
    };
    stack.store.call(&object("object")).await.unwrap();
    let start = Instant::now();
    let all = parts(&stack, 48).await;
    assert!(all.iter().all(Result::is_ok), "{:?}", all.iter().find(|result| result.is_err()));
    assert!(start.elapsed() > 3 * CALL_LIMIT);
    let all = futures::future::join_all((0..8).map(|number| {
        let (stack, request) = (stack.clone(), object(&format!("other-{number}")));
        async move { stack.store.call(&request).await }
    }));
    assert!(all.await.iter().all(Result::is_ok));
    assert_eq!(stack.meter.requests().failed, 0);
}

/// However much is under way.
#[tokio::test(start_paused = true)]
async fn a_line_over_which_nothing_comes_is_given_up_soon() {
    let store = FaultyStore::new(&[Fault::Pass]);
    let stack = stack(&store);
    let content = PutPayload::from(vec![7; 4 * MIB as usize]);
    stack.store.call(&Request::Create { path: Path::from("object"), content }).await.unwrap();
    store.always(Fault::Delay(Duration::from_secs(3600)));
    let start = Instant::now();
    assert!(parts(&stack, 48).await.iter().all(Result::is_err));
    assert!(start.elapsed() < 2 * CALL_LIMIT, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_among_others_is_noticed_and_tried_again() {
    let store = FaultyStore::new(&[Fault::Pass, Fault::Pass, Fault::Delay(Duration::from_secs(3600))]);
    let stack = stack(&store);
    let content = PutPayload::from(vec![7; 4 * MIB as usize]);
    stack.store.call(&Request::Create { path: Path::from("object"), content }).await.unwrap();
    store.always(Fault::Slow(MIB * 5 / 4));
    let all = parts(&stack, 48).await;
    assert!(all.iter().all(Result::is_ok), "{:?}", all.iter().find(|result| result.is_err()));
    assert_eq!((stack.meter.requests().failed, stack.circuit.failure()), (1, None));
}
