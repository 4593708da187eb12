//! POSIX permissions.

use crate::attributes::FileKind;
use crate::credential::{Access, Credential};
use crate::error::{Error, Result};
use crate::records::{Content, Inode};

pub(super) const SET_UID: u32 = 0o4000;
pub(super) const SET_GID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
/// The bits that SETATTR and CREATE may set.
pub(super) const MODE_BITS: u32 = 0o7777;

/// The permissions that the mode bits give. Root may do everything except execute a file that nobody may execute.
pub(super) fn granted(who: &Credential, inode: &Inode) -> Access {
    if who.uid == 0 {
        let executable = inode.kind() == FileKind::Directory || inode.mode & 0o111 != 0;
        let all = Access::READ.union(Access::WRITE);
        return if executable { all.union(Access::EXECUTE) } else { all };
    }
    let shift = if who.uid == inode.uid {
        6
    } else if who.in_group(inode.gid) {
        3
    } else {
        0
    };
    Access::from_bits(inode.mode >> shift)
}

pub(super) fn need(who: &Credential, inode: &Inode, wanted: Access) -> Result<()> {
    if granted(who, inode).contains(wanted) { Ok(()) } else { Err(Error::AccessDenied) }
}

/// A directory in which the identity may look names up.
pub(super) fn need_search(who: &Credential, directory: &Inode) -> Result<()> {
    need_directory(directory)?;
    need(who, directory, Access::EXECUTE)
}

/// A directory whose entries the identity may change.
pub(super) fn need_entry_write(who: &Credential, directory: &Inode) -> Result<()> {
    need_directory(directory)?;
    if directory.links == 0 {
        return Err(Error::NotFound);
    }
    need(who, directory, Access::WRITE.union(Access::EXECUTE))
}

pub(super) fn need_directory(inode: &Inode) -> Result<()> {
    match inode.content {
        Content::Directory { .. } => Ok(()),
        _ => Err(Error::NotDirectory),
    }
}

/// In a sticky directory only the owner of the entry or of the directory may remove or rename it.
pub(super) fn need_sticky(who: &Credential, directory: &Inode, entry: &Inode) -> Result<()> {
    let owns = who.uid == 0 || who.uid == entry.uid || who.uid == directory.uid;
    if directory.mode & STICKY == 0 || owns { Ok(()) } else { Err(Error::NotPermitted) }
}

pub(super) fn is_owner(who: &Credential, inode: &Inode) -> bool {
    who.uid == 0 || who.uid == inode.uid
}

/// A write by somebody else than root clears set-uid, and set-gid where the group may execute.
pub(super) fn clear_set_id(who: &Credential, inode: &mut Inode) {
    if who.uid != 0 {
        drop_set_id(inode);
    }
}

pub(super) fn drop_set_id(inode: &mut Inode) {
    inode.mode &= !SET_UID;
    if inode.mode & 0o010 != 0 {
        inode.mode &= !SET_GID;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Timestamp;
    use crate::identity::{ContentId, Epoch, Generation};

    fn file(mode: u32, uid: u32, gid: u32) -> Inode {
        let time = Timestamp::default();
        Inode {
            epoch: Epoch(1),
            generation: Generation(1),
            mode,
            links: 1,
            uid,
            gid,
            atime: time,
            mtime: time,
            ctime: time,
            last_access: time,
            change: 1,
            change_ceiling: 1,
            content: Content::empty_file(ContentId(2)),
        }
    }

    #[test]
    fn the_first_class_that_fits_decides_for_all_modes() {
        for mode in 0..0o1000 {
            let inode = file(mode, 10, 20);
            let who = |uid, gid, groups: &[u32]| Credential { uid, gid, groups: groups.to_vec() };
            assert_eq!(u32::from(granted(&who(10, 20, &[]), &inode).bits()), mode >> 6 & 7);
            assert_eq!(u32::from(granted(&who(11, 20, &[]), &inode).bits()), mode >> 3 & 7);
            assert_eq!(u32::from(granted(&who(11, 21, &[20]), &inode).bits()), mode >> 3 & 7);
            assert_eq!(u32::from(granted(&who(11, 21, &[]), &inode).bits()), mode & 7);
            let root = granted(&Credential::root(), &inode);
            assert!(root.contains(Access::READ.union(Access::WRITE)));
            assert_eq!(root.contains(Access::EXECUTE), mode & 0o111 != 0);
        }
    }

    #[test]
    fn a_write_by_another_clears_set_id_bits() {
        let user = Credential { uid: 10, gid: 20, groups: Vec::new() };
        for (before, after) in [(0o6755, 0o755), (0o2644, 0o2644), (0o4711, 0o711)] {
            let mut inode = file(before, 10, 20);
            clear_set_id(&user, &mut inode);
            assert_eq!(inode.mode, after);
            let mut inode = file(before, 10, 20);
            clear_set_id(&Credential::root(), &mut inode);
            assert_eq!(inode.mode, before);
        }
    }
}
