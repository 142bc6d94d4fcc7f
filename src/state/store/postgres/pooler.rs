//! What stands between `store.url` and the server, where that is not the server itself (`store.direct_url`).

use sqlx::{PgConnection, Postgres, Row, postgres::PgArguments, query::Query};

use super::{super::error::StoreError, connections::Connections};

/// Connections that it takes to find out whether a pooler keeps statements.
pub(super) const CONNECTIONS: u32 = 2;

/// Which database of which running server this is. A replica, promoted or not, is another one.
fn identity() -> Query<'static, Postgres, PgArguments> {
    // With a parameter, so that it is prepared as the statements of every call are.
    let statement = "SELECT pg_postmaster_start_time()::text || '/' || current_database() || $1 AS identity";
    sqlx::query(statement).bind("")
}

/// Holds what answers at `store.url` against the server: it must lead to the same database, and a statement that was
/// prepared once must work on whichever of the server's connections a pooler gives out next. Without this check the
/// statement would be lost now and then, in the middle of a login.
///
/// # Errors
/// When it leads elsewhere, loses statements, or does not answer.
pub(super) async fn examine(pooled: &Connections, direct: &mut PgConnection, place: &str) -> Result<(), StoreError> {
    let expected: String = identity().fetch_one(direct).await?.try_get("identity")?;
    let mut first = pooled.acquire().await?;
    let found = first.fetch_all(identity()).await?;
    let found: Option<String> = found.first().map(|row| row.try_get("identity")).transpose()?;
    if found != Some(expected) {
        let why =
            "store.url and store.direct_url lead to different databases or servers: both must lead to the same one";
        return Err(StoreError::unusable(place, why.to_owned()));
    }
    // A transaction keeps the server's connection that the pooler has free, so that the statement meets another one.
    let mut second = pooled.acquire().await?;
    second.run("BEGIN".to_owned()).await?;
    let again = first.fetch_all(identity()).await;
    second.run("ROLLBACK".to_owned()).await?;
    second.give_back();
    again?;
    first.give_back();
    Ok(())
}
