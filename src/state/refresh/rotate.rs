//! Spending a refresh token: one transaction that holds the write lock from its first look, so that of
//! many uses at once, in whatever process, one makes the successor and the others get the same.

use std::time::Duration;

use super::{
    row::{COLUMNS, Successor, insert, read},
    secret,
};
use crate::{
    domain::{PrincipalId, Secret, SessionId, Timestamp},
    state::{
        clock::pruned_in,
        revocation::log::{self, Record, RevokedSubject},
        store::{Store, StoreError, Target, Transaction, Turn, composed, query},
    },
};

/// How long a spent token may be used again, unless the config says otherwise.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(10);

/// Exchanges of one session, at most: it bounds the rows that a client can make.
pub const EXCHANGES_MAX: u32 = 100_000;

/// Under which terms a token is exchanged.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The client that presents it.
    pub client: PrincipalId,
    /// How long a spent token gives its successor again.
    pub grace: Duration,
    /// How long the successor may stay unused; `None` for as long as its family lasts.
    pub lifetime: Option<Duration>,
    /// The time.
    pub now: Timestamp,
}

/// What came of it. It is on the disk.
#[derive(Debug, PartialEq, Eq)]
pub enum RotationOutcome {
    /// The successor, and when it ends: a new one, or the same again.
    Successor(Secret, Timestamp),
    /// There is nothing to be had for it, and nothing was changed.
    Refused,
    /// It was used again after its grace. Its session is revoked by this record, which is to be put in
    /// force.
    Reused(Record),
}

/// Exchanges `token`. `first` describes it where it is the refresh token of a login, which is not in
/// the store before it is exchanged. `terms` is asked under the write lock: a time from before it could lie before that
/// of somebody who had the lock meanwhile.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn spend(
    store: &Store,
    token: &Secret,
    first: Option<&Successor>,
    terms: impl FnOnce() -> Terms + Send,
) -> Result<RotationOutcome, StoreError> {
    let hash = secret::hash(token);
    let mut transaction = store.begin(Turn::RefreshToken(&hash)).await?;
    let terms = &terms();
    // Others exchange beside this; the end of the client comes before or after all of it.
    transaction.wait_for(Turn::ClientShared(terms.client)).await?;
    let found = load(&mut transaction, &hash).await?;
    let rotation = match (found, first) {
        (None, None) => RotationOutcome::Refused,
        (Some(found), _) if found.token.client != terms.client => RotationOutcome::Refused,
        (Some(found), _) if is_revoked(&mut transaction, found.token.session).await? => RotationOutcome::Refused,
        (Some(found), _) if found.token.spent_at.is_some() => again(&mut transaction, token, &found, terms).await?,
        (Some(found), _) if terms.now >= found.token.expires_at => RotationOutcome::Refused,
        (Some(found), _) => succeed(&mut transaction, token, &found.token, terms, true).await?,
        (None, Some(first)) if is_revoked(&mut transaction, first.session).await? => RotationOutcome::Refused,
        // Whether it was exchanged is not known any more.
        (None, Some(first)) if pruned_in(&mut transaction).await?.covers(first.created_at, first.ends_at) => {
            RotationOutcome::Refused
        }
        (None, Some(first)) => succeed(&mut transaction, token, first, terms, false).await?,
    };
    transaction.commit().await?;
    Ok(rotation)
}

/// Says that a token came to a door that does not exchange. Where it was exchanged longer than `grace`
/// ago it is [`RotationOutcome::Reused`], and everything else is [`RotationOutcome::Refused`].
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn accuse(
    store: &Store,
    token: &Secret,
    grace: Duration,
    now: Timestamp,
) -> Result<RotationOutcome, StoreError> {
    let hash = secret::hash(token);
    let mut transaction = store.begin(Turn::RefreshToken(&hash)).await?;
    let found = load(&mut transaction, &hash).await?;
    let rotation = match found {
        Some(Found { token: Successor { session, spent_at: Some(spent_at), .. }, .. })
            if age(Some(spent_at), now).is_some_and(|age| age >= grace)
                && !is_revoked(&mut transaction, session).await? =>
        {
            revoke(&mut transaction, session, now).await?
        }
        _ => RotationOutcome::Refused,
    };
    transaction.commit().await?;
    Ok(rotation)
}

struct Found {
    token: Successor,
    successor: Option<Vec<u8>>,
}

async fn load(transaction: &mut Transaction, hash: &[u8]) -> Result<Option<Found>, StoreError> {
    let statement = format!("SELECT {COLUMNS} FROM refresh_tokens WHERE hash = $1");
    let row = composed(statement).bind(hash).optional(transaction).await?;
    row.map(|row| Ok(Found { token: read(&row)?, successor: row.get("successor")? })).transpose()
}

/// Spends a token and makes its successor.
async fn succeed(
    transaction: &mut Transaction,
    token: &Secret,
    spent: &Successor,
    terms: &Terms,
    is_known: bool,
) -> Result<RotationOutcome, StoreError> {
    if spent.generation >= EXCHANGES_MAX {
        return Ok(RotationOutcome::Refused);
    }
    let successor = secret::generate();
    let sealed = secret::seal_successor(token, &successor);
    let hash = secret::hash(token);
    let spent = Successor { client: terms.client, spent_at: Some(terms.now), ..spent.clone() };
    let expires_at = terms.lifetime.map_or(spent.ends_at, |lifetime| terms.now.plus(lifetime).min(spent.ends_at));
    let next = Successor {
        generation: spent.generation + 1,
        created_at: terms.now,
        expires_at,
        spent_at: None,
        ..spent.clone()
    };
    if is_known {
        query("UPDATE refresh_tokens SET spent_at = $1, successor = $2 WHERE hash = $3")
            .bind(terms.now.as_millis())
            .bind(sealed)
            .bind(hash)
            .execute(&mut *transaction)
            .await?;
    } else {
        insert(transaction, &hash, &spent, Some(sealed)).await?;
    }
    insert(transaction, &secret::hash(&successor), &next, None).await?;
    Ok(RotationOutcome::Successor(successor, expires_at))
}

/// A token that was spent: an answer that was lost, or a copy.
async fn again(
    transaction: &mut Transaction,
    token: &Secret,
    found: &Found,
    terms: &Terms,
) -> Result<RotationOutcome, StoreError> {
    match age(found.token.spent_at, terms.now) {
        Some(age) if age < terms.grace => {}
        Some(_) => return revoke(transaction, found.token.session, terms.now).await,
        // The clock was set back, or it was ahead then: neither within the grace nor surely after it.
        None => return Ok(RotationOutcome::Refused),
    }
    let sealed = found.successor.as_deref().unwrap_or_default();
    let Some(successor) = secret::open_successor(token, sealed) else {
        return Err(StoreError::corrupt("a refresh token's successor does not open"));
    };
    // The holder of the successor has used it: there was no lost answer, but neither is it late.
    let next = load(transaction, &secret::hash(&successor)).await?.map(|found| found.token);
    Ok(match next {
        Some(next) if next.spent_at.is_none() && terms.now < next.expires_at => {
            RotationOutcome::Successor(successor, next.expires_at)
        }
        _ => RotationOutcome::Refused,
    })
}

/// How long ago a token was spent; `None` where that lies in the future.
fn age(spent_at: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    spent_at.filter(|spent_at| *spent_at <= now).map(|spent_at| now.since(spent_at))
}

/// Revokes a session for as long as any token of it can live.
pub(super) async fn revoke(
    transaction: &mut Transaction,
    session: SessionId,
    now: Timestamp,
) -> Result<RotationOutcome, StoreError> {
    let end: Option<Option<i64>> = query("SELECT expires_at FROM sessions WHERE id = $1")
        .bind(&session.uuid().as_bytes()[..])
        .value(&mut *transaction)
        .await?;
    // A session that is not known any more has an end that nobody knows.
    let expires_at = end.flatten().map(Timestamp::from_millis);
    let record = Record { subject: RevokedSubject::Session(session), expires_at, created_at: now };
    log::append_in(transaction, &record).await?;
    Ok(RotationOutcome::Reused(record))
}

/// Whether the session is revoked, by whatever process, or about to be with the client that holds its family.
pub(super) async fn is_revoked<'a>(on: impl Into<Target<'a>>, session: SessionId) -> Result<bool, StoreError> {
    let statement = "\
        SELECT 1 FROM revocations WHERE kind = 'session' AND subject = $1 \
        UNION ALL \
        SELECT 1 FROM ending_lines AS ending WHERE EXISTS \
            (SELECT 1 FROM refresh_tokens AS line \
             WHERE line.client = ending.client AND line.session = $1 AND line.rowid <= ending.last) LIMIT 1";
    let found = query(statement).bind(&session.uuid().as_bytes()[..]).optional(on).await?;
    Ok(found.is_some())
}
