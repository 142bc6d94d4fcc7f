//! Wraps sealed hashes in argon2id, in pages. It may be stopped at any point: what is wrapped stays, and the next one
//! goes on with the rest.

use std::{num::NonZeroUsize, sync::Arc};

use tokio::task::JoinSet;

use super::super::{AdminError, AdminService};
use crate::state::{
    account::{
        PasswordKey,
        import::{SEALED_AT_ONCE, sealed_after, sealed_count, store_wrapped},
    },
    takeover::confirmation,
};

/// What was wrapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wrapped {
    /// Accounts whose hash is wrapped now.
    pub accounts: u64,
    /// Accounts whose sealed hash does not open: they have no password that anybody knows.
    pub unopenable: u64,
    /// Accounts that were sealed when it began.
    pub of: u64,
}

impl AdminService {
    /// Wraps every sealed hash, on so many threads of its own. `report` is told how far it is.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged, or when its password key does not open.
    pub async fn wrap_sealed(
        &self,
        threads: NonZeroUsize,
        report: &mut dyn FnMut(&Wrapped),
    ) -> Result<Wrapped, AdminError> {
        let mut done = Wrapped { of: sealed_count(&self.store).await?, ..Wrapped::default() };
        if done.of == 0 {
            return Ok(done);
        }
        let key = Arc::new(self.vault.make_password_key().await?);
        report(&done);
        let mut after = None;
        loop {
            let page = sealed_after(&self.store, after, SEALED_AT_ONCE).await?;
            let Some((last, _)) = page.last() else { return Ok(done) };
            after = Some(*last);
            let number = page.len() as u64;
            let share = page.len().div_ceil(threads.get());
            let mut working = JoinSet::new();
            for share in page.chunks(share) {
                let (share, key) = (share.to_vec(), Arc::clone(&key));
                working.spawn_blocking(move || wrapped(share, &key));
            }
            let wrapped: Vec<_> = working.join_all().await.into_iter().flatten().collect();
            done.unopenable += number - wrapped.len() as u64;
            done.accounts += store_wrapped(&self.store, &wrapped).await?;
            confirmation::rehashed(&self.store, &wrapped).await?;
            report(&done);
        }
    }
}

type Sealed = (crate::domain::PrincipalId, crate::state::account::PasswordHash);

/// Those that open, each with what takes its place.
fn wrapped(
    sealed: Vec<Sealed>,
    key: &PasswordKey,
) -> Vec<(crate::domain::PrincipalId, crate::state::account::PasswordHash, crate::state::account::PasswordHash)> {
    let wrap = |(id, sealed): Sealed| {
        let wrapped = sealed.wrap(id, key).ok().flatten()?;
        Some((id, sealed, wrapped))
    };
    sealed.into_iter().filter_map(wrap).collect()
}
