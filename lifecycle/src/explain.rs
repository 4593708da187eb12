//! A decision in words: which rule holds for a file, and what happens next and when.

use engine::{FileFacts, FileKind, Tier, Timestamp};
use serde::{Deserialize, Serialize};

use crate::decide::{Decision, KeepReason, MoveReason, decide};
use crate::error::Result;
use crate::files::TieredFiles;
use crate::policy::{Policy, ToPrimary};
use crate::time::{between, rfc3339, words};

/// What holds for a file, and what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Size in bytes.
    pub size: u64,
    /// The tiers that hold its data; both for a file that was changed after it had moved.
    pub tiers: Vec<TierShare>,
    /// When its data was last read or written, as RFC 3339; nothing for what is no regular file.
    pub last_access: Option<String>,
    /// The rule that holds.
    pub rule: String,
    /// What happens next.
    pub next: String,
    /// When it happens, as RFC 3339, if time alone makes it happen.
    pub when: Option<String>,
}

/// How much of a file a tier holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierShare {
    /// Which.
    pub name: Tier,
    /// Bytes of content.
    pub bytes: u64,
}

/// Explains the file at an absolute path.
pub(crate) fn explain<F: TieredFiles>(
    files: &F,
    path: &[u8],
    policy: Policy,
    now: Timestamp,
) -> Result<Explanation> {
    let attributes = files.resolve_path(path)?;
    if attributes.kind != FileKind::Regular {
        return Ok(Explanation {
            size: attributes.size,
            tiers: Vec::new(),
            last_access: None,
            rule: "only regular files have a lifecycle; names and metadata always stay in Standard"
                .to_owned(),
            next: "nothing".to_owned(),
            when: None,
        });
    }
    Ok(explain_file(&files.facts(attributes.inode)?, policy, now))
}

/// Explains a regular file.
pub fn explain_file(facts: &FileFacts, policy: Policy, now: Timestamp) -> Explanation {
    let decision = decide(facts, &policy, now);
    let (next, when) = outlook(decision, policy, now);
    let share = |name, bytes: u64| (bytes > 0).then_some(TierShare { name, bytes });
    Explanation {
        size: facts.size,
        tiers: [
            share(Tier::Standard, facts.standard_bytes),
            share(Tier::InfrequentAccess, facts.infrequent_access_bytes),
        ]
        .into_iter()
        .flatten()
        .collect(),
        last_access: Some(rfc3339(facts.last_access)),
        rule: rule(decision, policy),
        next,
        when: when.map(rfc3339),
    }
}

fn rule(decision: Decision, policy: Policy) -> String {
    match decision {
        Decision::Keep { reason: KeepReason::NoData, .. } => {
            "a file without data stays in Standard".to_owned()
        }
        Decision::Keep { reason: KeepReason::PolicyIsOff, .. } => {
            "to-ia never: files stay in Standard".to_owned()
        }
        Decision::Keep { reason: KeepReason::AlreadyCold, .. } => {
            format!("to-primary {}: {}", policy.to_primary, way_back(policy.to_primary))
        }
        Decision::Keep {
            reason: KeepReason::NotYetDue { after } | KeepReason::AccessedInTheFuture { after },
            ..
        }
        | Decision::Move { reason: MoveReason::NotAccessedFor(after), .. } => {
            format!("to-ia {after}: files that were not accessed for {after} move to Infrequent Access")
        }
        Decision::Move { reason: MoveReason::ReadWhileCold, .. } => {
            format!("to-primary {}: {}", policy.to_primary, way_back(policy.to_primary))
        }
    }
}

fn way_back(way: ToPrimary) -> &'static str {
    match way {
        ToPrimary::Never => "reads are served from Infrequent Access",
        ToPrimary::OnFirstAccess => "the first read moves the file back to Standard",
    }
}

fn outlook(decision: Decision, policy: Policy, now: Timestamp) -> (String, Option<Timestamp>) {
    match decision {
        Decision::Move { to: Tier::InfrequentAccess, .. } => {
            ("it moves to Infrequent Access with the next pass".to_owned(), Some(now))
        }
        Decision::Move { to: Tier::Standard, .. } => {
            ("it moves to Standard with the next pass".to_owned(), Some(now))
        }
        Decision::Keep { reason: KeepReason::NoData | KeepReason::PolicyIsOff, .. } => {
            ("nothing".to_owned(), None)
        }
        Decision::Keep { reason: KeepReason::AlreadyCold, .. } => {
            let next = match policy.to_primary {
                ToPrimary::Never => "nothing; what is written to it will stand in Standard first",
                ToPrimary::OnFirstAccess => "it moves to Standard when its data is read",
            };
            (next.to_owned(), None)
        }
        Decision::Keep { reason, until } => {
            let mut text = match until {
                Some(until) => format!(
                    "it moves to Infrequent Access in {} if it is not read or written until then",
                    words(between(now, until))
                ),
                None => "it stays".to_owned(),
            };
            if matches!(reason, KeepReason::AccessedInTheFuture { .. }) {
                text.push_str(
                    " (its last access lies in the future: the clock of this machine was set back)",
                );
            }
            (text, until)
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::InodeId;

    use super::*;

    fn facts(standard_bytes: u64, infrequent_access_bytes: u64) -> FileFacts {
        let last_access = Timestamp { seconds: 1_000, nanoseconds: 0 };
        FileFacts { inode: InodeId(9), size: 10, last_access, standard_bytes, infrequent_access_bytes }
    }

    fn policy(to_ia: &str, to_primary: ToPrimary) -> Policy {
        Policy { to_ia: crate::policy::parse_to_ia(to_ia).unwrap(), to_primary }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    #[test]
    fn a_hot_file_is_told_its_time() {
        let told = explain_file(&facts(10, 0), policy("1h", ToPrimary::Never), at(1_600));
        assert_eq!(told.when.as_deref(), Some("1970-01-01T01:16:40Z"));
        assert!(told.next.contains("in 50 min if"), "{}", told.next);
        assert!(told.rule.starts_with("to-ia 1h"), "{}", told.rule);
        assert_eq!(told.tiers, [TierShare { name: Tier::Standard, bytes: 10 }]);
    }

    #[test]
    fn a_cold_file_is_told_its_way_back() {
        let never = explain_file(&facts(0, 10), policy("1h", ToPrimary::Never), at(1_600));
        assert!(never.next.starts_with("nothing") && never.when.is_none(), "{never:?}");
        let back = explain_file(&facts(0, 10), policy("1h", ToPrimary::OnFirstAccess), at(1_600));
        assert!(back.next.contains("when its data is read"), "{back:?}");
    }

    #[test]
    fn due_off_empty_and_future_files_are_told_apart() {
        let due = explain_file(&facts(4, 6), policy("1s", ToPrimary::Never), at(2_000));
        assert!(due.next.contains("next pass") && due.tiers.len() == 2, "{due:?}");
        let off = explain_file(&facts(10, 0), policy("never", ToPrimary::Never), at(2_000));
        assert_eq!((off.next.as_str(), off.when), ("nothing", None));
        let empty = explain_file(&facts(0, 0), policy("1s", ToPrimary::Never), at(2_000));
        assert!(empty.rule.contains("without data"));
        let future = explain_file(&facts(10, 0), policy("1s", ToPrimary::Never), at(10));
        assert!(future.next.contains("clock"), "{future:?}");
    }
}
