//! Statements that both engines understand: one text for each operation, so that a rule about accounts, keys or
//! sessions stands in one place and means the same on SQLite and on PostgreSQL.
//!
//! Parameters are `$1`, `$2`, …, which both number from one. What only one of them can say has a text for each
//! ([`Query::of`]). No type of a driver leaves this folder.

use std::fmt::Write as _;

use sqlx::{
    AssertSqlSafe, Decode, Postgres, Row as _, SqlSafeStr, SqlStr, Sqlite, Type,
    postgres::{PgArguments, PgRow},
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{
    Engine, Store,
    error::StoreError,
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

/// A parameter, or the value of a column. Without a value it still has a type: PostgreSQL asks for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::state) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Boolean(bool),
}

impl Value {
    fn has_zero_byte(&self) -> bool {
        matches!(self, Self::Text(Some(text)) if text.contains('\0'))
    }
}

/// A row of an answer.
pub(in crate::state) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    /// One that was read earlier.
    Kept(KeptRow),
}

/// A row without its store: the names of its columns, and their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::state) struct KeptRow {
    pub(in crate::state) columns: &'static [(&'static str, Value)],
    pub(in crate::state) values: Vec<Value>,
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

impl Row {
    /// The row by itself: these columns, each with a value of its type.
    pub(in crate::state) fn keep(&self, columns: &'static [(&'static str, Value)]) -> Result<KeptRow, StoreError> {
        let value = |(name, sample): &(&str, Value)| {
            Ok(match sample {
                Value::Integer(_) => Value::Integer(self.get(name)?),
                Value::Text(_) => Value::Text(self.get(name)?),
                Value::Bytes(_) => Value::Bytes(self.get(name)?),
                Value::Boolean(_) => Value::Boolean(self.get(name)?),
            })
        };
        Ok(KeptRow { columns, values: columns.iter().map(value).collect::<Result<_, StoreError>>()? })
    }

    /// The value in the column of this name.
    pub(in crate::state) fn get<'r, T: Column<'r>>(&'r self, name: &str) -> Result<T, StoreError> {
        T::read(self, Place::Named(name))
    }

    /// The value in the first column: that of a statement that answers one.
    pub(in crate::state) fn first<'r, T: Column<'r>>(&'r self) -> Result<T, StoreError> {
        T::read(self, Place::At(0))
    }

    /// The value in the column at this place, from 0 on.
    pub(in crate::state) fn at<'r, T: Column<'r>>(&'r self, column: usize) -> Result<T, StoreError> {
        T::read(self, Place::At(column))
    }
}

/// Which column.
#[derive(Clone, Copy)]
pub(in crate::state) enum Place<'a> {
    Named(&'a str),
    At(usize),
}

/// What a column can be read as.
pub(in crate::state) trait Column<'r>: Sized {
    fn read(row: &'r Row, place: Place<'_>) -> Result<Self, StoreError>;
}

/// What both drivers read.
fn decode<'r, T>(row: &'r Row, place: Place<'_>) -> Result<T, StoreError>
where
    T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres> + OfValue<'r>,
{
    Ok(match (row, place) {
        (Row::Kept(row), place) => {
            let value = row.at(place).and_then(T::of_value);
            value.ok_or(StoreError::corrupt("a kept row does not have the shape it should have"))?
        }
        (Row::Sqlite(row), Place::Named(name)) => row.try_get(name)?,
        (Row::Sqlite(row), Place::At(column)) => row.try_get(column)?,
        (Row::Postgres(row), Place::Named(name)) => row.try_get(name)?,
        (Row::Postgres(row), Place::At(column)) => row.try_get(column)?,
    })
}

impl KeptRow {
    fn at(&self, place: Place<'_>) -> Option<&Value> {
        let at = match place {
            Place::Named(name) => self.columns.iter().position(|(column, _)| *column == name)?,
            Place::At(at) => at,
        };
        self.values.get(at)
    }
}

/// What a kept value can be read as; `None` where it is of another type, or none.
trait OfValue<'r>: Sized {
    fn of_value(value: &'r Value) -> Option<Self>;
}

macro_rules! of_values {
    ($($of:ty => $variant:ident, |$value:ident| $into:expr;)*) => { $(
        impl<'r> OfValue<'r> for $of {
            fn of_value(value: &'r Value) -> Option<Self> {
                Option::<$of>::of_value(value)?
            }
        }
        impl<'r> OfValue<'r> for Option<$of> {
            fn of_value(value: &'r Value) -> Option<Self> {
                let Value::$variant(value) = value else { return None };
                Some(value.as_ref().map(|$value| $into))
            }
        }
    )* };
}

of_values! {
    i64 => Integer, |value| *value;
    &'r str => Text, |value| value.as_str();
    String => Text, |value| value.clone();
    &'r [u8] => Bytes, |value| value.as_slice();
    Vec<u8> => Bytes, |value| value.clone();
}

impl OfValue<'_> for bool {
    fn of_value(value: &Value) -> Option<Self> {
        if let Value::Boolean(value) = value { Some(*value) } else { None }
    }
}

impl OfValue<'_> for Option<bool> {
    fn of_value(value: &Value) -> Option<Self> {
        bool::of_value(value).map(Some)
    }
}

macro_rules! columns {
    ($($column:ty),*) => { $(
        impl<'r> Column<'r> for $column {
            fn read(row: &'r Row, place: Place<'_>) -> Result<Self, StoreError> {
                decode(row, place)
            }
        }
        impl<'r> Column<'r> for Option<$column> {
            fn read(row: &'r Row, place: Place<'_>) -> Result<Self, StoreError> {
                decode(row, place)
            }
        }
    )* };
}

columns!(i64, bool, &'r str, String, &'r [u8], Vec<u8>);

impl<'r> Column<'r> for u32 {
    fn read(row: &'r Row, place: Place<'_>) -> Result<Self, StoreError> {
        i64::read(row, place)?.try_into().map_err(|_| StoreError::corrupt("a number is larger than it can be"))
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

macro_rules! values {
    ($($from:ty => |$value:ident| $into:expr;)*) => { $(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $into
            }
        }
    )* };
}

values! {
    i64 => |value| Self::Integer(Some(value));
    u32 => |value| Self::Integer(Some(value.into()));
    Option<i64> => |value| Self::Integer(value);
    Option<u32> => |value| Self::Integer(value.map(i64::from));
    bool => |value| Self::Boolean(value);
    &str => |value| Self::Text(Some(value.to_owned()));
    String => |value| Self::Text(Some(value));
    &String => |value| Self::Text(Some(value.clone()));
    Option<&str> => |value| Self::Text(value.map(str::to_owned));
    Option<String> => |value| Self::Text(value);
    &Option<String> => |value| Self::Text(value.clone());
    &[u8] => |value| Self::Bytes(Some(value.to_owned()));
    [u8; 16] => |value| Self::Bytes(Some(value.to_vec()));
    Vec<u8> => |value| Self::Bytes(Some(value));
    &Vec<u8> => |value| Self::Bytes(Some(value.clone()));
    Option<Vec<u8>> => |value| Self::Bytes(value);
}
