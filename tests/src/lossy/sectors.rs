//! How to undo writes to a file: the bytes that its sectors had when it was last synced, and its length.
//!
//! Records of a log, each of them whole or at the end of the log:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | 1 = length, 2 = old bytes, 3 = sectors that were not there |
//! | 8 | length: the old length; else: the offset, a multiple of 512 |
//! | 8 | how many bytes: 0 of a length |
//! | n | old bytes |
//!
//! The first record of a sector and the first length count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::crash::Dice;

pub(super) const SECTOR_BYTES: u64 = 512;

const LENGTH: u64 = 1;
const BYTES: u64 = 2;
const FRESH: u64 = 3;
const HEADER_BYTES: usize = 24;

/// The log of one file.
#[derive(Debug)]
pub(super) struct SectorLog {
    log: File,
    saved: BTreeSet<u64>,
    length_saved: bool,
}

impl SectorLog {
    /// Goes on with the log that an earlier process left.
    pub(super) fn open(path: &Path) -> io::Result<SectorLog> {
        let log = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(SectorLog { log, saved: BTreeSet::new(), length_saved: false })
    }

    /// Before bytes are written.
    pub(super) fn before_write(&mut self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        let (old_length, end) = (file.metadata()?.len(), offset + length);
        if end > old_length {
            self.save_length(old_length)?;
        }
        self.save(file, offset, end, old_length)
    }

    /// Before the file is cut or extended.
    pub(super) fn before_set_length(&mut self, file: &File, length: u64) -> io::Result<()> {
        let old_length = file.metadata()?.len();
        self.save_length(old_length)?;
        self.save(file, length.min(old_length), old_length, old_length)
    }

    /// After a sync.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        if self.length_saved || !self.saved.is_empty() || self.log.metadata()?.len() > 0 {
            self.log.set_len(0)?;
        }
        self.saved.clear();
        self.length_saved = false;
        Ok(())
    }

    fn save_length(&mut self, length: u64) -> io::Result<()> {
        if !self.length_saved {
            self.log.write_all(&header(LENGTH, length, 0))?;
            self.length_saved = true;
        }
        Ok(())
    }

    fn save(&mut self, file: &File, offset: u64, end: u64, old_length: u64) -> io::Result<()> {
        let mut sectors = (offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES)).peekable();
        while let Some(first) = sectors.next() {
            if !self.saved.insert(first) {
                continue;
            }
            let mut last = first;
            while let Some(next) = sectors.next_if(|next| !self.saved.contains(next)) {
                self.saved.insert(next);
                last = next;
            }
            let (start, stop) = (first * SECTOR_BYTES, (last + 1) * SECTOR_BYTES);
            let old = stop.min(old_length).max(start);
            let mut record = Vec::new();
            if old > start {
                let mut bytes = vec![0; to_usize(old - start)?];
                file.read_exact_at(&mut bytes, start)?;
                record.extend_from_slice(&header(BYTES, start, old - start));
                record.extend_from_slice(&bytes);
            }
            let fresh = old.next_multiple_of(SECTOR_BYTES);
            if stop > fresh {
                record.extend_from_slice(&header(FRESH, fresh, stop - fresh));
            }
            self.log.write_all(&record)?;
        }
        Ok(())
    }
}

fn header(kind: u64, offset: u64, length: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    for (slot, value) in bytes.chunks_exact_mut(8).zip([kind, offset, length]) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

fn to_usize(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(io::Error::other)
}

/// What a log says.
#[derive(Debug, Default)]
struct Undo {
    length: Option<u64>,
    /// What each sector had; zeros if it was not there.
    sectors: BTreeMap<u64, Vec<u8>>,
}

impl Undo {
    fn parse(mut log: &[u8]) -> Undo {
        let mut undo = Undo::default();
        while let Some((header, rest)) = log.split_at_checked(HEADER_BYTES) {
            let mut words = header.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_le_bytes));
            let mut word = || words.next().unwrap_or(0);
            let (kind, offset, length) = (word(), word(), word());
            log = rest;
            match kind {
                LENGTH => {
                    undo.length.get_or_insert(offset);
                }
                BYTES => {
                    // A process that is killed while it writes here has not made the change.
                    let Some((bytes, rest)) =
                        usize::try_from(length).ok().and_then(|n| log.split_at_checked(n))
                    else {
                        break;
                    };
                    log = rest;
                    for (sector, bytes) in (offset / SECTOR_BYTES..).zip(bytes.chunks(SECTOR_BYTES as usize))
                    {
                        undo.sectors.entry(sector).or_insert_with(|| bytes.to_vec());
                    }
                }
                _ => {
                    for sector in offset / SECTOR_BYTES..(offset + length) / SECTOR_BYTES {
                        undo.sectors.entry(sector).or_default();
                    }
                }
            }
        }
        undo
    }
}

/// Undoes what of a file does not survive. Returns how many sectors that were.
pub(super) fn undo(log: &[u8], path: &Path, dice: &mut Dice, survival_percent: u64) -> io::Result<u64> {
    let undo = Undo::parse(log);
    if undo.length.is_none() && undo.sectors.is_empty() {
        return Ok(0);
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let now = file.metadata()?.len();
    let old = undo.length.unwrap_or(now);
    let stays_cut = old > now && dice.percent(survival_percent);
    let mut length = if stays_cut { now } else { old };
    let mut undone = 0;
    for (sector, bytes) in &undo.sectors {
        let start = sector * SECTOR_BYTES;
        if dice.percent(survival_percent) && start < now {
            length = length.max((start + SECTOR_BYTES).min(now));
            continue;
        }
        let mut whole = bytes.clone();
        whole.resize(SECTOR_BYTES as usize, 0);
        file.write_all_at(&whole, start)?;
        undone += 1;
    }
    file.set_len(length)?;
    Ok(undone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(bytes: &[u8]) -> (tempfile::TempDir, File, SectorLog) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), bytes).unwrap();
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).open(directory.path().join("file")).unwrap();
        let log = SectorLog::open(&directory.path().join("log")).unwrap();
        (directory, file, log)
    }

    fn cut(directory: &Path, seed: u64, survival_percent: u64) -> Vec<u8> {
        let log = std::fs::read(directory.join("log")).unwrap();
        undo(&log, &directory.join("file"), &mut Dice::new(seed), survival_percent).unwrap();
        std::fs::read(directory.join("file")).unwrap()
    }

    #[test]
    fn nothing_survives_or_everything_does() {
        for (percent, expected) in [(0, vec![1; 700]), (100, [vec![1; 600], vec![2; 2000]].concat())] {
            let (directory, file, mut log) = file_with(&[1; 700]);
            for part in [600..1000, 900..2600] {
                log.before_write(&file, part.start, part.end - part.start).unwrap();
                file.write_all_at(&vec![2; to_usize(part.end - part.start).unwrap()], part.start).unwrap();
            }
            assert_eq!(cut(directory.path(), 1, percent), expected);
        }
    }

    #[test]
    fn what_was_synced_stays_and_sectors_survive_one_by_one() {
        let (directory, file, mut log) = file_with(&[]);
        log.before_write(&file, 0, 2048).unwrap();
        file.write_all_at(&[1; 2048], 0).unwrap();
        log.forget().unwrap();
        log.before_write(&file, 0, 4096).unwrap();
        file.write_all_at(&[2; 4096], 0).unwrap();
        let after = cut(directory.path(), 3, 50);
        assert!((2048..=4096).contains(&after.len()));
        let sectors: Vec<u8> = after.chunks(512).map(|sector| sector[0]).collect();
        assert!(after.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        assert!(sectors[..4].iter().all(|byte| [1, 2].contains(byte)), "{sectors:?}");
        assert!(sectors[4..].iter().all(|byte| [0, 2].contains(byte)), "{sectors:?}");
    }

    #[test]
    fn a_cut_that_was_not_synced_can_come_back() {
        let (directory, file, mut log) = file_with(&[1; 3000]);
        log.before_set_length(&file, 100).unwrap();
        file.set_len(100).unwrap();
        assert_eq!(cut(directory.path(), 1, 0), vec![1; 3000]);
    }
}
