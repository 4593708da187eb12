//! For fuzzing: the journal's files, whole and in parts.

use std::path::Path;

use bytes::Bytes;

use super::files::{self, Use};
use super::format::{self, FileHeader, FrameHeader, HEADER_BYTES};
use super::record::{self, Changes};
use super::{Place, replay};
use crate::codec::Reader;
use crate::error::Result;
use crate::fuzzing::input::{Input, damages};
use crate::fuzzing::memory::MemoryDisk;
use crate::fuzzing::{Decoder, home, must};
use crate::identity::{KeyGeneration, Lsn};

pub(crate) const DECODERS: &[Decoder] = &[
    Decoder { name: "journal-file-name", run: file_name, seeds: || vec![b"00000001.journal".to_vec()] },
    Decoder { name: "journal-file-header", run: file_header, seeds: || vec![header_bytes()] },
    Decoder { name: "journal-frame-header", run: frame_header, seeds: frame_header_seeds },
    Decoder {
        name: "journal-record",
        run: journal_record,
        seeds: || genuine().into_iter().map(encode).collect(),
    },
    Decoder { name: "journal-frame", run: frame, seeds: frame_seeds },
    Decoder { name: "journal-file", run: file, seeds: || vec![genuine_file()] },
    Decoder { name: "journal-damage", run: damage, seeds: damages },
];

const DIRECTORY: &str = "/journal";

fn genuine() -> Vec<(Lsn, Changes)> {
    let value = |length| Some(Bytes::from(vec![7; length]));
    let changes = [
        Changes::from([(Bytes::from_static(b"a"), value(3)), (Bytes::from_static(b"b"), None)]),
        Changes::from([(Bytes::from_static(b"a"), None)]),
        Changes::new(),
        Changes::from([(Bytes::from_static(b"c"), value(5000))]),
    ];
    changes.into_iter().zip(1..).map(|(changes, lsn)| (Lsn(lsn), changes)).collect()
}

fn encode((lsn, changes): (Lsn, Changes)) -> Vec<u8> {
    record::encode(lsn, &changes)
}

fn header() -> FileHeader {
    FileHeader { number: 1, first: Lsn(1), id: [7; 16], generation: KeyGeneration::FIRST }
}

fn header_bytes() -> Vec<u8> {
    must(header().encode(&home(&MemoryDisk::default()))).as_slice().to_vec()
}

/// A file with a frame for each of the contents, and where each frame ends.
fn file_of(contents: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let key = must(header().sealing_key(&home(&MemoryDisk::default())));
    let (mut bytes, mut ends) = (header_bytes(), Vec::new());
    for (number, content) in (0..).zip(contents) {
        let content_bytes = u32::try_from(content.len()).unwrap_or_default();
        let header = FrameHeader { number, first: Lsn(number + 1), content_bytes }.encode();
        let mut sealed = content.clone();
        must(key.seal(number, &header, &mut sealed));
        let end = bytes.len() + format::frame_bytes(content.len());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&sealed);
        bytes.resize(end, 0);
        ends.push(end);
    }
    (bytes, ends)
}

fn genuine_file() -> Vec<u8> {
    file_of(&genuine().into_iter().map(encode).collect::<Vec<_>>()).0
}

fn replayed(bytes: &[u8]) -> Result<Vec<(Lsn, Changes)>> {
    let directory = Path::new(DIRECTORY);
    let disk = MemoryDisk::with(&files::path(directory, 1, Use::Journal), bytes);
    let place = Place {
        directory: directory.to_owned(),
        home: home(&disk),
        file_bytes: bytes.len() as u64,
        fold_bytes: 0,
    };
    let mut records = Vec::new();
    replay(&place, Lsn(0), |lsn, changes| {
        records.push((lsn, changes));
        Ok(())
    })?;
    Ok(records)
}

fn file_name(data: &[u8]) {
    let Ok(name) = std::str::from_utf8(data) else { return };
    if let Some((number, kind)) = files::parse(name) {
        assert_eq!(files::path(Path::new(DIRECTORY), number, kind), Path::new(DIRECTORY).join(name));
    }
}

fn file_header(data: &[u8]) {
    let home = home(&MemoryDisk::default());
    if let Ok(header) = FileHeader::decode(data, &home) {
        let encoded = must(header.encode(&home));
        let length = data.len().min(encoded.as_slice().len());
        // What follows the tag is not looked at: the header of a new file is one block, of which the rest is zero.
        let signed = format::FRAME_HEADER_BYTES + 52;
        assert_eq!(data.get(..signed), encoded.as_slice().get(..signed));
        assert!(length >= signed);
    }
}

fn frame_header(data: &[u8]) {
    if let Some(header) = FrameHeader::decode(data) {
        assert!(data.starts_with(&header.encode()));
        assert!(header.sealed_bytes().is_some_and(|bytes| bytes >= header.content_bytes as usize));
    }
}

fn frame_header_seeds() -> Vec<Vec<u8>> {
    vec![FrameHeader { number: 1, first: Lsn(2), content_bytes: 3 }.encode()]
}

fn journal_record(data: &[u8]) {
    let mut reader = Reader::new(data);
    let Ok((lsn, changes)) = record::decode(&mut reader) else { return };
    let encoded = record::encode(lsn, &changes);
    assert_eq!([encoded.as_slice(), reader.rest()].concat(), data);
    let content = changes.iter().map(|(key, value)| record::change_bytes(key, value.as_ref())).sum();
    assert_eq!(record::record_bytes(content), encoded.len());
}

/// A frame of any content: what is applied is what was in it.
fn frame(data: &[u8]) {
    let Ok(records) = replayed(&file_of(&[data.to_vec()]).0) else { return };
    assert!((1..).zip(&records).all(|(lsn, (found, _))| found.0 == lsn));
    assert_eq!(records.into_iter().map(encode).collect::<Vec<_>>().concat(), data);
}

fn frame_seeds() -> Vec<Vec<u8>> {
    vec![Vec::new(), genuine().into_iter().map(encode).collect::<Vec<_>>().concat()]
}

/// A file of any bytes: nobody can make a record that was not written.
fn file(data: &[u8]) {
    if let Ok(records) = replayed(data) {
        assert!(genuine().starts_with(&records));
    }
}

/// A damaged file gives the records before the damage, and only if no whole frame stands behind it.
fn damage(data: &[u8]) {
    let (bytes, ends) = file_of(&genuine().into_iter().map(encode).collect::<Vec<_>>());
    let damaged = Input::new(data).damage(&bytes);
    let Ok(records) = replayed(&damaged) else { return };
    assert!(genuine().starts_with(&records));
    let mut start = HEADER_BYTES as usize;
    for (number, end) in ends.into_iter().enumerate() {
        let whole = damaged.len() >= end && damaged.get(start..end) == bytes.get(start..end);
        assert!(!whole || number <= records.len(), "frame {number} was whole, and lost");
        assert!(!whole || number != records.len(), "frame {number} was whole, and not applied");
        start = end;
    }
}
