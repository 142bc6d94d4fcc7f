//! The store's file in somebody else's hands.

use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::runtime::{Builder, Runtime};

use super::{Folder, Gateway};

/// A connection of another program to a gateway's store. What it holds ends when it is dropped.
pub(crate) struct Database {
    connection: SqliteConnection,
    runtime: Runtime,
}

impl Database {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self::in_folder(&gateway.folder)
    }

    /// Of a gateway that may not run.
    pub(crate) fn in_folder(folder: &Folder) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.file("portero.db"));
        let connection = runtime.block_on(options.connect()).unwrap();
        Self { connection, runtime }
    }

    pub(crate) fn execute(&mut self, statement: &'static str) {
        self.runtime.block_on(sqlx::query(statement).execute(&mut self.connection)).unwrap();
    }

    /// The number that a query answers.
    pub(crate) fn count(&mut self, query: &'static str) -> i64 {
        self.runtime.block_on(sqlx::query_scalar(query).fetch_one(&mut self.connection)).unwrap()
    }
}
