//! What the fuzz target `settings` of `fuzz/` calls: policies as text, as JSON and as they are stored.
//!
//! As a unit test each decoder runs over its seeds and over damaged copies of them. An input that was found becomes a test with a name
//! of its own.

use crate::policy::{Age, Policy, PolicyChange, ToPrimary, decode, encode, parse_to_ia, print_to_ia};

/// A decoder under test.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    /// For people and directories.
    pub name: &'static str,
    /// Panics if the decoder does not keep a promise.
    pub run: fn(&[u8]),
    /// Inputs that reach far: real encodings.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All decoders of the lifecycle daemon.
pub const DECODERS: &[Decoder] = &[
    Decoder { name: "lifecycle-age", run: age, seeds: age_seeds },
    Decoder { name: "lifecycle-policy", run: policy, seeds: policy_seeds },
    Decoder { name: "lifecycle-policy-stored", run: stored, seeds: stored_seeds },
    Decoder { name: "lifecycle-policy-change", run: change, seeds: change_seeds },
];

fn age(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(age) = parse_to_ia(text) {
        assert_eq!(parse_to_ia(&print_to_ia(age)), Ok(age));
        assert!(age.is_none_or(|age| Age::from_seconds(age.seconds()) == Some(age)));
    }
    if let Ok(way) = text.parse::<ToPrimary>() {
        assert_eq!(way.to_string().parse(), Ok(way));
    }
}

fn age_seeds() -> Vec<Vec<u8>> {
    let texts = ["never", "20s", "15m", "12h", "45d", "AFTER_30_DAYS", "on-first-access", "AFTER_1_ACCESS"];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fn policy(data: &[u8]) {
    let Ok(policy) = serde_json::from_slice::<Policy>(data) else { return };
    let again = serde_json::to_vec(&policy).ok().and_then(|json| serde_json::from_slice(&json).ok());
    assert_eq!(again, Some(policy));
}

fn policy_seeds() -> Vec<Vec<u8>> {
    vec![
        br#"{"to_ia":"30d","to_primary":"on-first-access"}"#.to_vec(),
        br#"{"to_ia":"never","to_primary":"never"}"#.to_vec(),
    ]
}

fn stored(data: &[u8]) {
    let Ok(policy) = decode(data) else { return };
    let again = encode(policy).ok().and_then(|note| decode(&note).ok());
    assert_eq!(again, Some(policy));
}

fn stored_seeds() -> Vec<Vec<u8>> {
    let newer = br#"{"version":2,"rules":[]}"#.to_vec();
    encode(Policy::default()).into_iter().chain([newer]).collect()
}

fn change(data: &[u8]) {
    let Ok(change) = serde_json::from_slice::<PolicyChange>(data) else { return };
    let again = serde_json::to_vec(&change).ok().and_then(|json| serde_json::from_slice(&json).ok());
    assert_eq!(again, Some(change));
    let policy = change.apply(Policy::default());
    assert_eq!(change.apply(policy), policy);
}

fn change_seeds() -> Vec<Vec<u8>> {
    let texts = ["{}", r#"{"to_ia":"never"}"#, r#"{"to_ia":"AFTER_7_DAYS","to_primary":"never"}"#];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decoder_accepts_its_seeds_and_damaged_copies_of_them() {
        for decoder in DECODERS {
            for seed in (decoder.seeds)() {
                (decoder.run)(&seed);
                for place in 0..seed.len() {
                    (decoder.run)(&seed[..place]);
                    for byte in *b"0\"{-\xff" {
                        let mut damaged = seed.clone();
                        damaged[place] = byte;
                        (decoder.run)(&damaged);
                    }
                }
            }
        }
    }
}
