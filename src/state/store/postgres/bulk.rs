//! Very many rows at once: what `COPY … TO STDOUT (FORMAT binary)` sends is taken apart where it lies, without an
//! allocation a row.
//!
//! The format stands in PostgreSQL's documentation of `COPY`, «Binary Format»: a header, then for each row the number
//! of its fields and each field behind its length (-1 for NULL), then -1 in the place of a number of fields.

use super::super::{change::RevocationColumns, error::StoreError};

/// How such a stream begins.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// Bytes of the header's flags and of the length of what follows it.
const HEADER_REST_BYTES: usize = 8;

/// Columns of [`STATE`].
const COLUMNS: usize = 5;

/// Asks for all revocations, in no order.
pub(super) const STATE: &str =
    "COPY (SELECT kind, subject, epoch, expires_at, created_at FROM revocations) TO STDOUT (FORMAT binary)";

/// A row that is not as PostgreSQL's documentation says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl From<Malformed> for StoreError {
    fn from(Malformed: Malformed) -> Self {
        Self::corrupt("rows that were copied do not have the shape they should have")
    }
}

/// Takes a stream apart, in whatever pieces it comes.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The part of a row that has come.
    rest: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Header,
    Rows,
    End,
}

/// A row's fields: `None` is NULL.
type Fields<'a> = [Option<&'a [u8]>; COLUMNS];

impl Rows {
    /// Hands every row that is whole by now to `take`.
    pub(super) fn push(
        &mut self,
        piece: &[u8],
        take: &mut impl FnMut(RevocationColumns<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // The server sends whole rows: there is a rest only where something between cuts them.
        let mut joined = std::mem::take(&mut self.rest);
        let whole = if joined.is_empty() {
            piece
        } else {
            joined.extend_from_slice(piece);
            &joined
        };
        let used = self.take_whole(whole, take)?;
        self.rest = whole[used..].to_vec();
        Ok(())
    }

    /// Whether the stream was whole.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.stage == Stage::End && self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    fn take_whole(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(RevocationColumns<'_>) -> Result<(), StoreError>,
    ) -> Result<usize, StoreError> {
        let mut reader = Reader { bytes, at: 0 };
        loop {
            let used = reader.at;
            match self.stage {
                Stage::Header => {
                    if reader.header()?.is_none() {
                        return Ok(used);
                    }
                    self.stage = Stage::Rows;
                }
                Stage::Rows => match reader.row()? {
                    Row::Incomplete => return Ok(used),
                    Row::End => self.stage = Stage::End,
                    Row::Fields(fields) => take(columns(&fields)?)?,
                },
                Stage::End if reader.at == bytes.len() => return Ok(used),
                Stage::End => return Err(Malformed.into()),
            }
        }
    }
}

/// What comes next.
enum Row<'a> {
    Incomplete,
    End,
    Fields(Fields<'a>),
}

/// What is left of some bytes. `Ok(None)` says that more must come.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..count)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn header(&mut self) -> Result<Option<()>, Malformed> {
        let Some(signature) = self.take(SIGNATURE.len()) else { return Ok(None) };
        if signature != SIGNATURE {
            return Err(Malformed);
        }
        let Some(rest) = self.take(HEADER_REST_BYTES) else { return Ok(None) };
        // No flag that this version knows, and nothing behind them.
        if rest == [0; HEADER_REST_BYTES] { Ok(Some(())) } else { Err(Malformed) }
    }

    fn row(&mut self) -> Result<Row<'a>, Malformed> {
        let Some(count) = self.take(2) else { return Ok(Row::Incomplete) };
        if count == (-1_i16).to_be_bytes() {
            return Ok(Row::End);
        }
        if usize::from(u16::from_be_bytes([count[0], count[1]])) != COLUMNS {
            return Err(Malformed);
        }
        let mut fields = [None; COLUMNS];
        for field in &mut fields {
            *field = match self.number() {
                None => return Ok(Row::Incomplete),
                Some(-1) => None,
                Some(length) => {
                    let length = usize::try_from(length).map_err(|_| Malformed)?;
                    let Some(bytes) = self.take(length) else { return Ok(Row::Incomplete) };
                    Some(bytes)
                }
            };
        }
        Ok(Row::Fields(fields))
    }
}

fn columns<'a>(fields: &Fields<'a>) -> Result<RevocationColumns<'a>, Malformed> {
    let [Some(kind), Some(subject), epoch, expires_at, Some(created_at)] = *fields else { return Err(Malformed) };
    let number = |bytes: &[u8]| bytes.try_into().map(i64::from_be_bytes).map_err(|_| Malformed);
    Ok(RevocationColumns {
        kind: std::str::from_utf8(kind).map_err(|_| Malformed)?,
        subject,
        epoch: epoch.map(number).transpose()?,
        expires_at: expires_at.map(number).transpose()?,
        created_at: number(created_at)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::store::RevocationRow;

    fn encoded(rows: &[RevocationRow]) -> Vec<u8> {
        let mut bytes = [SIGNATURE, &[0; HEADER_REST_BYTES]].concat();
        let number = |number: Option<i64>| number.map(|number| number.to_be_bytes().to_vec());
        for row in rows {
            bytes.extend(5_u16.to_be_bytes());
            for field in [
                Some(row.kind.clone().into_bytes()),
                Some(row.subject.clone()),
                number(row.epoch),
                number(row.expires_at),
                number(Some(row.created_at)),
            ] {
                let length = field.as_ref().map_or(-1, |field| i32::try_from(field.len()).unwrap());
                bytes.extend(length.to_be_bytes());
                bytes.extend(field.unwrap_or_default());
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    fn rows() -> impl Strategy<Value = Vec<RevocationRow>> {
        let row = ("[a-z]{0,9}", prop::collection::vec(any::<u8>(), 0..20), any::<Option<i64>>(), any::<Option<i64>>());
        let row = (row, any::<i64>()).prop_map(|((kind, subject, epoch, expires_at), created_at)| RevocationRow {
            kind,
            subject,
            epoch,
            expires_at,
            created_at,
        });
        prop::collection::vec(row, 0..8)
    }

    /// What comes out of these pieces; an error where they are not whole.
    fn read(pieces: &[&[u8]]) -> Result<Vec<RevocationRow>, StoreError> {
        let (mut reader, mut read) = (Rows::default(), vec![]);
        for piece in pieces {
            reader.push(piece, &mut |row| {
                read.push(RevocationRow {
                    kind: row.kind.to_owned(),
                    subject: row.subject.to_vec(),
                    epoch: row.epoch,
                    expires_at: row.expires_at,
                    created_at: row.created_at,
                });
                Ok(())
            })?;
        }
        reader.finish()?;
        Ok(read)
    }

    proptest! {
        #[test]
        fn rows_come_out_as_they_went_in_wherever_the_stream_is_cut(rows in rows(), cuts in any::<[prop::sample::Index; 2]>()) {
            let bytes = encoded(&rows);
            let [mut first, mut second] = cuts.map(|cut| cut.index(bytes.len()));
            if first > second {
                std::mem::swap(&mut first, &mut second);
            }
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            prop_assert_eq!(read(&pieces).unwrap(), rows);
            prop_assert!(read(&pieces[..2]).is_err() || second == bytes.len(), "the end is missing");
            prop_assert!(read(&[&bytes, b"\0"]).is_err(), "something follows the end");
        }

        #[test]
        fn what_is_no_such_stream_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(read(&[&bytes]).is_err());
            let _ = read(&[SIGNATURE, &[0; HEADER_REST_BYTES], &bytes]);
        }
    }
}
