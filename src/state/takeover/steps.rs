//! Which side decides at each token endpoint. Going back to the old system loses the accounts that it does not know, so
//! that is noticed, and asked about.

use serde_json::json;

use crate::{
    domain::{RealmName, Timestamp},
    state::store::{Action, AuditedStore, Entry, Store, StoreError, Turn, query},
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

/// The side that decides for a realm; `None` where nobody took over anything.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn find(store: &Store, realm: &RealmName) -> Result<Option<Decider>, StoreError> {
    let row = query("SELECT portero, since, accepted_loss FROM migration_steps WHERE realm = $1");
    let row = row.bind(realm.as_str()).optional(store).await?;
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
pub async fn note(store: &AuditedStore, realm: &RealmName, portero: bool, now: Timestamp) -> Result<(), StoreError> {
    let known = find(store, realm).await?;
    if known.as_ref().is_some_and(|known| known.portero == portero) {
        return Ok(());
    }
    let statement = "INSERT INTO migration_steps (realm, portero, since, accepted_loss) VALUES ($1, $2, $3, 0) \
                     ON CONFLICT (realm) DO UPDATE SET portero = excluded.portero, since = excluded.since, \
                     accepted_loss = 0 WHERE migration_steps.portero <> excluded.portero";
    let mut transaction = store.begin(Turn::Nothing).await?;
    let statement = query(statement).bind(realm.as_str()).bind(portero).bind(now.as_millis());
    if statement.execute(&mut transaction).await? == 0 {
        // Another gateway with the same config noted it.
        return transaction.rollback().await;
    }
    let decides = |portero| json!({ "decides": if portero { "portero" } else { "old system" } });
    let entry = Entry::of(Action::MigrationStep).in_realm(realm).to(decides(portero));
    let entry = match known {
        Some(known) => entry.from(decides(known.portero)),
        None => entry,
    };
    transaction.commit(entry).await
}

/// Notes how many accounts may be lost in going back.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn accept_loss(store: &AuditedStore, realm: &RealmName, accounts: u64) -> Result<(), StoreError> {
    let mut transaction = store.begin(Turn::Nothing).await?;
    let statement = query("UPDATE migration_steps SET accepted_loss = $2 WHERE realm = $1");
    let statement = statement.bind(realm.as_str()).bind(i64::try_from(accounts).unwrap_or(i64::MAX));
    statement.execute(&mut transaction).await?;
    transaction.commit(Entry::of(Action::MigrationBack).in_realm(realm).to(json!({ "accepted_loss": accounts }))).await
}
