//! Writing down again what is in force here and a store with another history lacks.
//!
//! It goes on beside the following of that store. This gateway refuses by memory what it knows, whether the store has
//! it or not, so that it need not wait; and with very many revocations it takes minutes.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::error::StoreSyncError;
use crate::{
    decision::decide::live_state::LiveState,
    domain::Clock,
    state::{
        admin_token::{self, AdminTokenError},
        keys::{KeyState, Vault},
        revocation,
    },
};

/// Between two attempts.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The restoring that goes on, if any. It ends with this.
#[derive(Debug, Default)]
pub(super) struct Restoring(JoinSet<()>);

impl Restoring {
    /// Begins, from the beginning where one goes on: by now the store may be another one. It reads and writes by the
    /// vault's handle.
    pub(super) fn begin(&mut self, live_state: &Arc<LiveState>, vault: &Vault, clock: &Arc<dyn Clock>) {
        self.0 = JoinSet::new();
        self.0.spawn(until_done(Arc::clone(live_state), vault.clone(), Arc::clone(clock)));
    }
}

async fn until_done(live_state: Arc<LiveState>, vault: Vault, clock: Arc<dyn Clock>) {
    let mut written = 0;
    let mut said: Option<String> = None;
    while let Err(error) = once(&live_state, &vault, &*clock, &mut written).await {
        let text = error.to_string();
        if said.as_ref() != Some(&text) {
            tracing::error!(error = text, "what the store does not know any more cannot be written again yet");
            said = Some(text);
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
    if written > 0 {
        tracing::warn!(written, "revocations that the store did not know any more were written again");
    }
}

/// Goes through all that is in force, and adds to `written` what it wrote.
async fn once(
    live_state: &LiveState,
    vault: &Vault,
    clock: &dyn Clock,
    written: &mut u64,
) -> Result<(), StoreSyncError> {
    // Keys first: they are few, and a realm whose key is revoked here alone signs nothing meanwhile.
    let snapshot = live_state.snapshot();
    let revoked: Vec<_> = snapshot.keys.own().filter(|key| key.state == KeyState::Revoked).collect();
    for record in vault.records().await? {
        let was_revoked = record.state != KeyState::Revoked && revoked.iter().any(|key| key.id == record.id);
        if was_revoked && vault.revoke(&record.id, clock.now()).await?.is_some() {
            *written += 1;
        }
    }
    let tokens = live_state.admin_tokens();
    // The same revision may stand for something else here.
    tokens.begin_anew();
    tokens.follow(vault.store()).await?;
    for name in tokens.revived() {
        match admin_token::revoke(&vault.audited_store(), &name, clock.now()).await {
            Ok(()) => *written += 1,
            Err(AdminTokenError::Store(error)) => return Err(error.into()),
            // Another gateway was first.
            Err(_) => {}
        }
    }
    revocation::restore(live_state.revocations(), vault.store(), clock.now(), written).await?;
    Ok(())
}
