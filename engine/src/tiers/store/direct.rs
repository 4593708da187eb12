//! The bottom of the stack: does requests with `object_store` and sorts its errors.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::client::HttpError;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::line::Line;
use super::{Reply, Request, Store, StoreError, TRY_LIMIT};

/// Does requests as they are.
pub(super) struct Direct {
    objects: Arc<dyn ObjectStore>,
    line: Arc<Line>,
}

impl Direct {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, line: Arc<Line>) -> Self {
        Direct { objects, line }
    }

    async fn get(&self, request: &Request) -> Result<Reply, StoreError> {
        let Request::Get { path, range } = request else {
            return Err(StoreError::Refused("not a GET".into()));
        };
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let silent = |_| StoreError::Transient(format!("{request}: nothing came for {TRY_LIMIT:?}"));
        let answer = timeout(TRY_LIMIT, self.objects.get_opts(path, options)).await.map_err(silent)?;
        let result = answer.map_err(sort)?;
        let (object_bytes, promised) = (result.meta.size, result.range.clone());
        if promised.start != range.start || promised.end != range.end.min(object_bytes) {
            let (start, end) = (promised.start, promised.end);
            return Err(StoreError::Refused(format!("{request} was answered with bytes {start}..{end}")));
        }
        let promised_bytes = promised.end - promised.start;
        let parts = parts_in_time(result.into_stream(), silent).inspect_ok(|_| self.line.moved());
        let bytes = collect(Box::pin(parts)).await?;
        if bytes.len() as u64 != promised_bytes {
            return Err(StoreError::Transient(format!(
                "{request} gave {} of {promised_bytes} bytes",
                bytes.len()
            )));
        }
        Ok(Reply::Content { bytes, object_bytes })
    }
}

/// The parts of a body, each of which has to come soon after the one before it.
fn parts_in_time(
    parts: impl Stream<Item = object_store::Result<Bytes>> + Unpin,
    silent: impl Fn(Elapsed) -> StoreError,
) -> impl Stream<Item = Result<Bytes, StoreError>> {
    futures::stream::try_unfold((parts, silent), |(mut parts, silent)| async move {
        let part = timeout(TRY_LIMIT, parts.try_next()).await.map_err(&silent)?.map_err(sort)?;
        Ok(part.map(|part| (part, (parts, silent))))
    })
}

async fn collect(
    mut stream: impl Stream<Item = Result<Bytes, StoreError>> + Unpin,
) -> Result<Bytes, StoreError> {
    let Some(first) = stream.try_next().await? else {
        return Ok(Bytes::new());
    };
    let Some(second) = stream.try_next().await? else {
        return Ok(first);
    };
    let mut bytes = BytesMut::from(first);
    bytes.extend_from_slice(&second);
    while let Some(part) = stream.try_next().await? {
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
}

#[async_trait]
impl Store for Direct {
    async fn call(&self, request: &Request) -> Result<Reply, StoreError> {
        match request {
            Request::Create { path, content } => {
                let options = PutOptions::from(PutMode::Create);
                let put = self.objects.put_opts(path, content.clone(), options).await;
                put.inspect(|_| self.line.moved()).map(|_| Reply::Created).map_err(sort)
            }
            Request::Get { .. } => self.get(request).await,
            Request::Delete { path } => {
                let silent = |_| StoreError::Transient(format!("{request}: nothing came for {TRY_LIMIT:?}"));
                let deleted = timeout(TRY_LIMIT, self.objects.delete(path)).await.map_err(silent)?;
                deleted.map(|()| Reply::Deleted).map_err(sort)
            }
            Request::List { prefix } => {
                let listed = self
                    .objects
                    .list(Some(prefix))
                    .inspect(|_| self.line.moved())
                    .boxed()
                    .try_collect()
                    .await;
                listed.map(Reply::Objects).map_err(sort)
            }
        }
    }
}

/// Sorts an error by what to do about it. `object_store` keeps the HTTP status to itself in its `Generic` errors, so it is
/// read from the text there.
fn sort(error: object_store::Error) -> StoreError {
    use object_store::Error as E;
    let full = describe(&error);
    let text = shorten(&full);
    match &error {
        E::NotFound { .. } if full.contains("NoSuchBucket") => StoreError::NoBucket(text),
        // A 404 that does not say what is missing comes from something before the store, such as a proxy whose store is
        // away. Taking it for a missing object would look like lost data.
        E::NotFound { .. } if status_in(&full).is_some() && !full.contains("NoSuchKey") => {
            StoreError::Transient(text)
        }
        E::NotFound { .. } => StoreError::NotFound,
        E::AlreadyExists { .. } | E::Precondition { .. } => StoreError::AlreadyExists,
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => StoreError::Denied(text),
        E::Generic { .. } => sort_generic(&error, text),
        _ => StoreError::Refused(text),
    }
}

fn sort_generic(error: &object_store::Error, text: String) -> StoreError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        if current.is::<HttpError>() {
            return StoreError::Transient(text);
        }
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace,
                _ => StoreError::Refused(text),
            };
        }
        cause = current.source();
    }
    match status_in(&text) {
        Some(416) => StoreError::TooShort,
        Some(408 | 429) => StoreError::Transient(text),
        Some(200 | 500..) => StoreError::Transient(text),
        Some(_) => StoreError::Refused(text),
        None if text.contains("Wanted range starting at") => StoreError::TooShort,
        None => StoreError::Refused(text),
    }
}

fn status_in(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The error with its causes, each once.
fn describe(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        let more = current.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = current.source();
    }
    text
}

/// For a person: one line of bounded length, with the code instead of the XML that S3 answers.
fn shorten(text: &str) -> String {
    const CHARACTERS_MAX: usize = 400;
    let code =
        text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let start = text.find("Error performing ").unwrap_or_default();
    let before_xml = text.get(start..).unwrap_or(text).split('<').next().unwrap_or_default();
    let words = before_xml.split_whitespace().chain(code);
    words.collect::<Vec<_>>().join(" ").chars().take(CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_short() {
        let answer = "Object at location a not found: Error performing GET http://host/a in 1ms - Server returned non-2xx \
             status code: 404 Not Found: <?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Key>a</Key></Error>";
        let expected = "Error performing GET http://host/a in 1ms - Server returned non-2xx status code: 404 Not Found: \
             NoSuchKey";
        assert_eq!(shorten(answer), expected);
        assert_eq!(status_in(answer), Some(404));
        assert_eq!(shorten("plain\n text"), "plain text");
        assert_eq!(status_in("no status"), None);
    }
}
