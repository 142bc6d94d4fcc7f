//! The feed: the log of changes that every gateway follows.
//!
//! A transaction takes the feed's lock as the last of its locks, right before it appends, and keeps it until it is
//! committed. So rows become visible in the order of their numbers, and who has read a row has read all before it.
//!
//! Every row carries 128 random bits. A number alone says little: a server that was restored from a backup, or promoted
//! without its last transactions, gives the same numbers to other rows. The bits tell whether the row that a gateway
//! read last is still the one that is there ([`Position`]).

use sqlx::{
    Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use super::super::{
    change::{ACCOUNTS, CANARY, Canary, Change, KEYS, RevocationRow},
    error::StoreError,
    turn,
};
use crate::domain::{RevocationId, Timestamp, random};

/// Where somebody is in the feed: the row that was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The row's number.
    pub seq: i64,
    /// Its random bits.
    pub bits: u128,
}

/// What a look into the feed found.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::state) enum Page {
    /// The rows behind the position, and where the last of them is.
    Next(Vec<Change>, Position),
    /// The row at the position is gone, or is another one, or what this process committed is not there: the store has
    /// another history.
    OtherHistory,
}

/// How long a row stays. A gateway that was away for longer reads the whole state anew.
pub(super) const KEPT_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Appends rows, and answers where they are. The lock comes first: a number that is drawn before it could be committed
/// after a higher one.
pub(super) fn append(changes: &[Change]) -> Query<'static, Postgres, PgArguments> {
    let statement = "\
        WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock($1)) \
        INSERT INTO feed (bits, kind, subject, epoch, expires_at, created_at, appended_at) \
        SELECT bits, kind, subject, epoch, expires_at, created_at, \
               (extract(epoch FROM clock_timestamp()) * 1000)::bigint \
        FROM turn, unnest($2::bytea[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bigint[]) \
             WITH ORDINALITY AS change (bits, kind, subject, epoch, expires_at, created_at, place) \
        ORDER BY place \
        RETURNING seq, bits";
    let rows = || changes.iter().map(Change::revocation);
    sqlx::query(statement)
        .bind(turn::number("feed", &[]))
        .bind(changes.iter().map(|_| random::bytes::<16>().to_vec()).collect::<Vec<_>>())
        .bind(changes.iter().map(|change| change.kind().to_owned()).collect::<Vec<_>>())
        .bind(changes.iter().map(Change::subject).collect::<Vec<_>>())
        .bind(rows().map(|row| row.and_then(|row| row.epoch)).collect::<Vec<_>>())
        .bind(rows().map(|row| row.and_then(|row| row.expires_at)).collect::<Vec<_>>())
        .bind(rows().map(|row| row.map(|row| row.created_at)).collect::<Vec<_>>())
}

/// Asks for the row at a position and those behind it, at most `limit` of them.
pub(super) fn after(position: Position, limit: u32) -> Query<'static, Postgres, PgArguments> {
    let statement = "SELECT seq, bits, kind, subject, epoch, expires_at, created_at, appended_at FROM feed \
                     WHERE seq >= $1 ORDER BY seq LIMIT $2";
    sqlx::query(statement).bind(position.seq).bind(i64::from(limit) + 1)
}

/// Asks for one row.
pub(super) fn at(row: Position) -> Query<'static, Postgres, PgArguments> {
    let statement = "SELECT seq, bits FROM feed WHERE seq = $1 AND bits = $2";
    sqlx::query(statement).bind(row.seq).bind(row.bits.to_be_bytes().to_vec())
}

/// Reads what [`after`] asked for.
pub(super) fn read(position: Position, rows: &[PgRow]) -> Result<Page, StoreError> {
    let Some((first, rest)) = rows.split_first() else { return Ok(Page::OtherHistory) };
    if position_of(first)? != position {
        return Ok(Page::OtherHistory);
    }
    let changes = rest.iter().map(change).collect::<Result<_, _>>()?;
    Ok(Page::Next(changes, rest.last().map_or(Ok(position), position_of)?))
}

/// Asks for the newest row, which is always there.
pub(super) fn head() -> Query<'static, Postgres, PgArguments> {
    sqlx::query("SELECT seq, bits FROM feed ORDER BY seq DESC LIMIT 1")
}

/// Drops what is older than [`KEPT_MILLIS`] by the server's own clock, and never the newest row.
pub(super) fn prune(limit: u32) -> Query<'static, Postgres, PgArguments> {
    let statement = "\
        DELETE FROM feed WHERE seq IN ( \
            SELECT seq FROM feed WHERE appended_at < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1 \
            AND seq < (SELECT max(seq) FROM feed) ORDER BY seq LIMIT $2)";
    sqlx::query(statement).bind(KEPT_MILLIS).bind(i64::from(limit))
}

pub(super) fn position_of(row: &PgRow) -> Result<Position, StoreError> {
    let bits: &[u8] = row.try_get("bits")?;
    let bits = bits.try_into().map_err(|_| StoreError::corrupt("a row of the feed does not have its 128 bits"))?;
    Ok(Position { seq: row.try_get("seq")?, bits: u128::from_be_bytes(bits) })
}

fn change(row: &PgRow) -> Result<Change, StoreError> {
    let kind: &str = row.try_get("kind")?;
    Ok(match kind {
        KEYS => Change::Keys,
        ACCOUNTS => Change::Accounts,
        CANARY => {
            let id: &[u8] = row.try_get("subject")?;
            let id = id.try_into().map_err(|_| StoreError::corrupt("a canary does not have its 128 bits"))?;
            let appended_at = Timestamp::from_millis(row.try_get("appended_at")?);
            Change::Canary(Canary { id: RevocationId::from_bytes(id), appended_at })
        }
        _ => Change::Revocation(RevocationRow {
            kind: kind.to_owned(),
            subject: row.try_get::<Option<Vec<u8>>, _>("subject")?.unwrap_or_default(),
            epoch: row.try_get("epoch")?,
            expires_at: row.try_get("expires_at")?,
            created_at: row.try_get::<Option<i64>, _>("created_at")?.unwrap_or_default(),
        }),
    })
}
