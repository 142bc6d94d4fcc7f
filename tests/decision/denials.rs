//! What each denial looks like: to a client of its contract, to a page of another origin, and to a gRPC call.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, header};
use portero::{
    decision::{Decision, Denial, LiveState, Preflight, Request, RouteSettings, Target},
    domain::{Algorithm, Reason},
    edge::respond::{self, Asker},
    rules::{
        cors::{Cors, Origin},
        rewrite::Rewrites,
        route::Pattern,
    },
};

use crate::fixture::*;

const PAGE: &str = "https://app.example.com";

fn cors(origin: &str) -> Arc<Cors> {
    Arc::new(Cors {
        origins: vec![origin.parse::<Origin>().unwrap()],
        methods: HeaderValue::from_static("GET, PUT"),
        headers: HeaderValue::from_static("authorization"),
        expose: Some(HeaderValue::from_static("x-total")),
        credentials: true,
        max_age: std::time::Duration::from_mins(1),
    })
}

/// Routes in several dialects, each once bare and once with `cors`.
fn house() -> LiveState {
    let dialects = [("sws", "sws"), ("toc", "toc"), ("become", "become"), ("oauth", "oauth")];
    let shared = |path: &str, realm: &str| {
        let harden = Rewrites { harden: true, ..Rewrites::default() };
        RouteSettings { cors: Some(cors(PAGE)), rewrites: Some(Arc::new(harden)), ..route(path, policy(realm)) }
    };
    let routes = dialects.iter().flat_map(|(realm, _)| {
        [route(&format!("/{realm}"), policy(realm)), shared(&format!("/shared/{realm}"), realm)]
    });
    let reading = shared("/reading", "sws");
    let reading = RouteSettings { pattern: Pattern { methods: vec![Method::GET], ..reading.pattern }, ..reading };
    let realms = dialects.map(|(name, dialect)| realm(name, dialect, Algorithm::Hs256)).to_vec();
    let site = site(realms, vec![endpoint("/login", "sws")], routes.chain([reading]).collect());
    live_state(&site, &[&MadeKey::new("sws", Algorithm::Hs256)])
}

fn denial(live_state: &LiveState, path: &str) -> Denial {
    match decide_fully(live_state, NOW, &get(path, &headers(""))) {
        Decision::Reply(denial) => denial,
        other => panic!("{path}: {other:?}"),
    }
}

fn asking(fields: &[(header::HeaderName, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

fn answer(denial: &Denial, headers: &HeaderMap) -> http::Response<bytes::Bytes> {
    respond::denial(denial, &Asker { headers, secure: false })
}

#[test]
fn every_denial_can_be_told_from_every_other_party_and_is_never_stored() {
    let live_state = house();
    let page = asking(&[(header::ORIGIN, PAGE)]);
    let external = asking(&[(header::ORIGIN, "https://evil.test")]);
    let call = asking(&[(header::CONTENT_TYPE, "application/grpc+proto"), (header::ORIGIN, PAGE)]);
    for realm in ["sws", "toc", "become", "oauth"] {
        let (bare, shared) =
            (denial(&live_state, &format!("/{realm}")), denial(&live_state, &format!("/shared/{realm}/x")));
        for reason in Reason::ALL.into_iter().filter(|reason| !reason.allows()) {
            let of = |denial: &Denial| Denial { reason, route: denial.route.clone(), allow: None, identity: None };
            let (bare, shared) = (of(&bare), of(&shared));
            let plain = answer(&bare, &page);
            let what = format!("{realm}: {}", reason.name());
            assert!(plain.status().is_client_error() || plain.status().is_server_error(), "{what}");
            assert_eq!(plain.headers()[header::CACHE_CONTROL], "no-store", "{what}");
            assert_eq!(plain.headers()[header::VARY], "authorization, currenttokenvalue", "{what}");
            assert!(!plain.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), "{what}");
            assert!(!plain.headers().contains_key(header::X_FRAME_OPTIONS), "{what}");

            let read = answer(&shared, &page);
            assert_eq!((read.status(), read.body()), (plain.status(), plain.body()), "{what}");
            assert_eq!(
                read.headers().get(header::WWW_AUTHENTICATE),
                plain.headers().get(header::WWW_AUTHENTICATE),
                "{what}"
            );
            assert_eq!(read.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], PAGE, "{what}");
            assert_eq!(read.headers()[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true", "{what}");
            assert_eq!(read.headers()[header::ACCESS_CONTROL_EXPOSE_HEADERS], "x-total", "{what}");
            assert_eq!(read.headers()[header::VARY], "authorization, currenttokenvalue, origin", "{what}");
            assert_eq!(read.headers()[header::X_FRAME_OPTIONS], "DENY", "{what}");
            let unread = answer(&shared, &external);
            assert!(unread.headers().keys().all(|name| !name.as_str().starts_with("access-control-")), "{what}");
            assert_eq!(unread.headers()[header::VARY], read.headers()[header::VARY], "{what}");

            let failed = answer(&shared, &call);
            assert_eq!((failed.status().as_u16(), failed.body().len()), (200, 0), "{what}");
            assert_eq!(failed.headers()[header::CONTENT_TYPE], "application/grpc", "{what}");
            assert_eq!(failed.headers()[header::CACHE_CONTROL], "no-store", "{what}");
            assert_eq!(failed.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], PAGE, "{what}");
            let status = match reason.status() {
                400 | 417 => "3",
                401 => "16",
                403 => "7",
                404 | 405 => "12",
                408 | 504 => "4",
                413 | 429 | 431 => "8",
                500 => "13",
                502 | 503 => "14",
                other => panic!("{what} is {other}, which has no code yet"),
            };
            assert_eq!(failed.headers()["grpc-status"], status, "{what}");
            let message = failed.headers()["grpc-message"].to_str().unwrap();
            assert!(!message.is_empty() && message.is_ascii(), "{what}");
            assert_eq!(failed.headers().get(header::RETRY_AFTER), plain.headers().get(header::RETRY_AFTER), "{what}");
        }
    }
}

#[test]
fn a_denial_before_any_route_speaks_for_none() {
    let call = asking(&[(header::CONTENT_TYPE, "application/grpc-web-text"), (header::ORIGIN, PAGE)]);
    let failed = answer(&Denial::of(Reason::NoRoute), &call);
    assert_eq!(failed.headers()[header::CONTENT_TYPE], "application/grpc-web+proto");
    assert_eq!(
        (&failed.headers()["grpc-status"], &failed.headers()["grpc-message"]),
        (&HeaderValue::from_static("12"), &HeaderValue::from_static("Not found"),)
    );
    assert!(!failed.headers().contains_key(header::VARY));
    let plain = answer(&Denial::of(Reason::AmbiguousPath), &asking(&[(header::ORIGIN, PAGE)]));
    assert_eq!(plain.status(), 400);
    assert!(!plain.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
}

#[test]
fn strict_transport_is_said_on_encrypted_connections_only() {
    let live_state = house();
    let denial = denial(&live_state, "/shared/sws");
    for secure in [false, true] {
        let response = respond::denial(&denial, &Asker { headers: &HeaderMap::new(), secure });
        assert_eq!(response.headers().contains_key(header::STRICT_TRANSPORT_SECURITY), secure);
    }
}

/// What comes of an `OPTIONS` with these fields beside the usual ones.
fn options(
    live_state: &LiveState,
    path: &str,
    fields: &[(header::HeaderName, &'static str)],
) -> Result<String, Outcome> {
    let mut headers = headers("");
    headers.remove(header::ORIGIN);
    headers.extend(asking(fields));
    match decide_fully(live_state, NOW, &Request { method: &Method::OPTIONS, ..get(path, &headers) }) {
        Decision::Preflight(Preflight { target: Target::Route(route), .. }) => Ok(route.settings.name.to_string()),
        other => Err(other.into()),
    }
}

#[test]
fn a_preflight_asks_for_the_route_of_the_request_to_come() {
    const METHOD: header::HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;
    const ORIGIN: header::HeaderName = header::ORIGIN;
    let live_state = house();
    let missing = Err(Outcome::Deny(Reason::MissingToken));
    for (path, fields, expected) in [
        ("/shared/sws/x", &[(METHOD, "PUT"), (ORIGIN, PAGE)][..], Ok("/shared/sws")),
        ("/shared/sws", &[(METHOD, "PUT"), (ORIGIN, "https://evil.test")], Ok("/shared/sws")),
        ("/reading", &[(METHOD, "GET"), (ORIGIN, PAGE)], Ok("/reading")),
        ("/reading", &[(METHOD, "PUT"), (ORIGIN, PAGE)], Err(Outcome::Deny(Reason::MethodNotAllowed))),
        ("/shared/sws", &[(METHOD, "PUT")], missing),
        ("/shared/sws", &[(ORIGIN, PAGE)], missing),
        ("/shared/sws", &[(METHOD, "P T"), (ORIGIN, PAGE)], missing),
        ("/sws", &[(METHOD, "PUT"), (ORIGIN, PAGE)], missing),
        ("/login", &[(METHOD, "POST"), (ORIGIN, PAGE)], Err(Outcome::Endpoint)),
        ("/nowhere", &[(METHOD, "GET"), (ORIGIN, PAGE)], Err(Outcome::Deny(Reason::NoRoute))),
        ("/shared/..%2fsws", &[(METHOD, "GET"), (ORIGIN, PAGE)], Err(Outcome::Deny(Reason::AmbiguousPath))),
    ] {
        assert_eq!(options(&live_state, path, fields), expected.map(str::to_owned), "{path} {fields:?}");
    }
}

#[test]
fn a_preflights_answer_has_no_body_and_says_nothing_to_strangers() {
    let cors = cors(PAGE);
    let ask = |origin| {
        let headers = asking(&[(header::ORIGIN, origin)]);
        respond::preflight(&cors, &Asker { headers: &headers, secure: false })
    };
    let told = ask(PAGE);
    assert_eq!((told.status().as_u16(), told.body().len()), (204, 0));
    assert_eq!(told.headers()[header::ACCESS_CONTROL_ALLOW_METHODS], "GET, PUT");
    assert_eq!(told.headers()[header::VARY], "origin");
    let stranger = ask("https://evil.test");
    assert_eq!(stranger.status(), 204);
    assert_eq!(stranger.headers().keys().collect::<Vec<_>>(), ["vary"]);
}
