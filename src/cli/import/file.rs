//! The bytes of a file, with the digest of those that are done with.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

use aws_lc_rs::digest::{Context, SHA256};

/// Bytes that are read and not done with, at most: a batch, and a row without an end.
const UNDONE_BYTES_MAX: usize = 8 << 20;

/// A reader that keeps what nobody is done with.
pub(super) struct Hashed<R> {
    inner: R,
    undone: VecDeque<u8>,
    done: u64,
    digest: Context,
}

impl<R> Hashed<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, undone: VecDeque::new(), done: 0, digest: Context::new(&SHA256) }
    }

    /// SHA-256 of the first bytes; those are done with. They only ever grow, and were read.
    pub(super) fn digest_of_first(&mut self, bytes: u64) -> [u8; 32] {
        let number = usize::try_from(bytes.saturating_sub(self.done)).unwrap_or(usize::MAX).min(self.undone.len());
        let (front, back) = self.undone.as_slices();
        let from_front = number.min(front.len());
        self.digest.update(&front[..from_front]);
        self.digest.update(&back[..number - from_front]);
        self.undone.drain(..number);
        self.done += number as u64;
        let mut digest = [0; 32];
        digest.copy_from_slice(self.digest.clone().finish().as_ref());
        digest
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.undone.len() > UNDONE_BYTES_MAX {
            let why = "a row has more than 8 MiB: a quotation mark may have no partner";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let number = self.inner.read(buffer)?;
        self.undone.extend(&buffer[..number]);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::hex;

    #[test]
    fn the_digest_is_that_of_the_first_bytes_however_they_are_read() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut hashed = Hashed::new(&bytes[..]);
        let mut buffer = [0; 977];
        let mut read = 0;
        for first in [0, 1, 500, 90_000, 100_000] {
            while read < first {
                read += hashed.read(&mut buffer).unwrap();
            }
            let expected = aws_lc_rs::digest::digest(&SHA256, &bytes[..first]);
            assert_eq!(hex(&hashed.digest_of_first(first as u64)), hex(expected.as_ref()));
        }
        assert!(hashed.undone.is_empty());
    }

    #[test]
    fn a_row_without_an_end_is_an_error_and_no_memory() {
        let mut hashed = Hashed::new(io::repeat(b'x'));
        let error = io::copy(&mut hashed, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("8 MiB"));
    }
}
