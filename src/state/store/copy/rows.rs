//! Rows as they are read from one store and written to another one, and what they sum up to.

use aws_lc_rs::digest;

use super::{
    super::{
        StoreError,
        query::{Query, composed},
        row::{Row, Value},
    },
    tables::{Kind, Table},
};
use crate::domain::id::hex;

/// A row: a value for each column of its table.
pub(super) type Record = Vec<Value>;

/// Rows that one statement writes, at most. With 16 columns these are 4,000 parameters; SQLite takes 32,766.
const ROWS_A_STATEMENT: usize = 250;

impl Table {
    /// The values of a row's key.
    pub(super) fn key_of<'a>(&self, record: &'a [Value]) -> &'a [Value] {
        &record[..self.key]
    }

    /// Asks for the rows behind a key, in its order.
    pub(super) fn page(&self, after: Option<&[Value]>, limit: u32) -> Query {
        let key = self.column_names(self.key);
        let behind = after.map(|_| format!("({key}) > ({})", parameters(1, self.key)));
        let conditions: Vec<_> = behind.into_iter().chain(self.only.map(str::to_owned)).collect();
        let condition =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let (columns, name) = (self.column_names(self.columns.len()), self.name);
        let query = composed(format!("SELECT {columns} FROM {name}{condition} ORDER BY {key} LIMIT {limit}"));
        after.unwrap_or_default().iter().cloned().fold(query, Query::bind)
    }

    /// Reads a row that [`Table::page`] asked for.
    pub(super) fn read(&self, row: &Row) -> Result<Record, StoreError> {
        let value = |(at, (_, kind)): (usize, &(&str, Kind))| {
            Ok(match kind {
                Kind::Integer => Value::Integer(row.at(at)?),
                Kind::Text => Value::Text(row.at(at)?),
                Kind::Bytes => Value::Bytes(row.at(at)?),
                Kind::Boolean => Value::Boolean(row.at(at)?),
            })
        };
        self.columns.iter().enumerate().map(value).collect()
    }

    /// Counts the rows.
    pub(super) fn count(&self) -> Query {
        let condition = self.only.map(|only| format!(" WHERE {only}")).unwrap_or_default();
        composed(format!("SELECT count(*) FROM {}{condition}", self.name))
    }

    /// Statements that write these rows.
    pub(super) fn insertions<'a>(&self, records: &'a [Record]) -> impl Iterator<Item = Query> + use<'a, '_> {
        let width = self.columns.len();
        records.chunks(ROWS_A_STATEMENT).map(move |chunk| {
            let rows: Vec<_> =
                (0..chunk.len()).map(|row| format!("({})", parameters(1 + row * width, width))).collect();
            let (into, rows) = (format!("INSERT INTO {} ({})", self.name, self.column_names(width)), rows.join(", "));
            // Numbers that PostgreSQL counts up by itself come from the other store.
            let query = Query::composed_of(
                format!("{into} VALUES {rows}"),
                format!("{into} OVERRIDING SYSTEM VALUE VALUES {rows}"),
            );
            chunk.iter().flatten().cloned().fold(query, Query::bind)
        })
    }

    /// Statements that remove the rows with these keys.
    pub(super) fn removals<'a>(&self, keys: &'a [Record]) -> impl Iterator<Item = Query> + use<'a, '_> {
        keys.chunks(ROWS_A_STATEMENT).map(move |chunk| {
            let rows: Vec<_> =
                (0..chunk.len()).map(|row| format!("({})", parameters(1 + row * self.key, self.key))).collect();
            let (name, key, rows) = (self.name, self.column_names(self.key), rows.join(", "));
            let query = composed(format!("DELETE FROM {name} WHERE ({key}) IN (VALUES {rows})"));
            chunk.iter().flatten().cloned().fold(query, Query::bind)
        })
    }

    fn column_names(&self, first: usize) -> String {
        self.columns[..first].iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

/// `$3, $4`.
fn parameters(from: usize, number: usize) -> String {
    (from..from + number).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// What the rows of a table are, as they were read in the order of their keys: their number, and SHA-256 of all values.
#[derive(Clone)]
pub(super) struct Sum {
    rows: u64,
    digest: digest::Context,
}

impl Default for Sum {
    fn default() -> Self {
        Self { rows: 0, digest: digest::Context::new(&digest::SHA256) }
    }
}

impl Sum {
    pub(super) fn add(&mut self, record: &[Value]) {
        self.rows += 1;
        for value in record {
            match value {
                Value::Integer(None) | Value::Text(None) | Value::Bytes(None) => self.digest.update(&[0]),
                Value::Integer(Some(number)) => {
                    self.digest.update(&[1]);
                    self.digest.update(&number.to_be_bytes());
                }
                Value::Boolean(is) => self.digest.update(&[2, u8::from(*is)]),
                Value::Text(Some(text)) => self.octets(3, text.as_bytes()),
                Value::Bytes(Some(bytes)) => self.octets(4, bytes),
            }
        }
    }

    fn octets(&mut self, kind: u8, octets: &[u8]) {
        self.digest.update(&[kind]);
        self.digest.update(&(octets.len() as u64).to_be_bytes());
        self.digest.update(octets);
    }

    /// How many rows, and their checksum in hexadecimal digits.
    pub(super) fn finish(self) -> (u64, String) {
        (self.rows, hex(self.digest.finish().as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(records: &[Record]) -> (u64, String) {
        let mut sum = Sum::default();
        for record in records {
            sum.add(record);
        }
        sum.finish()
    }

    #[test]
    fn a_checksum_tells_values_and_their_places_apart() {
        let text = |text: &str| Value::Text(Some(text.to_owned()));
        let different = [
            vec![vec![text("ab"), text("c")]],
            vec![vec![text("a"), text("bc")]],
            vec![vec![text("ab")], vec![text("c")]],
            vec![vec![text("ab"), Value::Text(None)]],
            vec![vec![text("ab"), text("")]],
            vec![vec![text("ab"), Value::Integer(Some(0))]],
            vec![vec![text("ab"), Value::Boolean(false)]],
            vec![vec![text("ab"), Value::Boolean(true)]],
            vec![vec![text("ab"), Value::Bytes(Some(b"c".to_vec()))]],
        ];
        let sums: std::collections::BTreeSet<_> = different.iter().map(|records| sum(records)).collect();
        assert_eq!(sums.len(), different.len());
        assert_eq!(sum(&different[0]), sum(&different[0]));
        assert_eq!(sum(&[]).0, 0);
    }
}
