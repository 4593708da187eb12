//! The attributes that are supported.

use super::Bitmap;

macro_rules! attributes {
    ($($(#[$doc:meta])* $name:ident = $number:literal),* $(,)?) => {
        /// An attribute with its number in RFC 8881 §5.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Attribute { $($(#[$doc])* $name = $number),* }

        impl Attribute {
            /// All of them, ascending.
            pub(crate) const ALL: &[Attribute] = &[$(Attribute::$name),*];
        }
    };
}

attributes! {
    SupportedAttributes = 0, Type = 1, HandleExpireType = 2, Change = 3, Size = 4, LinkSupport = 5, SymlinkSupport = 6,
    NamedAttributes = 7, FileSystemId = 8, UniqueHandles = 9, LeaseTime = 10, ReadDirectoryError = 11, CanSetTime = 15,
    CaseInsensitive = 16, CasePreserving = 17, ChownRestricted = 18, FileHandle = 19, FileId = 20, FilesAvailable = 21,
    FilesFree = 22, FilesTotal = 23, Homogeneous = 26, FileSizeMax = 27, LinksMax = 28, NameMax = 29, ReadMax = 30,
    WriteMax = 31, Mode = 33, NoTruncation = 34, Links = 35, Owner = 36, OwnerGroup = 37, RawDevice = 41,
    SpaceAvailable = 42, SpaceFree = 43, SpaceTotal = 44, SpaceUsed = 45, TimeAccess = 47, TimeAccessSet = 48,
    TimeDelta = 51, TimeMetadata = 52, TimeModify = 53, TimeModifySet = 54, MountedOnFileId = 55, ExclusiveCreate = 75,
    /// From NFSv4.2 (RFC 7862 §12.2.3), and harmless before: Linux uses it to ignore replies that come out of order.
    ChangeAttributeType = 79,
}

/// Everything that can be asked for or set.
pub(crate) const SUPPORTED: Bitmap = Bitmap::of(Attribute::ALL);

/// What can be set.
pub(crate) const SETTABLE: Bitmap = Bitmap::of(&[
    Attribute::Size,
    Attribute::Mode,
    Attribute::Owner,
    Attribute::OwnerGroup,
    Attribute::TimeAccessSet,
    Attribute::TimeModifySet,
]);

/// What can be set, but not asked for.
pub(crate) const WRITE_ONLY: Bitmap = Bitmap::of(&[Attribute::TimeAccessSet, Attribute::TimeModifySet]);

/// What can be set together with an exclusive create: all, since the verifier is kept apart from the attributes.
pub(crate) const EXCLUSIVE_SETTABLE: Bitmap = SETTABLE;
