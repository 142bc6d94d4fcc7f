//! Keeps the store small: clears away what deleted accounts left, and empties the journal, a little at a time.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::state::{
    session,
    store::{Store, StoreError},
};

/// How often.
const EVERY: Duration = Duration::from_secs(60);

/// Rows that one transaction removes, at most, so that no writer waits long for it.
const ROWS_MAX: u32 = 1_000;

/// Between two transactions. SQLite has no queue: a writer that waits must find the lock free some time.
const PAUSE: Duration = Duration::from_millis(25);

/// Does so now and then, until `stop` says true. It may be dropped at any point: what is left is done the next time.
pub async fn run(store: Store, mut stop: watch::Receiver<bool>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        let done = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            done = once(&store) => done,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the store could not be tidied; it is tried again in a minute");
        }
    }
}

async fn once(store: &Store) -> Result<(), StoreError> {
    let cleared = clear_deleted(store).await;
    // Whatever came of that: keys that were wiped stand in the journal. Where somebody reads all the time, the next
    // minute will do.
    let emptied = store.empty_journal().await.map(drop);
    cleared.and(emptied)
}

async fn clear_deleted(store: &Store) -> Result<(), StoreError> {
    while session::clear_deleted(store, ROWS_MAX).await? {
        sleep(PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{PrincipalId, PrincipalKind, Secret, Timestamp},
        rules::dialect::AccountName,
        state::{
            account::{self, LegacyId, NewAccount, password},
            store::Settings,
        },
    };

    /// Sessions of the account that is deleted.
    const SESSIONS: i64 = 5_000;

    async fn count(store: &Store, account: PrincipalId) -> usize {
        session::list(store, &"toc".parse().unwrap(), account, None, 10_000).await.unwrap().len()
    }

    #[tokio::test]
    async fn a_large_account_ends_at_once_and_its_sessions_go_in_pieces_even_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { path: folder.path().join("portero.db") };
        let store = Store::make(&settings).await.unwrap();
        let realm: crate::domain::RealmName = "toc".parse().unwrap();
        let name = AccountName { business: "b".into(), name: "p".into() };
        let new = NewAccount {
            id: PrincipalId::generate(),
            realm: realm.clone(),
            kind: PrincipalKind::Project,
            name: name.clone(),
            display_name: None,
            legacy_id: LegacyId::None,
            role: None,
            scopes: vec![],
            company: None,
            grants: None,
        };
        let hash = password::hash(&Secret::from("secret")).unwrap();
        let now = Timestamp::from_secs(1_000);
        account::insert(&store, &new, &hash, now).await.unwrap();
        session::fill(&store, &realm, new.id, SESSIONS).await;
        assert_eq!(count(&store, new.id).await, 5_000);

        let raised = account::delete(&store, &realm, &name, now).await.unwrap();
        assert!(raised.contains(&(new.id, crate::domain::EPOCH_DELETED)), "its tokens have ended");
        assert_eq!(account::find(&store, &realm, &name).await.unwrap(), None);
        assert_eq!(count(&store, new.id).await, 4_000, "one piece went with it");
        assert!(session::clear_deleted(&store, ROWS_MAX).await.unwrap());
        assert_eq!(count(&store, new.id).await, 3_000);
        // As after a crash: another process goes on.
        store.close().await;
        let store = Store::open(&settings).await.unwrap();
        once(&store).await.unwrap();
        assert_eq!(count(&store, new.id).await, 0);
        assert!(!session::clear_deleted(&store, ROWS_MAX).await.unwrap(), "nothing is left to do");
    }
    #[tokio::test]
    async fn the_journal_is_emptied_where_nothing_can_be_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::make(&Settings { path: folder.path().join("portero.db") }).await.unwrap();
        let mut transaction = store.begin().await.unwrap();
        sqlx::query("DROP TABLE deletions").execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let journal = || std::fs::metadata(folder.path().join("portero.db-wal")).unwrap().len();
        assert!(journal() > 0);
        once(&store).await.unwrap_err();
        assert_eq!(journal(), 0);
    }
}
