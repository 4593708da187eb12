//! The operations that change a tree, and the ones that look at all of it.
use anyhow::{Context, Result, bail};

use super::super::xdr::{Decoder, Encoder};
use super::{Compound, OP_CLOSE, OP_CREATE, OP_GETATTR, OP_REMOVE, OP_WRITE, Results, StateId, mode_0700};

const OP_COMMIT: u32 = 5;
const OP_LINK: u32 = 11;
const OP_READDIR: u32 = 26;
const OP_READLINK: u32 = 27;
const OP_RENAME: u32 = 29;
const OP_SAVEFH: u32 = 32;
const OP_SETATTR: u32 = 34;

const NF4LNK: u32 = 5;
/// `type`, `change`, `size`, `fileid`; `mode`, `numlinks`, `time_modify`.
const FACTS: [u32; 2] = [0x0010_001a, 0x0020_000a];
/// `type`, `fileid`.
const LISTED: u32 = 0x0010_0002;
/// `files_free`, `files_total`.
const FILES: u32 = 1 << 21 | 1 << 23;
const READDIR_BYTES_MAX: u32 = 256 * 1024;

/// The stateid of somebody who has not opened the file (RFC 8881, section 8.2.3).
pub(crate) const ANONYMOUS: StateId = StateId([0; 16]);

/// A modification time: seconds and nanoseconds since 1970.
pub(crate) type Mtime = (u64, u32);

/// `stable_how4`, as far as it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stable {
    Unstable,
    FileSync,
}

/// `nfs_ftype4`, as far as it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
}

/// The attributes that an oracle looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) kind: Kind,
    pub(crate) change: u64,
    pub(crate) size: u64,
    pub(crate) file_id: u64,
    pub(crate) mode: u32,
    pub(crate) links: u32,
    pub(crate) mtime: Mtime,
}

/// What a WRITE was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) length: u32,
    pub(crate) stable: Stable,
    pub(crate) verifier: [u8; 8],
}

/// A name with its file id.
pub(crate) type Listed = (Vec<u8>, u64);

/// How many inodes a file system has and could have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FilesCount {
    pub(crate) free: u64,
    pub(crate) total: u64,
}

impl Compound {
    pub(crate) fn save_handle(&mut self) -> &mut Compound {
        self.operation(OP_SAVEFH);
        self
    }

    /// CREATE of a symbolic link, which becomes the current file.
    pub(crate) fn make_symlink(&mut self, name: &[u8], target: &[u8]) -> &mut Compound {
        mode_0700(self.operation(OP_CREATE).word(NF4LNK).opaque(target).opaque(name));
        self
    }

    /// LINK of the saved file into the current directory.
    pub(crate) fn link(&mut self, name: &[u8]) -> &mut Compound {
        self.operation(OP_LINK).opaque(name);
        self
    }

    /// RENAME from the saved directory to the current one.
    pub(crate) fn rename(&mut self, from: &[u8], to: &[u8]) -> &mut Compound {
        self.operation(OP_RENAME).opaque(from).opaque(to);
        self
    }

    pub(crate) fn set_mode(&mut self, mode: u32) -> &mut Compound {
        let body = self.operation(OP_SETATTR).raw(&ANONYMOUS.0);
        body.word(2).word(0).word(1 << 1).opaque(&mode.to_be_bytes());
        self
    }

    pub(crate) fn set_size(&mut self, size: u64) -> &mut Compound {
        let body = self.operation(OP_SETATTR).raw(&ANONYMOUS.0);
        body.word(1).word(1 << 4).opaque(&size.to_be_bytes());
        self
    }

    pub(crate) fn set_mtime(&mut self, (seconds, nanoseconds): Mtime) -> &mut Compound {
        let mut value = Encoder::default();
        value.word(1).long(seconds).word(nanoseconds);
        let body = self.operation(OP_SETATTR).raw(&ANONYMOUS.0);
        body.word(2).word(0).word(1 << 22).opaque(value.bytes());
        self
    }

    pub(crate) fn write(
        &mut self,
        state: StateId,
        offset: u64,
        stable: Stable,
        data: &[u8],
    ) -> &mut Compound {
        let how = match stable {
            Stable::Unstable => 0,
            Stable::FileSync => 2,
        };
        self.operation(OP_WRITE).raw(&state.0).long(offset).word(how).opaque(data);
        self
    }

    /// COMMIT of the whole file.
    pub(crate) fn commit(&mut self) -> &mut Compound {
        self.operation(OP_COMMIT).long(0).word(0);
        self
    }

    pub(crate) fn read_directory(&mut self, cookie: u64) -> &mut Compound {
        let body = self.operation(OP_READDIR).long(cookie).long(0);
        body.word(READDIR_BYTES_MAX).word(READDIR_BYTES_MAX).word(1).word(LISTED);
        self
    }

    pub(crate) fn read_link(&mut self) -> &mut Compound {
        self.operation(OP_READLINK);
        self
    }

    pub(crate) fn get_facts(&mut self) -> &mut Compound {
        self.operation(OP_GETATTR).word(2).word(FACTS[0]).word(FACTS[1]);
        self
    }

    pub(crate) fn get_files_count(&mut self) -> &mut Compound {
        self.operation(OP_GETATTR).word(1).word(FILES);
        self
    }
}

impl Results<'_> {
    pub(crate) fn save_handle(&mut self) -> Result<()> {
        self.expect(OP_SAVEFH)
    }

    /// CREATE; the directory's change attribute after it.
    pub(crate) fn create(&mut self) -> Result<u64> {
        self.expect(OP_CREATE)?;
        let change = self.change()?;
        self.bitmap()?;
        Ok(change)
    }

    /// OPEN; the directory's change attribute after it.
    pub(crate) fn open_with_change(&mut self) -> Result<(StateId, u64)> {
        let mut ahead = self.0;
        ahead.raw(2 * 4 + 16)?;
        let change = change_of(&mut ahead)?;
        Ok((self.open()?, change))
    }

    pub(crate) fn close(&mut self) -> Result<()> {
        self.expect(OP_CLOSE)?;
        self.0.raw(16)?;
        Ok(())
    }

    /// The directory's change attribute after it.
    pub(crate) fn link(&mut self) -> Result<u64> {
        self.expect(OP_LINK)?;
        self.change()
    }

    /// The directory's change attribute after it.
    pub(crate) fn remove(&mut self) -> Result<u64> {
        self.expect(OP_REMOVE)?;
        self.change()
    }

    /// The change attributes of source and target after it.
    pub(crate) fn rename(&mut self) -> Result<(u64, u64)> {
        self.expect(OP_RENAME)?;
        Ok((self.change()?, self.change()?))
    }

    pub(crate) fn set_attributes(&mut self) -> Result<()> {
        self.expect(OP_SETATTR)?;
        self.bitmap()
    }

    pub(crate) fn write(&mut self) -> Result<Written> {
        self.expect(OP_WRITE)?;
        let length = self.0.word()?;
        let stable = if self.0.word()? == 0 { Stable::Unstable } else { Stable::FileSync };
        Ok(Written { length, stable, verifier: self.0.raw(8)?.try_into()? })
    }

    /// The write verifier.
    pub(crate) fn commit(&mut self) -> Result<[u8; 8]> {
        self.expect(OP_COMMIT)?;
        Ok(self.0.raw(8)?.try_into()?)
    }

    /// Names with their file ids, and the cookie to go on with unless it ends here.
    pub(crate) fn read_directory(&mut self) -> Result<(Vec<Listed>, Option<u64>)> {
        self.expect(OP_READDIR)?;
        self.0.raw(8)?;
        let (mut entries, mut last) = (Vec::new(), 0);
        while self.0.word()? != 0 {
            last = self.0.long()?;
            let name = self.0.opaque()?.to_vec();
            self.bitmap()?;
            let mut values = Decoder::new(self.0.opaque()?);
            values.word()?;
            entries.push((name, values.long()?));
        }
        let end = self.0.word()? != 0;
        Ok((entries, (!end).then_some(last)))
    }

    pub(crate) fn read_link(&mut self) -> Result<Vec<u8>> {
        self.expect(OP_READLINK)?;
        Ok(self.0.opaque()?.to_vec())
    }

    pub(crate) fn facts(&mut self) -> Result<Facts> {
        let mut values = self.attributes()?;
        Ok(Facts {
            kind: match values.word()? {
                1 => Kind::File,
                2 => Kind::Directory,
                5 => Kind::Symlink,
                other => bail!("a file of type {other}, which nobody made"),
            },
            change: values.long()?,
            size: values.long()?,
            file_id: values.long()?,
            mode: values.word()?,
            links: values.word()?,
            mtime: (values.long()?, values.word()?),
        })
    }

    pub(crate) fn files_count(&mut self) -> Result<FilesCount> {
        let mut values = self.attributes()?;
        Ok(FilesCount { free: values.long()?, total: values.long()? })
    }

    fn attributes(&mut self) -> Result<Decoder<'_>> {
        self.expect(OP_GETATTR)?;
        self.bitmap()?;
        Ok(Decoder::new(self.0.opaque().context("no attributes")?))
    }

    fn change(&mut self) -> Result<u64> {
        change_of(&mut self.0)
    }
}

/// The second number of a `change_info4`.
fn change_of(decoder: &mut Decoder<'_>) -> Result<u64> {
    decoder.raw(4 + 8)?;
    decoder.long()
}
