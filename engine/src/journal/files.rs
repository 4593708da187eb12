//! The names in the journal's directory.
//!
//! `NNNNNNNN.journal` is a file in use, `NNNNNNNN.spare` one that is preallocated and waits for use, `NNNNNNNN.making` one that is
//! being preallocated. Only the numbers of files in use have a meaning: they ascend with the LSNs in them.

use std::path::{Path, PathBuf};

/// What a file in the journal's directory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Journal,
    Spare,
    Making,
}

impl Use {
    fn extension(self) -> &'static str {
        match self {
            Use::Journal => "journal",
            Use::Spare => "spare",
            Use::Making => "making",
        }
    }
}

pub(super) fn path(directory: &Path, number: u64, kind: Use) -> PathBuf {
    directory.join(format!("{number:08}.{}", kind.extension()))
}

/// `None` for a name that the journal does not make.
pub(super) fn parse(name: &str) -> Option<(u64, Use)> {
    let (digits, extension) = name.split_once('.')?;
    let kind =
        [Use::Journal, Use::Spare, Use::Making].into_iter().find(|kind| kind.extension() == extension)?;
    let number = digits.parse().ok()?;
    (format!("{number:08}") == digits).then_some((number, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_as_made() {
        for (number, kind) in [(1, Use::Journal), (123_456_789, Use::Spare), (0, Use::Making)] {
            let path = path(Path::new("/j"), number, kind);
            assert_eq!(parse(path.file_name().unwrap().to_str().unwrap()), Some((number, kind)));
        }
        for wrong in ["1.journal", "00000001", "00000001.other", "x.journal", "+0000001.journal"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
