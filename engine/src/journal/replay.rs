//! Reading the journal back after a start.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Place;
use super::files::{self, Use};
use super::format::{self, BadHeader, FRAME_HEADER_BYTES, FileHeader, FrameHeader, HEADER_BYTES, VERSION};
use super::ledger::{LiveFile, LiveFrame};
use super::record::{self, Changes};
use crate::broken::{Broken, broken};
use crate::codec::Reader;
use crate::disk::{AlignedBuffer, DiskFile, OpenHow};
use crate::error::{Error, OpenError, Result};
use crate::home::Home;
use crate::identity::Lsn;
use crate::keys::{SEAL_BYTES, SealingKey};

/// What was found.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// The last record, or what the checkpoints cover if there is none.
    pub(crate) last: Lsn,
    pub(super) next_number: u64,
    pub(super) files: VecDeque<LiveFile>,
    pub(super) frames: VecDeque<LiveFrame>,
}

/// Hands every record that the checkpoints do not cover to `apply`, in order.
pub(crate) fn replay(
    place: &Place,
    covered: Lsn,
    apply: impl FnMut(Lsn, Changes) -> Result<()>,
) -> Result<Replayed> {
    let found = journal_files(place)?;
    let (replayed, last_frame) = read_files(place, &found, covered, apply)?;
    if let Some((file, frame)) = last_frame
        && !broken(Broken::ReplayNotSynced)
    {
        file.write_again(place, frame)?;
    }
    Ok(replayed)
}

/// The same, but writes nothing: for a look at a file system that is not to be opened.
pub(crate) fn read(place: &Place, covered: Lsn, apply: impl FnMut(Lsn, Changes) -> Result<()>) -> Result<()> {
    read_files(place, &journal_files(place)?, covered, apply).map(|_| ())
}

/// What was found, and the last frame with its file.
type Read<'a> = (Replayed, Option<(&'a Found, LastFrame)>);

fn read_files<'a>(
    place: &Place,
    found: &'a [Found],
    covered: Lsn,
    mut apply: impl FnMut(Lsn, Changes) -> Result<()>,
) -> Result<Read<'a>> {
    let next_number = found.last().map_or(1, |file| file.header.number.saturating_add(1));
    let mut replayed =
        Replayed { last: covered, next_number, files: VecDeque::new(), frames: VecDeque::new() };
    let (mut begun, mut last_frame) = (false, None);
    for (index, file) in found.iter().enumerate() {
        let live = LiveFile::new(file.path.clone(), &file.header);
        replayed.files.push_back(live);
        let next = found.get(index.saturating_add(1)).map(|next| next.header.first);
        // A file of covered records is only waiting to be trimmed.
        if next.is_some_and(|next| next.0 <= covered.0.saturating_add(1)) {
            continue;
        }
        let expected = Lsn(replayed.last.0.saturating_add(1));
        if file.header.first > expected || (begun && file.header.first < expected) {
            let what = format!("begins with record {}, but {expected} is the next one", file.header.first);
            return Err(damaged(&file.path, what));
        }
        begun = true;
        last_frame = file.replay(&place.home, &mut replayed, &mut apply)?.map(|frame| (file, frame));
    }
    Ok((replayed, last_frame))
}

/// What is in one journal file.
#[derive(Debug, Clone)]
pub(crate) struct FileAudit {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its length.
    pub(crate) length: u64,
    /// Where its last frame begins.
    pub(crate) last_frame: u64,
    /// Where its frames end: what is behind is of no use.
    pub(crate) end: u64,
    /// The record that it begins with, and the one before that it does not reach; equal if it has none.
    pub(crate) records: std::ops::Range<u64>,
    /// What is not as it was written.
    pub(crate) damage: Option<String>,
}

/// Reads all of a journal file. That it cannot be read is damage, too; `None` if it is gone.
pub(crate) fn audit(home: &Home, directory: &Path, path: &Path) -> Result<Option<FileAudit>> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((number, Use::Journal)) = files::parse(name) else { return Ok(None) };
    let place = Place { directory: directory.to_owned(), home: home.clone(), file_bytes: 0, fold_bytes: 0 };
    let mut audit =
        FileAudit { path: path.to_owned(), length: 0, last_frame: 0, end: 0, records: 0..0, damage: None };
    let found = match open(&place, number) {
        Ok(found) => found,
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error @ (Error::Open(_) | Error::Io { .. })) => {
            audit.damage = Some(error.to_string());
            return Ok(Some(audit));
        }
        Err(error) => return Err(error),
    };
    audit.length = found.length;
    let first = found.header.first.0;
    let mut replayed = Replayed {
        last: Lsn(first.saturating_sub(1)),
        next_number: 0,
        files: VecDeque::new(),
        frames: VecDeque::new(),
    };
    let result = found.replay(home, &mut replayed, &mut |_, _| Ok(())).map(|_| ());
    let ends = replayed.frames.iter().scan(HEADER_BYTES, |end, frame| {
        *end = end.saturating_add(frame.bytes);
        Some(*end)
    });
    audit.end = ends.last().unwrap_or(HEADER_BYTES);
    audit.last_frame = audit.end.saturating_sub(replayed.frames.back().map_or(0, |frame| frame.bytes));
    audit.records = first..replayed.last.0.saturating_add(1);
    match result.and_then(|_| found.check_padding(&replayed)) {
        Ok(()) => {}
        Err(Error::Open(OpenError::Damaged { what, .. }) | Error::Corrupt { what }) => {
            audit.damage = Some(what);
        }
        Err(error @ Error::Io { .. }) => audit.damage = Some(error.to_string()),
        Err(error) => return Err(error),
    }
    Ok(Some(audit))
}

/// A journal file with a good header.
struct Found {
    path: PathBuf,
    header: FileHeader,
    file: Arc<dyn DiskFile>,
    length: u64,
}

fn journal_files(place: &Place) -> Result<Vec<Found>> {
    let names = place.home.disk.list(&place.directory);
    let names = names.map_err(Error::io("cannot list", &place.directory))?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| files::parse(name))
        .filter(|(_, kind)| *kind == Use::Journal)
        .map(|(n, _)| n)
        .collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|number| open(place, number)).collect()
}

fn open(place: &Place, number: u64) -> Result<Found> {
    let path = files::path(&place.directory, number, Use::Journal);
    let file = place.home.disk.open(&path, OpenHow::Read).map_err(Error::io("cannot open", &path))?;
    let length = file.length().map_err(Error::io("cannot read the length of", &path))?;
    let mut block = vec![0; format::HEADER_CONTENT_BYTES];
    file.read_at(&mut block, 0).map_err(Error::io("cannot read", &path))?;
    let header = match FileHeader::decode(&block, &place.home) {
        Ok(header) if header.number == number => header,
        Ok(_) => return Err(damaged(&path, "the header belongs to another journal file")),
        Err(BadHeader::Damaged(what)) => return Err(damaged(&path, what)),
        Err(BadHeader::MissingKey(generation)) => {
            let what = path.display().to_string();
            return Err(OpenError::KeyGenerationMissing { what, generation }.into());
        }
        Err(BadHeader::UnknownVersion(found)) => {
            return Err(OpenError::UnknownVersion { path, found, known: VERSION }.into());
        }
    };
    Ok(Found { path, header, file, length })
}

impl Found {
    fn replay(
        &self,
        home: &Home,
        replayed: &mut Replayed,
        apply: &mut impl FnMut(Lsn, Changes) -> Result<()>,
    ) -> Result<Option<LastFrame>> {
        let mut last_frame = None;
        let key = self.header.sealing_key(home)?;
        let mut offset = HEADER_BYTES;
        let mut next = self.header.first;
        for number in 0.. {
            let Some(frame) = self.frame(&key, offset, |found| found == number)? else {
                self.check_end(&key, offset, number)?;
                break;
            };
            if frame.first != next {
                return Err(damaged(
                    &self.path,
                    format!("the frame at offset {offset} has records out of order"),
                ));
            }
            let mut reader = Reader::new(&frame.records);
            while !reader.is_empty() {
                let (lsn, changes) = record::decode(&mut reader)?;
                if lsn != next {
                    let what =
                        format!("the frame at offset {offset} has record {lsn} in the place of {next}");
                    return Err(damaged(&self.path, what));
                }
                next = Lsn(next.0.saturating_add(1));
                if lsn > replayed.last {
                    apply(lsn, changes)?;
                    replayed.last = lsn;
                }
            }
            let last = Lsn(next.0.saturating_sub(1));
            replayed.frames.push_back(LiveFrame { last, bytes: frame.bytes });
            let end = offset.saturating_add(frame.bytes);
            let used = FRAME_HEADER_BYTES + frame.records.len() + SEAL_BYTES;
            last_frame = Some(LastFrame { range: offset..end, used });
            offset = end;
        }
        Ok(last_frame)
    }

    /// Writes the last frame of the journal once more, as it is. A process that was killed, or one whose write failed, may have left it
    /// in the memory of the system only, and the system may say of a sync that there is nothing to do. All frames before it were
    /// durable when it was written.
    fn write_again(&self, place: &Place, frame: LastFrame) -> Result<()> {
        let LastFrame { range: frame, used } = frame;
        let length = usize::try_from(frame.end.saturating_sub(frame.start)).unwrap_or(0);
        let mut bytes = AlignedBuffer::zeroed(length);
        let read = self.file.read_at(bytes.as_mut_slice(), frame.start);
        read.map_err(Error::io("cannot read", &self.path))?;
        // A torn write may have left older bytes in the fill behind it.
        bytes.as_mut_slice().get_mut(used..).unwrap_or_default().fill(0);
        let file = place.home.disk.open(&self.path, OpenHow::DirectDurable);
        let file = file.map_err(Error::io("cannot open", &self.path))?;
        file.write_all_at(bytes.as_slice(), frame.start).map_err(Error::io("cannot write", &self.path))
    }

    /// The frame at the offset, if it authenticates and its number is as wanted.
    fn frame(&self, key: &SealingKey, offset: u64, wanted: impl Fn(u64) -> bool) -> Result<Option<Frame>> {
        let io = |error| Error::io("cannot read", &self.path)(error);
        let mut header = [0; FRAME_HEADER_BYTES];
        if self.file.read_at(&mut header, offset).map_err(io)? < FRAME_HEADER_BYTES {
            return Ok(None);
        }
        let Some(frame) = FrameHeader::decode(&header).filter(|frame| wanted(frame.number)) else {
            return Ok(None);
        };
        let content = usize::try_from(frame.content_bytes).unwrap_or(usize::MAX);
        let bytes = format::frame_bytes(content.min(usize::MAX / 2)) as u64;
        let Some(length) = frame.sealed_bytes().filter(|_| bytes <= self.length.saturating_sub(offset))
        else {
            return Ok(None);
        };
        let mut records = vec![0; length];
        let read = self.file.read_at(&mut records, offset.saturating_add(FRAME_HEADER_BYTES as u64));
        let whole = read.map_err(io)? == length;
        let authentic = whole && key.open(frame.number, &header, &mut records).is_ok();
        Ok(authentic.then_some(Frame { first: frame.first, records, bytes }))
    }

    /// What fills up the header and the frames is zero.
    fn check_padding(&self, replayed: &Replayed) -> Result<()> {
        let read = |from: u64, to: u64| {
            let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
            let read = self.file.read_at(&mut bytes, from).map_err(Error::io("cannot read", &self.path))?;
            let zeros = read == bytes.len() && bytes.iter().all(|byte| *byte == 0);
            if zeros {
                Ok(())
            } else {
                Err(damaged(&self.path, format!("the fill before offset {to} is not zero")))
            }
        };
        read(format::HEADER_USED_BYTES, HEADER_BYTES)?;
        let mut offset = HEADER_BYTES;
        for frame in &replayed.frames {
            let mut header = [0; FRAME_HEADER_BYTES];
            self.file.read_at(&mut header, offset).map_err(Error::io("cannot read", &self.path))?;
            let sealed = FrameHeader::decode(&header).and_then(|header| header.sealed_bytes()).unwrap_or(0);
            let end = offset.saturating_add(frame.bytes);
            read(offset.saturating_add((FRAME_HEADER_BYTES + sealed) as u64), end)?;
            offset = end;
        }
        Ok(())
    }

    /// The journal may end at a frame that was being written in a crash. Frames are written one after the other, so that a valid one
    /// behind it means that the bad one had been durable.
    fn check_end(&self, key: &SealingKey, bad: u64, number: u64) -> Result<()> {
        let mut offset = bad.saturating_add(HEADER_BYTES);
        while offset < self.length {
            if self.frame(key, offset, |found| found > number)?.is_some() {
                let what = format!("frame {number} at offset {bad} does not authenticate, but later ones do");
                return Err(damaged(&self.path, what));
            }
            offset = offset.saturating_add(HEADER_BYTES);
        }
        Ok(())
    }
}

/// Where the last frame is, and how many of its bytes are not fill.
struct LastFrame {
    range: Range<u64>,
    used: usize,
}

struct Frame {
    first: Lsn,
    records: Vec<u8>,
    bytes: u64,
}

fn damaged(path: &Path, what: impl Into<String>) -> Error {
    OpenError::Damaged { path: path.to_owned(), what: what.into() }.into()
}
