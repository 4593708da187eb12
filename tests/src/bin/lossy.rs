//! `tidefs-on-lossy-disk`: the command line of `tidefs`, on a disk that can lose its power.
//!
//! `LOSSY_DATA` names the data directory, `LOSSY_UNDO` where the log of what is not synced is kept, and `LOSSY_LIE` what is said to be
//! synced and is not (see [`Lie`]), to show that it is found out.
use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use engine::Environment;
use harness::lossy::{Lie, LossyDisk};

fn main() -> Result<ExitCode> {
    let path = |name| env::var_os(name).map(PathBuf::from).with_context(|| format!("{name} is not set"));
    let lie = match env::var("LOSSY_LIE").unwrap_or_default() {
        name if name.is_empty() => None,
        name => Some(Lie::named(&name).with_context(|| format!("LOSSY_LIE is no lie: {name}"))?),
    };
    let disk = LossyDisk::open(&path("LOSSY_DATA")?, &path("LOSSY_UNDO")?, lie)?;
    let mut environment = Environment::system();
    environment.disk = Arc::new(disk);
    Ok(gateway::cli::main(environment))
}
