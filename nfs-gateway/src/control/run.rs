//! A pass that somebody waits for: its progress as lines of JSON. If he goes away, the pass goes on, and its summary is in the status.

use std::sync::Arc;

use axum::response::Response;

use super::api::{RunEvent, RunRequest};
use super::error::Failure;
use super::lines::{INTERVAL, Lines, answer};
use crate::serve::Served;

pub(super) fn stream(served: Arc<Served>, request: RunRequest) -> Response {
    answer(|lines| follow(served, request, lines))
}

async fn follow(served: Arc<Served>, request: RunRequest, lines: Lines) {
    let mut progress = served.lifecycle.progress();
    let pass = served.lifecycle.run(request.bytes_per_second);
    tokio::pin!(pass);
    let result = loop {
        tokio::select! {
            result = &mut pass => break result,
            () = tokio::time::sleep(INTERVAL) => {
                let now = progress.borrow_and_update().clone();
                if let Some(now) = now {
                    lines.progress(&RunEvent::Progress(now));
                }
            }
        }
    };
    let last = match result {
        Ok(summary) => RunEvent::Summary(summary),
        Err(error) => RunEvent::Error(Failure::from(error).body),
    };
    lines.end(&last).await;
}
