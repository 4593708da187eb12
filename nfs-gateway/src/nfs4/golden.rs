//! Golden files: file handles, and the records of clients, on the file system that the engine's golden files have.

use std::path::Path;
use std::time::Duration;

use ::golden::{Format, Row, join_rows, split_rows};
use engine::{
    Budgets, ColdStoreConfig, Environment, FileSystem, Generation, InodeId, KeySource, OpenOptions,
};

use super::recovery::{record_key, record_value, recorded};
use super::service::Service;
use crate::export::Export;

pub(crate) const FORMATS: &[Format] = &[
    Format { name: "file-handle", write: Some(write_handles), read: read_handles },
    Format { name: "client-record", write: Some(write_records), read: read_records },
];

/// Does something with the file system that was closed long ago.
fn on_golden<T>(work: impl AsyncFnOnce(&FileSystem) -> T) -> T {
    let directory = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/testdata/file-system-closed.tar.zst");
    ::golden::archive::unpack(&std::fs::read(archive).unwrap(), directory.path()).unwrap();
    let data = directory.path().join("data");
    let options = OpenOptions {
        key: KeySource::File(directory.path().join("key")),
        cold: ColdStoreConfig::Directory(directory.path().join("cold")),
        environment: Environment::system(),
        budgets: Budgets { journal_bytes: 16 << 20, ..Budgets::default() },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let id = FileSystem::list(&data).unwrap()[0];
        let file_system = FileSystem::open(&data, id, options).await.unwrap();
        let done = work(&file_system).await;
        file_system.shutdown().await.unwrap();
        done
    })
}

/// The server, started on it.
fn start(file_system: &FileSystem) -> Service {
    let lease = Duration::from_secs(90);
    Service::start(Export::new(file_system.clone()), Environment::system(), lease).unwrap()
}

const PATHS: [&str; 3] = ["/", "/small", "/a/b/empty"];

fn write_handles() -> Vec<u8> {
    on_golden(async |file_system| {
        let codec = start(file_system).handles;
        let handle = |path: &str| {
            let found = file_system.resolve_path(path.as_bytes()).unwrap();
            (path.to_owned(), codec.encode(found.inode, found.generation).to_vec())
        };
        join_rows(&PATHS.map(handle))
    })
}

/// Clients keep handles for ever.
fn read_handles(stored: &[u8]) {
    let (codec, expected) = on_golden(async |file_system| {
        let found = PATHS.map(|path| file_system.resolve_path(path.as_bytes()).unwrap());
        (start(file_system).handles, found.map(|found| (found.inode, found.generation)))
    });
    let found: Vec<_> = split_rows(stored).iter().map(|(_, handle)| codec.decode(handle).unwrap()).collect();
    assert_eq!(found, expected);
    assert_eq!(found[0], (InodeId::ROOT, Generation(1)));
}

/// The names that clients gave themselves, short and long.
fn owners() -> [(Vec<u8>, [u8; 8]); 3] {
    [
        (b"Linux NFSv4.1 host".to_vec(), *b"verifier"),
        (vec![0xff; 128], [0; 8]),
        ([7; 129].to_vec(), [1, 2, 3, 4, 5, 6, 7, 8]),
    ]
}

fn records() -> [Row; 3] {
    owners().map(|(owner, verifier)| (record_key(&owner), record_value(verifier)))
}

fn write_records() -> Vec<u8> {
    join_rows(&records())
}

/// A server that finds the records lets these clients reclaim what they had, and the one that the file system has.
fn read_records(stored: &[u8]) {
    let rows = split_rows(stored);
    on_golden(async |file_system| {
        assert_eq!(recorded(file_system).unwrap(), [record_key(b"Linux")]);
        for (key, value) in &rows {
            file_system.set_note(key, Some(value)).await.unwrap().durable().await.unwrap();
        }
        let service = start(file_system);
        assert!(service.in_grace());
        let grace = service.grace.lock();
        assert!(grace.may_reclaim(&record_key(b"Linux")) && !grace.may_reclaim(&record_key(b"other")));
        for (owner, _) in owners() {
            assert!(grace.may_reclaim(&record_key(&owner)));
        }
    });
    assert_eq!(rows, records());
}
