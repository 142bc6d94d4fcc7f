//! Which claims of an issuer mean what.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::rules::claim::ClaimPath;

/// How the tokens of one imported key are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimProfile {
    /// Whether `typ` may be absent or another word than `JWT`; default false.
    pub any_type: bool,
    /// Whether such tokens carry no `kid`, so that the key is tried where none is named; default false.
    pub unnamed: bool,
    /// Registered claims that may be absent; default none. `exp` only in realms that allow tokens without expiry.
    pub optional: Vec<Optional>,
    /// Claims that must have exactly this value, so that the old API's refresh tokens, say, are no access tokens.
    pub require: Map<String, Value>,
    /// Whether tokens of accounts that the store does not have are taken; default false. It is kept beside the profile,
    /// since an operator may change it: what is read from the store never has it.
    #[serde(skip_serializing)]
    pub unknown_accounts: bool,
    /// Their `iss`, where it is not the realm's.
    pub issuer: Option<String>,
    /// Their `aud`, where it is not the realm's.
    pub audience: Option<String>,
    /// The claim that says when they end; default `exp`.
    pub expiry: String,
    /// How that claim counts; default Unix seconds.
    pub expiry_format: InstantFormat,
    /// The claim with the account's name; default `name`.
    pub name: ClaimPath,
    /// The claim with the account's business, which is a part of its name; default none.
    pub business: Option<ClaimPath>,
    /// The claim with the role; default `role`.
    pub role: ClaimPath,
    /// The claim with the scopes, a list or words between spaces; default `scope`.
    pub scopes: ClaimPath,
    /// The claim with the company; default `org`.
    pub organization: ClaimPath,
}

/// A registered claim (RFC 7519 section 4.1) that a profile may let be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optional {
    /// `iss`
    Iss,
    /// `aud`
    Aud,
    /// `sub`: the account is then known by its name.
    Sub,
    /// `jti`: the token is then known by its signed part.
    Jti,
    /// `exp`, or what stands for it.
    Exp,
    /// `iat`
    Iat,
    /// `nbf`
    Nbf,
}

/// How a claim says a point in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstantFormat {
    /// A number of seconds since the Unix epoch (RFC 7519's `NumericDate`).
    #[default]
    Seconds,
    /// A number of milliseconds since the Unix epoch.
    Milliseconds,
    /// Text as RFC 3339 has it.
    Rfc3339,
}

impl Default for ClaimProfile {
    /// A token with the claims that Portero's own have, and every registered one of them.
    fn default() -> Self {
        Self {
            any_type: false,
            unnamed: false,
            optional: vec![],
            require: Map::new(),
            unknown_accounts: false,
            issuer: None,
            audience: None,
            expiry: "exp".to_owned(),
            expiry_format: InstantFormat::default(),
            name: ClaimPath::member("name"),
            business: None,
            role: ClaimPath::member("role"),
            scopes: ClaimPath::member("scope"),
            organization: ClaimPath::member("org"),
        }
    }
}

impl ClaimProfile {
    /// Whether `claim` may be absent.
    #[must_use]
    pub fn lets_absent(&self, claim: Optional) -> bool {
        self.optional.contains(&claim)
    }
}
