//! Which claims of an external issuer's tokens say what: `profile` and `claims`.

use http::HeaderName;
use toml::de::DeValue;

use super::realms::identifier;
use crate::{
    config::{
        matching::field_name,
        reader::{Item, Section},
    },
    rules::{
        claim::{ClaimPath, InvalidPath},
        claim_headers::{CLAIM_HEADERS_MAX, ClaimHeaders, why_no_claim},
        profile::{ClaimMapping, Shipped},
    },
};

/// Alternatives for a claim, at most.
const ALTERNATIVES_MAX: usize = 8;

/// Audiences of an issuer, at most.
const AUDIENCES_MAX: usize = 16;

/// Reads `profile` and `claims` of an issuer's section.
pub(in crate::config) fn read(section: &mut Section<'_>) -> ClaimMapping {
    let shipped = section.optional("profile", |item| item.one_of(&Shipped::ALL));
    let base = shipped.map(Shipped::mapping).unwrap_or_default();
    let mut claims = section.section("claims");
    let mapping = ClaimMapping {
        subject: claims.or("subject", base.subject, required),
        audience: claims.or("audience", base.audience, required),
        name: claims.or("name", base.name, alternatives),
        role: claims.or("role", base.role, alternatives),
        scopes: claims.or("scopes", base.scopes, alternatives),
        organization: claims.or("organization", base.organization, alternatives),
        headers: base.headers,
    };
    claims.finish();
    ClaimMapping { headers: headers(section.section("claims_to_headers")), ..mapping }
}

/// Reads which claims become header fields.
fn headers(section: Section<'_>) -> ClaimHeaders {
    let mut headers: Vec<(HeaderName, ClaimPath)> = vec![];
    for (at, (text, item)) in section.into_entries().into_iter().enumerate() {
        let Some(name) = field_name(&item, text) else { continue };
        let claim = path(&item);
        if let Some(why) = why_no_claim(&name) {
            item.wrong::<()>(&format!("'{name}' is no field for a claim: {why}"));
        } else if headers.iter().any(|(known, _)| *known == name) {
            item.wrong::<()>(&format!("'{name}' stands here twice: names are compared without regard to case"));
        } else if at == CLAIM_HEADERS_MAX {
            item.wrong::<()>(&format!("at most {CLAIM_HEADERS_MAX} claims become fields"));
        } else if let Some(claim) = claim {
            headers.push((name, claim));
        }
    }
    ClaimHeaders::new(headers)
}

/// The audiences of an issuer's tokens: one, or several of which each token has one.
pub(in crate::config) fn audiences(item: &Item<'_>) -> Option<Vec<String>> {
    let DeValue::Array(items) = item.value() else { return identifier(item).map(|audience| vec![audience]) };
    if items.len() > AUDIENCES_MAX {
        return item.wrong(&format!("must name 1 to {AUDIENCES_MAX} audiences"));
    }
    item.some(identifier)
}

/// A claim that every token has.
fn required(item: &Item<'_>) -> Option<Vec<ClaimPath>> {
    let paths = alternatives(item)?;
    if paths.is_empty() { item.wrong("must not be empty: every token has to say this") } else { Some(paths) }
}

/// A claim, or several of which the first that is there counts; an empty list for none.
fn alternatives(item: &Item<'_>) -> Option<Vec<ClaimPath>> {
    let DeValue::Array(items) = item.value() else { return path(item).map(|path| vec![path]) };
    if items.len() > ALTERNATIVES_MAX {
        return item.wrong(&format!("must name at most {ALTERNATIVES_MAX} claims"));
    }
    item.list(path)
}

/// Where a claim stands.
fn path(item: &Item<'_>) -> Option<ClaimPath> {
    item.text()?.parse().map_or_else(|error| refused(item, error), Some)
}

/// Says why this is no path.
pub(in crate::config) fn refused<T>(item: &Item<'_>, error: InvalidPath) -> Option<T> {
    item.wrong(&format!("must say where a claim stands, such as \"realm_access.roles\": {error}"))
}
