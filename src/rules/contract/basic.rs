//! `Authorization: Basic` (RFC 7617): a name and a secret, apart from the body.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// The scheme, compared without regard to case.
const SCHEME: &str = "Basic";

/// A name and a secret with `:` between them, as they were sent. Wiped when it is dropped.
pub(super) struct Pair(Zeroizing<Vec<u8>>);

impl Pair {
    /// What a field's value holds; `None` where it is no `Basic`, no base64, no UTF-8, or has no `:`.
    pub(super) fn of(authorization: &str) -> Option<Self> {
        let (scheme, encoded) = authorization.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let pair = Self(Zeroizing::new(STANDARD.decode(encoded.trim_matches(' ')).ok()?));
        pair.split().is_some().then_some(pair)
    }

    /// The name and the secret. A name has no `:`.
    pub(super) fn parts(&self) -> (&str, &str) {
        self.split().unwrap_or_default()
    }

    fn split(&self) -> Option<(&str, &str)> {
        std::str::from_utf8(&self.0).ok()?.split_once(':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_read_as_it_was_sent() {
        let read = |field: &str| Pair::of(field).map(|pair| (pair.parts().0.to_owned(), pair.parts().1.to_owned()));
        let pair = |name: &str, secret: &str| Some((name.to_owned(), secret.to_owned()));
        assert_eq!(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"), "RFC 7617 section 2");
        assert_eq!(read("bASIC  dGVzdDoxMjPCow== "), pair("test", "123£"), "RFC 7617 section 2.1");
        assert_eq!(read(&format!("Basic {}", STANDARD.encode("a:b:c"))), pair("a", "b:c"));
        assert_eq!(read(&format!("Basic {}", STANDARD.encode(":"))), pair("", ""));
        for bad in ["", "Basic", "Basic ", "Basic !", "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic QWxhZGRpbg=="] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read(&format!("Basic {}", STANDARD.encode(b"a:\xff"))), None);
    }
}
