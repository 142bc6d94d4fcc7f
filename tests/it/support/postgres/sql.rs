//! Statements of an administrator.

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

use super::{super::PATIENCE, PASSWORD};

/// Runs statements as the superuser in Portero's database, each on a connection of its own: faults break none.
#[derive(Debug)]
pub(super) struct Sql {
    port: u16,
    runtime: Runtime,
}

impl Sql {
    pub(super) fn at(port: u16) -> Self {
        Self { port, runtime: Builder::new_current_thread().enable_all().build().unwrap() }
    }

    /// Runs statements. Several are one transaction.
    pub(super) fn execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        self.run(async |connection| sqlx::raw_sql(sql).execute(connection).await.map(drop))
    }

    /// The number that a query answers.
    pub(super) fn count(&self, sql: &str) -> Result<i64, sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        self.run(async |connection| sqlx::query_scalar(sql).fetch_one(connection).await)
    }

    /// The text that a query answers.
    pub(super) fn text(&self, sql: &str) -> Result<String, sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        self.run(async |connection| sqlx::query_scalar(sql).fetch_one(connection).await)
    }

    /// Runs all of this on one connection.
    pub(super) fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(self.port);
        let options = options.username("postgres").password(PASSWORD).database("portero").ssl_mode(PgSslMode::Disable);
        let worked = async {
            let mut connection = options.connect().await?;
            let worked = work(&mut connection).await;
            connection.close().await?;
            worked
        };
        self.runtime.block_on(async { timeout(PATIENCE, worked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) })
    }
}
