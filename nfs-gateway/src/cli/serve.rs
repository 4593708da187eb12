//! `tidefs serve`.

use std::io::IsTerminal;

use engine::Environment;
use tracing_subscriber::EnvFilter;

use super::Failure;
use super::arguments::ServeFlags;
use crate::config::{Settings, Surroundings};
use crate::serve::{self, ServeError};

pub(super) fn run(
    flags: Box<ServeFlags>,
    surroundings: &Surroundings,
    environment: Environment,
) -> Result<(), Failure> {
    let settings = Settings::load(flags.into_layer(), surroundings)?;
    start_log(&settings.log)?;
    if let Some(file) = &settings.config_file {
        tracing::info!(file = %file.display(), "configuration");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    let result = runtime.block_on(serve::run(settings, environment));
    // Blocking work that is left may take longer than a shutdown may; what it does is recovered.
    runtime.shutdown_background();
    Ok(result?)
}

fn start_log(filter: &str) -> Result<(), ServeError> {
    let wrong = |problem: String| ServeError::LogFilter { filter: filter.to_owned(), problem };
    let parsed = EnvFilter::builder().parse(filter).map_err(|error| wrong(error.to_string()))?;
    let is_terminal = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal)
        .with_target(false);
    subscriber.try_init().map_err(|error| wrong(error.to_string()))
}
