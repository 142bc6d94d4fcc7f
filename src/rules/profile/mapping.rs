//! Which claims of an external issuer's tokens say what a route asks for.

use serde_json::{Map, Value};

use crate::{
    domain::text::fits_a_field,
    rules::{
        claim::{ClaimPath, Said},
        claim_headers::ClaimHeaders,
    },
};

/// Which claims say what. Each is a list of alternatives: the first that a token has counts, and the others are not
/// looked at. An empty list says that the issuer's tokens have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMapping {
    /// The subject that the token speaks for: one text, and the token is refused without it.
    pub subject: Vec<ClaimPath>,
    /// Whom the token is for: a text or a list, and the token is refused without it.
    pub audience: Vec<ClaimPath>,
    /// What people call the account: one text.
    pub name: Vec<ClaimPath>,
    /// The roles: a text or a list.
    pub role: Vec<ClaimPath>,
    /// The scopes: words between spaces, or a list.
    pub scopes: Vec<ClaimPath>,
    /// The company: one text.
    pub organization: Vec<ClaimPath>,
    /// Claims that services receive beside these.
    pub headers: ClaimHeaders,
}

/// Characters of a subject, at most (section 2 of `OpenID` Connect Core).
const SUBJECT_CHARS_MAX: usize = 255;

impl ClaimMapping {
    /// The subject that a token with these claims speaks for.
    ///
    /// # Errors
    /// What stands there in the place of such a text.
    pub fn subject<'v>(&self, claims: &'v Map<String, Value>) -> Result<&'v str, &'static str> {
        match Self::said(&self.subject, claims) {
            Said::Nothing => Err("missing"),
            Said::Text(text) if text.chars().count() > SUBJECT_CHARS_MAX => Err("longer than 255 characters"),
            // Services would take it for another one, or receive none.
            Said::Text(text) if !fits_a_field(text) => Err("a text with white space at an end, or a control character"),
            Said::Text(text) => Ok(text),
            Said::List(_) => Err("a list"),
            Said::Other => Err("not a text"),
        }
    }

    /// What the first of `paths` that a token has says there.
    #[must_use]
    pub fn said<'v>(paths: &[ClaimPath], claims: &'v Map<String, Value>) -> Said<'v> {
        paths.iter().map(|path| path.said(claims)).find(|said| *said != Said::Nothing).unwrap_or(Said::Nothing)
    }

    /// The paths in words.
    #[must_use]
    pub fn named(paths: &[ClaimPath]) -> String {
        paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
    }
}

impl Default for ClaimMapping {
    /// What RFC 7519, RFC 8693 section 4.2 and RFC 9068 call it, and the names that are most in use beside them. `name`
    /// is what people read, and not unique, so it is not looked at.
    fn default() -> Self {
        let members = |names: &[&str]| names.iter().map(|name| ClaimPath::member(name)).collect::<Vec<_>>();
        Self {
            subject: members(&["sub"]),
            audience: members(&["aud"]),
            name: members(&["preferred_username", "username", "client_id", "azp"]),
            role: members(&["role"]),
            scopes: members(&["scope", "scp"]),
            organization: members(&["org"]),
            headers: ClaimHeaders::default(),
        }
    }
}
