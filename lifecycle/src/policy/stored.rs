//! The policy as the engine keeps it.
//!
//! # Format
//! The note `lifecycle/policy` is JSON: `{"version":1,"to_ia":"30d","to_primary":"never"}`. `version` is 1; a greater one is
//! refused, not guessed at. If the note is absent, the default policy holds.

use serde::{Deserialize, Serialize};

use super::{Policy, ToPrimary, parse_to_ia, print_to_ia};
use crate::error::{Error, Result};

/// The engine's note with the policy.
pub const NOTE_KEY: &str = "lifecycle/policy";

const VERSION: u32 = 1;

#[derive(Deserialize)]
struct Header {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct StoredPolicy {
    version: u32,
    to_ia: String,
    to_primary: ToPrimary,
}

pub(crate) fn encode(policy: Policy) -> Result<Vec<u8>> {
    let stored =
        StoredPolicy { version: VERSION, to_ia: print_to_ia(policy.to_ia), to_primary: policy.to_primary };
    serde_json::to_vec(&stored).map_err(unreadable)
}

pub(crate) fn decode(note: &[u8]) -> Result<Policy> {
    // The version is looked at first: of a newer format nothing else may be assumed.
    let Header { version } = serde_json::from_slice(note).map_err(unreadable)?;
    if version > VERSION {
        return Err(Error::UnknownPolicyVersion { found: version, known: VERSION });
    }
    let stored: StoredPolicy = serde_json::from_slice(note).map_err(unreadable)?;
    Ok(Policy { to_ia: parse_to_ia(&stored.to_ia)?, to_primary: stored.to_primary })
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err asks for")]
fn unreadable(error: serde_json::Error) -> Error {
    Error::StoredPolicy { what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Age;

    fn policies() -> [Policy; 3] {
        let other = |to_ia, to_primary| Policy { to_ia, to_primary };
        let age = Age::from_seconds(90);
        [
            Policy { to_ia: Some(Age::days(7)), to_primary: ToPrimary::OnFirstAccess },
            other(None, ToPrimary::Never),
            other(age, ToPrimary::Never),
        ]
    }

    /// A note in each line.
    fn write() -> Vec<u8> {
        let line = |policy| [NOTE_KEY.as_bytes(), b" ", &encode(policy).unwrap(), b"\n"].concat();
        policies().map(line).concat()
    }

    fn read(stored: &[u8]) {
        let text = std::str::from_utf8(stored).unwrap();
        let notes: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap()).collect();
        assert!(notes.iter().all(|(key, _)| *key == NOTE_KEY));
        let found: Vec<_> = notes.iter().map(|(_, note)| decode(note.as_bytes()).unwrap()).collect();
        assert_eq!(found, policies());
    }

    #[test]
    fn what_was_written_once_is_written_the_same_and_read() {
        let format = golden::Format { name: "lifecycle-policy", write: Some(write), read };
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
        golden::check(&directory, &[format], &[]);
    }

    #[test]
    fn a_newer_format_is_refused_and_nonsense_is_named() {
        let newer = br#"{"version":2,"rules":[]}"#;
        assert!(matches!(decode(newer), Err(Error::UnknownPolicyVersion { found: 2, known: 1 })));
        assert!(matches!(decode(b"30d"), Err(Error::StoredPolicy { .. })));
        let bad_age = br#"{"version":1,"to_ia":"soon","to_primary":"never"}"#;
        assert!(matches!(decode(bad_age), Err(Error::Policy(_))));
    }
}
