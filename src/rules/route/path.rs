//! One path, one meaning. A request's path is brought into the one spelling that stands for its
//! octets *before* anything is matched, and that spelling is what the upstream receives. What two
//! servers could read in two ways is refused.
//!
//! The canonical spelling: every octet that RFC 3986 allows bare in a path segment (`pchar`) stands
//! bare, every other one as `%XX` in upper case; no empty, `.` or `..` segments. Refused are encoded
//! slashes, backslashes in any form, `;` parameters, NUL and other control octets, broken escapes,
//! bare non-ASCII octets, the lead bytes of overlong UTF-8, and paths that climb above the root.

use std::{borrow::Cow, fmt};

use thiserror::Error;

/// Why a path has no single meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// It does not start with `/` (`*`, or a target of another form).
    #[error("a path starts with '/'")]
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    #[error("a broken percent escape")]
    BrokenEscape,
    /// NUL or another control octet, bare or encoded.
    #[error("a control octet")]
    Control,
    /// `%2f`: a separator for some servers, a part of a name for others.
    #[error("an encoded slash")]
    EncodedSlash,
    /// `\`, bare or encoded: a separator for some servers.
    #[error("a backslash")]
    Backslash,
    /// `;`, bare or encoded: some servers drop what follows.
    #[error("a path parameter (';')")]
    Parameter,
    /// An octet above 127 that is not percent-encoded.
    #[error("an octet outside ASCII that is not percent-encoded")]
    NonAscii,
    /// An overlong UTF-8 spelling of another character, such as `%C0%AE`, `%E0%80%AE` or `%F8%80%80%80%AE` for a dot.
    #[error("an overlong UTF-8 sequence")]
    Overlong,
    /// More `..` than there are segments.
    #[error("'..' above the root")]
    AboveRoot,
}

/// A path in its canonical spelling. Holding one proves that it was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalPath<'a>(Cow<'a, str>);

impl<'a> CanonicalPath<'a> {
    /// Canonicalises the path part of a request target (without query). A path that is canonical
    /// already is borrowed, not copied.
    ///
    /// # Errors
    /// Says why the path has more than one meaning, or none ([`PathError`]).
    #[inline]
    pub fn parse(raw: &'a [u8]) -> Result<Self, PathError> {
        match is_canonical(raw).then(|| std::str::from_utf8(raw)) {
            Some(Ok(text)) => Ok(Self(Cow::Borrowed(text))),
            _ => canonicalise(raw).map(|path| Self(Cow::Owned(path))),
        }
    }

    /// The spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same path, owned.
    #[must_use]
    pub fn into_owned(self) -> CanonicalPath<'static> {
        CanonicalPath(Cow::Owned(self.0.into_owned()))
    }

    /// Whether the request spelt it so.
    #[must_use]
    pub fn is_as_received(&self) -> bool {
        matches!(self.0, Cow::Borrowed(_))
    }
}

impl fmt::Debug for CanonicalPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// `pchar` of RFC 3986 section 3.3 without the percent sign, and without `;`.
const fn is_bare_pchar(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

/// [`is_bare_pchar`] of every octet, looked up once an octet of every request's path.
const STANDS_BARE: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        table[octet as usize] = is_bare_pchar(octet);
        octet += 1;
    }
    table
};

fn stands_bare(octet: u8) -> bool {
    STANDS_BARE[usize::from(octet)]
}

#[inline]
fn is_canonical(raw: &[u8]) -> bool {
    if raw.first() != Some(&b'/') {
        return false;
    }
    let mut segment = 1;
    for (at, &octet) in raw.iter().enumerate().skip(1) {
        if octet == b'/' {
            if matches!(&raw[segment..at], b"" | b"." | b"..") {
                return false;
            }
            segment = at + 1;
        } else if !stands_bare(octet) {
            return false;
        }
    }
    !matches!(&raw[segment..], b"." | b"..")
}

fn canonicalise(raw: &[u8]) -> Result<String, PathError> {
    let [b'/', rest @ ..] = raw else { return Err(PathError::NotAbsolute) };
    let mut path = String::with_capacity(raw.len());
    let mut segment = String::new();
    let mut octets = rest.iter().copied();
    let mut previous = 0;
    loop {
        let (octet, encoded) = match octets.next() {
            Some(b'/') => {
                push_segment(&mut path, &segment)?;
                segment.clear();
                continue;
            }
            None => break,
            Some(b'%') => (unescape(octets.next(), octets.next())?, true),
            Some(octet) => (octet, false),
        };
        // RFC 3629 section 4: after the first two lead bytes only the longest spellings begin so. The others lead
        // nothing since RFC 3629, but old decoders read five and six octets from them. Alone they stand for Latin-1's
        // letters.
        if matches!((previous, octet), (0xe0, 0x80..=0x9f) | (0xf0, 0x80..=0x8f) | (0xf5.., 0x80..=0xbf)) {
            return Err(PathError::Overlong);
        }
        previous = octet;
        push_octet(&mut segment, octet, encoded)?;
    }
    match segment.as_str() {
        "" | "." => path.push('/'),
        ".." => {
            push_segment(&mut path, "..")?;
            path.push('/');
        }
        name => {
            path.push('/');
            path.push_str(name);
        }
    }
    Ok(path)
}

fn push_octet(segment: &mut String, octet: u8, encoded: bool) -> Result<(), PathError> {
    match octet {
        b'/' => return Err(PathError::EncodedSlash),
        b'\\' => return Err(PathError::Backslash),
        b';' => return Err(PathError::Parameter),
        0..=0x1f | 0x7f => return Err(PathError::Control),
        0x80.. if !encoded => return Err(PathError::NonAscii),
        0xc0 | 0xc1 => return Err(PathError::Overlong),
        octet if stands_bare(octet) => segment.push(char::from(octet)),
        octet => {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            segment.push('%');
            segment.push(char::from(HEX[usize::from(octet >> 4)]));
            segment.push(char::from(HEX[usize::from(octet & 15)]));
        }
    }
    Ok(())
}

fn push_segment(path: &mut String, segment: &str) -> Result<(), PathError> {
    match segment {
        "" | "." => {}
        ".." => path.truncate(path.rfind('/').ok_or(PathError::AboveRoot)?),
        name => {
            path.push('/');
            path.push_str(name);
        }
    }
    Ok(())
}

fn unescape(high: Option<u8>, low: Option<u8>) -> Result<u8, PathError> {
    let digit = |octet: Option<u8>| {
        let value = char::from(octet?).to_digit(16)?;
        u8::try_from(value).ok()
    };
    match (digit(high), digit(low)) {
        (Some(high), Some(low)) => Ok(high << 4 | low),
        _ => Err(PathError::BrokenEscape),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(raw: &str) -> Result<String, PathError> {
        CanonicalPath::parse(raw.as_bytes()).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn each_spelling_of_a_path_becomes_the_same_one() {
        for (raw, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a//b", "/a/b"),
            ("/a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/..", "/"),
            ("/a//../b", "/b"),
            ("/%2e%2E/../a".trim_start_matches("/%2e%2E/.."), "/a"),
            ("/x/%2e%2e/a", "/a"),
            ("/x/.%2e/a", "/a"),
            ("/x/%2e/a", "/x/a"),
            ("/%61%62", "/ab"),
            ("/a%24b", "/a$b"),
            ("/a b", "/a%20b"),
            ("/%c3%b1", "/%C3%B1"),
            ("/%f1", "/%F1"),
            ("/Per%fa/Camag%fcey", "/Per%FA/Camag%FCey"),
            ("/%f0%9f%98%80", "/%F0%9F%98%80"),
            ("/a%3fb%23", "/a%3Fb%23"),
            ("/%25%32%65", "/%252e"),
            ("/a|b", "/a%7Cb"),
            ("/...", "/..."),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn what_has_two_meanings_is_refused() {
        for (raw, error) in [
            ("", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("a/b", PathError::NotAbsolute),
            ("/..", PathError::AboveRoot),
            ("/a/../..", PathError::AboveRoot),
            ("/%2e%2e/a", PathError::AboveRoot),
            ("/a%2fb", PathError::EncodedSlash),
            ("/a%2Fb", PathError::EncodedSlash),
            ("/a\\b", PathError::Backslash),
            ("/a%5cb", PathError::Backslash),
            ("/a;x/b", PathError::Parameter),
            ("/a%3bx", PathError::Parameter),
            ("/a%00", PathError::Control),
            ("/a%0d%0a", PathError::Control),
            ("/a\t", PathError::Control),
            ("/a%7f", PathError::Control),
            ("/a%", PathError::BrokenEscape),
            ("/a%2", PathError::BrokenEscape),
            ("/a%zz", PathError::BrokenEscape),
            ("/a%+1", PathError::BrokenEscape),
            ("/ñ", PathError::NonAscii),
            ("/%c0%ae%c0%ae/", PathError::Overlong),
            ("/%e0%80%ae", PathError::Overlong),
            ("/%f0%80%80%ae", PathError::Overlong),
            ("/%f8%80%80%80%ae", PathError::Overlong),
            ("/%fc%80%80%80%80%ae", PathError::Overlong),
            ("/%F8%88%80%80%80", PathError::Overlong),
            ("/%fd%bf", PathError::Overlong),
            ("/%f5%80%80%80", PathError::Overlong),
        ] {
            assert_eq!(canonical(raw), Err(error), "{raw}");
        }
        assert_eq!(CanonicalPath::parse(b"/a\0"), Err(PathError::Control));
        assert_eq!(CanonicalPath::parse(b"/\xff"), Err(PathError::NonAscii));
    }

    /// Decodes a path as an upstream would, once.
    fn decoded(path: &str) -> Vec<u8> {
        let mut octets = path.bytes();
        let mut out = vec![];
        while let Some(octet) = octets.next() {
            out.push(if octet == b'%' { unescape(octets.next(), octets.next()).unwrap() } else { octet });
        }
        out
    }

    proptest! {
        #[test]
        fn canonical_paths_stay_as_they_are(raw in "[/a-c.%2eEfF5;\\\\ ñ]{0,24}") {
            if let Ok(path) = canonical(&format!("/{raw}")) {
                prop_assert!(!path.contains("//") && !path.contains('\\') && !path.contains(';'));
                prop_assert!(!path.split('/').any(|segment| segment == "." || segment == ".."));
                prop_assert_eq!(canonical(&path), Ok(path));
            }
        }

        #[test]
        fn two_canonical_paths_with_the_same_octets_are_the_same_path(a in "/[ -~]{0,12}", b in "/[ -~]{0,12}") {
            if let (Ok(a), Ok(b)) = (canonical(&a), canonical(&b)) {
                prop_assert_eq!(decoded(&a) == decoded(&b), a == b);
            }
        }

        #[test]
        fn an_encoded_octet_means_what_the_bare_one_means(octet in 0x21_u8..0x7f) {
            let bare = canonical(&format!("/x{}y", char::from(octet)));
            let encoded = canonical(&format!("/x%{octet:02x}y"));
            if !matches!(octet, b'/' | b'%') {
                prop_assert_eq!(bare, encoded);
            }
        }
    }
}
