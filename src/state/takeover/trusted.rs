//! Logins that a confirmed hash decided alone while the old system was away. Each stays marked until the old system
//! said yes or no to its secret, or nobody can ask any more.

use std::time::Duration;

use uuid::Uuid;

use super::fingerprint;
use crate::{
    domain::{AccountName, PrincipalId, RealmName, SessionId, Timestamp, TrustedNow},
    state::{
        account::PasswordHash,
        store::{Row, Store, StoreError, Turn, query},
    },
};

/// Marked logins that are listed, at most.
pub const LISTED_MAX: u32 = 1000;

/// How long settled logins are kept, to be listed.
const SETTLED_KEPT: Duration = Duration::from_hours(24 * 90);

/// A login that nobody confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedLogin {
    /// The session that it opened.
    pub session: SessionId,
    /// Whose.
    pub account: PrincipalId,
    /// The account's realm.
    pub realm: RealmName,
    /// The old system that was away.
    pub verifier: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when it is believed.
    pub expires_at: Timestamp,
}

/// What became of a marked login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The old system said yes.
    Confirmed,
    /// It said no; the session was revoked.
    Refused,
    /// Nobody could ask in time; the session was revoked.
    Expired,
}

impl Settled {
    const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

/// Marks a login that this hash decided. A session without expiry that it joins may be marked already, and stays so for
/// longer.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn mark(store: &Store, login: &TrustedLogin, hash: &PasswordHash) -> Result<(), StoreError> {
    let statement = "INSERT INTO trusted_logins \
                     (session, account, realm, verifier, hash, created_at, expires_at, state, settled_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', NULL) \
                     ON CONFLICT (session) DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at, \
                     expires_at = excluded.expires_at, state = 'pending', settled_at = NULL";
    query(statement)
        .bind(&login.session.uuid().as_bytes()[..])
        .bind(&login.account.uuid().as_bytes()[..])
        .bind(login.realm.as_str())
        .bind(&login.verifier)
        .bind(fingerprint(hash))
        .bind(login.created_at.as_millis())
        .bind(login.expires_at.as_millis())
        .execute(store)
        .await?;
    Ok(())
}

/// The marked logins of an account that this hash decided and nobody confirmed yet, at most [`LISTED_MAX`].
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn pending_of(
    store: &Store,
    account: PrincipalId,
    hash: &PasswordHash,
) -> Result<Vec<TrustedLogin>, StoreError> {
    let statement = "SELECT * FROM trusted_logins WHERE account = $1 AND hash = $2 AND state = 'pending' \
                     ORDER BY created_at LIMIT $3";
    let found = query(statement).bind(&account.uuid().as_bytes()[..]).bind(fingerprint(hash)).bind(LISTED_MAX);
    found.all(store).await?.iter().map(read).collect()
}

/// Whether a marked login of this session waits to be confirmed.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn is_pending(store: &Store, session: SessionId) -> Result<bool, StoreError> {
    let statement = "SELECT 1 FROM trusted_logins WHERE session = $1 AND state = 'pending'";
    Ok(query(statement).bind(&session.uuid().as_bytes()[..]).optional(store).await?.is_some())
}

/// Marked logins that nobody confirmed in time, the oldest first, at most [`LISTED_MAX`].
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn overdue(store: &Store, now: TrustedNow) -> Result<Vec<TrustedLogin>, StoreError> {
    let statement =
        "SELECT * FROM trusted_logins WHERE state = 'pending' AND expires_at <= $1 ORDER BY expires_at LIMIT $2";
    let rows = query(statement).bind(now.cutoff(Duration::ZERO).as_millis()).bind(LISTED_MAX).all(store).await?;
    rows.iter().map(read).collect()
}

/// Notes what became of marked logins.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn settle(store: &Store, sessions: &[SessionId], settled: Settled, now: Timestamp) -> Result<(), StoreError> {
    let mut transaction = store.begin(Turn::Nothing).await?;
    for session in sessions {
        query("UPDATE trusted_logins SET state = $1, settled_at = $2 WHERE session = $3 AND state = 'pending'")
            .bind(settled.name())
            .bind(now.as_millis())
            .bind(&session.uuid().as_bytes()[..])
            .execute(&mut transaction)
            .await?;
    }
    transaction.commit().await
}

/// Marked logins by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Nobody knows yet.
    pub pending: u64,
    /// The old system said yes.
    pub confirmed: u64,
    /// It said no.
    pub refused: u64,
    /// Nobody could ask in time.
    pub expired: u64,
}

/// Counts the marked logins of an old system.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn totals(store: &Store, verifier: &str) -> Result<Totals, StoreError> {
    let statement = "SELECT state, count(*) AS total FROM trusted_logins WHERE verifier = $1 GROUP BY state";
    let mut totals = Totals::default();
    for row in query(statement).bind(verifier).all(store).await? {
        let total = u64::try_from(row.get::<i64>("total")?).unwrap_or(0);
        match row.get::<&str>("state")? {
            "pending" => totals.pending = total,
            "confirmed" => totals.confirmed = total,
            "refused" => totals.refused = total,
            _ => totals.expired = total,
        }
    }
    Ok(totals)
}

/// A marked login in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// It.
    pub login: TrustedLogin,
    /// The account's name; `None` where it is deleted.
    pub name: Option<AccountName>,
    /// `pending`, `confirmed`, `refused` or `expired`.
    pub state: String,
}

/// The marked logins of an old system, the youngest first, at most [`LISTED_MAX`].
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn list(store: &Store, verifier: &str) -> Result<Vec<Listed>, StoreError> {
    let statement = "SELECT trusted_logins.*, principals.business, principals.name FROM trusted_logins \
                     LEFT JOIN principals ON principals.id = trusted_logins.account \
                     WHERE verifier = $1 ORDER BY trusted_logins.created_at DESC, session LIMIT $2";
    let rows = query(statement).bind(verifier).bind(LISTED_MAX).all(store).await?;
    let listed = |row: &Row| {
        let business = row.get::<Option<String>>("business")?;
        let name = business.zip(row.get::<Option<String>>("name")?);
        let name = name.map(|(business, name)| AccountName { business, name });
        Ok(Listed { login: read(row)?, name, state: row.get("state")? })
    };
    rows.iter().map(listed).collect()
}

/// Drops at most `limit` marked logins that were settled more than `SETTLED_KEPT` ago; answers how many.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn prune(store: &Store, now: TrustedNow, limit: u32) -> Result<u64, StoreError> {
    let statement = "DELETE FROM trusted_logins WHERE session IN \
                     (SELECT session FROM trusted_logins WHERE state <> 'pending' AND settled_at < $1 LIMIT $2)";
    query(statement).bind(now.cutoff(SETTLED_KEPT).as_millis()).bind(limit).execute(store).await
}

fn read(row: &Row) -> Result<TrustedLogin, StoreError> {
    let id = |column| {
        let bytes: &[u8] = row.get(column)?;
        Uuid::from_slice(bytes).map_err(|_| StoreError::corrupt("a trusted login's identity is not 16 bytes"))
    };
    Ok(TrustedLogin {
        session: SessionId::from_uuid(id("session")?),
        account: PrincipalId::from_uuid(id("account")?),
        realm: row
            .get::<&str>("realm")?
            .parse()
            .map_err(|_| StoreError::corrupt("a trusted login's realm is no realm's name"))?,
        verifier: row.get("verifier")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
        expires_at: Timestamp::from_millis(row.get("expires_at")?),
    })
}
