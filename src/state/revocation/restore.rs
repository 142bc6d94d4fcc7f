//! A store that came back with another history may not know what was revoked: what is in force here is written again.

use super::{
    log::{self, Record},
    memory::Revocations,
};
use crate::{
    domain::Timestamp,
    state::store::{Store, StoreError, Turn},
};

/// Records that are looked for, and written, in one transaction.
const AT_ONCE: usize = 1_000;

/// Writes what is in force in memory, and is missing in the store or less strict there, to the store; an account's
/// epoch is raised to the highest that is known. Adds to `written` how many records it wrote.
///
/// # Errors
/// Fails when the store is out of reach or damaged. What was written until then stays, and the rest can be tried again.
pub async fn restore(
    revocations: &Revocations,
    store: &Store,
    now: Timestamp,
    written: &mut u64,
) -> Result<(), StoreError> {
    for part in 0..Revocations::PARTS {
        for held in revocations.held(part, now).chunks(AT_ONCE) {
            let missing = log::missing(store, held).await?;
            if !missing.is_empty() {
                write(store, &missing).await?;
                *written += missing.len() as u64;
            }
        }
    }
    Ok(())
}

async fn write(store: &Store, records: &[Record]) -> Result<(), StoreError> {
    let mut transaction = store.begin(Turn::Epochs).await?;
    // Accounts first, as everybody does who changes one.
    for record in records {
        log::raise_epoch_in(&mut transaction, record).await?;
    }
    log::append_all_in(&mut transaction, records).await?;
    transaction.commit().await
}
