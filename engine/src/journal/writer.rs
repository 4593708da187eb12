//! The one thread that writes: it takes all records that wait, seals them into one frame, and writes that once.

use std::sync::Arc;
use std::time::Duration;

use super::Place;
use super::files::{self, Use};
use super::format::{self, FRAME_HEADER_BYTES, FileHeader, FrameHeader, HEADER_BYTES};
use super::inbox::{Inbox, Queued};
use super::ledger::{Ledger, LiveFile, LiveFrame};
use super::progress::Progress;
use super::supply::Supply;
use crate::broken::{Broken, broken};
use crate::disk::{AlignedBuffer, DiskFile, OpenHow};
use crate::error::{Error, Result};
use crate::identity::{KeyGeneration, Lsn};
use crate::keys::SealingKey;
use crate::limits::JOURNAL_FRAME_BYTES;

/// Writes the journal.
pub(super) struct FrameWriter {
    place: Place,
    next_number: u64,
    inbox: Arc<Inbox>,
    supply: Arc<Supply>,
    ledger: Arc<Ledger>,
    progress: Arc<Progress>,
    current: Option<Current>,
    /// Whether nothing has to be marked as the end.
    marked: bool,
}

/// How long nothing is written before the end is marked.
const MARK_AFTER: Duration = Duration::from_secs(1);

/// The file that is written now.
struct Current {
    file: Arc<dyn DiskFile>,
    key: SealingKey,
    generation: KeyGeneration,
    offset: u64,
    next_frame: u64,
}

impl FrameWriter {
    pub(super) fn new(
        place: Place,
        next_number: u64,
        inbox: Arc<Inbox>,
        supply: Arc<Supply>,
        ledger: Arc<Ledger>,
        progress: Arc<Progress>,
    ) -> Self {
        FrameWriter { place, next_number, inbox, supply, ledger, progress, current: None, marked: true }
    }

    /// Writes until the inbox is stopped. The first failure is final.
    pub(super) fn run(mut self) {
        while let Some(batch) = self.inbox.take(JOURNAL_FRAME_BYTES, (!self.marked).then_some(MARK_AFTER)) {
            let written = if batch.is_empty() { self.mark_end() } else { self.write(&batch) };
            if let Err(error) = written {
                tracing::error!(%error, "the journal cannot be written; no more changes are accepted");
                self.progress.halt(&format!("the journal cannot be written: {error}"));
                return;
            }
        }
        // Whatever is appended from now on is never written: nobody may wait for it.
        self.progress.halt("the file system was closed");
    }

    fn write(&mut self, batch: &[Queued]) -> Result<()> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(()) };
        let content = batch.iter().map(|queued| queued.record.len()).sum();
        let bytes = format::frame_bytes(content) as u64;
        let mut current = match self.current.take() {
            Some(current) if self.takes(&current, bytes) => current,
            _ => self.rotate(first.lsn)?,
        };
        let frame = seal(&current, first.lsn, content, batch)?;
        if broken(Broken::DurableBeforeWritten) {
            self.progress.advance(last.lsn);
        }
        let mut written = current.file.write_all_at(frame.as_slice(), current.offset);
        if broken(Broken::FailedSyncIgnored) {
            written = Ok(());
        }
        written.map_err(Error::io("cannot write a journal file in", &self.place.directory))?;
        current.offset += bytes;
        current.next_frame += 1;
        self.current = Some(current);
        self.marked = false;
        self.ledger.add_frame(LiveFrame { last: last.lsn, bytes });
        self.progress.advance(last.lsn);
        Ok(())
    }

    /// Writes a frame without records, so that damage to the last one with records is not taken for a write that a crash interrupted.
    fn mark_end(&mut self) -> Result<()> {
        self.marked = true;
        let last = self.progress.durable();
        let bytes = format::frame_bytes(0) as u64;
        let fits = |current: &&mut Current| current.offset + bytes <= self.place.file_bytes;
        let Some(current) = self.current.as_mut().filter(fits) else { return Ok(()) };
        let frame = seal(current, Lsn(last.0.saturating_add(1)), 0, &[])?;
        let written = current.file.write_all_at(frame.as_slice(), current.offset);
        written.map_err(Error::io("cannot write a journal file in", &self.place.directory))?;
        current.offset += bytes;
        current.next_frame += 1;
        self.ledger.add_frame(LiveFrame { last, bytes });
        Ok(())
    }

    /// A file takes frames until it is full, or there is a newer key.
    fn takes(&self, current: &Current, bytes: u64) -> bool {
        current.offset + bytes <= self.place.file_bytes && current.generation == self.place.home.keys.newest()
    }

    /// Begins a new file. Its header and its name are durable before the first frame is written.
    fn rotate(&mut self, first: Lsn) -> Result<Current> {
        let number = self.next_number;
        self.next_number += 1;
        let home = &self.place.home;
        // Before the file is taken: one with old frames in it is never under a newer key than those.
        let generation = home.keys.newest();
        self.ledger.close_newest(first, generation);
        let spare = self.supply.take()?;
        let header = FileHeader { number, first, generation, id: home.random_id() };
        let path = files::path(&self.place.directory, number, Use::Journal);
        let file =
            home.disk.open(&spare, OpenHow::DirectDurable).map_err(Error::io("cannot open", &spare))?;
        let block = header.encode(home)?;
        file.write_all_at(block.as_slice(), 0).map_err(Error::io("cannot write", &spare))?;
        // Known before it is there, so that no file is ever taken for a stray one.
        self.ledger.add_file(LiveFile::new(path.clone(), &header));
        home.disk.rename(&spare, &path).map_err(Error::io("cannot rename to", &path))?;
        let directory = &self.place.directory;
        if !broken(Broken::JournalNameNotSynced) {
            home.disk.sync_directory(directory).map_err(Error::io("cannot sync", directory))?;
        }
        let key = header.sealing_key(home)?;
        Ok(Current { file, key, generation, offset: HEADER_BYTES, next_frame: 0 })
    }
}

fn seal(current: &Current, first: Lsn, content: usize, batch: &[Queued]) -> Result<AlignedBuffer> {
    let too_large = Error::Invalid { what: "a journal frame of more than 4 GiB" };
    let content_bytes = u32::try_from(content).map_err(|_| too_large)?;
    let header = FrameHeader { number: current.next_frame, first, content_bytes }.encode();
    let mut frame = AlignedBuffer::zeroed(format::frame_bytes(content));
    format::copy(&mut frame, 0, &header)?;
    let mut offset = FRAME_HEADER_BYTES;
    for queued in batch {
        format::copy(&mut frame, offset, &queued.record)?;
        offset += queued.record.len();
    }
    let records = frame.as_mut_slice().get_mut(FRAME_HEADER_BYTES..offset).unwrap_or_default();
    let tag = current.key.seal_detached(current.next_frame, &header, records)?;
    format::copy(&mut frame, offset, &tag)?;
    Ok(frame)
}
