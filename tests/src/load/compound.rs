//! Compounds of NFSv4.1 (RFC 8881): their operations as arguments, and the walk over their results.
mod changes;

use anyhow::{Result, bail};

use super::xdr::{Decoder, Encoder};

pub(crate) use changes::{ANONYMOUS, Facts, FilesCount, Kind, Mtime, Stable, Written};

pub(crate) const NFS4_OK: u32 = 0;
pub(crate) const NFS4ERR_DELAY: u32 = 10008;
pub(crate) const NFS4ERR_GRACE: u32 = 10013;

const OP_CLOSE: u32 = 4;
const OP_CREATE: u32 = 6;
const OP_GETATTR: u32 = 9;
const OP_GETFH: u32 = 10;
const OP_LOOKUP: u32 = 15;
const OP_OPEN: u32 = 18;
const OP_PUTFH: u32 = 22;
const OP_PUTROOTFH: u32 = 24;
const OP_READ: u32 = 25;
const OP_REMOVE: u32 = 28;
const OP_WRITE: u32 = 38;
const OP_EXCHANGE_ID: u32 = 42;
const OP_CREATE_SESSION: u32 = 43;
const OP_DESTROY_SESSION: u32 = 44;
pub(crate) const OP_SEQUENCE: u32 = 53;
const OP_DESTROY_CLIENTID: u32 = 57;
const OP_RECLAIM_COMPLETE: u32 = 58;

const FILE_SYNC4: u32 = 2;
const NF4DIR: u32 = 2;
const SHARE_ACCESS_BOTH_WANT_NO_DELEGATION: u32 = 3 | 0x0400;
/// `type`, `change`, `size`, `fileid`; `mode`, `numlinks`, `owner`, `owner_group`, `space_used`, the three times.
const ATTRIBUTES: [u32; 2] = [0x0010_001a, 0x0030_a03a];

/// A file handle.
pub(crate) type Handle = Vec<u8>;

/// A stateid of a file that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateId(pub(crate) [u8; 16]);

/// The state of the OPEN before it in the same compound (RFC 8881, section 16.2.3.1.2).
pub(crate) const CURRENT_STATE: StateId = StateId([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/// The operations of a compound, encoded as they are added.
#[derive(Debug, Default)]
pub(crate) struct Compound {
    body: Encoder,
    operations: u32,
}

impl Compound {
    pub(crate) fn body(&self) -> &[u8] {
        self.body.bytes()
    }

    pub(crate) fn operations(&self) -> u32 {
        self.operations
    }

    /// Takes all operations away.
    pub(crate) fn clear(&mut self) {
        self.body.clear();
        self.operations = 0;
    }

    fn operation(&mut self, number: u32) -> &mut Encoder {
        self.operations += 1;
        self.body.word(number)
    }

    pub(crate) fn put_root(&mut self) -> &mut Compound {
        self.operation(OP_PUTROOTFH);
        self
    }

    pub(crate) fn put_handle(&mut self, handle: &[u8]) -> &mut Compound {
        self.operation(OP_PUTFH).opaque(handle);
        self
    }

    pub(crate) fn get_handle(&mut self) -> &mut Compound {
        self.operation(OP_GETFH);
        self
    }

    pub(crate) fn look_up(&mut self, name: &[u8]) -> &mut Compound {
        self.operation(OP_LOOKUP).opaque(name);
        self
    }

    pub(crate) fn get_attributes(&mut self) -> &mut Compound {
        self.operation(OP_GETATTR).word(2).word(ATTRIBUTES[0]).word(ATTRIBUTES[1]);
        self
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> &mut Compound {
        self.operation(OP_REMOVE).opaque(name);
        self
    }

    /// CREATE of a directory, which becomes the current one.
    pub(crate) fn make_directory(&mut self, name: &[u8]) -> &mut Compound {
        mode_0700(self.operation(OP_CREATE).word(NF4DIR).opaque(name));
        self
    }

    /// OPEN of a file for reading and writing, made if it is not there.
    pub(crate) fn open(&mut self, client: u64, owner: &[u8], name: &[u8]) -> &mut Compound {
        let body = self.operation(OP_OPEN);
        body.word(0).word(SHARE_ACCESS_BOTH_WANT_NO_DELEGATION).word(0).long(client).opaque(owner);
        mode_0700(body.word(1).word(0)).word(0).opaque(name);
        self
    }

    pub(crate) fn close(&mut self, state: StateId) -> &mut Compound {
        self.operation(OP_CLOSE).word(0).raw(&state.0);
        self
    }

    pub(crate) fn write_durably(&mut self, state: StateId, offset: u64, data: &[u8]) -> &mut Compound {
        self.operation(OP_WRITE).raw(&state.0).long(offset).word(FILE_SYNC4).opaque(data);
        self
    }

    pub(crate) fn read(&mut self, state: StateId, offset: u64, length: u32) -> &mut Compound {
        self.operation(OP_READ).raw(&state.0).long(offset).word(length);
        self
    }

    pub(crate) fn exchange_id(&mut self, verifier: u64, owner: &[u8]) -> &mut Compound {
        self.operation(OP_EXCHANGE_ID).long(verifier).opaque(owner).word(0).word(0).word(0);
        self
    }

    pub(crate) fn create_session(&mut self, client: u64, sequence: u32, slots: u32) -> &mut Compound {
        const LARGEST: u32 = (1 << 20) + 4096;
        let body = self.operation(OP_CREATE_SESSION);
        body.long(client).word(sequence).word(0);
        for requests in [slots, 1] {
            body.word(0).word(LARGEST).word(LARGEST).word(4096).word(16).word(requests).word(0);
        }
        body.word(0x4000_0000).word(1).word(0);
        self
    }

    pub(crate) fn destroy_session(&mut self, session: &[u8; 16]) -> &mut Compound {
        self.operation(OP_DESTROY_SESSION).raw(session);
        self
    }

    pub(crate) fn destroy_client(&mut self, client: u64) -> &mut Compound {
        self.operation(OP_DESTROY_CLIENTID).long(client);
        self
    }

    pub(crate) fn reclaim_complete(&mut self) -> &mut Compound {
        self.operation(OP_RECLAIM_COMPLETE).word(0);
        self
    }
}

/// The attributes of a new file or directory: its mode alone.
fn mode_0700(body: &mut Encoder) -> &mut Encoder {
    body.word(2).word(0).word(1 << 1).opaque(&0o700_u32.to_be_bytes())
}

/// A reply, up to the results of the compound.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    /// The call that it answers.
    pub(crate) call: u32,
    /// Of the compound: that of its last operation.
    pub(crate) status: u32,
    /// How many operations have results.
    pub(crate) operations: u32,
    results: Decoder<'a>,
}

impl<'a> Reply<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Reply<'a>> {
        let mut decoder = Decoder::new(bytes);
        let call = decoder.word()?;
        let (message, accepted) = (decoder.word()?, decoder.word()?);
        if (message, accepted) != (1, 0) {
            bail!("the server rejected a call: message type {message}, state {accepted}");
        }
        decoder.word()?;
        decoder.opaque()?;
        let accept_status = decoder.word()?;
        if accept_status != 0 {
            bail!("the server did not execute a call: accept status {accept_status}");
        }
        let status = decoder.word()?;
        decoder.opaque()?;
        Ok(Reply { call, status, operations: decoder.word()?, results: decoder })
    }

    /// The results behind a SEQUENCE, which must come first.
    pub(crate) fn after_sequence(&self) -> Result<Results<'a>> {
        let mut results = Results(self.results);
        results.expect(OP_SEQUENCE)?;
        results.0.raw(16 + 5 * 4)?;
        Ok(results)
    }

    /// All results.
    pub(crate) fn results(&self) -> Results<'a> {
        Results(self.results)
    }
}

/// The results of a compound, taken in order.
#[derive(Debug)]
pub(crate) struct Results<'a>(Decoder<'a>);

impl<'a> Results<'a> {
    fn expect(&mut self, operation: u32) -> Result<()> {
        let (number, status) = (self.0.word()?, self.0.word()?);
        if number != operation || status != NFS4_OK {
            bail!("operation {operation} was answered by operation {number} with status {status}");
        }
        Ok(())
    }

    pub(crate) fn put_root(&mut self) -> Result<()> {
        self.expect(OP_PUTROOTFH)
    }

    pub(crate) fn put_handle(&mut self) -> Result<()> {
        self.expect(OP_PUTFH)
    }

    pub(crate) fn look_up(&mut self) -> Result<()> {
        self.expect(OP_LOOKUP)
    }

    pub(crate) fn get_handle(&mut self) -> Result<Handle> {
        self.expect(OP_GETFH)?;
        Ok(self.0.opaque()?.to_vec())
    }

    pub(crate) fn make_directory(&mut self) -> Result<()> {
        self.expect(OP_CREATE)?;
        self.0.raw(20)?;
        self.bitmap()
    }

    pub(crate) fn open(&mut self) -> Result<StateId> {
        self.expect(OP_OPEN)?;
        let state = StateId(self.0.raw(16)?.try_into()?);
        self.0.raw(20 + 4)?;
        self.bitmap()?;
        match self.0.word()? {
            0 => {}
            // OPEN_DELEGATE_NONE_EXT: why there is none; for contention and resource one word more.
            3 => {
                if matches!(self.0.word()?, 1 | 2) {
                    self.0.word()?;
                }
            }
            other => bail!("a delegation of type {other}, though none was wanted"),
        }
        Ok(state)
    }

    pub(crate) fn read(&mut self) -> Result<&'a [u8]> {
        self.expect(OP_READ)?;
        self.0.word()?;
        self.0.opaque()
    }

    pub(crate) fn exchange_id(&mut self) -> Result<(u64, u32)> {
        self.expect(OP_EXCHANGE_ID)?;
        Ok((self.0.long()?, self.0.word()?))
    }

    /// The session's id and its number of slots.
    pub(crate) fn create_session(&mut self) -> Result<([u8; 16], u32)> {
        self.expect(OP_CREATE_SESSION)?;
        let id = self.0.raw(16)?.try_into()?;
        self.0.raw(2 * 4 + 5 * 4)?;
        Ok((id, self.0.word()?))
    }

    fn bitmap(&mut self) -> Result<()> {
        let words = usize::try_from(self.0.word()?)?;
        self.0.raw(words.saturating_mul(4))?;
        Ok(())
    }
}
