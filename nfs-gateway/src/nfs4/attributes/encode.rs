//! `fattr4`: a bitmap, and the values in the order of their numbers.

use std::time::Duration;

use engine::{Attributes, FileKind, Space, Timestamp};

use super::Bitmap;
use super::table::{Attribute, EXCLUSIVE_SETTABLE, SUPPORTED, WRITE_ONLY};
use crate::nfs4::handle::HANDLE_BYTES;
use crate::nfs4::limits::TRANSFER_BYTES_MAX;
use crate::nfs4::status::Status;
use crate::xdr::Writer;

/// What attributes are encoded from.
pub(crate) struct AttributeSource<'a> {
    /// Of the inode.
    pub(crate) attributes: &'a Attributes,
    /// Its handle.
    pub(crate) handle: [u8; HANDLE_BYTES],
    /// Of the file system.
    pub(crate) file_system: (u64, u64),
    /// The lease.
    pub(crate) lease: Duration,
    /// Needed if the bitmap asks for space or numbers of files.
    pub(crate) space: Option<Space>,
}

impl AttributeSource<'_> {
    /// Whether [`AttributeSource::space`] is needed.
    pub(crate) fn needs_space(asked: Bitmap) -> bool {
        asked.overlaps(SPACE)
    }
}

/// Writes those of the asked attributes that are supported. An attribute that can only be set is an error.
pub(crate) fn encode_fattr(
    writer: &mut Writer,
    asked: Bitmap,
    source: &AttributeSource<'_>,
) -> Result<(), Status> {
    if asked.overlaps(WRITE_ONLY) {
        return Err(Status::INVAL);
    }
    let given = asked.intersect(SUPPORTED);
    given.encode(writer);
    let length = writer.mark();
    writer.u32(0);
    for attribute in given.attributes() {
        encode_one(writer, attribute, source);
    }
    let encoded = writer.since(length).len() - 4;
    writer.patch_u32(length, u32::try_from(encoded).map_err(|_| Status::SERVERFAULT)?);
    Ok(())
}

fn encode_one(writer: &mut Writer, attribute: Attribute, source: &AttributeSource<'_>) {
    let file = source.attributes;
    let space = |field: fn(&Space) -> u64| source.space.as_ref().map_or(0, field);
    match attribute {
        Attribute::SupportedAttributes => SUPPORTED.encode(writer),
        Attribute::Type => writer.u32(kind_number(file.kind)),
        Attribute::HandleExpireType => writer.u32(PERSISTENT),
        Attribute::Change => writer.u64(file.change),
        Attribute::Size => writer.u64(file.size),
        Attribute::LinkSupport | Attribute::SymlinkSupport | Attribute::UniqueHandles => writer.bool(true),
        Attribute::CanSetTime | Attribute::CasePreserving | Attribute::ChownRestricted => writer.bool(true),
        Attribute::Homogeneous | Attribute::NoTruncation => writer.bool(true),
        Attribute::NamedAttributes | Attribute::CaseInsensitive => writer.bool(false),
        Attribute::FileSystemId => {
            writer.u64(source.file_system.0);
            writer.u64(source.file_system.1);
        }
        Attribute::LeaseTime => writer.u32(u32::try_from(source.lease.as_secs()).unwrap_or(u32::MAX)),
        Attribute::ReadDirectoryError => writer.u32(Status::OK.number()),
        Attribute::FileHandle => writer.opaque(&source.handle),
        Attribute::FileId | Attribute::MountedOnFileId => writer.u64(file.inode.0),
        Attribute::FilesAvailable | Attribute::FilesFree => writer.u64(space(|space| space.free_files)),
        Attribute::FilesTotal => writer.u64(space(|space| space.total_files)),
        Attribute::FileSizeMax => writer.u64(engine::limits::FILE_SIZE_MAX),
        Attribute::LinksMax => writer.u32(engine::limits::LINKS_MAX),
        Attribute::NameMax => writer.length(engine::limits::NAME_BYTES_MAX),
        Attribute::ReadMax | Attribute::WriteMax => writer.u64(u64::from(TRANSFER_BYTES_MAX)),
        Attribute::Mode => writer.u32(file.mode),
        Attribute::Links => writer.u32(file.links),
        Attribute::Owner => writer.opaque(file.uid.to_string().as_bytes()),
        Attribute::OwnerGroup => writer.opaque(file.gid.to_string().as_bytes()),
        Attribute::RawDevice => {
            writer.u32(file.device.major);
            writer.u32(file.device.minor);
        }
        Attribute::SpaceAvailable | Attribute::SpaceFree => writer.u64(space(|space| space.free_bytes)),
        Attribute::SpaceTotal => writer.u64(space(|space| space.total_bytes)),
        Attribute::SpaceUsed => writer.u64(file.space_used),
        Attribute::TimeAccess => encode_time(writer, file.atime),
        Attribute::TimeMetadata => encode_time(writer, file.ctime),
        Attribute::TimeModify => encode_time(writer, file.mtime),
        Attribute::TimeDelta => encode_time(writer, Timestamp { seconds: 0, nanoseconds: 1 }),
        Attribute::ExclusiveCreate => EXCLUSIVE_SETTABLE.encode(writer),
        Attribute::ChangeAttributeType => writer.u32(MONOTONIC_INCREASING),
        // Refused before; they cannot be asked for.
        Attribute::TimeAccessSet | Attribute::TimeModifySet => {}
    }
}

fn encode_time(writer: &mut Writer, time: Timestamp) {
    writer.i64(time.seconds);
    writer.u32(time.nanoseconds);
}

/// `nfs_ftype4`.
fn kind_number(kind: FileKind) -> u32 {
    match kind {
        FileKind::Regular => 1,
        FileKind::Directory => 2,
        FileKind::BlockDevice => 3,
        FileKind::CharacterDevice => 4,
        FileKind::Symlink => 5,
        FileKind::Socket => 6,
        FileKind::Fifo => 7,
    }
}

const SPACE: Bitmap = Bitmap::of(&[
    Attribute::FilesAvailable,
    Attribute::FilesFree,
    Attribute::FilesTotal,
    Attribute::SpaceAvailable,
    Attribute::SpaceFree,
    Attribute::SpaceTotal,
]);
/// FH4_PERSISTENT.
const PERSISTENT: u32 = 0;
/// NFS4_CHANGE_TYPE_IS_MONOTONIC_INCR.
const MONOTONIC_INCREASING: u32 = 0;
