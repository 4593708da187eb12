//! A pass that somebody waits for: its progress as lines of JSON. If he goes away, the pass goes on.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::stream;
use tokio::sync::mpsc;

use super::api::{RunEvent, RunRequest};
use super::error::Failure;
use crate::serve::Served;

/// Between two lines of progress.
const INTERVAL: Duration = Duration::from_millis(250);
/// Lines that nobody has read yet.
const LINES_MAX: usize = 16;

pub(super) fn stream(served: Arc<Served>, request: RunRequest) -> Response {
    let (lines, unread) = mpsc::channel(LINES_MAX);
    tokio::spawn(follow(served, request, lines));
    let lines = stream::unfold(unread, |mut unread| async move {
        let line: Bytes = unread.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), unread))
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

async fn follow(served: Arc<Served>, request: RunRequest, lines: mpsc::Sender<Bytes>) {
    let mut progress = served.lifecycle.progress();
    let pass = served.lifecycle.run(request.bytes_per_second);
    tokio::pin!(pass);
    let result = loop {
        tokio::select! {
            result = &mut pass => break result,
            () = tokio::time::sleep(INTERVAL) => {
                let now = progress.borrow_and_update().clone();
                if let Some(line) = now.and_then(|now| line(&RunEvent::Progress(now))) {
                    // A reader who is slow misses some.
                    let _ = lines.try_send(line);
                }
            }
        }
    };
    let last = match result {
        Ok(summary) => RunEvent::Summary(summary),
        Err(error) => RunEvent::Error(Failure::from(error).body),
    };
    if let Some(line) = line(&last) {
        // A reader who has gone away finds the summary in the status.
        let _ = lines.send(line).await;
    }
}

fn line(event: &RunEvent) -> Option<Bytes> {
    let mut line = serde_json::to_vec(event).ok()?;
    line.push(b'\n');
    Some(line.into())
}
