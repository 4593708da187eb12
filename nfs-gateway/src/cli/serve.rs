//! `tidefs serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::config::{self, ConfigFile, Overrides, Settings};

/// Examples:
///   tidefs serve
///   tidefs serve --data /srv/tidefs --listen 10.0.0.5:2049
///   tidefs serve --bucket s3://NAME/PREFIX --endpoint http://127.0.0.1:9000
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ServeArguments {
    /// Where the file systems live [default: ~/.local/share/tidefs]
    #[arg(long, env = "TIDEFS_DATA", value_name = "DIR", help_heading = "Places")]
    data: Option<PathBuf>,
    /// The settings file [default: ~/.config/tidefs/tidefs.toml if there is one]
    #[arg(long, env = "TIDEFS_CONFIG", value_name = "FILE", help_heading = "Places")]
    config: Option<PathBuf>,
    /// The key that everything is sealed with [default: ~/.config/tidefs/tidefs.key]
    #[arg(long, env = "TIDEFS_KEY_FILE", value_name = "FILE", help_heading = "Places")]
    key_file: Option<PathBuf>,
    /// Where the first file system is served [default: 127.0.0.1:2049]
    #[arg(long, env = "TIDEFS_LISTEN", value_name = "ADDR:PORT", help_heading = "Network")]
    listen: Option<SocketAddr>,
    /// The bucket of the Infrequent Access tier; credentials from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    #[arg(
        long,
        env = "TIDEFS_BUCKET",
        value_name = "s3://NAME/PREFIX",
        conflicts_with = "cold_dir",
        help_heading = "Cold tier"
    )]
    bucket: Option<String>,
    /// The endpoint of the bucket [default: that of AWS]
    #[arg(long, env = "TIDEFS_ENDPOINT", value_name = "URL", help_heading = "Cold tier")]
    endpoint: Option<String>,
    /// The region of the bucket [default: us-east-1]
    #[arg(long, env = "TIDEFS_REGION", value_name = "REGION", help_heading = "Cold tier")]
    region: Option<String>,
    /// A local directory instead of a bucket [default: beside the data]
    #[arg(long, env = "TIDEFS_COLD_DIR", value_name = "DIR", help_heading = "Cold tier")]
    cold_dir: Option<PathBuf>,
}

pub(super) fn run(arguments: ServeArguments) -> Result<()> {
    let settings = settings(arguments)?;
    let filter = EnvFilter::try_from_env("TIDEFS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(crate::serve::serve(settings))
}

fn settings(arguments: ServeArguments) -> Result<Settings> {
    let file = match &arguments.config {
        Some(path) => ConfigFile::read(path)?,
        None => match config::default_config_file() {
            Ok(path) if path.exists() => ConfigFile::read(&path)?,
            _ => ConfigFile::default(),
        },
    };
    let overrides = Overrides {
        data: arguments.data,
        listen: arguments.listen,
        key_file: arguments.key_file,
        bucket: arguments.bucket,
        endpoint: arguments.endpoint,
        region: arguments.region,
        cold_directory: arguments.cold_dir,
    };
    Ok(Settings::resolve(file, overrides)?)
}
