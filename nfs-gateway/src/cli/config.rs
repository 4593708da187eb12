//! `tidefs config`.

use std::path::PathBuf;

use super::{Failure, print};
use crate::config::{EXAMPLE, Layer, Settings, Surroundings};

pub(super) fn example() -> Result<(), Failure> {
    print(EXAMPLE.trim_end())
}

pub(super) fn check(file: PathBuf, surroundings: &Surroundings) -> Result<(), Failure> {
    let layer = Layer { config: Some(file.clone()), ..Layer::default() };
    let settings = Settings::load(layer, surroundings)?;
    print(&format!(
        "{} is right: data {}, key {}, listen {}",
        file.display(),
        settings.data.display(),
        settings.key.path().display(),
        settings.listen
    ))
}
