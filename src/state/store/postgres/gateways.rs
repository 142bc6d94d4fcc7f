//! The gateways that follow the feed: each writes a row, again and again. A row that was just committed proves that the
//! server takes changes, and is no replica that nobody writes to any more.

use sqlx::{
    Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use super::super::error::StoreError;

/// A gateway without a word for so long is forgotten. A day, so that an operator still finds its name.
const FORGOTTEN_AFTER_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// A gateway, as it writes itself down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// This process: new at each start.
    pub id: [u8; 16],
    /// What an operator knows it by.
    pub name: String,
    /// How far it has read the feed.
    pub seq: i64,
    /// Whether it goes on with checked traffic when it hears nothing.
    pub serves: bool,
    /// The server's civil time less its own, in milliseconds; `None` before it was measured.
    pub offset_millis: Option<i64>,
}

/// A gateway that wrote lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What an operator knows it by.
    pub name: String,
    /// How far it has read the feed.
    pub seq: i64,
    /// Milliseconds since it wrote, by the server's clock.
    pub silent_millis: i64,
    /// Whether it goes on with checked traffic when it hears nothing.
    pub serves: bool,
    /// The server's civil time less its own, in milliseconds; `None` before it was measured.
    pub offset_millis: Option<i64>,
}

/// Writes a gateway's row; answers the server's time in milliseconds since the Unix epoch. A server in recovery
/// refuses.
pub(super) fn beat(beat: &Beat) -> Query<'static, Postgres, PgArguments> {
    let statement = "\
        INSERT INTO gateways (id, name, beat_at, seq, serves, offset_millis) \
        VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, $3, $4, $5) \
        ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at, seq = excluded.seq, serves = excluded.serves, \
                                       offset_millis = excluded.offset_millis \
        RETURNING beat_at";
    sqlx::query(statement)
        .bind(beat.id.to_vec())
        .bind(beat.name.clone())
        .bind(beat.seq)
        .bind(beat.serves)
        .bind(beat.offset_millis)
}

/// Asks for all gateways.
pub(super) fn peers() -> Query<'static, Postgres, PgArguments> {
    sqlx::query(
        "SELECT name, seq, serves, offset_millis, (extract(epoch FROM clock_timestamp()) * 1000)::bigint - beat_at AS silent \
         FROM gateways ORDER BY name, id",
    )
}

/// Reads what [`peers`] asked for.
pub(super) fn read(rows: &[PgRow]) -> Result<Vec<Peer>, StoreError> {
    let peer = |row: &PgRow| {
        Ok(Peer {
            name: row.try_get("name")?,
            seq: row.try_get("seq")?,
            silent_millis: row.try_get("silent")?,
            serves: row.try_get("serves")?,
            offset_millis: row.try_get("offset_millis")?,
        })
    };
    rows.iter().map(peer).collect()
}

/// Removes the row of a gateway that ends.
pub(super) fn leave(id: [u8; 16]) -> Query<'static, Postgres, PgArguments> {
    sqlx::query("DELETE FROM gateways WHERE id = $1").bind(id.to_vec())
}

/// Forgets those that ended without a word.
pub(super) fn forget() -> Query<'static, Postgres, PgArguments> {
    let statement = "DELETE FROM gateways WHERE beat_at < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1";
    sqlx::query(statement).bind(FORGOTTEN_AFTER_MILLIS)
}
