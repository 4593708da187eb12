//! The power fails: what was not synced is undone, by seed.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::disk::directory_of;
use super::{names, sectors};
use crate::crash::Dice;
use crate::tree::files_below;

/// What becomes of sled's files, which it syncs as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexFate {
    /// It had been closed and synced: it stays as it is.
    Safe,
    /// It was open: it may stay as it is, be as it was at the last loss of power, be damaged or be gone.
    AtRisk,
}

/// Undoes what does not survive, below a data directory that nobody uses now. Returns what was done in words.
pub fn cut_power(data: &Path, undo: &Path, dice: &mut Dice, index: IndexFate) -> io::Result<String> {
    // A process that was killed at once has not made it.
    fs::create_dir_all(undo)?;
    let survival_percent = match dice.below(5) {
        0 => 0,
        1 => 100,
        2 => 10,
        3 => 90,
        _ => 50,
    };
    let undone_sectors = undo_files(data, undo, dice, survival_percent)?;
    let undone_names = undo_names(data, undo, dice, survival_percent)?;
    let index = match index {
        IndexFate::Safe => "as it was",
        IndexFate::AtRisk => damage_index(data, undo, dice)?,
    };
    remember_index(data, undo)?;
    for directory in ["files", "names", "kept"] {
        let path = undo.join(directory);
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
    }
    let boot = undo.join("boot");
    let times: u64 = fs::read_to_string(&boot).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    fs::write(&boot, (times + 1).to_string())?;
    Ok(format!(
        "{survival_percent} % survive, {undone_sectors} sectors and {undone_names} names undone, the index {index}"
    ))
}

fn undo_files(data: &Path, undo: &Path, dice: &mut Dice, survival_percent: u64) -> io::Result<u64> {
    let mut places = HashMap::new();
    for root in [data, &undo.join("kept")] {
        for file in files_in(root)? {
            places.insert(fs::symlink_metadata(&file)?.ino(), file);
        }
    }
    let mut undone = 0;
    for log in files_in(&undo.join("files"))? {
        let name = log.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let inode = name.parse().map_err(io::Error::other)?;
        // A file that is gone with all of its names has nothing to lose.
        if let Some(place) = places.get(&inode) {
            undone += sectors::undo(&fs::read(&log)?, place, dice, survival_percent)?;
        }
    }
    Ok(undone)
}

fn undo_names(data: &Path, undo: &Path, dice: &mut Dice, survival_percent: u64) -> io::Result<u64> {
    let mut logs: Vec<(PathBuf, PathBuf)> = files_in(&undo.join("names"))?
        .into_iter()
        .map(|log| {
            let name = log.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            (directory_of(data, &name), log)
        })
        .collect();
    // What is in a directory comes before the directory's own name.
    logs.sort_by_key(|(directory, _)| std::cmp::Reverse(directory.components().count()));
    let mut undone = 0;
    for (directory, log) in logs {
        if directory.is_dir() {
            undone += names::undo(&fs::read(&log)?, &directory, &undo.join("kept"), dice, survival_percent)?;
        }
    }
    Ok(undone)
}

/// The index of the file system, if it has been made.
fn index_of(data: &Path) -> io::Result<Option<PathBuf>> {
    if !data.exists() {
        return Ok(None);
    }
    let homes = fs::read_dir(data)?.flatten().map(|entry| entry.path().join("index"));
    Ok(homes.into_iter().find(|path| path.is_dir()))
}

/// Keeps a copy of the index, which is an older one at the next loss of power.
fn remember_index(data: &Path, undo: &Path) -> io::Result<()> {
    match index_of(data)? {
        Some(index) => replace_directory(&index, &undo.join("index")),
        None => Ok(()),
    }
}

fn replace_directory(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    for file in files_in(from)? {
        let target = to.join(file.strip_prefix(from).map_err(io::Error::other)?);
        fs::create_dir_all(target.parent().unwrap_or(to))?;
        fs::copy(file, target)?;
    }
    Ok(())
}

fn damage_index(data: &Path, undo: &Path, dice: &mut Dice) -> io::Result<&'static str> {
    let Some(index) = index_of(data)? else { return Ok("not made") };
    let older = undo.join("index");
    match dice.below(5) {
        0 => fs::remove_dir_all(&index).map(|()| "gone"),
        1 => {
            for file in files_in(&index)? {
                let length = fs::metadata(&file)?.len();
                fs::OpenOptions::new().write(true).open(&file)?.set_len(dice.below(length + 1))?;
            }
            Ok("cut short")
        }
        2 => {
            files_in(&index)?.iter().try_for_each(|file| overwrite(file, dice))?;
            Ok("overwritten in places")
        }
        3 if older.exists() => replace_directory(&older, &index).map(|()| "an older one"),
        _ => Ok("as it was"),
    }
}

fn overwrite(path: &Path, dice: &mut Dice) -> io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path)?;
    let sectors = file.metadata()?.len() / sectors::SECTOR_BYTES;
    for _ in 0..sectors.div_ceil(50) {
        let noise = crate::crash::noise(dice.number(), 512);
        file.write_all_at(&noise, dice.below(sectors) * sectors::SECTOR_BYTES)?;
    }
    Ok(())
}

fn files_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    if directory.exists() { files_below(directory).map_err(io::Error::other) } else { Ok(Vec::new()) }
}
