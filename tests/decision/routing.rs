//! Paths, hosts and methods, before any token is looked at.

use http::{HeaderMap, Method};
use portero::{
    decision::{Decision, LiveState, Request, RouteSettings, decide},
    domain::{Algorithm, Reason},
    rules::{
        policy::{Auth, Policy},
        route::{CanonicalPath, Pattern},
    },
};
use proptest::prelude::*;

use crate::fixture::*;

use Outcome::{Deny, Endpoint, Forward};

fn house() -> LiveState {
    let reading = route("/reading", policy("sws"));
    let reading =
        RouteSettings { pattern: Pattern { methods: vec![Method::GET, Method::HEAD], ..reading.pattern }, ..reading };
    let site = site(
        vec![realm("sws", "sws", Algorithm::Hs256)],
        vec![endpoint("/login", "sws")],
        vec![
            route("/", Policy { auth: Auth::Public, ..policy("sws") }),
            route("/login/help", Policy { auth: Auth::Public, ..policy("sws") }),
            route("/private", policy("sws")),
            reading,
        ],
    );
    live_state(&site, &[&MadeKey::new("sws", Algorithm::Hs256)])
}

fn ask_as(live_state: &LiveState, method: &Method, path: &str, headers: &HeaderMap) -> Outcome {
    decide_fully(live_state, NOW, &Request { method, ..get(path, headers) }).into()
}

#[test]
fn an_ambiguous_path_is_refused_before_anything_else() {
    let (live_state, no_host) = (house(), HeaderMap::new());
    for path in ["", "*", "login", "/a%2fb", "/a\\b", "/a;b", "/%00", "/%zz", "/..", "/ñ", "/login%", "/%c0%ae"] {
        for method in [Method::GET, Method::TRACE, Method::CONNECT] {
            assert_eq!(ask_as(&live_state, &method, path, &no_host), Deny(Reason::AmbiguousPath), "{method} {path}");
        }
    }
}

#[test]
fn only_what_looks_at_a_token_or_leads_to_an_endpoint_needs_the_store() {
    let live_state = house();
    let token = mint(&live_state, "sws", &new_token(&holder()));
    let (anonymous, bearer) = (headers(""), headers(&token));
    let needs_store = |request: &Request<'_>| decide(&live_state.view(), NOW, request, None).needs_store();
    for (path, headers, needs) in [
        ("/", &anonymous, false),
        ("/", &bearer, false),
        ("/a%2fb", &bearer, false),
        ("/private", &anonymous, false),
        ("/private", &bearer, true),
        ("/login", &anonymous, true),
    ] {
        assert_eq!(needs_store(&get(path, headers)), needs, "{path}");
    }
    assert!(!needs_store(&Request { method: &Method::POST, ..get("/reading", &bearer) }));
    assert_eq!(ask(&live_state, NOW, "/private", &token), Forward(Reason::Authenticated));
    assert!(needs_store(&get("/private", &bearer)), "a token that is remembered may be revoked");
}

#[test]
fn trace_and_connect_are_refused_on_every_route() {
    let live_state = house();
    for path in ["/", "/private", "/reading"] {
        for method in [Method::TRACE, Method::CONNECT] {
            assert_eq!(
                ask_as(&live_state, &method, path, &headers("")),
                Deny(Reason::MethodNotAllowed),
                "{method} {path}"
            );
        }
    }
    assert_eq!(
        ask_as(&live_state, &Method::TRACE, "/login", &headers("")),
        Outcome::Endpoint,
        "in its contract's words"
    );
    let lower = Method::from_bytes(b"trace").unwrap();
    assert_eq!(ask_as(&live_state, &lower, "/private", &headers("")), Deny(Reason::MissingToken));
}

#[test]
fn a_request_names_one_host() {
    let (live_state, mut headers) = (house(), HeaderMap::new());
    assert_eq!(ask_as(&live_state, &Method::GET, "/", &headers), Deny(Reason::InvalidHost));
    headers.append("host", "a.example.com".parse().unwrap());
    assert_eq!(ask_as(&live_state, &Method::GET, "/", &headers), Forward(Reason::Public));
    headers.append("host", "a.example.com".parse().unwrap());
    assert_eq!(ask_as(&live_state, &Method::GET, "/", &headers), Deny(Reason::InvalidHost));
}

#[test]
fn an_endpoint_owns_every_method_of_its_path_and_nothing_below() {
    let (live_state, headers) = (house(), headers("garbage"));
    let odd = Method::from_bytes(b"BREW").unwrap();
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::HEAD, odd] {
        assert_eq!(ask_as(&live_state, &method, "/login", &headers), Endpoint, "{method}");
        assert_eq!(ask_as(&live_state, &method, "/./x/..//login", &headers), Endpoint, "{method}");
        assert_eq!(ask_as(&live_state, &method, "/login/help", &headers), Forward(Reason::Public), "{method}");
        assert_eq!(ask_as(&live_state, &method, "/login/", &headers), Forward(Reason::Public), "{method}");
    }
}

#[test]
fn another_method_does_not_fall_through_to_a_shorter_route() {
    let (live_state, headers) = (house(), headers(""));
    let request = Request { method: &Method::POST, ..get("/reading/x", &headers) };
    let Decision::Reply(denial) = decide_fully(&live_state, NOW, &request) else { panic!("the route '/' is public") };
    assert_eq!((denial.reason, denial.allow.as_deref()), (Reason::MethodNotAllowed, Some("GET, HEAD")));
    assert_eq!(denial.route.map(|route| route.settings.name.clone()).as_deref(), Some("/reading"));
    assert_eq!(ask(&live_state, NOW, "/reading/x", ""), Deny(Reason::MissingToken));
}

#[test]
fn every_spelling_of_a_private_path_is_private() {
    let live_state = house();
    for path in ["/private", "//private", "/./private", "/x/../private", "/%70rivate", "/private/", "/private/./x"] {
        assert_eq!(ask(&live_state, NOW, path, ""), Deny(Reason::MissingToken), "{path}");
    }
    for path in ["/privatest", "/Private", "/private%20", "/x/private"] {
        assert_eq!(ask(&live_state, NOW, path, ""), Forward(Reason::Public), "{path}");
    }
}

#[test]
fn what_no_route_has_is_not_found() {
    let site = site(vec![realm("sws", "sws", Algorithm::Hs256)], vec![], vec![route("/api", policy("sws"))]);
    let live_state = live_state(&site, &[&MadeKey::new("sws", Algorithm::Hs256)]);
    for path in ["/", "/ap", "/apis", "/API"] {
        assert_eq!(ask(&live_state, NOW, path, ""), Deny(Reason::NoRoute), "{path}");
    }
}

proptest! {
    #[test]
    fn a_permits_path_is_the_canonical_path_of_the_request(
        path in "(/(private|reading|login|x|\\.|\\.\\.|%2e|%70rivate|%2f|ñ|%00|;|a%20b|%e2%82%ac)?){0,6}"
    ) {
        let (live_state, headers) = (house(), headers(""));
        match (CanonicalPath::parse(path.as_bytes()), decide_fully(&live_state, NOW, &get(&path, &headers))) {
            (Ok(canonical), Decision::Forward(permit)) => {
                prop_assert_eq!(permit.path.as_str(), canonical.as_str());
                prop_assert_eq!(CanonicalPath::parse(permit.path.as_str().as_bytes()).unwrap(), permit.path.clone());
                prop_assert!(permit.path.as_str().split('/').nth(1) != Some("private"));
            }
            (Ok(_), decision) => prop_assert_ne!(Outcome::from(decision), Deny(Reason::AmbiguousPath)),
            (Err(_), decision) => prop_assert_eq!(Outcome::from(decision), Deny(Reason::AmbiguousPath)),
        }
    }
}
