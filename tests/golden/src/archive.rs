//! A directory in one file: a tar, compressed with zstd. What was preallocated and is zero takes next to nothing in it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};

/// The smallest that takes no patience.
const ZSTD_LEVEL: i32 = 19;

/// Packs what is below a directory: files and directories with their modes, and nothing else about them.
///
/// # Errors
/// If something cannot be read.
pub fn pack(directory: &Path) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    append(&mut tar, directory, Path::new(""))?;
    zstd::bulk::compress(&tar.into_inner()?, ZSTD_LEVEL)
}

/// Makes a directory again.
///
/// # Errors
/// If this is no archive, or cannot be written.
pub fn unpack(archive: &[u8], directory: &Path) -> io::Result<()> {
    let tar = zstd::stream::decode_all(archive)?;
    Archive::new(tar.as_slice()).unpack(directory)
}

fn append(tar: &mut Builder<Vec<u8>>, root: &Path, below: &Path) -> io::Result<()> {
    let mut names = fs::read_dir(root.join(below))?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let path = below.join(name);
        let metadata = fs::symlink_metadata(root.join(&path))?;
        let mut header = Header::new_gnu();
        header.set_mode(Permissions::mode(&metadata.permissions()) & 0o777);
        if metadata.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            tar.append_data(&mut header, &path, io::empty())?;
            append(tar, root, &path)?;
        } else {
            let content = fs::read(root.join(&path))?;
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, &path, content.as_slice())?;
        }
    }
    Ok(())
}
