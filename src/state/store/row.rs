//! Values as statements take and answer them, and rows of answers, of either engine or kept.

use sqlx::{Decode, Postgres, Row as _, Sqlite, Type, postgres::PgRow, sqlite::SqliteRow};

use super::error::StoreError;

/// A parameter, or the value of a column. Without a value it still has a type: PostgreSQL asks for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::state) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Boolean(bool),
}

impl Value {
    pub(super) fn has_zero_byte(&self) -> bool {
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
        T::read(self, ColumnKey::Named(name))
    }

    /// The value in the first column: that of a statement that answers one.
    pub(in crate::state) fn first<'r, T: Column<'r>>(&'r self) -> Result<T, StoreError> {
        T::read(self, ColumnKey::At(0))
    }

    /// The value in the column at this place, from 0 on.
    pub(in crate::state) fn at<'r, T: Column<'r>>(&'r self, column: usize) -> Result<T, StoreError> {
        T::read(self, ColumnKey::At(column))
    }
}

/// Which column.
#[derive(Clone, Copy)]
pub(in crate::state) enum ColumnKey<'a> {
    Named(&'a str),
    At(usize),
}

/// What a column can be read as.
pub(in crate::state) trait Column<'r>: Sized {
    fn read(row: &'r Row, key: ColumnKey<'_>) -> Result<Self, StoreError>;
}

/// What both drivers read.
fn decode<'r, T>(row: &'r Row, key: ColumnKey<'_>) -> Result<T, StoreError>
where
    T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres> + OfValue<'r>,
{
    Ok(match (row, key) {
        (Row::Kept(row), key) => {
            let value = row.at(key).and_then(T::of_value);
            value.ok_or(StoreError::corrupt("a kept row does not have the shape it should have"))?
        }
        (Row::Sqlite(row), ColumnKey::Named(name)) => row.try_get(name)?,
        (Row::Sqlite(row), ColumnKey::At(column)) => row.try_get(column)?,
        (Row::Postgres(row), ColumnKey::Named(name)) => row.try_get(name)?,
        (Row::Postgres(row), ColumnKey::At(column)) => row.try_get(column)?,
    })
}

impl KeptRow {
    fn at(&self, key: ColumnKey<'_>) -> Option<&Value> {
        let at = match key {
            ColumnKey::Named(name) => self.columns.iter().position(|(column, _)| *column == name)?,
            ColumnKey::At(at) => at,
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
            fn read(row: &'r Row, key: ColumnKey<'_>) -> Result<Self, StoreError> {
                decode(row, key)
            }
        }
        impl<'r> Column<'r> for Option<$column> {
            fn read(row: &'r Row, key: ColumnKey<'_>) -> Result<Self, StoreError> {
                decode(row, key)
            }
        }
    )* };
}

columns!(i64, bool, &'r str, String, &'r [u8], Vec<u8>);

impl<'r> Column<'r> for u32 {
    fn read(row: &'r Row, key: ColumnKey<'_>) -> Result<Self, StoreError> {
        i64::read(row, key)?.try_into().map_err(|_| StoreError::corrupt("a number is larger than it can be"))
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
