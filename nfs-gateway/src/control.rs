//! The control interface: HTTP with JSON over the Unix socket `DATA/control.sock`.
//!
//! | method | path | answer |
//! |---|---|---|
//! | GET | `/v1/status` | [`api::ServerStatus`] |
//! | GET | `/v1/file-systems/{id}/status` | [`api::FileSystemStatus`] |
//! | POST | `/v1/file-systems/{id}/verify` | takes [`verify::VerifyRequest`] or nothing, answers lines of [`verify::VerifyEvent`] |
//! | GET | `/v1/file-systems/{id}/lifecycle` | [`lifecycle::LifecycleStatus`] |
//! | PUT | `/v1/file-systems/{id}/lifecycle` | takes a [`lifecycle::PolicyChange`], answers the [`lifecycle::Policy`] |
//! | POST | `/v1/file-systems/{id}/lifecycle/run` | takes [`api::RunRequest`] or nothing, answers lines of [`api::RunEvent`] |
//! | GET | `/v1/file-systems/{id}/lifecycle/explain?path=` | [`lifecycle::Explanation`] |
//! | GET | `/v1/file-systems/{id}/key` | [`engine::KeyStatus`] |
//! | PUT | `/v1/file-systems/{id}/key/rotate` | takes [`api::RotateRequest`], answers the [`engine::KeyStatus`] |
//!
//! An error is an HTTP status and an [`api::ApiError`]. Who may open the socket (mode 0600) may do everything.

pub(crate) mod api;
pub(crate) mod client;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lines;
mod router;
mod run;
mod socket;
pub(crate) mod verify;

pub(crate) use socket::{ControlSocket, SOCKET_NAME};

#[cfg(test)]
mod tests;
