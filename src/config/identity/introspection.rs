//! `introspection` of an issuer: it is asked about each of its tokens (RFC 7662).

use std::{ops::RangeInclusive, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, Method, Uri, uri::Scheme};

use super::verifiers::{MAX_AGE, TIMEOUT, bounds, syntax};
use crate::{
    config::{
        reader::{Item, Section},
        secure_url::secure_url,
    },
    domain::Secret,
    rules::{
        issuer::ExternalIssuer,
        verifier::{Introspection, Syntax, TokenPlace, TokenQuestion, TokenRules},
    },
    state::token::TOKEN_BYTES_MAX,
    verifier::{CheckEndpoint, MAX_AGE_DEFAULT, TokenCheckSettings, VerifierSettings},
};

/// Octets of a client's secret.
const SECRET_BYTES: RangeInclusive<usize> = 1..=1024;

/// What is read of the section before the issuer is known.
pub(super) struct Asked {
    endpoint: CheckEndpoint,
    authorization: HeaderValue,
    ca: Option<std::path::PathBuf>,
    timeout: Duration,
    max_age: Duration,
    bounds: crate::verifier::Bounds,
    tokens: Syntax,
}

/// Reads the section. `discovered` says whose metadata name the endpoint where the section does not.
pub(super) fn read(mut section: Section<'_>, discovered: Option<(Uri, String)>) -> Option<Asked> {
    let default = VerifierSettings::new("", Uri::default());
    let example = "https://login.example.com/introspect";
    let danger = "the client's secret and every token would cross the network as they are";
    let endpoint = if let Some((url, issuer)) = discovered {
        section.refuse("endpoint", "discovery of the issuer says where it is asked; leave one of both out");
        Some(CheckEndpoint::Discovered { url, issuer })
    } else {
        let named = |item: &Item<'_>| secure_url(item, example, danger).map(CheckEndpoint::At);
        section.required("endpoint", &format!("\"{example}\""), named)
    };
    let client_id = section.required("client_id", "\"gateway\"", Item::word);
    for literal in ["client_secret", "secret", "password"] {
        section.refuse(
            literal,
            "a secret does not stand in this file; put it into one of its own: client_secret_file = \"corp.secret\"",
        );
    }
    let has_secret = section.has("client_secret_file");
    let secret = section.required("client_secret_file", "\"corp.secret\"", secret);
    let ca = section.optional("ca", Item::path);
    if ca.is_some()
        && let Some(endpoint) = endpoint.as_ref().filter(|endpoint| endpoint.url().scheme() == Some(&Scheme::HTTP))
    {
        let key = if matches!(endpoint, CheckEndpoint::At(_)) { "endpoint" } else { "discovery" };
        section.report("ca", &format!("{key} is http: there is no certificate to check"));
    }
    let timeout = section.or("timeout", default.timeout, |item| item.duration(&TIMEOUT));
    let max_age = section.or("max_age", MAX_AGE_DEFAULT, |item| item.duration(&MAX_AGE));
    let bounds = bounds(&mut section);
    let tokens = syntax(section, Syntax { chars: 1..=TOKEN_BYTES_MAX, ..Syntax::default() });
    // Where files are not looked at, the rest is judged all the same.
    let secret = secret.or_else(|| has_secret.then(|| Secret::new("unread".to_owned())));
    let authorization = authorization(&client_id?, &secret?)?;
    Some(Asked { endpoint: endpoint?, authorization, ca, timeout, max_age, bounds, tokens })
}

impl Asked {
    /// Whom to ask about tokens of `issuer`, and how its answers are read.
    pub(super) fn of(self, issuer: ExternalIssuer, asks_for_audience: bool) -> VerifierSettings {
        let name = issuer.name.as_str().to_owned();
        let default = VerifierSettings::new(&name, self.endpoint.url().clone());
        let check = TokenCheckSettings {
            endpoint: self.endpoint,
            question: TokenQuestion {
                method: Method::POST,
                place: TokenPlace::Form("token".to_owned()),
                syntax: self.tokens,
                authorization: Some(self.authorization),
            },
            evidence: TokenRules::Introspection(Box::new(Introspection { issuer, asks_for_audience })),
            max_age: self.max_age,
            bounds: self.bounds,
        };
        VerifierSettings {
            ca: self.ca,
            connect_timeout: default.connect_timeout.min(self.timeout),
            timeout: self.timeout,
            bounds: self.bounds,
            tokens: Some(check),
            ..default
        }
    }
}

/// The secret in a file, one line feed at its end not counted. `None` where files are not looked at.
fn secret(item: &Item<'_>) -> Option<Secret> {
    let (path, bytes) = item.file()?;
    item.note_if_readable(path);
    let text = String::from_utf8(bytes).ok().map(|text| Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()));
    let shaped =
        |secret: &Secret| SECRET_BYTES.contains(&secret.expose().len()) && !secret.expose().contains(char::is_control);
    text.filter(shaped).or_else(|| item.wrong("must hold one line of 1 to 1024 octets: the client's secret"))
}

/// `Authorization` of a client: both parts are encoded as in a form first (RFC 6749 section 2.3.1).
fn authorization(client_id: &str, secret: &Secret) -> Option<HeaderValue> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}
