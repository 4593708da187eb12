//! For fuzzing: the names of objects.

use object_store::path::Path;

use super::location::Location;
use crate::file_system::ColdStoreConfig;
use crate::fuzzing::Decoder;
use crate::fuzzing::input::Input;
use crate::identity::{FileSystemId, SegmentId};

pub(crate) const DECODERS: &[Decoder] = &[Decoder { name: "object-name", run: object_name, seeds }];

fn location() -> Location {
    Location::new(&ColdStoreConfig::Directory("/cold".into()), FileSystemId::from_random([1; 16]))
}

fn object_name(data: &[u8]) {
    let segment = SegmentId(Input::new(data).array());
    assert_eq!(location().parse(&location().segment(segment)), Some(segment));
    let Some(path) = std::str::from_utf8(data).ok().and_then(|text| Path::parse(text).ok()) else { return };
    if let Some(segment) = location().parse(&path) {
        assert_eq!(location().segment(segment), path);
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let path = location().segment(SegmentId([0xab; 16]));
    vec![path.as_ref().as_bytes().to_vec(), vec![1; 16]]
}
