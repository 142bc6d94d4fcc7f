use tempfile::TempDir;

use super::*;
use crate::{
    domain::{PrincipalId, RealmName, SessionId, Timestamp, trusted_time::trusted},
    state::{
        revocation::log::{self, Record, RevokedSubject},
        store::{Store, StoreError, StoreSettings, query},
    },
};

async fn store() -> (TempDir, Store) {
    let folder = crate::memory::new_folder();
    let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
    (folder, store)
}

fn session(principal: PrincipalId, created_at: i64, expires_at: Option<i64>) -> Session {
    Session {
        id: SessionId::generate(),
        realm: "apis".parse().unwrap(),
        principal,
        created_at: Timestamp::from_secs(created_at),
        expires_at: expires_at.map(Timestamp::from_secs),
    }
}

#[tokio::test]
async fn a_session_is_found_as_it_was_written_and_only_once() {
    let (_folder, store) = store().await;
    let session = session(PrincipalId::generate(), 1, Some(2));
    assert_eq!(find(&store, session.id).await.unwrap(), None);
    insert(&store.audited(), &session).await.unwrap();
    assert_eq!(find(&store, session.id).await.unwrap().as_ref(), Some(&session));
    assert!(matches!(insert(&store.audited(), &session).await, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn a_principals_sessions_are_listed_newest_first() {
    let (_folder, store) = store().await;
    let (ana, eva) = (PrincipalId::generate(), PrincipalId::generate());
    let sessions = [session(ana, 1, None), session(ana, 3, None), session(ana, 2, None), session(eva, 4, None)];
    for session in &sessions {
        insert(&store.audited(), session).await.unwrap();
    }
    let realm = "apis".parse().unwrap();
    let listed = ids(&list(&store, &realm, ana, None, 2).await.unwrap());
    assert_eq!(listed, [sessions[1].id, sessions[2].id]);
    assert_eq!(ids(&list(&store, &realm, ana, Some(listed[1]), 2).await.unwrap()), [sessions[0].id]);
    assert!(list(&store, &realm, ana, Some(sessions[0].id), 2).await.unwrap().is_empty());
    assert!(list(&store, &"sws".parse().unwrap(), ana, None, 2).await.unwrap().is_empty());
}

#[tokio::test]
async fn only_ended_sessions_are_pruned() {
    let (_folder, store) = store().await;
    let ana = PrincipalId::generate();
    for expires_at in [None, Some(10), Some(11), Some(12)] {
        insert(&store.audited(), &session(ana, 1, expires_at)).await.unwrap();
    }
    let now = trusted(Timestamp::from_secs(12).plus(ENDED_KEPT));
    assert_eq!(prune(&store, now, 1).await.unwrap(), 1);
    assert_eq!(prune(&store, now, 9).await.unwrap(), 1);
    let left = list(&store, &"apis".parse().unwrap(), ana, None, 9).await.unwrap();
    assert_eq!(
        left.iter().filter_map(|listed| listed.session.expires_at).collect::<Vec<_>>(),
        [Timestamp::from_secs(12)]
    );
}

#[tokio::test]
async fn a_session_ends_later_and_never_earlier() {
    let (_folder, store) = store().await;
    let ending = session(PrincipalId::generate(), 1, Some(10));
    insert(&store.audited(), &ending).await.unwrap();
    for (end, expected) in [(Some(5), Some(10)), (Some(20), Some(20)), (None, None), (Some(30), None)] {
        extend(&store, ending.id, end.map(Timestamp::from_secs)).await.unwrap();
        let found = find(&store, ending.id).await.unwrap().unwrap();
        assert_eq!(found.expires_at, expected.map(Timestamp::from_secs));
    }
}

fn ids(listed: &[Listed]) -> Vec<SessionId> {
    listed.iter().map(|listed| listed.session.id).collect()
}

/// Writes so many sessions without expiry at once.
pub(crate) async fn fill(store: &Store, realm: &RealmName, principal: PrincipalId, sessions: i64) {
    let statement = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < $1) \
                     INSERT INTO sessions (id, realm, principal, created_at, epoch) \
                     SELECT randomblob(16), $2, $3, n, 0 FROM number";
    query(statement)
        .bind(sessions)
        .bind(realm.as_str())
        .bind(principal.uuid().into_bytes().to_vec())
        .execute(store)
        .await
        .unwrap();
}

#[tokio::test]
async fn sessions_without_expiry_are_bounded_and_each_can_still_be_revoked() {
    let (_folder, store) = store().await;
    let ana = PrincipalId::generate();
    let realm = "apis".parse().unwrap();
    let first = session(ana, 0, None);
    assert_eq!(open(&store, &first).await.unwrap(), first.id);
    fill(&store, &realm, ana, i64::from(ENDLESS_MAX) - 1).await;
    let newest = ids(&list(&store, &realm, ana, None, 1).await.unwrap())[0];
    // The account is full: its logins share the newest session.
    for _ in 0..3 {
        assert_eq!(open(&store, &session(ana, 9_999, None)).await.unwrap(), newest);
    }
    // Others, and logins with an expiry, have sessions of their own.
    for other in [session(ana, 1, Some(2)), session(PrincipalId::generate(), 1, None)] {
        assert_eq!(open(&store, &other).await.unwrap(), other.id);
    }
    // The row of one that was revoked is free.
    let record =
        Record { subject: RevokedSubject::Session(first.id), expires_at: None, created_at: Timestamp::from_secs(1) };
    log::append(&store, &record).await.unwrap();
    let listed = list(&store, &realm, ana, None, 5_000).await.unwrap();
    assert_eq!(
        listed.iter().filter(|listed| listed.has_ended()).map(|listed| listed.session.id).collect::<Vec<_>>(),
        [first.id]
    );
    let next = session(ana, 9_999, None);
    assert_eq!(open(&store, &next).await.unwrap(), next.id);
    assert_eq!(find(&store, first.id).await.unwrap(), None);
    assert_eq!(list(&store, &realm, ana, None, 5_000).await.unwrap().len(), ENDLESS_MAX as usize + 1);
}

/// Makes the account of a principal, with an epoch.
async fn account(store: &Store, principal: PrincipalId, epoch: u32) {
    let statement = "INSERT INTO principals (id, realm, kind, name, password_hash, epoch, created_at) \
                     VALUES ($1, 'apis', 'user', hex($1), '', $2, 0) ON CONFLICT (id) DO UPDATE SET epoch = $2";
    query(statement).bind(principal.uuid().into_bytes().to_vec()).bind(epoch).execute(store).await.unwrap();
}

/// As a store of the first release has them.
pub(crate) async fn forget_epochs(store: &Store) {
    query("UPDATE sessions SET epoch = NULL").execute(store).await.unwrap();
}

async fn revoke(store: &Store, id: SessionId) {
    let record = Record { subject: RevokedSubject::Session(id), expires_at: None, created_at: Timestamp::from_secs(1) };
    log::append(store, &record).await.unwrap();
}

async fn raise(store: &Store, principal: PrincipalId, epoch: u32, at: i64) {
    account(store, principal, epoch).await;
    let subject = RevokedSubject::Principal(principal, epoch);
    let record = Record { subject, expires_at: None, created_at: Timestamp::from_millis(at) };
    log::append(store, &record).await.unwrap();
}

async fn listed(store: &Store, principal: PrincipalId) -> Vec<Listed> {
    list(store, &"apis".parse().unwrap(), principal, None, 5_000).await.unwrap()
}

#[tokio::test]
async fn no_login_joins_a_session_that_has_ended_however_many_there_are() {
    let (_folder, store) = store().await;
    let ana = PrincipalId::generate();
    account(&store, ana, 0).await;
    fill(&store, &"apis".parse().unwrap(), ana, i64::from(ENDLESS_MAX) + 1).await;
    forget_epochs(&store).await;
    // The newest one is not among the oldest thousand.
    for _ in 0..2 {
        let joined = open(&store, &session(ana, 9_999, None)).await.unwrap();
        revoke(&store, joined).await;
        let next = open(&store, &session(ana, 9_999, None)).await.unwrap();
        let listed = listed(&store, ana).await;
        let row = listed.iter().find(|listed| listed.session.id == next);
        assert!(row.is_some_and(|row| !row.has_ended()), "its tokens are refused at once");
    }
    // All of them have ended: those of before say no epoch, and the time of the raise does.
    raise(&store, ana, 1, 5_000).await;
    let own = session(ana, 9_999, None);
    assert_eq!(open(&store, &own).await.unwrap(), own.id, "none of those is joined");
    raise(&store, ana, 2, 9_999_999).await;
    let next = session(ana, 9_999, None);
    assert_eq!(open(&store, &next).await.unwrap(), next.id, "nor one of an older epoch");
    let living: Vec<_> = listed(&store, ana)
        .await
        .into_iter()
        .filter(|listed| !listed.has_ended())
        .map(|listed| listed.session.id)
        .collect();
    assert_eq!(living, [next.id]);
}

#[tokio::test]
async fn a_session_of_before_that_lives_is_not_called_revoked() {
    let (_folder, store) = store().await;
    let ana = PrincipalId::generate();
    // The password was changed once, long before the two logins.
    raise(&store, ana, 1, 10).await;
    fill(&store, &"apis".parse().unwrap(), ana, 20).await;
    forget_epochs(&store).await;
    let living = listed(&store, ana).await.iter().filter(|listed| !listed.has_ended()).count();
    assert_eq!(living, 11, "from the raise on");
}
