//! Sees what other connections and other processes commit.

use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

use super::StoreError;

/// Watches the store for commits, on a connection of its own that never writes.
///
/// `PRAGMA data_version` is compared between two calls on one connection: it moves when any other
/// connection committed (<https://www.sqlite.org/pragma.html#pragma_data_version>). It costs a look
/// at the shared memory of the WAL, so that it can be asked ten times a second.
#[derive(Debug)]
pub struct ChangeWatch {
    options: SqliteConnectOptions,
    /// `None` after a failure: the next call connects anew.
    seen: Option<(SqliteConnection, i64)>,
}

impl ChangeWatch {
    pub(super) async fn open(options: SqliteConnectOptions) -> Result<Self, StoreError> {
        let seen = Some(connect(&options).await?);
        Ok(Self { options, seen })
    }

    /// Whether anything was committed since the last call, or since the watch was made. After an
    /// error the next success answers true, since nobody looked meanwhile.
    pub async fn changed(&mut self) -> Result<bool, StoreError> {
        let Some((mut connection, before)) = self.seen.take() else {
            self.seen = Some(connect(&self.options).await?);
            return Ok(true);
        };
        let now = data_version(&mut connection).await?;
        self.seen = Some((connection, now));
        Ok(now != before)
    }
}

async fn connect(options: &SqliteConnectOptions) -> Result<(SqliteConnection, i64), StoreError> {
    let mut connection = options.connect().await?;
    let version = data_version(&mut connection).await?;
    Ok((connection, version))
}

async fn data_version(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("PRAGMA data_version").fetch_one(connection).await?)
}
