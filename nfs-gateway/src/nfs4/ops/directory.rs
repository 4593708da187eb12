//! READDIR.

use engine::{Cookie, DirectoryEntry};

use super::{Failure, OpResult};
use crate::nfs4::attributes::Bitmap;
use crate::nfs4::compound::Compound;
use crate::nfs4::limits::{DIRECTORY_PAGE_ENTRIES_MAX, MESSAGE_BYTES_MAX};
use crate::nfs4::status::Status;
use crate::xdr::Writer;

/// What is left of the limits of a reply.
struct Budget {
    /// Names and cookies; a hint.
    directory_bytes: usize,
    /// Everything.
    bytes: usize,
}

/// Whether another entry may follow.
#[derive(PartialEq, Eq)]
enum Room {
    More,
    Full,
}

impl Compound<'_> {
    pub(super) fn readdir(&mut self, out: &mut Writer) -> OpResult {
        let cookie = self.args.u64()?;
        let verifier: [u8; 8] = self.args.fixed()?;
        let (directory_bytes, bytes) = (self.args.u32()?, self.args.u32()?);
        let asked = Bitmap::decode(&mut self.args)?;
        self.directory()?;
        if matches!(cookie, 1 | 2) || cookie > COOKIE_MAX {
            return Err(Status::BAD_COOKIE.into());
        }
        if verifier != COOKIE_VERIFIER {
            return Err(Status::NOT_SAME.into());
        }
        let bytes = usize::try_from(bytes.min(MESSAGE_BYTES_MAX)).unwrap_or_default();
        // A hint: 0 is none, and one that is too small for any entry is none either.
        let directory_bytes = match usize::try_from(directory_bytes) {
            Ok(bytes) if bytes >= HINT_BYTES_MIN => bytes,
            _ => usize::MAX,
        };
        let bytes = bytes.checked_sub(FRAME_BYTES).ok_or(Status::TOOSMALL)?;
        out.fixed(&COOKIE_VERIFIER);
        self.list(out, Cookie(cookie), asked, Budget { directory_bytes, bytes })
    }

    fn list(&self, out: &mut Writer, mut after: Cookie, asked: Bitmap, mut budget: Budget) -> OpResult {
        let directory = self.directory()?;
        let mut is_first = true;
        loop {
            let wanted = (budget.bytes / ENTRY_BYTES_TYPICAL).clamp(1, DIRECTORY_PAGE_ENTRIES_MAX);
            let page = self.file_system().read_directory(&self.who, directory, after, wanted)?;
            for entry in &page.entries {
                if self.list_one(out, entry, asked, &mut budget)? == Room::Full {
                    if is_first {
                        return Err(Status::TOOSMALL.into());
                    }
                    return end(out, false);
                }
                is_first = false;
                after = entry.cookie;
            }
            if page.end {
                return end(out, true);
            }
            if page.entries.is_empty() {
                return Err(Status::SERVERFAULT.into());
            }
        }
    }

    fn list_one(
        &self,
        out: &mut Writer,
        entry: &DirectoryEntry,
        asked: Bitmap,
        budget: &mut Budget,
    ) -> Result<Room, Failure> {
        let mark = out.mark();
        let before = out.len();
        out.bool(true);
        out.u64(entry.cookie.0);
        out.opaque(&entry.name);
        let hint = out.len() - before;
        self.encode_attributes(out, asked, &entry.attributes)?;
        let length = out.len() - before;
        match (budget.bytes.checked_sub(length), budget.directory_bytes.checked_sub(hint)) {
            (Some(bytes), Some(directory_bytes)) => {
                *budget = Budget { directory_bytes, bytes };
                Ok(Room::More)
            }
            _ => {
                out.truncate(mark);
                Ok(Room::Full)
            }
        }
    }
}

/// Writes the end of the list.
fn end(out: &mut Writer, end_of_directory: bool) -> OpResult {
    out.bool(false);
    out.bool(end_of_directory);
    Ok(())
}

/// Cookies are valid for ever, so there is nothing to verify.
const COOKIE_VERIFIER: [u8; 8] = [0; 8];
/// The engine's cookies are below 2^63.
const COOKIE_MAX: u64 = i64::MAX as u64;
/// The verifier, the end of the list and the mark of the end of the directory.
const FRAME_BYTES: usize = 16;
/// Holds the longest name with its cookie.
const HINT_BYTES_MIN: usize = 16 + 256;
/// Of an entry with the attributes that Linux asks for.
const ENTRY_BYTES_TYPICAL: usize = 240;
