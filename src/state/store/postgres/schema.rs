//! The schema: making it once, bringing it up to date, and telling whether this version of Portero can work with it.
//!
//! Migrations expand first: one adds what the new release needs and the release before it does without, and a later one
//! removes what nobody reads any more. Each says in `meta` (`oldest_schema`) which is the oldest schema version whose
//! release still runs on it. So gateways of two releases run side by side on the newer schema.

use std::sync::LazyLock;

use sqlx::{Connection, PgConnection, Row, migrate::Migrator};

use super::super::{error::StoreError, migrations::migrations, turn};
use crate::domain::random;

/// What made the schema, step by step.
static MIGRATIONS: LazyLock<Migrator> =
    migrations!["0001_init", "0002_throttles", "0003_imports", "0004_audit", "0005_accounts", "0006_verifiers"];

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// No store of Portero.
    Missing,
    /// One of this version.
    Present,
    /// One of an earlier version.
    Old(i64),
    /// One of a later version, on which this version still runs.
    Newer(i64),
    /// One of a later version, on which this version runs no more.
    TooNew(i64),
}

/// The schema version that this release was built with.
fn known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Looks what is there, and changes nothing.
pub(super) async fn look(connection: &mut PgConnection) -> Result<Schema, StoreError> {
    let tables = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL AND to_regclass('feed') IS NOT NULL AS present";
    let present: bool = sqlx::query(tables).fetch_one(&mut *connection).await?.try_get("present")?;
    if !present {
        return Ok(Schema::Missing);
    }
    let version = sqlx::query("SELECT coalesce(max(version), 0) AS version FROM _sqlx_migrations");
    let version: i64 = version.fetch_one(&mut *connection).await?.try_get("version")?;
    if version <= known() {
        return Ok(if version == known() { Schema::Present } else { Schema::Old(version) });
    }
    let oldest = sqlx::query("SELECT value FROM meta WHERE name = 'oldest_schema'");
    let oldest = oldest.fetch_optional(connection).await?;
    let oldest = oldest.map(|row| row.try_get::<Vec<u8>, _>("value")).transpose()?;
    let oldest = oldest.and_then(|value| String::from_utf8(value).ok()?.parse::<i64>().ok());
    Ok(if oldest.is_some_and(|oldest| oldest <= known()) { Schema::Newer(version) } else { Schema::TooNew(version) })
}

/// Makes the schema, or brings it up to date, under a lock that ends with the transaction: of several processes that do
/// so at once, one does. Answers whether anything was done.
pub(super) async fn migrate(connection: &mut PgConnection, place: &str) -> Result<bool, StoreError> {
    let mut transaction = connection.begin().await?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(turn::number("migrations", &[]));
    lock.execute(&mut *transaction).await?;
    match look(&mut transaction).await? {
        Schema::Present | Schema::Newer(_) => return Ok(false),
        Schema::TooNew(version) => return Err(StoreError::too_new(place, version)),
        Schema::Missing | Schema::Old(_) => {}
    }
    let migrated = MIGRATIONS.run_direct(None, &mut *transaction, false).await;
    migrated
        .map_err(|error| StoreError::unusable(place, format!("its schema cannot be brought up to date: {error}")))?;
    // The feed always has a newest row: who starts on an empty store follows from there.
    let genesis = "INSERT INTO feed (bits, kind, appended_at) \
                   SELECT $1, 'keys', (extract(epoch FROM clock_timestamp()) * 1000)::bigint \
                   WHERE NOT EXISTS (SELECT 1 FROM feed)";
    sqlx::query(genesis).bind(random::bytes::<16>().to_vec()).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;
    use crate::state::store::migrations::assert_whole;

    #[test]
    fn every_migration_is_built_in() {
        assert_whole("postgres", &MIGRATIONS);
    }
}
