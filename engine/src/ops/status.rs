//! How a file system stands, and `df`.

use crate::error::Result;
use crate::file_system::Space;
use crate::limits::{FILE_SYSTEM_BYTES, FILE_SYSTEM_FILES};
use crate::records::key;
use crate::tiering::{Backlog, Health, HealthState, JournalStatus, Status, Tier, TierStatus};
use crate::volume::{Look, Volume};

impl Volume {
    pub(crate) fn space_usage(&self) -> Result<Space> {
        let totals = self.totals()?;
        let used = totals.standard_bytes + totals.cold_bytes + totals.piece_bytes + self.buffer.bytes();
        Ok(Space {
            total_bytes: FILE_SYSTEM_BYTES,
            free_bytes: FILE_SYSTEM_BYTES.saturating_sub(used),
            total_files: FILE_SYSTEM_FILES,
            free_files: FILE_SYSTEM_FILES.saturating_sub(totals.inodes),
        })
    }

    pub(crate) fn status(&self) -> Result<Status> {
        let totals = self.totals()?;
        let segments = self.segments()?;
        let tier = |name: Tier, bytes, files| {
            let own = || segments.values().filter(move |record| record.tier == name);
            TierStatus {
                name,
                bytes,
                files,
                stored_bytes: own().map(|record| record.written_bytes).sum(),
                segments: own().count() as u64,
            }
        };
        let journal = self.store.statistics();
        let (from, end) = key::family(b'o', b"");
        Ok(Status {
            id: self.id.to_string(),
            tiers: vec![
                tier(
                    Tier::Standard,
                    totals.standard_bytes + totals.piece_bytes,
                    totals.files - totals.cold_files,
                ),
                tier(Tier::InfrequentAccess, totals.cold_bytes, totals.cold_files),
            ],
            journal: JournalStatus { bytes: journal.journal_bytes, bytes_max: journal.journal_bytes_max },
            backlog: Backlog {
                unflushed_bytes: self.buffer.bytes(),
                piece_bytes: totals.piece_bytes,
                orphans: self.store.scan_all(&(from, end))?.len() as u64,
                dead_segments: self.dead_segments()?.len() as u64,
                index_entries: self.store.rebuilding().map_or(0, |rebuild| rebuild.entries_left()),
            },
            requests: self.cold.requests(),
            keys: self.key_status()?,
            health: self.health(),
        })
    }

    fn health(&self) -> Health {
        let halted = self.store.halted().or_else(|| self.standard.halted());
        if let Some(reason) = halted {
            let advice = "nothing more is accepted; repair the disk, then start the server anew";
            return Health { state: HealthState::Halted, reasons: vec![format!("{reason}: {advice}")] };
        }
        let mut reasons = Vec::new();
        if let Some(reason) = self.cold.health() {
            reasons
                .push(format!("the object store is away ({reason}): cold reads and transitions wait for it"));
        }
        if self.space.is_full() {
            reasons.push("the disk is nearly full: new data is refused until space is freed".to_owned());
        }
        reasons.extend(self.store.wants_space().map(|what| format!("the disk is full: {what}")));
        reasons.extend(self.damage_reason());
        reasons.extend(self.scrub.reason());
        let state = if reasons.is_empty() { HealthState::Ok } else { HealthState::Degraded };
        Health { state, reasons }
    }
}
