//! Golden files: settings. People write them; tidefs must read them for ever.

use std::collections::BTreeSet;
use std::time::Duration;

use ::golden::Format;
use engine::{Budgets, ColdStoreConfig, FileSystemId, ScrubOptions};

use super::{EXAMPLE, KeyChoice, MountTarget, Settings, Surroundings, parse_file};

pub(crate) const FORMATS: &[Format] = &[
    Format { name: "settings.toml", write: None, read: |stored| read(stored, &with_bucket()) },
    Format { name: "settings-local.toml", write: None, read: |stored| read(stored, &local()) },
];

const HOME: &str = "/nonexistent/home";

fn read(stored: &[u8], expected: &Settings) {
    let surroundings = Surroundings::of(&[("HOME", HOME)]);
    let layer = parse_file(std::str::from_utf8(stored).unwrap(), &surroundings).unwrap();
    assert_eq!(Settings::resolve(layer, None, &surroundings).unwrap(), *expected);
}

fn with_bucket() -> Settings {
    const MIB: u64 = 1 << 20;
    let target = |id, listen: &str| MountTarget {
        file_system: FileSystemId::parse(id).unwrap(),
        listen: listen.parse().unwrap(),
    };
    Settings {
        data: "/nonexistent/data".into(),
        listen: "127.0.0.2:12049".parse().unwrap(),
        key: KeyChoice::PassphraseFile("/nonexistent/passphrase".into()),
        cold: ColdStoreConfig::Bucket {
            name: "pile".into(),
            prefix: "a/b".into(),
            endpoint: Some("http://127.0.0.1:9000".into()),
            region: Some("eu-central-1".into()),
        },
        budgets: Budgets {
            journal_bytes: 64 * MIB,
            overlay_bytes: 16 * MIB,
            index_cache_bytes: 17 * MIB,
            write_buffer_bytes: 18 * MIB,
            block_cache_bytes: 19 * MIB,
            segment_bytes: 2048 * MIB,
            object_bytes: 20 * MIB,
        },
        scrub: Some(ScrubOptions { every: Duration::from_secs(12 * 3600), bytes_per_second: 5 * MIB }),
        log: "info,engine=debug".into(),
        mount_targets: vec![
            target("fs-0123456789abcdef0", "[::1]:2050"),
            target("fs-0123456789abcdef1", "127.0.0.1:0"),
        ],
        config_file: None,
    }
}

fn local() -> Settings {
    Settings {
        data: "/nonexistent/data".into(),
        listen: super::DEFAULT_LISTEN.parse().unwrap(),
        key: KeyChoice::KeyFile("/nonexistent/home/tidefs.key".into()),
        cold: ColdStoreConfig::Directory("/nonexistent/cold".into()),
        budgets: Budgets::default(),
        scrub: None,
        log: super::DEFAULT_LOG.into(),
        mount_targets: Vec::new(),
        config_file: None,
    }
}

/// The last words of the names of all settings in a file, whether they are commented out or not.
fn names(text: &str) -> BTreeSet<&str> {
    let settings = text.lines().filter_map(|line| line.trim_start_matches(['#', ' ']).split_once(" = "));
    let names = settings.map(|(name, _)| name.rsplit('.').next().unwrap());
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')).collect()
}

#[test]
fn every_setting_is_in_a_golden_file() {
    let golden =
        [include_str!("../../testdata/settings.toml"), include_str!("../../testdata/settings-local.toml")];
    let golden: BTreeSet<&str> = golden.into_iter().flat_map(names).collect();
    assert_eq!(names(EXAMPLE), golden, "the golden files have what the example has");
    assert!(golden.len() > 15);
}
