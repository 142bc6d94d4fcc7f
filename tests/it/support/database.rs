//! The store's file in somebody else's hands.

use std::path::Path;

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::runtime::{Builder, Runtime};

use super::{Folder, Gateway};

/// A connection of another program to a gateway's store. What it holds ends when it is dropped.
pub(crate) struct Database {
    connection: SqliteConnection,
    runtime: Runtime,
}

impl Database {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self::at(&gateway.folder.file("portero.db"))
    }

    /// Of a gateway that may not run.
    pub(crate) fn in_folder(folder: &Folder) -> Self {
        Self::at(&folder.file("portero.db"))
    }

    /// The same for a file that no gateway needs to have open.
    pub(crate) fn at(file: &Path) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let options = SqliteConnectOptions::new().filename(file);
        let connection = runtime.block_on(options.connect()).unwrap();
        Self { connection, runtime }
    }

    pub(crate) fn execute(&mut self, statement: &'static str) {
        self.runtime.block_on(sqlx::query(statement).execute(&mut self.connection)).unwrap();
    }

    /// What SQLite says to a statement that is refused.
    pub(crate) fn refusal(&mut self, statement: &'static str) -> String {
        let refused = self.runtime.block_on(sqlx::query(statement).execute(&mut self.connection)).unwrap_err();
        refused.as_database_error().unwrap().message().to_owned()
    }

    /// Several statements.
    pub(crate) fn script(&mut self, statements: &'static str) {
        self.runtime.block_on(sqlx::raw_sql(statements).execute(&mut self.connection)).unwrap();
    }

    pub(crate) fn text(&mut self, query: &'static str) -> String {
        self.runtime.block_on(sqlx::query_scalar(query).fetch_one(&mut self.connection)).unwrap()
    }

    pub(crate) fn bytes(&mut self, query: &'static str) -> Vec<u8> {
        self.runtime.block_on(sqlx::query_scalar(query).fetch_one(&mut self.connection)).unwrap()
    }

    /// The number that a query answers.
    pub(crate) fn count(&mut self, query: &'static str) -> i64 {
        self.runtime.block_on(sqlx::query_scalar(query).fetch_one(&mut self.connection)).unwrap()
    }

    /// Ends the connection, so that the last one leaves no journal.
    pub(crate) fn close(self) {
        self.runtime.block_on(self.connection.close()).unwrap();
    }
}
