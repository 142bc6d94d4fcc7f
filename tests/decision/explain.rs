//! Explaining a request: it says what deciding does, in steps that can be read, and nothing comes of it.

use std::net::IpAddr;

use http::Method;
use portero::{
    decision::{
        Decision, EndpointSettings, LiveState, Mode, RouteSettings, decide,
        decide::explain::{Explained, Inquiry, Keys, Question, explain},
    },
    domain::{Algorithm, Reason, Secret, Timestamp},
    rules::{
        policy::{Auth, Policy, Source},
        route::Pattern,
    },
    state::{
        keys::{KeyState, Keyring},
        revocation::log::{Record, RevokedSubject},
        token::NewToken,
    },
};
use proptest::prelude::*;

use crate::fixture::*;

/// Questions that ask for too much.
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

struct House {
    live_state: LiveState,
    key: MadeKey,
}

fn house() -> House {
    let key = MadeKey::new("sws", Algorithm::Hs256);
    let hosted = |route: RouteSettings, host: &str| {
        let pattern = Pattern { hosts: vec![host.parse().unwrap()], ..route.pattern };
        RouteSettings { pattern, ..route }
    };
    let named = |name: &str, route: RouteSettings| RouteSettings { name: name.into(), ..route };
    let only_get = |route: RouteSettings| {
        let pattern = Pattern { methods: vec![Method::GET], ..route.pattern };
        RouteSettings { pattern, ..route }
    };
    let routes = vec![
        named("root", route("/", policy("sws"))),
        route("/api", policy("sws")),
        only_get(route("/api/read", Policy { scopes: vec!["read".into()], ..policy("sws") })),
        route("/roots", Policy { roles: vec!["ROOT".into()], scopes: vec!["write".into()], ..policy("sws") }),
        route("/public", Policy { auth: Auth::Public, ..policy("sws") }),
        route("/optional", Policy { auth: Auth::Optional, ..policy("sws") }),
        route("/apis", policy("apis")),
        RouteSettings { mode: Mode::Shadow, ..route("/trial", Policy { roles: vec!["ROOT".into()], ..policy("sws") }) },
        RouteSettings { sources: vec![Source::Query("token".into())], ..route("/files", policy("sws")) },
        RouteSettings { sources: vec![Source::Cookie("sid".into())], ..route("/cookie", policy("sws")) },
        named("by-host", hosted(route("/api", policy("sws")), "*.example.com")),
    ];
    let realms = vec![realm("sws", "sws", Algorithm::Hs256), realm("apis", "apis", Algorithm::Sealed)];
    let endpoints: Vec<EndpointSettings> = vec![endpoint("/login", "sws")];
    let live_state = live_state(&site(realms, endpoints, routes), &[&key]);
    House { live_state, key }
}

/// What deciding says, in one word.
fn word(decision: &Decision<'_>) -> String {
    match decision {
        Decision::Forward(permit) => {
            format!("forward {} {} {:?}", permit.route.settings.name, permit.path.as_str(), permit.reason)
        }
        Decision::Reply(denial) => {
            format!("deny {:?} {:?}", denial.route.as_ref().map(|route| &route.settings.name), denial.reason)
        }
        Decision::Endpoint(endpoint) => format!("endpoint {}", endpoint.metrics.route.name()),
        Decision::Preflight(preflight) => format!("preflight {}", preflight.target.name()),
        Decision::Verify(_) | Decision::AwaitKey(_) | Decision::AwaitCheck(_) | Decision::AwaitStep(_) => {
            panic!("undecided")
        }
    }
}

fn question(live_state: &LiveState, method: &str, url: &str, headers: &[(&str, &str)], token: &str) -> Question {
    let headers: Vec<_> = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let token = Some(Secret::from(token)).filter(|token| !token.expose().is_empty());
    let inquiry = Inquiry { method, url, headers: &headers, token: token.as_ref(), client: Some(CLIENT) };
    Question::of(&inquiry, &live_state.snapshot()).unwrap()
}

fn lines(explained: &Explained<'_>) -> Vec<String> {
    let mark =
        |step: &portero::decision::decide::explain::Step| format!("{:?} {}: {}", step.outcome, step.name, step.text);
    explained.steps.iter().map(mark).collect()
}

/// The steps of a request, and what is decided.
fn explained(live_state: &LiveState, now: Timestamp, method: &str, url: &str, token: &str) -> (Vec<String>, String) {
    let question = question(live_state, method, url, &[], token);
    let explained = explain(&live_state.view(), now, &question, Keys::Known);
    (lines(&explained), word(explained.decision.as_ref().unwrap()))
}

#[test]
fn the_steps_stand_in_the_order_in_which_they_are_applied() {
    let House { live_state, .. } = house();
    let token = mint(&live_state, "sws", &new_token(&holder()));
    let (lines, word) = explained(&live_state, NOW, "GET", "http://CRM.example.com/api/%72ead/./x?y", &token);
    assert_eq!(word, "forward by-host /api/read/x Authenticated");
    let names: Vec<_> = lines.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "Passed path",
            "Passed host",
            "Noted endpoint",
            "Passed route",
            "Noted route",
            "Noted route",
            "Noted route",
            "Passed method",
            "Passed credential",
            "Passed signature",
            "Passed times",
            "Passed key",
            "Passed revocations",
            "Passed accept",
            "Passed kind",
        ]
    );
    assert_eq!(lines[0], "Passed path: /api/%72ead/./x is /api/read/x");
    assert_eq!(lines[1], "Passed host: crm.example.com");
    assert_eq!(lines[3], "Passed route: 'by-host': *.example.com, /api and below, any method");
    assert_eq!(lines[4], "Noted route: not '/api/read': *.example.com comes before any host");
    assert!(lines[8].ends_with("bytes in authorization"), "{}", lines[8]);
    assert!(lines[10].contains("expires in 1h (2026-01-16T13:00:00Z)"), "{}", lines[10]);
    assert!(lines.iter().all(|line| !line.contains(&token[..20])), "{lines:?}");
}

#[test]
fn the_routes_that_lose_say_why() {
    let House { live_state, .. } = house();
    let (lines, _) = explained(&live_state, NOW, "GET", "http://other/api/read", "");
    assert_eq!(lines[3], "Passed route: '/api/read': any host, /api/read and below, GET");
    assert_eq!(
        lines[4..6],
        [
            "Noted route: not '/api': /api/read is longer than /api",
            "Noted route: not 'root': /api/read is longer than /"
        ]
    );
    let (lines, word) = explained(&live_state, NOW, "POST", "http://other/api/read", "");
    assert_eq!(word, "deny Some(\"/api/read\") MethodNotAllowed");
    assert!(lines[3].starts_with("Failed route: the routes of /api/read have other methods: GET"), "{lines:?}");
}

#[test]
fn every_rule_that_fails_is_named_and_the_first_decides() {
    let House { live_state, .. } = house();
    let token = mint(&live_state, "sws", &new_token(&holder()));
    let (lines, word) = explained(&live_state, NOW, "GET", "/roots", &token);
    assert_eq!(word, "deny Some(\"/roots\") RoleMissing");
    let tail = &lines[lines.len() - 2..];
    assert_eq!(
        tail,
        [
            "Failed roles: asks for one of the roles ROOT; it has ADMIN",
            "Noted scopes: this would fail too: asks for all scopes of write; it has read",
        ]
    );
    let (lines, word) = explained(&live_state, NOW, "GET", "/trial", &token);
    assert_eq!(word, "forward /trial / RoleMissing".replace(" / ", " /trial "));
    assert!(lines.last().unwrap().starts_with("Noted mode: the route is in shadow mode"), "{lines:?}");
}

#[test]
fn a_token_is_put_where_its_route_looks_and_a_bad_one_is_described() {
    let House { live_state, key } = house();
    let new = new_token(&holder()).session;
    let holder = holder();
    let token = mint(&live_state, "sws", &NewToken { session: new, ..new_token(&holder) });
    for (path, place) in [("/files?a=1", "query:token"), ("/cookie", "cookie:sid"), ("/api", "authorization")] {
        let (lines, word) = explained(&live_state, NOW, "GET", path, &token);
        assert!(word.ends_with("Authenticated") && lines.iter().any(|line| line.ends_with(place)), "{lines:?}");
    }
    let last = |now, token: &str| explained(&live_state, now, "GET", "/api", token).0.last().unwrap().clone();
    assert!(last(NOW, "").starts_with("Failed credential: none in authorization, header:currenttokenvalue"));
    let forged = format!("{}.{}", token.rsplit_once('.').unwrap().0, "A".repeat(43));
    let said = last(NOW, &forged);
    let of = format!("is of https://gateway.example.com/sws and signed by key {} (HS256 of 'sws', active)", key.id);
    assert!(
        said.starts_with("Failed signature: the signature does not fit; it says, unproven,") && said.contains(&of),
        "{said}"
    );
    let late = last(NOW.plus(LIFETIME).plus(LEEWAY), &token);
    assert!(late.starts_with("Failed times: issued 2026-01-16T12:00:00Z, expired 30s ago"), "{late}");
    live_state.revocations().apply(&[Record {
        subject: RevokedSubject::Session(new),
        expires_at: None,
        created_at: NOW,
    }]);
    assert_eq!(last(NOW, &token), "Failed revocations: the login that gave it is revoked");
    live_state.publish(|snapshot| snapshot.with_keys(Keyring::new([key.in_state(KeyState::Revoked)]).into()));
    assert!(last(NOW, &token).starts_with("Failed signature: its key is revoked"));
}

#[test]
fn nothing_comes_of_it() {
    let House { live_state, .. } = house();
    let token = mint(&live_state, "sws", &new_token(&holder()));
    let forged = format!("{}.{}", token.rsplit_once('.').unwrap().0, "A".repeat(43));
    for _ in 0..2000 {
        let _ = explained(&live_state, NOW, "GET", "/api", &forged);
    }
    let (_, word) = explained(&live_state, NOW, "GET", "/api", &token);
    assert!(word.ends_with("Authenticated"), "2,000 bad tokens were looked at and none counted: {word}");
    let cache = live_state.verified();
    assert_eq!((cache.len(), cache.hits(), cache.misses()), (0, 0, 0));
    assert_eq!(ask(&live_state, NOW, "/api", &token), Outcome::Forward(Reason::Authenticated));
    let _ = explained(&live_state, NOW, "GET", "/api", &token);
    assert_eq!((cache.len(), cache.hits(), cache.misses()), (1, 0, 1));
}

#[test]
fn without_keys_only_what_needs_none_is_decided() {
    let House { live_state, .. } = house();
    let token = mint(&live_state, "sws", &new_token(&holder()));
    live_state.publish(|snapshot| snapshot.with_keys(std::sync::Arc::default()));
    let decided = |url: &str, token: &str| {
        let question = question(&live_state, "GET", url, &[], token);
        explain(&live_state.view(), NOW, &question, Keys::Unknown).decision.as_ref().map(word)
    };
    assert_eq!(decided("/api", &token), None);
    assert_eq!(decided("/trial", &token), None);
    assert_eq!(decided("/public", &token).as_deref(), Some("forward /public /public Public"));
    assert_eq!(decided("/api", "").as_deref(), Some("deny Some(\"/api\") MissingToken"));
    assert_eq!(decided("/login", "").as_deref(), Some("endpoint /login"));
}

/// Where a token is looked for or not, and what stands there.
fn token_text() -> impl Strategy<Value = usize> {
    0..6_usize
}

proptest! {
    #[test]
    fn it_says_what_deciding_says(
        method in proptest::sample::select(vec!["GET", "POST", "TRACE", "OPTIONS"]),
        path in proptest::sample::select(vec![
            "/", "/api", "/api/read/x", "/api/../roots", "/roots", "/public", "/optional", "/apis", "/trial", "/files",
            "/cookie", "/login", "/%2f", "/a;b", "/api//read", "/..",
        ]),
        host in proptest::sample::select(vec!["h", "x.example.com", "", "a b"]),
        (first, second) in (token_text(), token_text()),
        hot in any::<bool>(),
        (revoked, key_state) in (any::<bool>(), 0..3_usize),
        late in 0..3_u64,
    ) {
        let House { live_state, key } = house();
        let holder = holder();
        let new = new_token(&holder);
        let token = mint(&live_state, "sws", &new);
        let forged = format!("{}.{}", token.rsplit_once('.').unwrap().0, "A".repeat(43));
        let large = "a".repeat(9000);
        let texts = ["", &token, &forged, "garbage", "a,b", &large];
        if hot {
            let _ = ask(&live_state, NOW, "/api", &token);
        }
        if revoked {
            live_state.revocations().apply(&[Record { subject: RevokedSubject::Session(new.session), expires_at: None, created_at: NOW }]);
        }
        let keys = [Some(KeyState::Active), Some(KeyState::Revoked), None][key_state];
        live_state.publish(|snapshot| snapshot.with_keys(Keyring::new(keys.map(|state| key.in_state(state))).into()));
        let now = NOW.plus(LIFETIME / 2 * u32::try_from(late).unwrap()).plus(LEEWAY);
        let bearer = format!("Bearer {}", texts[first]);
        let cookie = format!("sid={}", texts[first]);
        let url = format!("{path}?token={}", texts[second]);
        let headers =
            [("host", host), ("authorization", &bearer), ("currenttokenvalue", texts[second]), ("cookie", &cookie)];
        let question = question(&live_state, method, &url, &headers, "");
        let before = (live_state.verified().len(), live_state.verified().hits(), live_state.verified().misses());
        let view = live_state.view();
        let explained = explain(&view, now, &question, Keys::Known);
        prop_assert_eq!(before, (live_state.verified().len(), live_state.verified().hits(), live_state.verified().misses()));
        let request = question.request();
        let decided = match decide(&view, now, &request, None) {
            Decision::Verify(job) => decide(&view, now, &request, Some(&job.run(&view, Some(CLIENT), now))),
            decided => decided,
        };
        prop_assert_eq!(explained.decision.as_ref().map(word), Some(word(&decided)), "{:#?}", lines(&explained));
        // The steps say so too: who is refused has a step that failed, and its reason.
        let failed: Vec<_> = explained.steps.iter().filter_map(|step| step.reason).collect();
        let refused = match &decided {
            Decision::Reply(denial) => Some(denial.reason),
            Decision::Forward(permit) if permit.is_shadow() => Some(permit.reason),
            _ => None,
        };
        prop_assert_eq!(failed, refused.map(Reason::name).into_iter().collect::<Vec<_>>());
    }
}
