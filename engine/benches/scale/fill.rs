//! Which files there are, and creating them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::{CreateMode, Credential, Entry, FileSystem, InodeId, SetAttributes, Stability, Ticket};

/// Files in a directory.
pub(crate) const DIRECTORY_FILES: u64 = 4096;
/// Every so many files one has content; the others are empty.
const CONTENT_EVERY: u64 = 16;
/// What it has.
const CONTENT: &[u8] = &[0x5a; 1024];
/// Changes that are under way at a time.
const IN_FLIGHT: usize = 512;

/// The name of the directory that a file is in.
pub(crate) fn directory_name(file: u64) -> String {
    format!("directory-{:06}", file / DIRECTORY_FILES)
}

/// The name of a file.
pub(crate) fn file_name(file: u64) -> String {
    format!("file-{file:010}.data")
}

/// How a range of files was created.
pub(crate) struct Filled {
    pub(crate) elapsed: Duration,
    /// The longest that one create took to be accepted: how hard backpressure can be.
    pub(crate) longest: Duration,
}

/// Creates the files `from..to`, and calls now and then with the number of those that are durable.
pub(crate) async fn fill(fs: &FileSystem, from: u64, to: u64, durable: impl Fn(u64)) -> Filled {
    let root = Credential::root();
    let set = SetAttributes::default();
    let started = Instant::now();
    let mut longest = Duration::ZERO;
    let mut waiting: VecDeque<Ticket> = VecDeque::with_capacity(IN_FLIGHT);
    let mut directory = InodeId::ROOT;
    for file in from..to {
        if file == from || file.is_multiple_of(DIRECTORY_FILES) {
            directory = directory_of(fs, file).await;
        }
        let one = Instant::now();
        let name = file_name(file);
        let entry = Entry { directory, name: name.as_bytes() };
        let created = fs.create(&root, entry, CreateMode::Guarded, &set).await.unwrap();
        let (created, mut ticket) = created.into_parts();
        if file.is_multiple_of(CONTENT_EVERY) {
            let content = Bytes::from_static(CONTENT);
            let inode = created.attributes.inode;
            let written = fs.write(&root, inode, 0, content, Stability::FileSync).await.unwrap();
            ticket = ticket.merge(written.ticket);
        }
        longest = longest.max(one.elapsed());
        waiting.push_back(ticket);
        if waiting.len() == IN_FLIGHT
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.durable().await.unwrap();
            durable(file + 1 - IN_FLIGHT as u64);
        }
    }
    for ticket in waiting {
        ticket.durable().await.unwrap();
    }
    durable(to);
    Filled { elapsed: started.elapsed(), longest }
}

/// The directory of a file, made if it is not there.
async fn directory_of(fs: &FileSystem, file: u64) -> InodeId {
    let name = directory_name(file);
    let entry = Entry { directory: InodeId::ROOT, name: name.as_bytes() };
    if let Ok(found) = fs.lookup(&Credential::root(), entry) {
        return found.inode;
    }
    let made = fs.make_directory(&Credential::root(), entry, &SetAttributes::default()).await.unwrap();
    made.durable().await.unwrap().into_inner().attributes.inode
}
