//! The token in a file that opens the API.

use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, header};

use crate::{
    domain::{Secret, made_secret},
    state::store::{
        access,
        private_file::{self, PrivateFileError},
    },
};

/// The token of `admin.token_file`: an administrator of the machine gets in with it, whatever becomes of the store.
#[derive(Debug)]
pub struct AdminToken(Secret);

impl AdminToken {
    /// Reads the token's file, or makes it, mode 0600, with a new token.
    ///
    /// # Errors
    /// Fails when the file cannot be read or made, is empty, or can be read by others.
    pub fn read_or_create(path: &Path) -> Result<Self, PrivateFileError> {
        let text = private_file::read_or_create(path, made_secret::make().expose())?;
        if text.is_empty() {
            return Err(PrivateFileError::Empty(path.to_owned()));
        }
        Ok(Self(Secret::from(text.as_str())))
    }

    /// Looks at the token's file, or at where it would be made.
    ///
    /// # Errors
    /// Why [`read_or_create`](Self::read_or_create) would fail.
    pub fn examine(path: &Path) -> Result<(), PrivateFileError> {
        match private_file::read(path) {
            Ok(text) if text.is_empty() => Err(PrivateFileError::Empty(path.to_owned())),
            Ok(_) => Ok(()),
            Err(PrivateFileError::Missing(_)) => access::may_make(path).map_err(|reason| PrivateFileError::Io {
                path: path.to_owned(),
                source: std::io::Error::other(reason),
            }),
            Err(error) => Err(error),
        }
    }

    /// Whether this is the token.
    pub(super) fn is(&self, token: &[u8]) -> bool {
        // An empty file must not let an empty token in.
        !self.0.expose().is_empty() && verify_slices_are_equal(token, self.0.expose().as_bytes()).is_ok()
    }
}

/// The token that a request brings.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let token = AdminToken(Secret::from("abc"));
        let opens = |given| {
            bearer(&HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(given))]))
                .is_some_and(|given| token.is(given))
        };
        for good in ["Bearer abc", "bearer abc"] {
            assert!(opens(good), "{good}");
        }
        for bad in ["Bearer ab", "Bearer abcd", "Bearer ", "abc", "", "Basic abc"] {
            assert!(!opens(bad), "{bad}");
        }
        assert!(!AdminToken(Secret::from("")).is(b""));
    }
}
