//! Small durable records of the layers above.

use bytes::Bytes;

use crate::broken::{Broken, broken};
use crate::error::Result;
use crate::journal::Ticket;
use crate::records::key;
use crate::volume::{Look, Volume};

impl Volume {
    pub(crate) fn note(&self, name: &str) -> Result<Option<Bytes>> {
        self.store.get(&key::note(name))
    }

    pub(crate) fn notes(&self, prefix: &str) -> Result<Vec<(String, Bytes)>> {
        let rows = self.store.scan_all(&key::family(b'n', prefix.as_bytes()))?;
        Ok(rows.into_iter().filter_map(|(row, value)| Some((key::note_name(&row)?, value))).collect())
    }

    pub(crate) async fn set_note(&self, name: &str, value: Option<&[u8]>) -> Result<Ticket> {
        self.store.admit().await?;
        let mut change = self.begin()?;
        match value {
            Some(value) => change.put(key::note(name), value.to_vec()),
            None => change.delete(key::note(name)),
        }
        let ticket = change.commit();
        Ok(if broken(Broken::NoteNotAwaited) { Ticket::nothing() } else { ticket })
    }
}
