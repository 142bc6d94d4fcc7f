//! Works off what is too much for one transaction, and keeps the store small: ends the families of refresh tokens of
//! ended clients, clears away what deleted accounts and earlier versions left, and empties the journal, a little at a
//! time.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    domain::Clock,
    state::{
        refresh,
        session::{self, Trimmed},
        store::{Store, StoreError},
    },
};

/// How often.
const EVERY: Duration = Duration::from_secs(60);

/// How often it is asked whether a client was ended that has lines left: the access tokens that it got end with those.
const LINES_EVERY: Duration = Duration::from_secs(1);

/// Rows that one transaction removes, at most, so that no writer waits long for it.
const ROWS_MAX: u32 = 1_000;

/// Between two transactions. SQLite has no queue: a writer that waits must find the lock free some time.
const PAUSE: Duration = Duration::from_millis(25);

/// Looks for sessions of earlier versions, a minute: of a principal, or of as many rows as a transaction removes.
const LOOKS_MAX: u32 = 200;

/// Does so at once, and then now and then, until `stop` says true. It may be dropped at any point: what is left is done
/// the next time.
pub async fn run(store: Store, clock: Arc<dyn Clock>, mut stop: watch::Receiver<bool>) {
    // Beside each other: tokens that are to end do not wait until millions of rows are cleared away.
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = end(&store, &*clock) => {}
        () = tidy(&store) => {}
    }
}

async fn end(store: &Store, clock: &dyn Clock) {
    let mut ticks = interval(LINES_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = end_families(store, clock).await {
            tracing::debug!(%error, "lines of refresh tokens could not be ended; it is tried again in a second");
        }
    }
}

async fn tidy(store: &Store) {
    let mut trimmed = Trimmed::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = once(store, &mut trimmed).await {
            tracing::warn!(%error, "the store could not be tidied; it is tried again in a minute");
        }
    }
}

/// Ends the lines that ended clients still hold.
async fn end_families(store: &Store, clock: &dyn Clock) -> Result<(), StoreError> {
    while refresh::end_more_families(store, clock.now()).await? {
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn once(store: &Store, trimmed: &mut Trimmed) -> Result<(), StoreError> {
    let cleared = clear(store, trimmed).await;
    // Whatever came of that. Where somebody reads all the time, the next minute will do.
    let emptied = store.empty_journal().await.map(drop);
    while store.tidy_feed().await? {
        sleep(PAUSE).await;
    }
    cleared.and(emptied)
}

async fn clear(store: &Store, trimmed: &mut Trimmed) -> Result<(), StoreError> {
    while session::clear_deleted(store, ROWS_MAX).await? {
        sleep(PAUSE).await;
    }
    for _ in 0..LOOKS_MAX {
        let Some(next) = session::trim(store, trimmed.clone(), ROWS_MAX).await? else {
            *trimmed = Trimmed::default();
            break;
        };
        *trimmed = next;
        sleep(PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{AccountName, PrincipalId, PrincipalKind, Secret, SessionId, Timestamp},
        state::{
            account::{self, LegacyId, NewAccount, password},
            revocation::log::{self, Record, RevokedSubject},
            store::StoreSettings,
        },
    };

    /// Sessions of the account that is deleted.
    const SESSIONS: i64 = 5_000;

    fn project() -> (NewAccount, AccountName) {
        let name = AccountName { business: "b".into(), name: "p".into() };
        let new = NewAccount {
            id: PrincipalId::generate(),
            realm: "toc".parse().unwrap(),
            kind: PrincipalKind::Project,
            name: name.clone(),
            display_name: None,
            legacy_id: LegacyId::None,
            role: None,
            scopes: vec![],
            company: None,
            grants: None,
        };
        (new, name)
    }

    async fn count(store: &Store, account: PrincipalId) -> usize {
        session::list(store, &"toc".parse().unwrap(), account, None, 10_000).await.unwrap().len()
    }

    #[tokio::test]
    async fn a_large_account_ends_at_once_and_its_sessions_go_in_pieces_even_after_a_crash() {
        let folder = crate::memory::new_folder();
        let settings = StoreSettings::Sqlite(folder.path().join("portero.db"));
        let store = Store::make(&settings).await.unwrap();
        let (new, name) = project();
        let realm = new.realm.clone();
        let hash = password::hash(&Secret::from("secret")).unwrap();
        let now = Timestamp::from_secs(1_000);
        account::insert(&store.audited(), &new, &hash, now).await.unwrap();
        session::fill(&store, &realm, new.id, SESSIONS).await;
        assert_eq!(count(&store, new.id).await, 5_000);

        let raised = account::delete(&store.audited(), &realm, &name, now).await.unwrap();
        assert!(raised.contains(&(new.id, crate::domain::EPOCH_DELETED)), "its tokens have ended");
        assert_eq!(account::find(&store, &realm, &name).await.unwrap(), None);
        assert_eq!(count(&store, new.id).await, 4_000, "one piece went with it");
        assert!(session::clear_deleted(&store, ROWS_MAX).await.unwrap());
        assert_eq!(count(&store, new.id).await, 3_000);
        // As after a crash: another process goes on.
        store.close().await;
        let store = Store::open(&settings).await.unwrap();
        once(&store, &mut Trimmed::default()).await.unwrap();
        assert_eq!(count(&store, new.id).await, 0);
        assert!(!session::clear_deleted(&store, ROWS_MAX).await.unwrap(), "nothing is left to do");
    }

    /// Sessions of a store of the first release.
    async fn old_store(sessions: i64) -> (tempfile::TempDir, StoreSettings, PrincipalId, AccountName) {
        let folder = crate::memory::new_folder();
        let settings = StoreSettings::Sqlite(folder.path().join("portero.db"));
        let store = Store::make(&settings).await.unwrap();
        let (new, name) = project();
        let hash = password::hash(&Secret::from("secret")).unwrap();
        account::insert(&store.audited(), &new, &hash, Timestamp::from_secs(0)).await.unwrap();
        session::fill(&store, &new.realm, new.id, sessions).await;
        session::forget_epochs(&store).await;
        store.close().await;
        (folder, settings, new.id, name)
    }

    async fn log_in(store: &Store, principal: PrincipalId) -> SessionId {
        let session = session::Session {
            id: SessionId::generate(),
            realm: "toc".parse().unwrap(),
            principal,
            created_at: Timestamp::from_secs(9_999),
            expires_at: None,
        };
        session::open(store, &session).await.unwrap()
    }

    async fn is_listed_as_living(store: &Store, principal: PrincipalId, id: SessionId) -> bool {
        let listed = session::list(store, &"toc".parse().unwrap(), principal, None, 10_000).await.unwrap();
        listed.iter().any(|listed| listed.session.id == id && !listed.has_ended())
    }

    #[tokio::test]
    async fn a_large_old_store_shrinks_when_its_sessions_have_ended_and_keeps_those_that_live() {
        let (_folder, settings, principal, name) = old_store(SESSIONS).await;
        let store = Store::open(&settings).await.unwrap();
        let mut trimmed = Trimmed::default();
        once(&store, &mut trimmed).await.unwrap();
        assert_eq!(count(&store, principal).await, 5_000, "each can still be revoked");
        account::end_tokens(&store.audited(), &"toc".parse().unwrap(), &name, Timestamp::from_secs(20_000))
            .await
            .unwrap();
        let own = log_in(&store, principal).await;
        once(&store, &mut trimmed).await.unwrap();
        assert_eq!(count(&store, principal).await, 1_000);
        assert!(is_listed_as_living(&store, principal, own).await);
        // It is not cut further, and the next pass is the same.
        once(&store, &mut trimmed).await.unwrap();
        assert_eq!(count(&store, principal).await, 1_000);
    }

    #[tokio::test]
    async fn a_merged_session_is_revoked_listed_and_deleted_like_any_other_whatever_crashes() {
        let (_folder, settings, principal, name) = old_store(SESSIONS).await;
        let store = Store::open(&settings).await.unwrap();
        let (first, second) = (log_in(&store, principal).await, log_in(&store, principal).await);
        assert_eq!(first, second, "they are merged");
        let subject = RevokedSubject::Session(first);
        let record = Record { subject, expires_at: None, created_at: Timestamp::from_secs(10_000) };
        log::append(&store, &record).await.unwrap();
        // As after a crash.
        store.close().await;
        let store = Store::open(&settings).await.unwrap();
        once(&store, &mut Trimmed::default()).await.unwrap();
        assert!(!is_listed_as_living(&store, principal, first).await);
        let next = log_in(&store, principal).await;
        assert!(next != first && is_listed_as_living(&store, principal, next).await);
        // Its account goes: nobody logs in, and what is left can be revoked until it is gone.
        let realm = "toc".parse().unwrap();
        account::delete(&store.audited(), &realm, &name, Timestamp::from_secs(10_001)).await.unwrap();
        assert_eq!(session::find(&store, next).await.unwrap().map(|found| found.id), Some(next));
        store.close().await;
        let store = Store::open(&settings).await.unwrap();
        once(&store, &mut Trimmed::default()).await.unwrap();
        assert_eq!(count(&store, principal).await, 0);
        let records = log::since(&store, 0, 10_000).await.unwrap().0;
        assert!(records.iter().any(|record| record.subject == subject), "its tokens stay refused");
    }

    #[tokio::test]
    async fn the_journal_is_emptied_where_nothing_can_be_cleared_away() {
        let folder = crate::memory::new_folder();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        store.run("DROP TABLE deletions").await;
        let journal = || std::fs::metadata(folder.path().join("portero.db-wal")).unwrap().len();
        assert!(journal() > 0);
        once(&store, &mut Trimmed::default()).await.unwrap_err();
        assert_eq!(journal(), 0);
    }
}
