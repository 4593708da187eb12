//! Who asks, and what he may do.

/// The identity under which an operation runs. `uid` 0 may do everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Credential {
    /// The superuser.
    pub fn root() -> Self {
        Credential { uid: 0, gid: 0, groups: Vec::new() }
    }

    /// Whether the identity is a member of the group.
    pub fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// A set of permissions: the bits of `rwx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access(u8);

impl Access {
    /// Nothing.
    pub const NONE: Access = Access(0);
    /// Execute a file, or search a directory.
    pub const EXECUTE: Access = Access(1);
    /// Write a file, or change the entries of a directory.
    pub const WRITE: Access = Access(2);
    /// Read.
    pub const READ: Access = Access(4);

    /// Both sets.
    pub const fn union(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Access) -> bool {
        self.0 & other.0 == other.0
    }

    /// The `rwx` bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set of three `rwx` bits; higher bits are ignored.
    pub const fn from_bits(bits: u32) -> Access {
        Access((bits & 7) as u8)
    }
}
