//! What is wanted: EFS's lifecycle policies, with any age instead of EFS's nine.
//!
//! A new file system has EFS's console default: Infrequent Access after 30 days without access, and no way back other than by
//! writing. (EFS's *API* default is no policy at all; a tiered file system that never tiers would surprise more people.)

mod age;
mod stored;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use age::{Age, EFS_AGES};
pub use stored::NOTE_KEY;
pub(crate) use stored::{decode, encode};

/// The lifecycle policy of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Files not accessed for this long move to Infrequent Access; `None` (printed `never`): they stay.
    #[serde(with = "age::or_never")]
    pub to_ia: Option<Age>,
    /// When files move back to Standard.
    pub to_primary: ToPrimary,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { to_ia: Some(Age::days(30)), to_primary: ToPrimary::Never }
    }
}

/// When a file in Infrequent Access moves back to Standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToPrimary {
    /// Reads are served from where it is. What is written anew stands in Standard.
    Never,
    /// At the first read of its data.
    OnFirstAccess,
}

/// Part of a policy to be set; what is absent stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyChange {
    /// New age, or `never`.
    #[serde(default, with = "age::change", skip_serializing_if = "Option::is_none")]
    pub to_ia: Option<Option<Age>>,
    /// New way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_primary: Option<ToPrimary>,
}

impl PolicyChange {
    /// The policy with the change made.
    pub fn apply(self, policy: Policy) -> Policy {
        Policy {
            to_ia: self.to_ia.unwrap_or(policy.to_ia),
            to_primary: self.to_primary.unwrap_or(policy.to_primary),
        }
    }
}

/// A value that is not allowed. The text says what is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Neither an age nor one of EFS's words.
    #[error(
        "`{text}` is not an age; give a number with s, m, h or d (such as 20s, 15m, 12h or 45d), one of EFS's \
         words (AFTER_1_DAY … AFTER_365_DAYS), or `never`"
    )]
    NotAnAge {
        /// What was given.
        text: String,
    },
    /// An `AFTER_…` that EFS does not have.
    #[error("`{text}` is not one of EFS's words; they are {}", age::efs_words())]
    NotAnEfsWord {
        /// What was given.
        text: String,
    },
    /// Zero, or beyond the longest.
    #[error("the age `{text}` is out of range; it must be from 1s to 36500d")]
    OutOfRange {
        /// What was given.
        text: String,
    },
    /// Not a way back.
    #[error(
        "`{text}` is not a way back to Standard; give `never` or `on-first-access` (EFS: AFTER_1_ACCESS)"
    )]
    NotAWayBack {
        /// What was given.
        text: String,
    },
}

/// Reads an age or `never`.
pub fn parse_to_ia(text: &str) -> Result<Option<Age>, PolicyError> {
    if text.eq_ignore_ascii_case("never") { Ok(None) } else { text.parse().map(Some) }
}

/// Prints an age or `never`.
pub fn print_to_ia(age: Option<Age>) -> String {
    age.map_or_else(|| "never".to_owned(), |age| age.to_string())
}

impl FromStr for ToPrimary {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        match text {
            "never" => Ok(ToPrimary::Never),
            "on-first-access" | "AFTER_1_ACCESS" => Ok(ToPrimary::OnFirstAccess),
            _ => Err(PolicyError::NotAWayBack { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for ToPrimary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ToPrimary::Never => "never",
            ToPrimary::OnFirstAccess => "on-first-access",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_json_with_words() {
        let policy = Policy { to_ia: Some(Age::days(30)), to_primary: ToPrimary::OnFirstAccess };
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(json, r#"{"to_ia":"30d","to_primary":"on-first-access"}"#);
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        let off: Policy = serde_json::from_str(r#"{"to_ia":"never","to_primary":"never"}"#).unwrap();
        assert_eq!(off.to_ia, None);
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let change: PolicyChange = serde_json::from_str(r#"{"to_ia":"never"}"#).unwrap();
        assert_eq!(change, PolicyChange { to_ia: Some(None), to_primary: None });
        assert_eq!(serde_json::to_string(&change).unwrap(), r#"{"to_ia":"never"}"#);
        let before = Policy { to_ia: Some(Age::days(1)), to_primary: ToPrimary::OnFirstAccess };
        assert_eq!(change.apply(before), Policy { to_ia: None, ..before });
        assert_eq!(PolicyChange::default().apply(before), before);
        assert!(serde_json::from_str::<PolicyChange>(r#"{"to_archive":"90d"}"#).is_err());
    }

    #[test]
    fn ways_back_parse_and_print() {
        for (text, way) in [("never", ToPrimary::Never), ("on-first-access", ToPrimary::OnFirstAccess)] {
            assert_eq!(text.parse(), Ok(way));
            assert_eq!(way.to_string(), text);
        }
        assert_eq!("AFTER_1_ACCESS".parse(), Ok(ToPrimary::OnFirstAccess));
        let error = "sometimes".parse::<ToPrimary>().unwrap_err().to_string();
        assert!(error.contains("`sometimes`") && error.contains("on-first-access"), "{error}");
    }
}
