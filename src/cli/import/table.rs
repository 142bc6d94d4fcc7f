//! Files as tables (CSV, RFC 4180): a heading, then a row an account.

use std::io::{self, Read};

use super::{
    columns::{Columns, Heading},
    file::Hashed,
};
use crate::{
    cli::output::CliError,
    decision::admin::import::{BadRow, RawRow, RowOfFile, Rows},
    domain::Secret,
};

/// A table.
pub(super) struct Table<R> {
    reader: csv::Reader<Hashed<R>>,
    /// What each column is; `None` for one that is left out.
    heading: Heading,
    record: csv::ByteRecord,
}

impl<R: Read> Table<R> {
    /// Reads the heading.
    pub(super) fn open(inner: R, delimiter: u8, columns: &Columns, file: &str) -> Result<Self, CliError> {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(Hashed::new(inner));
        let headers = reader.byte_headers().map_err(|error| CliError::Trouble(format!("{file}: {error}")))?;
        let names: Vec<_> = headers.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let heading = columns.heading(&names, file)?;
        Ok(Self { reader, heading, record: csv::ByteRecord::new() })
    }

    fn raw(&self, line: u64) -> Result<RawRow, BadRow> {
        let bad = |column: Option<usize>, why: String| BadRow { line, column, of: None, why };
        let (found, expected) = (self.record.len(), self.heading.len());
        if found != expected {
            return Err(bad(None, format!("the row has {found} columns, and the heading {expected}")));
        }
        let mut values = Vec::with_capacity(expected);
        for (at, (of, value)) in self.heading.iter().zip(self.record.iter()).enumerate() {
            let Some(of) = *of else { continue };
            let value = std::str::from_utf8(value)
                .map_err(|_| bad(Some(at + 1), "this is not UTF-8: export the table in UTF-8".to_owned()))?;
            values.push((of, Some(at + 1), Secret::from(value)));
        }
        Ok(RawRow { line, values })
    }
}

impl<R: Read> Rows for Table<R> {
    fn next_row(&mut self) -> io::Result<Option<RowOfFile>> {
        if !self.reader.read_byte_record(&mut self.record).map_err(io_error)? {
            return Ok(None);
        }
        let line = self.record.position().map_or(0, csv::Position::line);
        Ok(Some((self.reader.position().byte(), self.raw(line))))
    }

    fn digest_of_first(&mut self, bytes: u64) -> [u8; 32] {
        self.reader.get_mut().digest_of_first(bytes)
    }
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, format!("{other:?}")),
    }
}
