//! A disk that can lose its power: real files, and a log of how to undo what was not synced.
//!
//! [`LossyDisk`] is an [`engine::disk::Disk`] on real files. Before each change it writes down how to undo it, and forgets that when
//! the file or the directory is synced. The process that uses it is killed; then [`cut_power`] undoes, by seed, any part of what was not
//! synced: everything, nothing, or any 512-byte sectors and any names. The log itself is never synced: the machine goes on.
//!
//! | in the undo directory | what it is |
//! |---|---|
//! | `boot` | how often the power was cut |
//! | `files/INODE` | old bytes and lengths of a file, as far as they are not synced; see `lossy/sectors.rs` |
//! | `names/DIRECTORY` | changes of names that are not synced, as lines of JSON; see `lossy/names.rs` |
//! | `kept/INODE` | a further link to a file whose removal is not synced |

mod cut;
mod disk;
mod names;
mod sectors;

use std::path::Path;

use anyhow::Result;

use crate::prerequisites::built_binary;
use crate::server::ServerSettings;

pub use cut::{IndexFate, cut_power};
pub use disk::{Lie, LossyDisk};

/// Makes a server run on a disk that can lose its power, with its log in `undo`, which must be on the same file system as the data.
pub fn run_on_lossy_disk(settings: &mut ServerSettings, undo: &Path, lie: Option<Lie>) -> Result<()> {
    settings.program = built_binary("tidefs-on-lossy-disk")?;
    let data = settings.data.clone();
    settings.set_environment(&[
        ("LOSSY_DATA", &data.to_string_lossy()),
        ("LOSSY_UNDO", &undo.to_string_lossy()),
        ("LOSSY_LIE", lie.map_or("", Lie::name)),
    ]);
    Ok(())
}
