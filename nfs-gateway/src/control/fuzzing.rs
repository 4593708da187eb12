//! For fuzzing: what is said over the control socket, by both sides.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api::{ApiError, FileSystemStatus, RotateRequest, RunEvent, RunRequest, ServerStatus};
use super::router;
use super::verify::{VerifyEvent, VerifyRequest};
use crate::fuzzing::{Decoder, must};

pub(crate) const DECODERS: &[Decoder] = &[
    Decoder { name: "control-body", run: body, seeds: body_seeds },
    Decoder { name: "control-query", run: query, seeds: || vec![b"x=1&path=/a%20b%FF%26".to_vec()] },
];

/// What is read is written so that it reads the same.
fn check<T: DeserializeOwned + Serialize>(data: &[u8]) {
    if let Ok(value) = router::read::<T>(data) {
        let json = must(serde_json::to_vec(&value));
        let again: T = must(router::read(&json));
        assert_eq!(must(serde_json::to_vec(&again)), json);
    }
}

fn body(data: &[u8]) {
    check::<RunRequest>(data);
    check::<VerifyRequest>(data);
    check::<VerifyEvent>(data);
    check::<RotateRequest>(data);
    check::<engine::KeyStatus>(data);
    check::<engine::CollectionPlan>(data);
    check::<engine::Collected>(data);
    check::<lifecycle::PolicyChange>(data);
    check::<lifecycle::Policy>(data);
    check::<ApiError>(data);
    check::<RunEvent>(data);
    check::<ServerStatus>(data);
    check::<FileSystemStatus>(data);
    check::<lifecycle::LifecycleStatus>(data);
    check::<lifecycle::Explanation>(data);
}

fn body_seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"bytes_per_second":1000}"#,
        r#"{"to_ia":"7d","to_primary":"on-first-access"}"#,
        r#"{"deep":true,"bucket":false,"repair":true,"bytes_per_second":null}"#,
        r#"{"event":"progress","stage":"metadata","done":1,"total":2}"#,
        r#"{"new_key":{"passphrase-file":"/secret"}}"#,
        r#"{"error":"not-found","message":"no"}"#,
        r#"{"event":"error","error":"failed","message":"\u00e9"}"#,
        r#"{"version":"0.1.0","process":1,"data":"/d","file_systems":["fs-0123456789abcdef0"]}"#,
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(path) = router::path_of(text) {
        assert!(path.starts_with(b"/") && path.len() <= text.len());
        let encoded = percent_encoding::percent_encode(&path, percent_encoding::NON_ALPHANUMERIC);
        assert_eq!(must(router::path_of(&format!("path={encoded}"))), path);
    }
}
