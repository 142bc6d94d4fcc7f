//! The store's file in somebody else's hands.

use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::runtime::{Builder, Runtime};

use super::Gateway;

/// A connection of another program to a gateway's store. What it holds ends when it is dropped.
pub(crate) struct Database {
    connection: SqliteConnection,
    runtime: Runtime,
}

impl Database {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let options = SqliteConnectOptions::new().filename(gateway.folder.file("portero.db"));
        let connection = runtime.block_on(options.connect()).unwrap();
        Self { connection, runtime }
    }

    pub(crate) fn execute(&mut self, statement: &'static str) {
        self.runtime.block_on(sqlx::query(statement).execute(&mut self.connection)).unwrap();
    }
}
