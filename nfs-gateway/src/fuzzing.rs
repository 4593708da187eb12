//! What the fuzz targets of `fuzz/` call: a function for each decoder, which checks more than that nothing panics.
//!
//! Decoders that are private to a room stand in the room (`nfs4::fuzzing`, …); all are listed here, by family. A family is one target:
//! each of its decoders is given each input. What runs requests on a file system is slow, and a target of its own. As a unit test each
//! decoder runs over its seeds and over damaged copies of them. An input that was found becomes a test with a name of its own.

mod rpc;
mod settings;

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

/// All decoders of the gateway, by family.
pub fn families() -> Vec<(&'static str, Vec<Decoder>)> {
    vec![
        ("rpc", [rpc::DECODERS, crate::nfs4::fuzzing::DECODERS].concat()),
        ("settings", settings::DECODERS.to_vec()),
        ("control", crate::control::fuzzing::DECODERS.to_vec()),
        ("nfs-operation", vec![crate::nfs4::fuzzing::OPERATION]),
        ("nfs-compound", vec![crate::nfs4::fuzzing::COMPOUND]),
        ("nfs-call", vec![crate::nfs4::fuzzing::CALL]),
    ]
}

/// The value of what must succeed whatever the input is.
#[expect(clippy::panic, reason = "a panic is how a target reports what it found")]
pub(crate) fn must<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("this must succeed: {error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Copies with a byte changed, the end cut off or bytes put in: the same in every run.
    fn damaged_copies(seed: &[u8]) -> Vec<Vec<u8>> {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ seed.len() as u64;
        let mut below = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 11) as usize % bound.max(1)
        };
        let mut copies = vec![[seed, &[0]].concat()];
        for round in 0..30 {
            let mut bytes = seed.to_vec();
            let place = below(bytes.len());
            match (round % 3, bytes.is_empty()) {
                (0, false) => bytes[place] ^= 1 << below(8),
                (1, false) => bytes.truncate(place),
                _ => bytes.insert(place, [0, 1, 0x7f, 0xff][below(4)]),
            }
            copies.push(bytes);
        }
        copies
    }

    #[test]
    fn every_decoder_accepts_its_seeds_and_damaged_copies_of_them() {
        let mut names = BTreeSet::new();
        for decoder in families().into_iter().flat_map(|(_, decoders)| decoders) {
            assert!(names.insert(decoder.name), "{} is there twice", decoder.name);
            (decoder.run)(&[]);
            for seed in (decoder.seeds)() {
                (decoder.run)(&seed);
                for damaged in damaged_copies(&seed) {
                    (decoder.run)(&damaged);
                }
            }
        }
        crate::nfs4::fuzzing::end();
    }
}
