//! Operations with odd names, for the statuses that they get.
use std::net::SocketAddr;

use anyhow::Result;

use super::compound::{Compound, NFS4_OK};
use super::session::{Session, SessionError};

/// What a server answered.
#[derive(Debug, Clone)]
pub struct NameStatuses {
    /// To a LOOKUP of each name in the root.
    pub lookup: Vec<u32>,
    /// To a REMOVE of a directory with something in it.
    pub remove_full_directory: u32,
}

/// Looks up names in the root, one after the other on one session, and removes a directory that is not empty.
pub fn statuses_of_names(server: SocketAddr, names: &[&[u8]]) -> Result<NameStatuses> {
    let mut session = Session::connect(server, "tidefs-names", 1)?;
    let mut lookup = Vec::new();
    for name in names {
        let mut compound = Compound::default();
        compound.put_root().look_up(name);
        lookup.push(status(&mut session, &compound)?);
    }
    let mut compound = Compound::default();
    compound.put_root().make_directory(b"outer").make_directory(b"inner");
    session.call(&compound, |_| Ok(()))?;
    let mut compound = Compound::default();
    compound.put_root().remove(b"outer");
    Ok(NameStatuses { lookup, remove_full_directory: status(&mut session, &compound)? })
}

fn status(session: &mut Session, compound: &Compound) -> Result<u32> {
    match session.call(compound, |_| Ok(())) {
        Ok(()) => Ok(NFS4_OK),
        Err(error) => match error.downcast_ref::<SessionError>() {
            Some(refused) => Ok(refused.status),
            None => Err(error),
        },
    }
}
