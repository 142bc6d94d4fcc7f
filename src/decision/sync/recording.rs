//! Handing what came in to the store's snapshot on the disk.

use std::time::Duration;

use super::error::StoreSyncError;
use crate::{
    decision::decide::freshness::Moment,
    state::{
        account::KnownAccounts,
        keys::Vault,
        store::Position,
        store_snapshot::{Boot, Confirmed, Instant, Recorder},
    },
};

/// A recorder, and what was confirmed last.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) recorder: Recorder,
    boot: Boot,
    confirmed: Option<Moment>,
}

impl Recording {
    pub(super) fn new(recorder: Recorder) -> Self {
        Self { recorder, boot: Boot::present(), confirmed: None }
    }

    /// Everything that was acknowledged before `began` is known.
    pub(super) const fn confirm(&mut self, began: Moment) {
        self.confirmed = Some(began);
    }

    /// Notes the keys as the store has them now.
    pub(super) async fn note_keys(&mut self, vault: &Vault) -> Result<(), StoreSyncError> {
        let kept = vault.kept().await?;
        Ok(self.recorder.note_keys(vault, kept)?)
    }

    /// Hands over what was noted, all of which was read up to here: of the feed, and of accounts.
    pub(super) fn hand_over(
        &mut self,
        position: Option<Position>,
        (accounts, accounts_seen): (&KnownAccounts, i64),
        now: Duration,
    ) {
        let Some((position, began)) = position.zip(self.confirmed) else { return };
        self.recorder.note_realms(accounts.realms());
        let at = Instant { civil: began.civil(), since_boot: began.since_boot(), boot: self.boot };
        self.recorder.confirm(Confirmed { position, accounts_seen, at }, now);
    }
}
