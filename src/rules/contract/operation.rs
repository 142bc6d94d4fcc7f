//! What a client asks of a token endpoint, whatever the contract.

use http::Method;
use serde_json::{Map, Value};

use crate::domain::{AccountName, Secret, json::NotJson};

/// A request to a token endpoint, as far as a dialect looks at it. Without `Debug`: its body holds a secret.
pub struct TokenRequest<'a> {
    /// `POST`, or a method that the dialect has besides.
    pub method: &'a Method,
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// The `Content-Type` header, when there is one.
    pub content_type: Option<&'a [u8]>,
    /// The `Authorization` header, when there is exactly one. It may hold a secret.
    pub authorization: Option<&'a [u8]>,
    /// The body.
    pub body: RequestBody<'a>,
    /// Whether the endpoint is a refresh endpoint (`grant = "refresh"`).
    pub refresh: bool,
}

/// A request's body, read once for all realms of an endpoint.
#[derive(Clone, Copy)]
pub struct RequestBody<'a> {
    /// As a JSON object.
    pub json: &'a Result<Map<String, Value>, NotJson>,
    /// As a form, each field a text, where the request says that it is one.
    pub form: Option<&'a Result<Map<String, Value>, NotJson>>,
}

impl<'a> From<&'a Result<Map<String, Value>, NotJson>> for RequestBody<'a> {
    fn from(json: &'a Result<Map<String, Value>, NotJson>) -> Self {
        Self { json, form: None }
    }
}

/// Whether a contract's requests may be forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forms {
    /// They are JSON.
    #[default]
    Refused,
    /// Those that are announced as forms are, all others are JSON.
    Also,
    /// They are forms.
    Only,
}

impl Forms {
    /// The body that a contract reads; `None` where it reads no such body.
    #[must_use]
    pub fn body(self, sent: RequestBody<'_>) -> Option<&Result<Map<String, Value>, NotJson>> {
        match (self, sent.form) {
            (Self::Refused, _) | (Self::Also, None) => Some(sent.json),
            (Self::Also | Self::Only, Some(form)) => Some(form),
            (Self::Only, None) => None,
        }
    }
}

/// What a client asks of a token endpoint, whatever the contract.
#[derive(Debug, PartialEq, Eq)]
pub enum Operation {
    /// Prove who you are, get tokens.
    Login(Login),
    /// Exchange a refresh token.
    Refresh(Secret),
    /// Ask what a token says (a `GET`).
    Verify,
}

/// The neutral form of a login.
#[derive(Debug, PartialEq, Eq)]
pub struct Login {
    /// The account's name.
    pub name: AccountName,
    /// The password or client secret.
    pub secret: Secret,
    /// How long the tokens should live.
    pub validity: Validity,
}

impl Login {
    /// A login of an account that one word names, for as long as the realm says.
    #[must_use]
    pub fn new(name: &str, secret: &str) -> Self {
        let name = AccountName { business: String::new(), name: name.to_owned() };
        Self { name, secret: Secret::from(secret), validity: Validity::Realm }
    }
}

/// The life that a login asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// What the realm says.
    Realm,
    /// Calendar years.
    Years(u8),
    /// No expiry.
    Forever,
}
