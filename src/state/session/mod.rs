//! Sessions: who logged in when. A row is written before a login is answered, so that every session
//! that has tokens can be listed and revoked. Checking a token never asks for it.

use std::time::Duration;

use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::store::{Store, StoreError};
use crate::domain::{PrincipalId, RealmName, SessionId, Timestamp, TrustedNow};

/// One login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The `sid` of all its tokens.
    pub id: SessionId,
    /// The realm of its principal.
    pub realm: RealmName,
    /// Who logged in.
    pub principal: PrincipalId,
    /// When.
    pub created_at: Timestamp,
    /// When the last of its tokens ends; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// Records a login. It is on the disk when this returns.
///
/// # Errors
/// [`StoreError::Conflict`] when the id is taken.
pub async fn insert(store: &Store, session: &Session) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO sessions (id, realm, principal, created_at, expires_at) VALUES (?, ?, ?, ?, ?)")
        .bind(&session.id.uuid().as_bytes()[..])
        .bind(session.realm.as_str())
        .bind(&session.principal.uuid().as_bytes()[..])
        .bind(session.created_at.as_millis())
        .bind(session.expires_at.map(Timestamp::as_millis))
        .execute(store.pool())
        .await?;
    Ok(())
}

/// Makes a session end later, when a token of it does that was issued since. It is on the disk when
/// this returns.
pub async fn extend(store: &Store, id: SessionId, end: Option<Timestamp>) -> Result<(), StoreError> {
    let statement = "UPDATE sessions SET expires_at = ?1 \
                     WHERE id = ?2 AND expires_at IS NOT NULL AND (?1 IS NULL OR expires_at < ?1)";
    sqlx::query(statement)
        .bind(end.map(Timestamp::as_millis))
        .bind(&id.uuid().as_bytes()[..])
        .execute(store.pool())
        .await?;
    Ok(())
}

/// The session `id`, if it is known.
pub async fn find(store: &Store, id: SessionId) -> Result<Option<Session>, StoreError> {
    let statement = "SELECT id, realm, principal, created_at, expires_at FROM sessions WHERE id = ?";
    let row = sqlx::query(statement).bind(&id.uuid().as_bytes()[..]).fetch_optional(store.pool()).await?;
    row.as_ref().map(read).transpose()
}

/// At most `limit` sessions of a principal, the newest first, those that ended included until they
/// are pruned.
pub async fn list(
    store: &Store,
    realm: &RealmName,
    principal: PrincipalId,
    limit: u32,
) -> Result<Vec<Session>, StoreError> {
    let statement = "SELECT id, realm, principal, created_at, expires_at FROM sessions \
                     WHERE principal = ? AND realm = ? ORDER BY created_at DESC, rowid DESC LIMIT ?";
    let rows = sqlx::query(statement)
        .bind(&principal.uuid().as_bytes()[..])
        .bind(realm.as_str())
        .bind(limit)
        .fetch_all(store.pool())
        .await?;
    rows.iter().map(read).collect()
}

/// How long a session stays after its last token's end: it can be listed, and revoked, by whoever's clock is late.
pub const ENDED_KEPT: Duration = Duration::from_hours(24);

/// Drops at most `limit` sessions that ended more than [`ENDED_KEPT`] ago; answers how many.
pub async fn prune(store: &Store, now: TrustedNow, limit: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM sessions WHERE id IN \
                     (SELECT id FROM sessions WHERE expires_at < ? ORDER BY expires_at LIMIT ?)";
    let done =
        sqlx::query(statement).bind(now.cutoff(ENDED_KEPT).as_millis()).bind(limit).execute(store.pool()).await?;
    Ok(done.rows_affected())
}

fn read(row: &SqliteRow) -> Result<Session, StoreError> {
    let uuid = |column| {
        let bytes: &[u8] = row.try_get(column)?;
        Uuid::from_slice(bytes).map_err(|_| StoreError::corrupt("a session's identity is not 16 bytes"))
    };
    Ok(Session {
        id: SessionId::from_uuid(uuid("id")?),
        realm: row
            .try_get::<&str, _>("realm")?
            .parse()
            .map_err(|_| StoreError::corrupt("a session's realm is no realm's name"))?,
        principal: PrincipalId::from_uuid(uuid("principal")?),
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        expires_at: row.try_get::<Option<i64>, _>("expires_at")?.map(Timestamp::from_millis),
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::{domain::trusted_time::trusted, state::store::Settings};

    async fn store() -> (TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Settings { path: folder.path().join("portero.db") }).await.unwrap();
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
        insert(&store, &session).await.unwrap();
        assert_eq!(find(&store, session.id).await.unwrap().as_ref(), Some(&session));
        assert!(matches!(insert(&store, &session).await, Err(StoreError::Conflict)));
    }

    #[tokio::test]
    async fn a_principals_sessions_are_listed_newest_first() {
        let (_folder, store) = store().await;
        let (ana, eva) = (PrincipalId::generate(), PrincipalId::generate());
        let sessions = [session(ana, 1, None), session(ana, 3, None), session(ana, 2, None), session(eva, 4, None)];
        for session in &sessions {
            insert(&store, session).await.unwrap();
        }
        let realm = "apis".parse().unwrap();
        let listed = list(&store, &realm, ana, 2).await.unwrap();
        assert_eq!(listed, [sessions[1].clone(), sessions[2].clone()]);
        assert!(list(&store, &"sws".parse().unwrap(), ana, 2).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn only_ended_sessions_are_pruned() {
        let (_folder, store) = store().await;
        let ana = PrincipalId::generate();
        for expires_at in [None, Some(10), Some(11), Some(12)] {
            insert(&store, &session(ana, 1, expires_at)).await.unwrap();
        }
        let now = trusted(Timestamp::from_secs(12).plus(ENDED_KEPT));
        assert_eq!(prune(&store, now, 1).await.unwrap(), 1);
        assert_eq!(prune(&store, now, 9).await.unwrap(), 1);
        let left = list(&store, &"apis".parse().unwrap(), ana, 9).await.unwrap();
        assert_eq!(
            left.iter().filter_map(|session| session.expires_at).collect::<Vec<_>>(),
            [Timestamp::from_secs(12)]
        );
    }

    #[tokio::test]
    async fn a_session_ends_later_and_never_earlier() {
        let (_folder, store) = store().await;
        let ending = session(PrincipalId::generate(), 1, Some(10));
        insert(&store, &ending).await.unwrap();
        for (end, expected) in [(Some(5), Some(10)), (Some(20), Some(20)), (None, None), (Some(30), None)] {
            extend(&store, ending.id, end.map(Timestamp::from_secs)).await.unwrap();
            let found = find(&store, ending.id).await.unwrap().unwrap();
            assert_eq!(found.expires_at, expected.map(Timestamp::from_secs));
        }
    }
}
