//! Files of JSON Lines: one object an account.

use std::io::{self, BufRead, BufReader, Read};

use serde_json::Value;
use zeroize::Zeroizing;

use super::{columns::Columns, file::Hashed};
use crate::{
    decision::admin::import::{BadRow, RawRow, RowOfFile, Rows},
    domain::{Secret, json::parse_object},
};

/// Bytes of a line, at most.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Lines.
pub(super) struct Lines<R> {
    reader: BufReader<Hashed<R>>,
    columns: Columns,
    /// Bytes and lines that were handed out.
    end: u64,
    line: u64,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(inner: R, columns: Columns) -> Self {
        Self { reader: BufReader::with_capacity(1 << 16, Hashed::new(inner)), columns, end: 0, line: 0 }
    }

    fn raw(&self, text: &[u8]) -> Result<RawRow, BadRow> {
        let bad = |of, why: String| BadRow { line: self.line, column: None, of, why };
        let members = parse_object(text)
            .map_err(|_| bad(None, "the line is not one JSON object with distinct members, in UTF-8".to_owned()))?;
        let mut values: Vec<(_, _, Secret)> = Vec::with_capacity(members.len());
        for (name, value) in members {
            let Some(of) = self.columns.of(&name).map_err(|why| bad(None, why))? else { continue };
            if values.iter().any(|(known, ..)| *known == of) {
                return Err(bad(Some(of), "two members of the line are this column".to_owned()));
            }
            let text =
                text_of(&value).ok_or_else(|| bad(Some(of), "this is no text, number or list of texts".to_owned()))?;
            values.push((of, None, Secret::new(text)));
        }
        Ok(RawRow { line: self.line, values })
    }
}

/// A value as a table would have it.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(Value::as_str).collect();
            // A list has no other way to stand in a table, and no scope has a space.
            items.filter(|items| !items.iter().any(|item| item.contains(' '))).map(|items| items.join(" "))
        }
        Value::Bool(_) | Value::Object(_) => None,
    }
}

impl<R: Read> Rows for Lines<R> {
    fn next_row(&mut self) -> io::Result<Option<RowOfFile>> {
        loop {
            let mut text = Zeroizing::new(Vec::new());
            let number = self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text)? as u64;
            if number == 0 {
                return Ok(None);
            }
            self.end += number;
            self.line += 1;
            if number == LINE_BYTES_MAX {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {} has more than 1 MiB", self.line),
                ));
            }
            if !text.trim_ascii().is_empty() {
                return Ok(Some((self.end, self.raw(&text))));
            }
        }
    }

    fn digest_of_first(&mut self, bytes: u64) -> [u8; 32] {
        self.reader.get_mut().digest_of_first(bytes)
    }
}
