//! A store with faults, for tests: it stands below the stack, where the network would be.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use tokio::time::Instant;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    Pass,
    /// It never gets there.
    Refuse,
    /// The store answers with this HTTP status.
    Status(u16),
    /// It takes effect, but the connection breaks before the answer.
    LoseReply,
    /// The body of the answer ends too early; a PUT stores too little and says that all is well.
    Truncate,
    /// The answer comes that much later.
    Delay(Duration),
    /// Bodies come and go over a line that takes so many bytes a second, whoever they are for.
    Slow(u64),
    /// PUT overwrites in spite of its condition; GET returns another part than asked for.
    Disobey,
    /// A PUT is answered and forgotten.
    Forget,
}

/// An object store in memory that follows a plan, and then a habit.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    pub(crate) objects: InMemory,
    traffic: Arc<Traffic>,
    lag: Arc<Mutex<Lag>>,
    /// Until when the slow line is taken.
    line: Arc<Mutex<Option<Instant>>>,
}

/// The requests and what happens to them.
#[derive(Debug)]
struct Traffic {
    plan: Mutex<VecDeque<Fault>>,
    habit: Mutex<Fault>,
    storm: Mutex<Storm>,
    requests: AtomicUsize,
    under_way: AtomicUsize,
    under_way_max: AtomicUsize,
}

impl FaultyStore {
    /// The faults of the first requests; the later ones pass.
    pub(crate) fn new(plan: &[Fault]) -> Arc<FaultyStore> {
        let traffic = Arc::new(Traffic {
            plan: Mutex::new(plan.iter().copied().collect()),
            habit: Mutex::new(Fault::Pass),
            storm: Mutex::new(Storm { random: Random(1), percent: 0 }),
            requests: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            under_way_max: AtomicUsize::new(0),
        });
        Arc::new(FaultyStore { objects: InMemory::new(), traffic, lag: Arc::default(), line: Arc::default() })
    }

    /// What happens to every request after the plan.
    pub(crate) fn always(&self, habit: Fault) {
        *self.traffic.habit.lock() = habit;
    }

    /// From now on so many of a hundred requests meet a fault, by the seed.
    pub(crate) fn storm(&self, seed: u64, percent: u64) {
        *self.traffic.storm.lock() = Storm { random: Random(seed | 1), percent };
    }

    /// From now on so many of a hundred objects that were put or deleted lately are listed as they were before, by the seed. Each
    /// list is stale in its own way. What was changed before stays in doubt.
    pub(crate) fn lag(&self, seed: u64, percent: u64) {
        let mut lag = self.lag.lock();
        (lag.random, lag.percent) = (Random(seed | 1), percent);
    }

    /// The last parts of the names of the objects that there are.
    pub(crate) async fn names(&self) -> Vec<String> {
        let listed: Vec<ObjectMeta> = self.objects.list(None).try_collect().await.unwrap();
        listed.iter().filter_map(|object| Some(object.location.filename()?.to_owned())).collect()
    }

    /// Requests that arrived or tried to.
    pub(crate) fn requests(&self) -> usize {
        self.traffic.requests.load(Ordering::Relaxed)
    }

    /// The most requests that were under way at once.
    pub(crate) fn under_way_max(&self) -> usize {
        self.traffic.under_way_max.load(Ordering::Relaxed)
    }
}

impl Traffic {
    /// Counts the request, and does the part of its fault that comes before it takes effect.
    async fn arrive(&self) -> Result<Fault> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let planned = self.plan.lock().pop_front();
        let stormy = || self.storm.lock().fault();
        let fault = planned.or_else(stormy).unwrap_or_else(|| *self.habit.lock());
        match fault {
            Fault::Refuse => Err(broken(HttpErrorKind::Connect)),
            Fault::Status(status) => Err(answered(status)),
            Fault::Delay(time) => {
                let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
                self.under_way_max.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(time).await;
                self.under_way.fetch_sub(1, Ordering::Relaxed);
                Ok(fault)
            }
            _ => Ok(fault),
        }
    }
}

#[derive(Debug, Default)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Lists that do not know yet what was changed lately.
#[derive(Debug, Default)]
struct Lag {
    random: Random,
    percent: u64,
    /// The last changes, of each object the last one: what a deleted object was, and nothing for one that was put.
    changes: VecDeque<(Path, Option<ObjectMeta>)>,
}

/// What comes over a slow line at a time.
const SLOW_PART_BYTES: usize = 16 * 1024;

/// Changes of which a list may not know.
const RECENT: usize = 32;

impl Lag {
    fn note(&mut self, path: &Path, before: Option<ObjectMeta>) {
        self.changes.retain(|(other, _)| other != path);
        self.changes.push_back((path.clone(), before));
        if self.changes.len() > RECENT {
            self.changes.pop_front();
        }
    }

    fn stale(&mut self, prefix: Option<&Path>, mut objects: Vec<ObjectMeta>) -> Vec<ObjectMeta> {
        for (path, before) in &self.changes {
            let listed = prefix.is_none_or(|prefix| path.prefix_matches(prefix));
            if listed && self.random.below(100) < self.percent {
                objects.retain(|object| object.location != *path);
                objects.extend(before.clone());
            }
        }
        objects
    }
}

/// Faults by chance.
#[derive(Debug)]
struct Storm {
    random: Random,
    percent: u64,
}

impl Storm {
    fn fault(&mut self) -> Option<Fault> {
        let mut next = |bound| self.random.below(bound);
        (next(100) < self.percent).then(|| match next(8) {
            0 => Fault::Refuse,
            1 => Fault::Status(429),
            2 => Fault::Status(500),
            3 => Fault::Status(503),
            4 => Fault::LoseReply,
            5 => Fault::Truncate,
            _ => Fault::Delay(Duration::from_millis(next(3000))),
        })
    }
}

/// Waits for a body's turn on the slow line.
async fn pass(line: &Mutex<Option<Instant>>, bytes: usize, bytes_per_second: u64) {
    let passed = {
        let (now, mut taken) = (Instant::now(), line.lock());
        let from = taken.map_or(now, |until| until.max(now));
        *taken.insert(from + Duration::from_secs_f64(bytes as f64 / bytes_per_second as f64))
    };
    tokio::time::sleep_until(passed).await;
}

fn broken(kind: HttpErrorKind) -> Error {
    let source = HttpError::new(kind, io::Error::from(io::ErrorKind::ConnectionReset));
    Error::Generic { store: "S3", source: Box::new(source) }
}

fn answered(status: u16) -> Error {
    let (path, source) =
        ("object".into(), format!("Server returned non-2xx status code: {status} Test").into());
    match status {
        401 => Error::Unauthenticated { path, source },
        403 => Error::PermissionDenied { path, source },
        404 => {
            Error::NotFound { path, source: "status code: 404 Not Found: <Code>NoSuchBucket</Code>".into() }
        }
        // What a proxy says when its store is away.
        444 => Error::NotFound { path, source: "status code: 404 Not Found: <html></html>".into() },
        _ => Error::Generic { store: "S3", source },
    }
}

fn answer<T>(fault: Fault, effect: T) -> Result<T> {
    if fault == Fault::LoseReply { Err(broken(HttpErrorKind::Interrupted)) } else { Ok(effect) }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, path: &Path, content: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let fault = self.traffic.arrive().await?;
        let bytes = bytes::Bytes::from(content);
        let kept = if fault == Fault::Truncate { bytes.slice(..bytes.len() / 2) } else { bytes };
        if let Fault::Slow(rate) = fault {
            pass(&self.line, kept.len(), rate).await;
        }
        if fault == Fault::Disobey {
            options.mode = PutMode::Overwrite;
        }
        let done = self.objects.put_opts(path, kept.into(), options).await?;
        self.lag.lock().note(path, None);
        if fault == Fault::Forget {
            self.objects.delete(path).await?;
        }
        answer(fault, done)
    }

    async fn get_opts(&self, path: &Path, mut options: GetOptions) -> Result<GetResult> {
        let fault = self.traffic.arrive().await?;
        if fault == Fault::Disobey {
            options.range = None;
        }
        let mut result = self.objects.get_opts(path, options).await?;
        if matches!(fault, Fault::Truncate | Fault::Slow(_)) {
            let (meta, range) = (result.meta.clone(), result.range.clone());
            let bytes = result.bytes().await?;
            let stream = match fault {
                Fault::Slow(rate) => {
                    let starts = futures::stream::iter((0..bytes.len()).step_by(SLOW_PART_BYTES));
                    let line = Arc::clone(&self.line);
                    let part = move |start: usize| {
                        let part = bytes.slice(start..bytes.len().min(start + SLOW_PART_BYTES));
                        let line = Arc::clone(&line);
                        async move {
                            pass(&line, part.len(), rate).await;
                            Ok(part)
                        }
                    };
                    starts.then(part).boxed()
                }
                _ => futures::stream::iter([Ok(bytes.slice(..bytes.len() / 2))]).boxed(),
            };
            let (attributes, extensions) = Default::default();
            let payload = GetResultPayload::Stream(stream);
            result = GetResult { payload, meta, range, attributes, extensions };
        }
        answer(fault, result)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (objects, lag, traffic) =
            (self.objects.clone(), Arc::clone(&self.lag), Arc::clone(&self.traffic));
        let each = move |path: Result<Path>| {
            let (objects, lag, traffic) = (objects.clone(), Arc::clone(&lag), Arc::clone(&traffic));
            async move {
                let path = path?;
                let fault = traffic.arrive().await?;
                let before = objects.head(&path).await;
                objects.delete(&path).await?;
                if let Ok(before) = before {
                    lag.lock().note(&path, Some(before));
                }
                answer(fault, path)
            }
        };
        paths.then(each).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (objects, lag, prefix) = (self.objects.clone(), Arc::clone(&self.lag), prefix.cloned());
        let traffic = Arc::clone(&self.traffic);
        let listed = async move {
            let fault = traffic.arrive().await?;
            let objects: Vec<_> = objects.list(prefix.as_ref()).try_collect().await?;
            let objects = lag.lock().stale(prefix.as_ref(), objects);
            // Some of it has come when the connection breaks.
            let come = if matches!(fault, Fault::LoseReply | Fault::Truncate) {
                objects.len() / 2
            } else {
                objects.len()
            };
            let end = (come < objects.len() || fault == Fault::LoseReply)
                .then(|| Err(broken(HttpErrorKind::Interrupted)));
            Ok::<_, Error>(futures::stream::iter(objects.into_iter().take(come).map(Ok).chain(end)))
        };
        futures::stream::once(listed).try_flatten().boxed()
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(path, options).await
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
