//! A client's chunked body, read strictly (RFC 9112 section 7.1): two servers must never frame it differently. hyper's
//! own reader takes extensions and trailers that others would read in another way. The upstream never sees them, as its
//! body is chunked anew, but a proxy before us would. Pure.

use std::io;

use super::head::is_token_octet;

/// Digits of a chunk's size, at most.
const SIZE_DIGITS_MAX: u32 = 15;

/// Bytes of a size line or of a trailer line, at most.
const LINE_BYTES_MAX: usize = 4096;

/// Follows a chunked body to its end.
#[derive(Debug, Default)]
pub(super) struct ChunkValidator {
    step: Step,
    /// Bytes of the chunk's data that are still to come.
    left: u64,
    digits: u32,
    line_bytes: usize,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Size,
    ExtensionStart,
    ExtensionName,
    ValueStart,
    Token,
    Quoted,
    /// Behind a backslash in a quoted value.
    Escaped,
    /// Behind the closing quote.
    Unquoted,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    /// The first byte of a line behind the last chunk.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    /// The line feed of the empty line that ends the body.
    LastEnd,
    End,
}

impl ChunkValidator {
    /// Passes over bytes: how many of them belong to the body, and whether it ends with them.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where two readers could see two bodies.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> io::Result<(usize, bool)> {
        let mut passed = 0;
        while passed < bytes.len() && self.step != Step::End {
            if self.step == Step::Data {
                passed += self.skip_data(bytes.len() - passed);
            } else {
                self.step = self.after(bytes[passed]).ok_or(io::ErrorKind::InvalidData)?;
                passed += 1;
            }
        }
        Ok((passed, self.step == Step::End))
    }

    fn skip_data(&mut self, most: usize) -> usize {
        let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(most);
        self.left -= skipped as u64;
        if self.left == 0 {
            self.step = Step::DataReturn;
        }
        skipped
    }

    /// What comes after a byte that is not data; `None` where it cannot stand.
    fn after(&mut self, byte: u8) -> Option<Step> {
        self.line_bytes += 1;
        if self.line_bytes > LINE_BYTES_MAX {
            return None;
        }
        match self.step {
            Step::Size => self.after_size(byte),
            Step::SizeEnd if byte == b'\n' => {
                self.line_bytes = 0;
                Some(if self.left == 0 { Step::TrailerStart } else { Step::Data })
            }
            Step::DataReturn => (byte == b'\r').then_some(Step::DataEnd),
            Step::DataEnd if byte == b'\n' => {
                (self.digits, self.line_bytes) = (0, 0);
                Some(Step::Size)
            }
            Step::TrailerStart | Step::TrailerName | Step::TrailerValue | Step::TrailerEnd | Step::LastEnd => {
                self.after_trailer(byte)
            }
            _ => self.after_extension(byte),
        }
    }

    fn after_size(&mut self, byte: u8) -> Option<Step> {
        match (byte, char::from(byte).to_digit(16)) {
            (_, Some(digit)) if self.digits < SIZE_DIGITS_MAX => {
                self.digits += 1;
                self.left = self.left << 4 | u64::from(digit);
                Some(Step::Size)
            }
            (b';', _) if self.digits > 0 => Some(Step::ExtensionStart),
            (b'\r', _) if self.digits > 0 => Some(Step::SizeEnd),
            _ => None,
        }
    }

    /// RFC 9112 section 7.1.1, with blanks where a name or a value begins.
    fn after_extension(&self, byte: u8) -> Option<Step> {
        let is_token = is_token_octet(byte);
        match (self.step, byte) {
            (Step::ExtensionStart | Step::ValueStart, b' ' | b'\t') => Some(self.step),
            (Step::ExtensionStart | Step::ExtensionName, _) if is_token => Some(Step::ExtensionName),
            (Step::ExtensionName, b'=') => Some(Step::ValueStart),
            (Step::ValueStart, b'"') => Some(Step::Quoted),
            (Step::ValueStart | Step::Token, _) if is_token => Some(Step::Token),
            (Step::Quoted, b'"') => Some(Step::Unquoted),
            (Step::Quoted, b'\\') => Some(Step::Escaped),
            (Step::Quoted | Step::Escaped, _) if byte == b'\t' || !byte.is_ascii_control() => Some(Step::Quoted),
            (Step::ExtensionName | Step::Token | Step::Unquoted, b';') => Some(Step::ExtensionStart),
            (Step::ExtensionName | Step::Token | Step::Unquoted, b'\r') => Some(Step::SizeEnd),
            _ => None,
        }
    }

    fn after_trailer(&mut self, byte: u8) -> Option<Step> {
        match (self.step, byte) {
            (Step::TrailerStart, b'\r') => Some(Step::LastEnd),
            (Step::TrailerName, b':') => Some(Step::TrailerValue),
            (Step::TrailerStart | Step::TrailerName, _) if is_token_octet(byte) => Some(Step::TrailerName),
            (Step::TrailerValue, b'\r') => Some(Step::TrailerEnd),
            (Step::TrailerValue, _) if byte == b'\t' || !byte.is_ascii_control() => Some(Step::TrailerValue),
            (Step::TrailerEnd, b'\n') => {
                self.line_bytes = 0;
                Some(Step::TrailerStart)
            }
            (Step::LastEnd, b'\n') => Some(Step::End),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a body is taken, and to which of its bytes, however it is cut.
    fn taken(body: &str) -> Option<usize> {
        let whole = ChunkValidator::default().pass(body.as_bytes()).ok();
        let mut chunks = ChunkValidator::default();
        let mut pieces = Some((0, false));
        for byte in body.as_bytes() {
            let Some((before, false)) = pieces else { break };
            pieces = chunks.pass(&[*byte]).ok().map(|(one, ended)| (before + one, ended));
        }
        assert_eq!(whole, pieces, "{body:?}");
        whole.filter(|(_, ended)| *ended).map(|(taken, _)| taken)
    }

    #[test]
    fn only_what_everybody_reads_alike_is_a_body() {
        for (body, rest) in [
            ("0\r\n\r\n", "GET / HTTP/1.1\r\n"),
            ("5;a=b\r\nhello\r\n00\r\n\r\n", "x"),
            ("5;a; b=\"c;\\\"d\"\r\nhello\r\n0\r\n\r\n", ""),
            ("A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n", ""),
        ] {
            assert_eq!(taken(&format!("{body}{rest}")), Some(body.len()), "{body:?}");
        }
        for body in [
            ";\r\n\r\n",
            "\r\n\r\n",
            "5;\r\nhello\r\n0\r\n\r\n",
            "5;bad[=x\r\nhello\r\n0\r\n\r\n",
            "5;a=\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\r\nhello\r\n0\r\n\r\n",
            "5;a=b\u{1}\r\nhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "0\r\n: x\r\n\r\n",
            "0\r\nX-A\r\n\r\n",
            "fffffffffffffffff\r\n",
        ] {
            assert_eq!(taken(body), None, "{body:?}");
        }
    }
}
