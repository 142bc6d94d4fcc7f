//! What a route asks for: `auth`, `accept`, `require`, `token`, `sources`.

use http::HeaderName;
use serde_json::Value;
use toml::de::DeValue;

use crate::{
    config::{
        identity::{claims::refused, realms::Realms},
        reader::{Item, Section},
    },
    decision::{ForwardToken, Mode},
    domain::{RealmName, TokenKind},
    rules::{
        claim::ClaimPath,
        contract::{Dialect, names_with},
        policy::{Auth, Policy, Source},
    },
};

/// The keys that say what to do with a token: a public route looks at none.
const TOKEN_KEYS: [&str; 6] = ["accept", "require", "token", "sources", "forward_token", "mode"];

/// Why a public route has no such key.
pub(super) const NO_TOKENS: &str = "a public route does not look at tokens; leave it out, or say auth = \"optional\"";

/// What becomes of who lacks it.
const MODES: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("shadow", Mode::Shadow)];

/// What a route asks for.
pub(super) struct Asked {
    pub(super) policy: Policy,
    pub(super) sources: Vec<Source>,
    pub(super) forward_token: ForwardToken,
    pub(super) mode: Mode,
}

/// Reads what the route `section` asks for.
pub(super) fn read(section: &mut Section<'_>, realms: &Realms) -> Asked {
    let words = [("required", Auth::Required), ("optional", Auth::Optional), ("public", Auth::Public)];
    let has_auth = section.has("auth");
    let auth = section.optional("auth", |item| item.one_of(&words));
    let policy =
        |auth| Policy { auth, accept: vec![], token: TokenKind::Access, roles: vec![], scopes: vec![], claims: vec![] };
    let asked = |policy| Asked { policy, sources: vec![], forward_token: ForwardToken::Keep, mode: Mode::Enforce };
    match auth {
        None if has_auth => {
            // Whether these belong here cannot be told.
            section.skip(TOKEN_KEYS);
            asked(policy(Auth::Required))
        }
        Some(Auth::Public) => {
            for key in TOKEN_KEYS {
                section.refuse(key, NO_TOKENS);
            }
            asked(policy(Auth::Public))
        }
        auth => {
            let accept = accept(section, realms);
            let token = token(section, realms, accept.as_deref());
            let accept = accept.unwrap_or_default();
            let (roles, scopes, claims) = require(section.section("require"));
            Asked {
                sources: sources(section, realms, &accept),
                forward_token: section.or("forward_token", ForwardToken::Keep, forward_token),
                mode: section.or("mode", Mode::Enforce, |item| item.one_of(&MODES)),
                policy: Policy { accept, token, roles, scopes, claims, ..policy(auth.unwrap_or(Auth::Required)) },
            }
        }
    }
}

/// The realms and external issuers whose tokens open the route.
fn accept(section: &mut Section<'_>, realms: &Realms) -> Option<Vec<RealmName>> {
    if !section.has("accept") {
        section.report(
            "accept",
            "missing; name the realms whose tokens open the route, for example accept = [\"crm\"], or say auth = \"public\"",
        );
    }
    section.optional("accept", |item| item.some(|item| realms.resolve_accepted(item)))
}

fn token(section: &mut Section<'_>, realms: &Realms, accept: Option<&[RealmName]>) -> TokenKind {
    let kinds = [TokenKind::Access, TokenKind::Content].map(|kind| (kind.name(), kind));
    let token = section.or("token", TokenKind::Access, |item| item.one_of(&kinds));
    let gives = |name: &RealmName| match realms.dialect(name) {
        Some(dialect) => dialect.token_kinds().contains(&token),
        None => !realms.is_external(name) || token == TokenKind::Access,
    };
    if accept.is_some_and(|accept| !accept.iter().any(gives)) {
        let have = names_with(|facts| facts.tokens.login.contains(&token));
        let message = format!(
            "none of the accepted realms gives {} tokens (only dialect '{have}' has them); nothing would open the route",
            token.name()
        );
        section.report("token", &message);
    }
    token
}

type Required = (Vec<Box<str>>, Vec<Box<str>>, Vec<(ClaimPath, Value)>);

fn require(mut section: Section<'_>) -> Required {
    let words = |item: &Item<'_>| item.some(|item| item.word().map(Box::from));
    let roles = section.optional("roles", words).unwrap_or_default();
    let scopes = section.optional("scopes", words).unwrap_or_default();
    let mut claims = vec![];
    read_claims(section.section("claims"), &[], &mut claims);
    section.finish();
    (roles, scopes, claims)
}

/// Reads what claims must say. A table inside is a claim with members, as a dotted key makes one: a name with dots of
/// its own is in quotes.
fn read_claims(section: Section<'_>, above: &[Box<str>], claims: &mut Vec<(ClaimPath, Value)>) {
    for (name, item) in section.into_entries() {
        let names: Vec<Box<str>> = above.iter().cloned().chain([name.into()]).collect();
        let path = match ClaimPath::new(names.clone()) {
            Ok(path) => path,
            Err(error) => {
                refused::<()>(&item, error);
                continue;
            }
        };
        match item.value() {
            DeValue::Table(_) => {
                if let Some(below) = item.section() {
                    read_claims(below, &names, claims);
                }
            }
            _ => claims.extend(claim(&item).map(|value| (path, value))),
        }
    }
}

fn claim(item: &Item<'_>) -> Option<Value> {
    match item.value() {
        DeValue::String(_) => item.text().map(Value::from),
        DeValue::Boolean(value) => Some(Value::from(*value)),
        DeValue::Integer(_) => item.integer(&(i64::MIN..=i64::MAX)).map(Value::from),
        _ => item.wrong("a claim is compared with a string, an integer, true or false"),
    }
}

/// Where the route's tokens stand: what it says, or what its first realm's contract has.
fn sources(section: &mut Section<'_>, realms: &Realms, accept: &[RealmName]) -> Vec<Source> {
    let dialects = || accept.iter().filter_map(|realm| realms.dialect(realm)).map(Dialect::facts);
    let mut schemes: Vec<_> = dialects().filter_map(|facts| facts.token_scheme.clone()).collect();
    schemes.sort_unstable();
    schemes.dedup();
    let bare = dialects().any(|facts| facts.bare_authorization);
    let authorization = Source::Authorization { bare, schemes: schemes.into() };
    let own_header = dialects().next().and_then(|facts| facts.token_header.clone()).map(Source::Header);
    let default = own_header.into_iter().chain([authorization.clone()]).collect();
    section.or("sources", default, |item| item.some(|item| source(item, &authorization)))
}

fn source(item: &Item<'_>, authorization: &Source) -> Option<Source> {
    let text = item.text()?;
    let is_word = |name: &str| !name.is_empty() && HeaderName::from_bytes(name.as_bytes()).is_ok();
    match text.split_once(':') {
        Some((_, name)) if name.contains('*') => item.wrong("there is no pattern for names: name each source"),
        None if text == "authorization" => Some(authorization.clone()),
        Some(("query", name)) if !name.is_empty() => Some(Source::Query(name.into())),
        // A cookie's name is a token (RFC 6265 section 4.1.1), as a header's is.
        Some(("cookie", name)) if is_word(name) => Some(Source::Cookie(name.into())),
        Some(("header", name)) if is_word(name) => header(item, name),
        _ => item.no("\"authorization\", \"header:NAME\", \"query:NAME\" or \"cookie:NAME\""),
    }
}

fn header(item: &Item<'_>, name: &str) -> Option<Source> {
    match name.parse().ok()? {
        http::header::AUTHORIZATION => item.wrong("say \"authorization\" for this header"),
        http::header::COOKIE => item.wrong("say \"cookie:NAME\" for a cookie"),
        name => Some(Source::Header(name)),
    }
}

fn forward_token(item: &Item<'_>) -> Option<ForwardToken> {
    match item.value() {
        DeValue::Boolean(true) => Some(ForwardToken::Keep),
        DeValue::Boolean(false) => Some(ForwardToken::Drop),
        DeValue::String(word) if word == "internal" => Some(ForwardToken::Internal),
        _ => item.wrong(
            "expected true to pass the client's token on, false to drop it, or \"internal\" to exchange it for the gateway's own",
        ),
    }
}
