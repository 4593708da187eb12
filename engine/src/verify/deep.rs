//! Reading what the structure points to: every byte is authenticated, or is named as unused.

mod metadata;
pub(super) mod segments;

use super::options::{Stage, VerifyOptions, VerifyProgress};
use super::site::Site;
use super::structure::Found;
use crate::error::{Error, Result};

pub(super) use metadata::{file_damage, raw};

pub(super) async fn check(
    site: &Site<'_>,
    options: &VerifyOptions,
    progress: &VerifyProgress,
    found: &mut Found,
) -> Result<()> {
    if options.depth.local {
        metadata::check(site, progress, found).await?;
        let segments = site.standard.list()?;
        progress.enter(Stage::Standard, segments.iter().map(|(_, length)| length).sum());
        let looked = segments::check_local(site, &segments, options, progress, found).await;
        found.excuse(looked)?;
    }
    if options.depth.bucket {
        match super::segments::objects(site).await {
            Ok(objects) => {
                progress.enter(Stage::Objects, objects.values().sum());
                let looked = segments::check_objects(site, &objects, options, progress, found).await;
                found.excuse(looked)?;
            }
            // What was found before counts.
            Err(error @ Error::Unavailable { .. }) => super::segments::not_listed(found, &error),
            Err(error) => found.excuse(Err(error))?,
        }
    }
    Ok(())
}
