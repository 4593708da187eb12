//! What can be wrong with settings. Each text says what to do.

use std::net::SocketAddr;
use std::path::PathBuf;

/// A setting that cannot be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {}: {source}; name a readable file with --config, or make one: tidefs config example", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}: {problem}", path.display())]
    InFile { path: PathBuf, problem: Box<ConfigError> },
    #[error("line {line}: {message}")]
    Syntax { line: usize, message: String },
    #[error("line {line}: there is no setting `{key}`{}", suggestion(nearest, known))]
    UnknownKey { line: usize, key: String, nearest: Option<String>, known: String },
    #[error("line {line}: {key}: {problem}")]
    BadValue { line: usize, key: String, problem: String },
    #[error("line {line}: a [[mount_target]] needs `{key}`, such as {example}")]
    MissingKey { line: usize, key: &'static str, example: &'static str },
    #[error("{name}: {problem}")]
    InEnvironment { name: &'static str, problem: String },
    #[error("{0}")]
    Value(String),
    #[error("the home directory is unknown ($HOME is not set); name a place with {what}")]
    NoHome { what: &'static str },
    #[error(
        "key file {} is below the data directory {}: whoever gets the data would get the key; name a place outside with {flag}",
        key_file.display(), data.display()
    )]
    KeyInData { key_file: PathBuf, data: PathBuf, flag: &'static str },
    #[error(
        "the cold directory {} is or holds the data directory {}; choose another --cold-dir",
        directory.display(), data.display()
    )]
    ColdAroundData { directory: PathBuf, data: PathBuf },
    #[error("an endpoint or a region was given, but no bucket; add one, such as --bucket s3://NAME/PREFIX")]
    EndpointWithoutBucket,
    #[error("two mount targets listen on {listen}; give each its own address and port")]
    SameListen { listen: SocketAddr },
}

fn suggestion(nearest: &Option<String>, known: &str) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => format!("; the settings here are {known}"),
    }
}
