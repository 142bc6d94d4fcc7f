//! `cors`: what pages of other origins may do with a route or a token endpoint.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method};

use crate::{
    config::{
        matching::{field_name, method},
        reader::{Item, Section},
    },
    rules::cors::{Cors, Origin},
};

/// Browsers remember a preflight for a day at most.
const MAX_AGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24);
const MAX_AGE_DEFAULT: Duration = Duration::from_mins(10);

/// The methods that a preflight answers on a route that takes any.
const COMMON_METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Reads `cors` where it stands. `taken` are the methods that are taken there, none for any, and `read` are the
/// header fields that are looked at.
pub(super) fn read(section: &mut Section<'_>, taken: &[Method], read: &[HeaderName]) -> Option<Arc<Cors>> {
    section.optional("cors", |item| cors(item.section()?, taken, read)).map(Arc::new)
}

fn cors(mut section: Section<'_>, taken: &[Method], read: &[HeaderName]) -> Option<Cors> {
    let origins = section.required("origins", "[\"https://app.example.com\"]", |item| item.some(origin));
    let default = if taken.is_empty() { COMMON_METHODS.to_vec() } else { taken.to_vec() };
    let methods = section.or("methods", default, |item| item.some(method));
    let headers = section.or("headers", read.to_vec(), |item| item.list(field));
    let expose = section.or("expose", vec![], |item| item.list(field));
    let credentials = section.or("credentials", false, Item::boolean);
    let max_age = section.or("max_age", MAX_AGE_DEFAULT, |item| item.duration(&MAX_AGE));
    if credentials && origins.as_ref().is_some_and(|origins| origins.contains(&Origin::Any)) {
        section.report("credentials", "browsers refuse credentials together with the origin \"*\": name the origins");
    }
    section.finish();
    let names = |names: &[HeaderName]| list(names.iter().map(HeaderName::as_str));
    Some(Cors {
        origins: origins?,
        methods: list(methods.iter().map(Method::as_str))?,
        headers: names(&headers)?,
        expose: if expose.is_empty() { None } else { names(&expose) },
        credentials,
        max_age,
    })
}

fn origin(item: &Item<'_>) -> Option<Origin> {
    let text = item.text()?;
    text.parse().map_or_else(|error| item.wrong(&format!("{} is no origin: {error}", item.shown())), Some)
}

fn field(item: &Item<'_>) -> Option<HeaderName> {
    match &*item.text()? {
        // It would not stand for Authorization, nor for anything in a request with credentials.
        "*" => item.wrong("name the header fields: browsers do not count Authorization among \"*\""),
        name => field_name(item, name),
    }
}

fn list<'w>(words: impl Iterator<Item = &'w str>) -> Option<HeaderValue> {
    HeaderValue::try_from(words.collect::<Vec<_>>().join(", ")).ok()
}
