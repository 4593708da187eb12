//! An answer in lines of JSON, which come as the work gets on.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Serialize;
use tokio::sync::mpsc;

/// Between two lines of progress.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);
/// Lines that nobody has read yet.
const LINES_MAX: usize = 16;

/// Where the lines go.
pub(super) struct Lines(mpsc::Sender<Bytes>);

impl Lines {
    /// A line that a slow reader may miss.
    pub(super) fn progress(&self, event: &impl Serialize) {
        if let Some(line) = line(event) {
            let _ = self.0.try_send(line);
        }
    }

    /// The last line. Nobody may be there any more to read it.
    pub(super) async fn end(&self, event: &impl Serialize) {
        if let Some(line) = line(event) {
            let _ = self.0.send(line).await;
        }
    }

    /// Waits until the reader has gone away.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }
}

/// Starts the work and answers with its lines.
pub(super) fn answer<W: Future<Output = ()> + Send + 'static>(work: impl FnOnce(Lines) -> W) -> Response {
    let (lines, unread) = mpsc::channel(LINES_MAX);
    tokio::spawn(work(Lines(lines)));
    let lines = stream::unfold(unread, |mut unread| async move {
        let line: Bytes = unread.recv().await?;
        Some((Ok::<_, Infallible>(line), unread))
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

fn line(event: &impl Serialize) -> Option<Bytes> {
    let mut line = serde_json::to_vec(event).ok()?;
    line.push(b'\n');
    Some(line.into())
}
