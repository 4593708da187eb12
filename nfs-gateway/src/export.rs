//! What a mount target serves: the context that every connection of a listener carries. The protocol core sees nothing else.

use engine::{Credential, FileSystem, InodeId};

use crate::rpc::Credentials;

/// A file system as the clients of one listener see it.
#[derive(Clone)]
pub struct Export {
    /// The file system.
    pub file_system: FileSystem,
    /// The directory that clients see as `/`.
    pub root: InodeId,
    /// How the identity that a client states becomes the one that counts.
    pub identity: IdentityMapping,
    /// Whether clients may change anything.
    pub access: AccessMode,
}

impl Export {
    /// The whole file system, writable, identities as stated.
    pub fn new(file_system: FileSystem) -> Self {
        Export {
            file_system,
            root: InodeId::ROOT,
            identity: IdentityMapping::AsStated,
            access: AccessMode::ReadWrite,
        }
    }
}

/// Whether clients may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessMode {
    /// They may.
    ReadWrite,
    /// Changes are answered with NFS4ERR_ROFS.
    ReadOnly,
}

/// How the identity that a client states becomes the one that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityMapping {
    /// As it is.
    AsStated,
    /// The superuser becomes this user; his groups do not count.
    RootSquash {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// Everybody becomes this user.
    AllSquash {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

impl IdentityMapping {
    /// The identity that counts.
    pub(crate) fn apply(&self, stated: &Credentials) -> Credential {
        let credential = match stated {
            Credentials::System { uid, gid, groups } => {
                Credential { uid: *uid, gid: *gid, groups: groups.clone() }
            }
            Credentials::None | Credentials::TlsProbe => {
                Credential { uid: NOBODY, gid: NOBODY, groups: Vec::new() }
            }
        };
        match *self {
            IdentityMapping::AsStated => credential,
            IdentityMapping::RootSquash { uid, gid } => squash_root(credential, uid, gid),
            IdentityMapping::AllSquash { uid, gid } => Credential { uid, gid, groups: Vec::new() },
        }
    }
}

fn squash_root(credential: Credential, uid: u32, gid: u32) -> Credential {
    if credential.uid == 0 {
        return Credential { uid, gid, groups: Vec::new() };
    }
    let unprivileged = |group: u32| if group == 0 { gid } else { group };
    Credential {
        uid: credential.uid,
        gid: unprivileged(credential.gid),
        groups: credential.groups.into_iter().map(unprivileged).collect(),
    }
}

const NOBODY: u32 = 65_534;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squashing_takes_the_superuser_and_his_group() {
        let root = Credentials::System { uid: 0, gid: 0, groups: vec![0, 4] };
        let user = Credentials::System { uid: 1000, gid: 0, groups: vec![0, 4] };
        let squash = IdentityMapping::RootSquash { uid: 65_534, gid: 65_533 };
        assert_eq!(squash.apply(&root), Credential { uid: 65_534, gid: 65_533, groups: vec![] });
        assert_eq!(squash.apply(&user), Credential { uid: 1000, gid: 65_533, groups: vec![65_533, 4] });
        let all = IdentityMapping::AllSquash { uid: 5, gid: 6 };
        assert_eq!(all.apply(&user), Credential { uid: 5, gid: 6, groups: vec![] });
        assert_eq!(IdentityMapping::AsStated.apply(&root), Credential { uid: 0, gid: 0, groups: vec![0, 4] });
        assert_eq!(IdentityMapping::AsStated.apply(&Credentials::None).uid, NOBODY);
    }
}
