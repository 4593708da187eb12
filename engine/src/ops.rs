//! What a file system does: one file for each family of operations, all on [`crate::volume::Volume`].

pub(crate) mod access_log;
mod age;
mod attributes;
mod clone;
mod create;
pub(crate) mod damage;
pub(crate) mod entries;
mod flush;
mod holes;
mod layout;
mod link;
mod lookup;
mod notes;
mod open_extents;
mod permission;
mod read;
mod read_directory;
pub(crate) mod relocate;
mod remove;
mod rename;
mod status;
#[cfg(test)]
mod tests;
mod transition;
mod truncate;
mod write;

pub(crate) use create::NewContent;
pub(crate) use layout::keep_age_index;
pub(crate) use truncate::cut_behind_end;
