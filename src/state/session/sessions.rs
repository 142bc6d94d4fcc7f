//! Sessions in the store: each login has one.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    domain::{PrincipalId, RealmName, SessionId, Timestamp, TrustedNow},
    state::store::{Query, Row, Store, StoreError, Target, Transaction, Turn, composed, query},
};

/// One login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The `sid` of all its tokens.
    pub id: SessionId,
    /// The realm of its principal.
    pub realm: RealmName,
    /// The account that logged in.
    pub principal: PrincipalId,
    /// When.
    pub created_at: Timestamp,
    /// When the last of its tokens ends; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// Sessions without expiry of one principal, at most.
pub const ENDLESS_MAX: u32 = 1_000;

/// Whether a row `old` of sessions was revoked.
macro_rules! revoked {
    () => {
        "EXISTS (SELECT 1 FROM revocations WHERE kind = 'session' AND subject = old.id)"
    };
}

/// Whether its principal's epoch was raised since. A login of the first release left no epoch: there the time of the
/// raise decides.
macro_rules! outdated {
    () => {
        "CASE WHEN old.epoch IS NULL \
         THEN EXISTS (SELECT 1 FROM revocations \
                      WHERE kind = 'principal' AND subject = old.principal AND created_at > old.created_at) \
         ELSE coalesce(old.epoch < (SELECT epoch FROM principals WHERE id = old.principal), FALSE) END"
    };
}

const REVOKED: &str = revoked!();

const OUTDATED: &str = outdated!();

/// Whether no token of it is good any more.
pub(super) const ENDED: &str = concat!("(", revoked!(), " OR ", outdated!(), ")");

/// A session in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// It.
    pub session: Session,
    /// Whether it was revoked by itself.
    pub revoked: bool,
    /// Whether everything of its principal was, at a later time.
    pub outdated: bool,
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Its tokens are good until they expire.
    Live,
    /// It was revoked.
    Revoked,
    /// Its principal's epoch was raised since: its tokens are refused.
    OlderEpoch,
    /// Its last token has expired.
    Expired,
}

impl SessionState {
    /// The word in lists.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Revoked => "revoked",
            Self::OlderEpoch => "older_epoch",
            Self::Expired => "expired",
        }
    }
}

impl Listed {
    /// How it stands. What was done to it goes before what came by itself.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> SessionState {
        if self.revoked {
            SessionState::Revoked
        } else if self.outdated {
            SessionState::OlderEpoch
        } else if self.session.expires_at.is_some_and(|end| end <= now) {
            SessionState::Expired
        } else {
            SessionState::Live
        }
    }

    /// Whether its tokens are refused, expired or not.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.revoked || self.outdated
    }
}

/// Records a login and answers the session that its tokens belong to: a new one, or, where the principal has
/// [`ENDLESS_MAX`] sessions without expiry, the newest of those that have not ended. It is on the disk when this
/// returns.
///
/// # Errors
/// [`StoreError::Conflict`] when the id is taken.
pub async fn open(store: &Store, session: &Session) -> Result<SessionId, StoreError> {
    if session.expires_at.is_some() {
        insert(store, session).await?;
        return Ok(session.id);
    }
    let mut transaction = store.begin(Turn::Sessions(session.principal)).await?;
    let principal = session.principal.uuid().into_bytes();
    let principal = &principal[..];
    if endless(&mut transaction, principal, ENDLESS_MAX).await? >= ENDLESS_MAX
        && !make_room(&mut transaction, principal).await?
        && let Some(newest) = newest_living(&mut transaction, principal).await?
    {
        transaction.commit().await?;
        return Ok(newest);
    }
    // Where all have ended there is one more row, and the next login joins it.
    insertion(session).execute(&mut transaction).await?;
    transaction.commit().await?;
    Ok(session.id)
}

/// Counts the sessions without expiry of a principal, up to `limit`.
pub(super) async fn endless<'a>(on: impl Into<Target<'a>>, principal: &[u8], limit: u32) -> Result<u32, StoreError> {
    let statement =
        "SELECT count(*) FROM (SELECT 1 FROM sessions WHERE principal = $1 AND expires_at IS NULL LIMIT $2) AS counted";
    query(statement).bind(principal).bind(limit).one(on).await?.first()
}

/// Removes a session without expiry that has ended. False when there is none among the oldest [`ENDLESS_MAX`]: an
/// earlier version may have left millions, see [`trim`].
async fn make_room(transaction: &mut Transaction, principal: &[u8]) -> Result<bool, StoreError> {
    let statement = format!(
        "DELETE FROM sessions WHERE id = ( \
             SELECT old.id FROM (SELECT * FROM sessions WHERE principal = $1 AND expires_at IS NULL \
                                 ORDER BY rowid LIMIT $2) AS old WHERE {ENDED} LIMIT 1)"
    );
    let statement = composed(statement).bind(principal).bind(ENDLESS_MAX);
    Ok(statement.execute(transaction).await? > 0)
}

/// The newest session without expiry that has not ended, among the newest [`ENDLESS_MAX`].
async fn newest_living(transaction: &mut Transaction, principal: &[u8]) -> Result<Option<SessionId>, StoreError> {
    let statement = format!(
        "SELECT old.id FROM (SELECT rowid AS number, * FROM sessions WHERE principal = $1 AND expires_at IS NULL \
                             ORDER BY rowid DESC LIMIT $2) AS old \
         WHERE NOT {ENDED} ORDER BY old.number DESC LIMIT 1"
    );
    let row = composed(statement).bind(principal).bind(ENDLESS_MAX).optional(transaction).await?;
    row.map(|row| identity(&row, "id").map(SessionId::from_uuid)).transpose()
}

/// Records a login of its own. It is on the disk when this returns.
///
/// # Errors
/// [`StoreError::Conflict`] when the id is taken.
pub async fn insert(store: &Store, session: &Session) -> Result<(), StoreError> {
    insertion(session).execute(store).await?;
    Ok(())
}

fn insertion(session: &Session) -> Query {
    let statement = "INSERT INTO sessions (id, realm, principal, created_at, expires_at, epoch) \
                     VALUES ($1, $2, $3, $4, $5, (SELECT epoch FROM principals WHERE id = $3))";
    query(statement)
        .bind(session.id.uuid().into_bytes())
        .bind(session.realm.as_str())
        .bind(session.principal.uuid().into_bytes())
        .bind(session.created_at.as_millis())
        .bind(session.expires_at.map(Timestamp::as_millis))
}

/// Makes a session end later, when a token of it does that was issued since. It is on the disk when
/// this returns.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn extend(store: &Store, id: SessionId, end: Option<Timestamp>) -> Result<(), StoreError> {
    let statement = "UPDATE sessions SET expires_at = $1 \
                     WHERE id = $2 AND expires_at IS NOT NULL AND ($1 IS NULL OR expires_at < $1)";
    query(statement).bind(end.map(Timestamp::as_millis)).bind(&id.uuid().as_bytes()[..]).execute(store).await?;
    Ok(())
}

/// The session `id`, if it is known.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn find(store: &Store, id: SessionId) -> Result<Option<Session>, StoreError> {
    let statement = "SELECT id, realm, principal, created_at, expires_at FROM sessions WHERE id = $1";
    let row = query(statement).bind(&id.uuid().as_bytes()[..]).optional(store).await?;
    row.as_ref().map(read).transpose()
}

/// At most `limit` sessions of a principal, the newest first, from the one behind `after` on; those that ended
/// included until they are pruned.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn list(
    store: &Store,
    realm: &RealmName,
    principal: PrincipalId,
    after: Option<SessionId>,
    limit: u32,
) -> Result<Vec<Listed>, StoreError> {
    let statement = format!(
        "SELECT old.id, old.realm, old.principal, old.created_at, old.expires_at, {REVOKED} AS revoked, {OUTDATED} AS outdated \
         FROM sessions AS old \
         WHERE old.principal = $1 AND old.realm = $2 AND ($3 IS NULL OR (old.created_at, old.rowid) < \
               (SELECT created_at, rowid FROM sessions WHERE id = $3)) \
         ORDER BY old.created_at DESC, old.rowid DESC LIMIT $4"
    );
    let rows = composed(statement)
        .bind(&principal.uuid().as_bytes()[..])
        .bind(realm.as_str())
        .bind(after.map(|after| after.uuid().into_bytes().to_vec()))
        .bind(limit)
        .all(store)
        .await?;
    rows.iter()
        .map(|row| Ok(Listed { session: read(row)?, revoked: row.get("revoked")?, outdated: row.get("outdated")? }))
        .collect()
}

/// How long a session stays after its last token's end: it can be listed, and revoked, by a gateway whose clock is
/// late.
pub const ENDED_KEPT: Duration = Duration::from_hours(24);

/// Drops at most `limit` sessions that ended more than [`ENDED_KEPT`] ago; answers how many.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn prune(store: &Store, now: TrustedNow, limit: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM sessions WHERE id IN \
                     (SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
    let mut transaction = store.begin(Turn::Upkeep).await?;
    let statement = query(statement).bind(now.cutoff(ENDED_KEPT).as_millis()).bind(limit);
    let done = statement.execute(&mut transaction).await?;
    transaction.commit().await?;
    Ok(done)
}

fn read(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id: SessionId::from_uuid(identity(row, "id")?),
        realm: row
            .get::<&str>("realm")?
            .parse()
            .map_err(|_| StoreError::corrupt("a session's realm is no realm's name"))?,
        principal: PrincipalId::from_uuid(identity(row, "principal")?),
        created_at: Timestamp::from_millis(row.get("created_at")?),
        expires_at: row.get::<Option<i64>>("expires_at")?.map(Timestamp::from_millis),
    })
}

fn identity(row: &Row, column: &str) -> Result<Uuid, StoreError> {
    let bytes: &[u8] = row.get(column)?;
    Uuid::from_slice(bytes).map_err(|_| StoreError::corrupt("a session's identity is not 16 bytes"))
}
