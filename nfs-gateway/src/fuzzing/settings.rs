//! `tidefs.toml` and the values in it.

use super::{Decoder, must};
use crate::config::{
    BucketAddress, ByteSize, ConfigError, EXAMPLE, Surroundings, parse_endpoint, parse_file, parse_listen,
};

pub(super) const DECODERS: &[Decoder] = &[
    Decoder { name: "toml", run: toml, seeds: toml_seeds },
    Decoder { name: "setting", run: setting, seeds: setting_seeds },
];

fn toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    match parse_file(text, &Surroundings::default()) {
        Ok(layer) => {
            assert_eq!(must(parse_file(text, &Surroundings::default())), layer);
            let budgets = [layer.budgets.journal, layer.budgets.segment, layer.budgets.block_cache];
            assert!(budgets.into_iter().flatten().all(|bytes| (1 << 20..=1 << 40).contains(&bytes)));
            assert!(layer.mount_targets.len() <= lines.max(data.len()));
        }
        Err(
            ConfigError::Syntax { line, .. }
            | ConfigError::UnknownKey { line, .. }
            | ConfigError::BadValue { line, .. }
            | ConfigError::MissingKey { line, .. },
        ) => assert!((1..=lines).contains(&line), "line {line} of {lines}"),
        Err(_) => {}
    }
}

fn toml_seeds() -> Vec<Vec<u8>> {
    let set: String = EXAMPLE
        .lines()
        .filter(|line| !line.starts_with("# "))
        .map(|line| line.trim_start_matches('#'))
        .flat_map(|line| [line, "\n"])
        .collect();
    let bucket = "[cold]\nbucket = \"s3://pile/a\"\nendpoint = \"http://127.0.0.1:9000\"\nregion = \"r\"\n";
    let target = "[[mount_target]]\nfile_system = \"fs-0123456789abcdef0\"\nlisten = \"127.0.0.1:2050\"\n";
    [set.as_str(), EXAMPLE, bucket, target, "jurnal = 1"].map(|text| text.as_bytes().to_vec()).to_vec()
}

fn setting(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(size) = text.parse::<ByteSize>() {
        assert_eq!(size.to_string().parse::<ByteSize>().map(|again| again.0), Ok(size.0));
    }
    if let Ok(listen) = parse_listen(text) {
        assert_eq!(parse_listen(&listen.to_string()), Ok(listen));
    }
    if let Ok(endpoint) = parse_endpoint(text) {
        assert_eq!(parse_endpoint(&endpoint).as_ref(), Ok(&endpoint));
    }
    if let Ok(BucketAddress { name, prefix }) = text.parse::<BucketAddress>() {
        let again: BucketAddress = must(format!("s3://{name}/{prefix}").parse());
        assert_eq!((again.name, again.prefix), (name, prefix));
    }
}

fn setting_seeds() -> Vec<Vec<u8>> {
    let texts =
        ["64MiB", "3 GiB", "1024", "127.0.0.1:2049", "[::1]:0", "http://127.0.0.1:9000/", "s3://pile/a/b/"];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
