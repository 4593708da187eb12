//! Errors as answers.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::ErrorKind;

use super::api::ApiError;

/// An error with its HTTP status.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) body: ApiError,
}

impl Failure {
    pub(super) fn not_found(message: String) -> Self {
        Failure::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    pub(super) fn invalid(message: String) -> Self {
        Failure::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    fn new(status: StatusCode, error: &str, message: String) -> Self {
        Failure { status, body: ApiError { error: error.to_owned(), message } }
    }
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        let message = error.to_string();
        match (&error, error.kind()) {
            (engine::Error::NotFound | engine::Error::Stale, _) => Failure::not_found(message),
            (_, ErrorKind::Refused) => Failure::invalid(message),
            (_, ErrorKind::Retry(_)) => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message),
            (_, ErrorKind::NoSpace | ErrorKind::Corrupt | ErrorKind::Fatal) => {
                Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
            }
        }
    }
}

impl From<lifecycle::Error> for Failure {
    fn from(error: lifecycle::Error) -> Self {
        match error {
            lifecycle::Error::Engine(error) => error.into(),
            lifecycle::Error::Policy(error) => Failure::invalid(error.to_string()),
            lifecycle::Error::ShuttingDown => {
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string())
            }
            lifecycle::Error::StoredPolicy { .. } | lifecycle::Error::UnknownPolicyVersion { .. } => {
                Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", error.to_string())
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}
