//! Names that no kernel client would send, sent by a raw one.
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use harness::load::statuses_of_names;
use harness::{Cold, Server};

const NFS4ERR_NAMETOOLONG: u32 = 63;
const NFS4ERR_INVAL: u32 = 22;
const NFS4ERR_NOENT: u32 = 2;
const NFS4ERR_NOTEMPTY: u32 = 66;
const NFS4ERR_BADCHAR: u32 = 10040;
const NFS4ERR_BADNAME: u32 = 10041;

#[test]
fn impossible_names_are_refused_and_the_session_goes_on() -> Result<()> {
    let server = Server::start(Cold::Directory)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    let long = vec![b'n'; 256];
    let names: [&[u8]; 7] = [b"a\0b", &long, b"", b"a/b", b".", b"..", b"missing"];
    let statuses = statuses_of_names(address, &names)?;
    let bad: &[u32] = &[NFS4ERR_INVAL, NFS4ERR_BADCHAR, NFS4ERR_BADNAME];
    let expected: [&[u32]; 7] =
        [bad, &[NFS4ERR_NAMETOOLONG], &[NFS4ERR_INVAL], bad, bad, bad, &[NFS4ERR_NOENT]];
    for ((name, status), expected) in names.iter().zip(&statuses.lookup).zip(expected) {
        assert!(expected.contains(status), "LOOKUP of {:?} gave {status}", String::from_utf8_lossy(name));
    }
    assert_eq!(statuses.remove_full_directory, NFS4ERR_NOTEMPTY);
    Ok(())
}
