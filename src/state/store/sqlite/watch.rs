//! Sees what other connections and other processes commit, and that the files are still the same.

use std::sync::Arc;

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::time::timeout;

use super::{
    super::error::StoreError,
    open::connect,
    place::{CALL_DEADLINE, StoreFiles},
};

/// Watches the store for commits, on a connection of its own that never writes.
///
/// `PRAGMA data_version` is compared between two calls on one connection: it moves when any other
/// connection committed (<https://www.sqlite.org/pragma.html#pragma_data_version>). It costs a look
/// at the shared memory of the WAL, so that it can be asked ten times a second.
#[derive(Debug)]
pub(in crate::state::store) struct ChangeWatch {
    options: SqliteConnectOptions,
    place: Arc<StoreFiles>,
    /// `None` after a failure: the next call connects anew.
    seen: Option<(SqliteConnection, i64)>,
    /// Whether nobody looked for a while, because of an error.
    missed: bool,
}

impl ChangeWatch {
    pub(super) async fn open(options: SqliteConnectOptions, place: Arc<StoreFiles>) -> Result<Self, StoreError> {
        let mut watch = Self { options, place, seen: None, missed: false };
        watch.changed().await?;
        Ok(watch)
    }

    /// Whether anything was committed since the last call, or since the watch was made. After an
    /// error the next success answers true, since nobody looked meanwhile.
    ///
    /// # Errors
    /// Also that a file of the store is gone, or another one than was opened: nothing is read from that one.
    pub(in crate::state::store) async fn changed(&mut self) -> Result<bool, StoreError> {
        let changed = self.look().await;
        let missed = std::mem::replace(&mut self.missed, changed.is_err());
        changed.map(|changed| changed || missed)
    }

    async fn look(&mut self) -> Result<bool, StoreError> {
        self.place.verify().await?;
        let call = self.place.begin();
        let Some((connection, before)) = &mut self.seen else {
            let connecting = async {
                let mut connection = connect(&self.options, &self.place).await?;
                let version = data_version(&mut connection).await?;
                Ok::<_, sqlx::Error>((connection, version))
            };
            let seen =
                timeout(CALL_DEADLINE, connecting).await.map_err(|_| sqlx::Error::from(self.place.hang(call)))?;
            self.seen = Some(seen?);
            return Ok(true);
        };
        match timeout(CALL_DEADLINE, data_version(connection)).await {
            Ok(Ok(now)) => Ok(now != std::mem::replace(before, now)),
            Ok(Err(error)) => {
                self.seen = None;
                Err(error.into())
            }
            Err(_) => {
                self.abandon();
                Err(sqlx::Error::from(self.place.hang(call)).into())
            }
        }
    }

    /// Gives up a connection that hangs, unless too many do so already: then the same one is asked again.
    fn abandon(&mut self) {
        let Ok(permit) = Arc::clone(&self.place.abandoned).try_acquire_owned() else { return };
        if let Some((connection, _)) = self.seen.take() {
            tokio::spawn(async move {
                // It comes back when what it waits for does.
                let _ = connection.close().await;
                drop(permit);
            });
        }
    }

    /// Closes its connection.
    pub(in crate::state::store) async fn close(mut self) {
        if let Some((connection, _)) = self.seen.take() {
            // The files are no longer its own: see `Store::close`.
            if self.place.verify().await.is_err() {
                return std::mem::forget(connection);
            }
            // One that hangs ends with the process.
            let _ = timeout(CALL_DEADLINE, connection.close()).await;
        }
    }
}

async fn data_version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA data_version").fetch_one(connection).await
}
