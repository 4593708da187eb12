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

    #[test]
    fn the_stored_form_is_fixed() {
        let policy = Policy { to_ia: Some(Age::days(7)), to_primary: ToPrimary::OnFirstAccess };
        let golden = br#"{"version":1,"to_ia":"7d","to_primary":"on-first-access"}"#;
        assert_eq!(encode(policy).unwrap(), golden);
        assert_eq!(decode(golden).unwrap(), policy);
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
