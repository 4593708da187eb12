//! The first start: a key and a file system, or nothing at all.

use anyhow::Result;
use engine::{Environment, FileSystem, KeyFile, OpenOptions};

use crate::config::Settings;

/// Looks at everything that can be wrong before anything is made.
pub(super) async fn check(settings: &Settings, environment: &Environment) -> Result<()> {
    if settings.key_file.exists() {
        KeyFile::open(&settings.key_file)?;
    }
    FileSystem::probe(&settings.cold, environment).await?;
    Ok(())
}

/// Makes the key, unless there is one, and the first file system.
pub(super) async fn make(settings: &Settings, options: &OpenOptions) -> Result<()> {
    let (settings, options) = (settings.clone(), options.clone());
    tokio::task::spawn_blocking(move || {
        if !settings.key_file.exists() {
            KeyFile::create(&settings.key_file, options.environment.entropy.as_ref())?;
        }
        let id = FileSystem::make(&settings.data, &options)?;
        tracing::info!(%id, "made a file system");
        anyhow::Ok(())
    })
    .await?
}
