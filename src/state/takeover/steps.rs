//! Who decides at each token endpoint. Going back to the old system loses the accounts that it does not know, so that is
//! noticed, and asked about.

use crate::{
    domain::Timestamp,
    state::store::{Store, StoreError, query},
};

/// What is known of an endpoint's realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decider {
    /// Whether Portero decides; else the old system does.
    pub portero: bool,
    /// Since when.
    pub since: Timestamp,
    /// How many accounts may be lost in going back.
    pub accepted_loss: u64,
}

/// Who decides for a realm; `None` where nobody took over anything.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn find(store: &Store, realm: &str) -> Result<Option<Decider>, StoreError> {
    let row = query("SELECT portero, since, accepted_loss FROM migration_steps WHERE realm = $1");
    let row = row.bind(realm).optional(store).await?;
    row.map(|row| {
        Ok(Decider {
            portero: row.get("portero")?,
            since: Timestamp::from_millis(row.get("since")?),
            accepted_loss: u64::try_from(row.get::<i64>("accepted_loss")?).unwrap_or(0),
        })
    })
    .transpose()
}

/// Notes who decides for a realm from now on. What was accepted for going back is used up when that is done.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn note(store: &Store, realm: &str, portero: bool, now: Timestamp) -> Result<(), StoreError> {
    let statement = "INSERT INTO migration_steps (realm, portero, since, accepted_loss) VALUES ($1, $2, $3, 0) \
                     ON CONFLICT (realm) DO UPDATE SET portero = excluded.portero, since = excluded.since, \
                     accepted_loss = 0 WHERE migration_steps.portero <> excluded.portero";
    query(statement).bind(realm).bind(portero).bind(now.as_millis()).execute(store).await?;
    Ok(())
}

/// Notes how many accounts may be lost in going back.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn accept_loss(store: &Store, realm: &str, accounts: u64) -> Result<(), StoreError> {
    let statement = "UPDATE migration_steps SET accepted_loss = $2 WHERE realm = $1";
    query(statement).bind(realm).bind(i64::try_from(accounts).unwrap_or(i64::MAX)).execute(store).await?;
    Ok(())
}
