//! The arguments of OPEN.

use bytes::Bytes;

use super::close::decode_share;
use crate::nfs4::attributes::{Bitmap, read_fattr};
use crate::nfs4::limits::OPAQUE_BYTES_MAX;
use crate::nfs4::name::decode_name;
use crate::nfs4::state::{Share, Stateid};
use crate::nfs4::status::Status;
use crate::xdr::{Reader, XdrError};

/// The arguments of OPEN. Names and attributes are looked at when their turn comes.
pub(super) struct OpenArguments {
    /// Access and deny.
    pub(super) share: Share,
    /// What is wanted of delegations.
    pub(super) wants: Want,
    /// The open owner.
    pub(super) owner: Bytes,
    /// Whether and how to create; `None` opens what is there.
    pub(super) create: Option<CreateHow>,
    /// What is opened.
    pub(super) claim: Claim,
}

/// `createhow4`.
pub(super) struct CreateHow {
    /// In which way.
    pub(super) way: CreateWay,
    /// With which attributes, still encoded.
    pub(super) attributes: (Bitmap, Bytes),
}

/// `createmode4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CreateWay {
    /// UNCHECKED4.
    Unchecked,
    /// GUARDED4.
    Guarded,
    /// EXCLUSIVE4 and EXCLUSIVE4_1.
    Exclusive([u8; 8]),
}

/// `open_claim4`.
pub(super) enum Claim {
    /// A name in the current directory.
    Name(Bytes),
    /// The current file.
    Handle,
    /// The current file, which was open before the server was started anew.
    Previous,
    /// By a delegation, which nobody has.
    Delegation,
}

/// What the client says about delegations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// Nothing.
    NoPreference,
    /// Some, or any.
    Delegation,
    /// None.
    NoDelegation,
    /// No longer what it wanted.
    Cancel,
}

impl OpenArguments {
    pub(super) fn decode(reader: &mut Reader) -> Result<OpenArguments, Status> {
        let _sequence = reader.u32()?;
        let (access, deny) = (reader.u32()?, reader.u32()?);
        // The session says which client it is.
        let _client = reader.u64()?;
        let owner = reader.opaque(OPAQUE_BYTES_MAX)?;
        let create = match reader.u32()? {
            0 => None,
            1 => Some(CreateHow::decode(reader)?),
            other => return Err(XdrError::UnknownValue(other).into()),
        };
        let claim = Claim::decode(reader)?;
        Ok(OpenArguments {
            share: decode_share(access, deny)?,
            wants: Want::decode(access)?,
            owner,
            create,
            claim,
        })
    }
}

impl CreateHow {
    fn decode(reader: &mut Reader) -> Result<CreateHow, Status> {
        let mode = reader.u32()?;
        let way = match mode {
            0 => CreateWay::Unchecked,
            1 => CreateWay::Guarded,
            2 | EXCLUSIVE4_1 => CreateWay::Exclusive(reader.fixed()?),
            other => return Err(XdrError::UnknownValue(other).into()),
        };
        let attributes = match way {
            CreateWay::Exclusive(_) if mode != EXCLUSIVE4_1 => (Bitmap::EMPTY, Bytes::new()),
            _ => read_fattr(reader)?,
        };
        Ok(CreateHow { way, attributes })
    }
}

impl Claim {
    fn decode(reader: &mut Reader) -> Result<Claim, Status> {
        match reader.u32()? {
            0 => Ok(Claim::Name(decode_name(reader)?)),
            1 => {
                let _delegation = reader.u32()?;
                Ok(Claim::Previous)
            }
            2 => {
                Stateid::decode(reader)?;
                decode_name(reader)?;
                Ok(Claim::Delegation)
            }
            3 => {
                decode_name(reader)?;
                Ok(Claim::Delegation)
            }
            4 => Ok(Claim::Handle),
            5 => {
                Stateid::decode(reader)?;
                Ok(Claim::Delegation)
            }
            6 => Ok(Claim::Delegation),
            other => Err(XdrError::UnknownValue(other).into()),
        }
    }
}

impl Want {
    fn decode(access: u32) -> Result<Want, Status> {
        match (access >> 8) & 0xff {
            0 => Ok(Want::NoPreference),
            1..=3 => Ok(Want::Delegation),
            4 => Ok(Want::NoDelegation),
            5 => Ok(Want::Cancel),
            _ => Err(Status::INVAL),
        }
    }
}

const EXCLUSIVE4_1: u32 = 3;
