//! An age: how long a file has not been accessed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::PolicyError;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// A hundred years: no sum of it with a time of today overflows or fails to print.
const SECONDS_MAX: u64 = 36_500 * DAY;

/// The ages that EFS knows, with its words for them.
pub const EFS_AGES: [(&str, Age); 9] = [
    ("AFTER_1_DAY", Age::days(1)),
    ("AFTER_7_DAYS", Age::days(7)),
    ("AFTER_14_DAYS", Age::days(14)),
    ("AFTER_30_DAYS", Age::days(30)),
    ("AFTER_60_DAYS", Age::days(60)),
    ("AFTER_90_DAYS", Age::days(90)),
    ("AFTER_180_DAYS", Age::days(180)),
    ("AFTER_270_DAYS", Age::days(270)),
    ("AFTER_365_DAYS", Age::days(365)),
];

/// A time without access, in whole seconds: from one second to a hundred years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Age {
    seconds: u64,
}

impl Age {
    /// So many days; at least one second and at most a hundred years.
    pub const fn days(days: u32) -> Age {
        Age::clamped(days as u64 * DAY)
    }

    /// So many seconds, if allowed.
    pub fn from_seconds(seconds: u64) -> Option<Age> {
        (1..=SECONDS_MAX).contains(&seconds).then_some(Age { seconds })
    }

    const fn clamped(seconds: u64) -> Age {
        let seconds = if seconds > SECONDS_MAX { SECONDS_MAX } else { seconds };
        Age { seconds: if seconds == 0 { 1 } else { seconds } }
    }

    /// In seconds.
    pub const fn seconds(self) -> u64 {
        self.seconds
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// EFS's word for it, if it has one.
    pub fn efs_word(self) -> Option<&'static str> {
        EFS_AGES.iter().find(|(_, age)| *age == self).map(|(word, _)| *word)
    }
}

/// The words of EFS, for an error text.
pub(super) fn efs_words() -> String {
    EFS_AGES.map(|(word, _)| word).join(", ")
}

impl FromStr for Age {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        if text.starts_with("AFTER_") {
            let known = EFS_AGES.iter().find(|(word, _)| *word == text);
            return known
                .map(|(_, age)| *age)
                .ok_or_else(|| PolicyError::NotAnEfsWord { text: text.to_owned() });
        }
        let not_an_age = || PolicyError::NotAnAge { text: text.to_owned() };
        let out_of_range = || PolicyError::OutOfRange { text: text.to_owned() };
        let mut digits = text.chars();
        let unit = match digits.next_back() {
            Some('s') => 1,
            Some('m') => MINUTE,
            Some('h') => HOUR,
            Some('d') => DAY,
            _ => return Err(not_an_age()),
        };
        let digits = digits.as_str();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(not_an_age());
        }
        let count: u64 = digits.parse().map_err(|_| out_of_range())?;
        count.checked_mul(unit).and_then(Age::from_seconds).ok_or_else(out_of_range)
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, letter) in [(DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm')] {
            if self.seconds.is_multiple_of(unit) {
                return write!(f, "{}{letter}", self.seconds / unit);
            }
        }
        write!(f, "{}s", self.seconds)
    }
}

/// An age or `never` in JSON.
pub(super) mod or_never {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Age;
    use crate::policy::{parse_to_ia, print_to_ia};

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(crate) fn serialize<S: Serializer>(age: &Option<Age>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&print_to_ia(*age))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Age>, D::Error> {
        parse_to_ia(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

/// The same where it may be absent.
pub(super) mod change {
    use serde::{Deserializer, Serializer};

    use super::{Age, or_never};

    #[expect(clippy::ref_option, clippy::option_option, reason = "the signature that serde asks for")]
    pub(crate) fn serialize<S: Serializer>(age: &Option<Option<Age>>, to: S) -> Result<S::Ok, S::Error> {
        or_never::serialize(&age.flatten(), to)
    }

    #[expect(clippy::option_option, reason = "absent and `never` are two things")]
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Age>>, D::Error> {
        or_never::deserialize(from).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ages_parse_and_print_in_their_largest_unit() {
        for (text, seconds, printed) in [
            ("20s", 20, "20s"),
            ("15m", 900, "15m"),
            ("12h", 43_200, "12h"),
            ("45d", 3_888_000, "45d"),
            ("60s", 60, "1m"),
            ("48h", 172_800, "2d"),
            ("AFTER_30_DAYS", 2_592_000, "30d"),
            ("AFTER_1_DAY", 86_400, "1d"),
        ] {
            let age: Age = text.parse().unwrap();
            assert_eq!((age.seconds(), age.to_string()), (seconds, printed.to_owned()), "{text}");
        }
        assert_eq!(Age::days(90).efs_word(), Some("AFTER_90_DAYS"));
        assert_eq!(Age::days(91).efs_word(), None);
    }

    #[test]
    fn errors_say_what_is_allowed() {
        for wrong in ["", "d", "30", "-1d", "1.5h", "30 d", "30D", "1w", "+3d", "５d"] {
            let error = wrong.parse::<Age>().unwrap_err();
            assert_eq!(error, PolicyError::NotAnAge { text: wrong.to_owned() });
            assert!(error.to_string().contains("20s, 15m, 12h or 45d"), "{error}");
        }
        for wrong in ["0s", "0d", "36501d", "99999999999999999999999d", "18446744073709551615d"] {
            assert_eq!(wrong.parse::<Age>(), Err(PolicyError::OutOfRange { text: wrong.to_owned() }));
        }
        let error = "AFTER_31_DAYS".parse::<Age>().unwrap_err().to_string();
        assert!(error.contains("AFTER_30_DAYS") && error.contains("AFTER_365_DAYS"), "{error}");
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(seconds in 1..=SECONDS_MAX) {
            let age = Age::from_seconds(seconds).unwrap();
            prop_assert_eq!(age.to_string().parse::<Age>(), Ok(age));
        }

        #[test]
        fn no_text_panics(text in ".{0,24}") {
            let _ = text.parse::<Age>();
        }
    }
}
