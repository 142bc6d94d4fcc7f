//! What contracts are asked: requests, settings, grants, claims and rejections of every shape.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use jiff::tz::TimeZone;
use portero::{
    domain::{
        AccountName, Claims, Grant, Holder, IssuedToken, PrincipalId, PrincipalKind, RevocationId, Roles, Secret,
        Timestamp, TokenKind, TokenSubject,
    },
    rules::contract::{DialectSettings, MissingMembers, Rejection},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

/// The members of all contracts, and some of none.
const MEMBERS: [&str; 13] = [
    "username",
    "password",
    "business",
    "proyecto",
    "clientId",
    "clientSecret",
    "client_id",
    "client_secret",
    "refreshToken",
    "Username",
    "",
    "claim",
    "creacion",
];

/// A request, as far as a contract looks at it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) query: Option<String>,
    pub(crate) content_type: Option<Vec<u8>>,
    pub(crate) body: Vec<u8>,
    pub(crate) refresh: bool,
}

pub(crate) fn requests() -> impl Strategy<Value = Request> {
    let method = select(&[Method::POST, Method::POST, Method::GET, Method::HEAD][..]);
    let parts = (method, option::of(queries()), option::of(content_types()), bodies(), any::<bool>());
    parts.prop_map(|(method, query, content_type, body, refresh)| Request {
        method,
        query,
        content_type,
        body,
        refresh,
    })
}

fn queries() -> impl Strategy<Value = String> {
    let values = select(
        &["", "true", "TRUE", "false", "False", "0", "04", "1", "2", "7", "100", "101", "256", "+4", "4 ", "%34", "x"]
            [..],
    );
    let pairs =
        vec((select(&["withoutExpiration", "without%45xpiration", "WithoutExpiration", "a", ""][..]), values), 0..3);
    let pairs = pairs
        .prop_map(|pairs| pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"));
    prop_oneof![3 => pairs, 1 => any::<String>()]
}

fn content_types() -> impl Strategy<Value = Vec<u8>> {
    let known = select(
        &[
            "application/json",
            "APPLICATION/JSON; charset=x",
            "a/b+json",
            "text/plain",
            "application/x-www-form-urlencoded",
            "",
        ][..],
    );
    prop_oneof![4 => known.prop_map(|text| text.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..20)]
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        4 => any::<String>().prop_map(Value::from),
        1 => select(vec![json!(""), json!(null), json!(1), json!(["x"]), json!({"a": "b"}), json!(true)]),
    ];
    let object = vec((select(&MEMBERS[..]), value), 0..6);
    let object = object.prop_map(|members| {
        let members: Map<_, _> = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Value::Object(members).to_string().into_bytes()
    });
    prop_oneof![8 => object, 1 => vec(any::<u8>(), 0..40), 1 => any::<String>().prop_map(String::into_bytes)]
}

pub(crate) fn settings() -> impl Strategy<Value = DialectSettings> {
    let zone = select(&["UTC", "America/Argentina/Buenos_Aires", "Asia/Kathmandu", "Pacific/Apia"][..]);
    (zone, 200_u16..600, 1_u8..=100, any::<bool>()).prop_map(|(zone, status, years_max, allow_non_expiring)| {
        DialectSettings {
            timezone: TimeZone::get(zone).unwrap(),
            error_status: StatusCode::from_u16(status).unwrap(),
            years_max,
            allow_non_expiring,
        }
    })
}

pub(crate) fn holders() -> impl Strategy<Value = Holder> {
    let texts = (any::<String>(), any::<String>(), any::<String>(), any::<String>());
    (any::<u128>(), texts, option::of(any::<i64>()), vec(any::<String>(), 0..3), option::of(any::<String>())).prop_map(
        |(id, (business, name, display_name, role), legacy_id, scopes, company)| Holder {
            id: principal(id),
            name: AccountName { business, name },
            display_name,
            legacy_id,
            role,
            scopes,
            company,
        },
    )
}

fn principal(id: u128) -> PrincipalId {
    uuid::Uuid::from_u128(id).to_string().parse().unwrap()
}

/// Moments, those that no calendar has among them.
pub(crate) fn moments() -> impl Strategy<Value = Timestamp> {
    prop_oneof![4 => 0_i64..4_000_000_000_000, 1 => any::<i64>()].prop_map(Timestamp::from_millis)
}

pub(crate) fn grants() -> impl Strategy<Value = Grant> {
    let kinds = select(vec![
        vec![TokenKind::Access],
        vec![TokenKind::Access, TokenKind::Content],
        vec![TokenKind::Access, TokenKind::Content, TokenKind::Refresh],
        vec![],
    ]);
    let ends = vec(option::weighted(0.9, moments()), 3);
    (holders(), moments(), kinds, ends, any::<String>()).prop_map(|(holder, issued_at, kinds, ends, token)| {
        let tokens = kinds.into_iter().zip(ends).map(|(kind, expires_at)| {
            let token = Secret::from(format!("{token}{}", kind.name()).as_str());
            IssuedToken { kind, token, expires_at }
        });
        Grant { holder, issued_at, tokens: tokens.collect() }
    })
}

pub(crate) fn claims() -> impl Strategy<Value = Claims> {
    let value = prop_oneof![3 => any::<String>().prop_map(Value::from), 1 => Just(json!(7)), 1 => Just(json!(null))];
    let names = select(&["business", "proyecto", "creacion", "expiracion", "other"][..]);
    let extra = vec((names, value), 0..5);
    (any::<String>(), option::of(any::<String>()), moments(), option::of(moments()), extra).prop_map(
        |(name, organization, issued_at, expires_at, extra)| {
            let realm = "toc".parse().unwrap();
            Claims {
                revocation_id: RevocationId::of_token_id(&realm, "1"),
                realm,
                kind: TokenKind::Access,
                subject: TokenSubject::Account(principal(7)),
                principal: Some(PrincipalKind::Project),
                session: None,
                epoch: 0,
                issued_at,
                not_before: issued_at,
                expires_at,
                name: name.into(),
                legacy_id: None,
                roles: Roles::none(),
                scopes: vec![],
                organization: organization.map(Into::into),
                extra: extra.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            }
        },
    )
}

pub(crate) fn rejections() -> impl Strategy<Value = Rejection> {
    let retry_after = Duration::from_secs(7);
    let members = vec(select(&MEMBERS[..]), 1..4)
        .prop_map(|names| Rejection::Missing(MissingMembers::of(names.into_iter().map(Arc::from).collect()).unwrap()));
    let plain = select(vec![
        Rejection::NotJson,
        Rejection::InvalidCredentials,
        Rejection::InvalidRefreshToken,
        Rejection::Locked,
        Rejection::Inactive,
        Rejection::CompanyMissing,
        Rejection::ThrottledName { retry_after },
        Rejection::ThrottledAddress { retry_after },
        Rejection::Unavailable { retry_after },
        Rejection::MethodNotAllowed { method: http::Method::PUT },
        Rejection::BodyTooLarge,
        Rejection::BodyTimeout,
    ]);
    prop_oneof![members, any::<String>().prop_map(Rejection::InvalidQuery), plain]
}
