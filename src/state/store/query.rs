//! Statements that both engines understand: one text for each operation, so that a rule about accounts, keys or
//! sessions stands in one place and means the same on SQLite and on PostgreSQL.
//!
//! Parameters are `$1`, `$2`, …, which both number from one. What only one of them can say has a text for each
//! ([`Query::of`]). No type of a driver leaves this folder.

use std::fmt::Write as _;

use sqlx::{
    AssertSqlSafe, Postgres, SqlSafeStr, SqlStr, Sqlite,
    postgres::{PgArguments, PgRow},
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    engine::{Engine, Store},
    error::StoreError,
    row::{Column, Row, Value},
    transaction::{Inner, Transaction},
};

/// A control character, which no name has that is stored.
const IN_PLACE_OF_ZERO: &str = "\u{1}";

/// A statement and its parameters.
#[derive(Debug)]
pub(in crate::state) struct Query {
    text: Text,
    values: Vec<Value>,
}

#[derive(Debug)]
enum Text {
    Common(SqlStr),
    /// The same operation in the words of each engine.
    Each {
        sqlite: SqlStr,
        postgres: SqlStr,
    },
}

/// Where a statement runs: by itself, or in a transaction.
pub(in crate::state) enum Target<'a> {
    Store(&'a Store),
    Transaction(&'a mut Transaction),
}

/// A statement that both engines understand.
pub(in crate::state) fn query(text: &'static str) -> Query {
    Query { text: Text::Common(text.into_sql_str()), values: vec![] }
}

/// The same for a text with many parameters, each a `?`, in the order of their values. SQLite looks for the name of a
/// parameter among all names, so that a statement's work would grow with their square; these have none there.
pub(in crate::state) fn unnamed(text: String) -> Query {
    let mut pieces = text.split('?');
    let first = pieces.next().unwrap_or_default().to_owned();
    let numbered = pieces.enumerate().fold(first, |mut numbered, (at, piece)| {
        // Writing to a text cannot fail.
        let _ = write!(numbered, "${}{piece}", at + 1);
        numbered
    });
    Query::composed_of(text, numbered)
}

/// Places for `rows` rows of `width` values, for [`unnamed`]: `(?, ?), (?, ?)`.
pub(in crate::state) fn places(rows: usize, width: usize) -> String {
    let row = format!("({})", vec!["?"; width].join(", "));
    vec![row; rows].join(", ")
}

/// The same for a text that is put together. Only constants of this crate go into it, never what a client says.
pub(in crate::state) fn composed(text: String) -> Query {
    Query { text: Text::Common(AssertSqlSafe(text).into_sql_str()), values: vec![] }
}

impl Query {
    /// A statement in the words of each engine, with the same parameters.
    pub(in crate::state) fn of(sqlite: &'static str, postgres: &'static str) -> Self {
        let (sqlite, postgres) = (sqlite.into_sql_str(), postgres.into_sql_str());
        Self { text: Text::Each { sqlite, postgres }, values: vec![] }
    }

    /// The same for texts that are put together.
    pub(in crate::state) fn composed_of(sqlite: String, postgres: String) -> Self {
        let (sqlite, postgres) = (AssertSqlSafe(sqlite).into_sql_str(), AssertSqlSafe(postgres).into_sql_str());
        Self { text: Text::Each { sqlite, postgres }, values: vec![] }
    }

    /// Adds the next parameter.
    #[must_use]
    pub(in crate::state) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it; answers how many rows it changed.
    pub(in crate::state) async fn execute<'a>(self, on: impl Into<Target<'a>>) -> Result<u64, StoreError> {
        // The drivers' futures are large, and many operations hold several.
        Box::pin(self.execute_on(on.into())).await
    }

    async fn execute_on(self, target: Target<'_>) -> Result<u64, StoreError> {
        if self.values.iter().any(Value::has_zero_byte) {
            return Err(StoreError::ZeroByte);
        }
        match target {
            Target::Store(store) => match &store.engine {
                Engine::Sqlite(sqlite) => Ok(sqlite.connections().write(self.sqlite()).await?),
                Engine::Postgres(postgres) => postgres.execute(self.postgres()).await,
            },
            Target::Transaction(transaction) => match &mut transaction.inner {
                Inner::Sqlite(connection) => Ok(self.sqlite().execute(&mut **connection).await?.rows_affected()),
                Inner::Postgres(postgres) => postgres.execute(self.postgres()).await,
            },
        }
    }

    /// Its rows.
    pub(in crate::state) async fn all<'a>(self, on: impl Into<Target<'a>>) -> Result<Vec<Row>, StoreError> {
        Box::pin(self.all_on(on.into())).await
    }

    async fn all_on(self, target: Target<'_>) -> Result<Vec<Row>, StoreError> {
        match target {
            Target::Store(store) => match &store.engine {
                Engine::Sqlite(sqlite) => Ok(of_sqlite(self.asked().sqlite().fetch_all(sqlite.connections()).await?)),
                Engine::Postgres(postgres) => Ok(of_postgres(postgres.fetch_all(self.asked().postgres()).await?)),
            },
            Target::Transaction(transaction) => match &mut transaction.inner {
                Inner::Sqlite(connection) => Ok(of_sqlite(self.asked().sqlite().fetch_all(&mut **connection).await?)),
                Inner::Postgres(postgres) => Ok(of_postgres(postgres.fetch_all(self.asked().postgres()).await?)),
            },
        }
    }

    /// Its first row, if it has one.
    pub(in crate::state) async fn optional<'a>(self, on: impl Into<Target<'a>>) -> Result<Option<Row>, StoreError> {
        Ok(self.all(on).await?.into_iter().next())
    }

    /// The first column of its first row, if it has one.
    pub(in crate::state) async fn value<'a, T>(self, on: impl Into<Target<'a>>) -> Result<Option<T>, StoreError>
    where
        T: for<'r> Column<'r>,
    {
        self.optional(on).await?.map(|row| row.first()).transpose()
    }

    /// The first column of each of its rows.
    pub(in crate::state) async fn values<'a, T>(self, on: impl Into<Target<'a>>) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> Column<'r>,
    {
        self.all(on).await?.iter().map(Row::first).collect()
    }

    /// Its row, which must be there.
    pub(in crate::state) async fn one<'a>(self, on: impl Into<Target<'a>>) -> Result<Row, StoreError> {
        self.optional(on).await?.ok_or(StoreError::corrupt("a row is missing that must be there"))
    }

    fn sqlite(self) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
        let text = match self.text {
            Text::Common(text) | Text::Each { sqlite: text, .. } => text,
        };
        self.values.into_iter().fold(sqlx::query(text), |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
            Value::Boolean(value) => query.bind(value),
        })
    }

    /// The same question without zero bytes, which no text of PostgreSQL has. Clients send them, in names too; and what
    /// is asked for so is not there, in either engine: a statement that would write one is refused.
    fn asked(mut self) -> Self {
        for value in self.values.iter_mut().filter(|value| value.has_zero_byte()) {
            if let Value::Text(Some(text)) = value {
                *text = text.replace('\0', IN_PLACE_OF_ZERO);
            }
        }
        self
    }

    fn postgres(self) -> sqlx::query::Query<'static, Postgres, PgArguments> {
        let text = match self.text {
            Text::Common(text) | Text::Each { postgres: text, .. } => text,
        };
        self.values.into_iter().fold(sqlx::query(text), |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
            Value::Boolean(value) => query.bind(value),
        })
    }
}

fn of_sqlite(rows: Vec<SqliteRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Sqlite).collect()
}

fn of_postgres(rows: Vec<PgRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Postgres).collect()
}

#[cfg(test)]
impl Store {
    /// Runs a statement by itself.
    pub(crate) async fn run(&self, statement: &'static str) {
        query(statement).execute(self).await.unwrap();
    }
}

impl<'a> From<&'a Store> for Target<'a> {
    fn from(store: &'a Store) -> Self {
        Self::Store(store)
    }
}

impl<'a> From<&'a mut Transaction> for Target<'a> {
    fn from(transaction: &'a mut Transaction) -> Self {
        Self::Transaction(transaction)
    }
}
