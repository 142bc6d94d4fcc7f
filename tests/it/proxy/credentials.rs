//! Where a token may stand, and what it opens.

use crate::support::{Config, Connection, Contract, Gateway, Request, Upstream, get, own_address};

#[test]
fn one_token_may_stand_in_two_places_and_two_may_not() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let (first, second) = (gateway.login(Contract::Sws), gateway.login(Contract::Sws));
    let (bearer, second_bearer) = (format!("Bearer {first}"), format!("Bearer {second}"));
    let status = |headers: &[(&str, &str)]| {
        let request = headers.iter().fold(get("/sws"), |request, (name, value)| request.header(name, value));
        gateway.send(&request).status
    };
    let (own, authorization) = ("CURRENTTOKENVALUE", "Authorization");
    assert_eq!(status(&[(own, &first)]), 200);
    assert_eq!(status(&[(authorization, &bearer)]), 200);
    assert_eq!(status(&[(authorization, &format!("bEARER   {first}"))]), 200);
    assert_eq!(status(&[(own, &first), (authorization, &bearer)]), 200);
    assert_eq!(status(&[(own, ""), (authorization, &bearer)]), 200);
    assert_eq!(status(&[(own, &first), (authorization, "Bearer ")]), 200);
    assert_eq!(status(&[(own, &first), (authorization, &second_bearer)]), 400);
    assert_eq!(status(&[(authorization, &bearer), (authorization, &second_bearer)]), 400);
    assert_eq!(status(&[(own, &first), (own, &second)]), 400);
    assert_eq!(status(&[(own, ""), (authorization, "Bearer")]), 401);
    assert_eq!(status(&[(authorization, &first)]), 401, "without a scheme only toc's");
}

#[test]
fn challenges_say_what_is_wrong_as_rfc_6750_asks() {
    let (gateway, _upstream) = Gateway::with_upstream();
    let challenge = |request: Request| gateway.send(&request).header("WWW-Authenticate").unwrap_or_default().to_owned();
    assert_eq!(challenge(get("/apis")), r#"Bearer realm="apis""#);
    assert_eq!(challenge(get("/apis").bearer("")), r#"Bearer realm="apis""#);
    assert_eq!(challenge(get("/apis").bearer("garbage")), r#"Bearer realm="apis", error="invalid_token""#);
    let two = get("/apis").bearer("one").bearer("two");
    assert_eq!(challenge(two), r#"Bearer realm="apis", error="invalid_request""#);
}

#[test]
fn a_token_opens_its_own_realm_kind_role_and_scopes_only() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address)
        .route(
            "files",
            "/files",
            "accept = [\"apis\"]\ntoken = \"content\"\nsources = [\"authorization\", \"query:token\"]",
        )
        .route("admins", "/admins", "accept = [\"apis\"]\nrequire.roles = [\"ADMIN\", \"ROOT\"]")
        .route("roots", "/roots", "accept = [\"apis\"]\nrequire.roles = [\"ROOT\"]")
        .route("readers", "/readers", "accept = [\"apis\"]\nrequire.scopes = [\"read\"]")
        .route("writers", "/writers", "accept = [\"apis\"]\nrequire.scopes = [\"read\", \"write\"]")
        .start();
    let apis = gateway.login_apis();
    let kinds = [&apis.access, &apis.content, &apis.refresh];
    assert_eq!(kinds.map(|token| gateway.status("/apis", token)), [200, 401, 401]);
    assert_eq!(kinds.map(|token| gateway.status("/files", token)), [401, 200, 401]);
    assert_eq!(kinds.map(|token| gateway.send(&get(&format!("/files?token={token}"))).status), [401, 200, 401]);
    assert_eq!(gateway.send(&get(&format!("/apis?token={}", apis.access))).status, 401, "the route names no query");
    for (path, status) in [("/admins", 200), ("/roots", 403), ("/readers", 200), ("/writers", 403)] {
        assert_eq!(gateway.status(path, &apis.access), status, "{path}");
    }
    let refused = gateway.send(&get("/writers").bearer(&apis.access));
    let challenge = r#"Bearer realm="apis", error="insufficient_scope", scope="read write""#;
    assert_eq!(refused.header("WWW-Authenticate"), Some(challenge));
    for contract in Contract::ALL {
        let token = gateway.login(contract);
        let opened = Contract::ALL.map(|other| gateway.status(&format!("/{}", other.realm()), &token));
        assert_eq!(opened, Contract::ALL.map(|other| if other == contract { 200 } else { 401 }), "{contract:?}");
    }
}

#[test]
fn toc_takes_a_bare_authorization() {
    let (gateway, upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Toc);
    assert_eq!(gateway.send(&get("/toc").header("Authorization", &token)).status, 200);
    assert_eq!(upstream.received().header("authorization"), Some(token.as_str()));
    assert_eq!(gateway.send(&get("/toc").bearer(&token)).status, 200);
}

#[test]
fn an_optional_token_may_be_absent_and_never_bad() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let gateway = config.route("optional", "/optional", "auth = \"optional\"\naccept = [\"apis\"]").start();
    let token = gateway.login_apis().access;
    assert_eq!(gateway.send(&get("/optional")).status, 200);
    assert_eq!(upstream.received().header("x-auth-subject"), None);
    assert_eq!(gateway.status("/optional", &token), 200);
    assert_eq!(upstream.received().header("x-auth-name"), Some("admin"));
    for garbage in ["garbage", &token[1..]] {
        assert_eq!(gateway.status("/optional", garbage), 401);
        assert_eq!(gateway.status("/public", garbage), 200, "a public route looks at no token");
        assert_eq!(upstream.received().header("x-auth-subject"), None);
    }
}

#[test]
fn a_token_is_taken_from_the_places_that_a_route_names_and_from_no_other() {
    let upstream = Upstream::start();
    let sources = "accept = [\"apis\"]\nsources = [\"cookie:sid\", \"header:X-Token\"]";
    let gateway = Config::standard(upstream.address).route("named", "/named", sources).start();
    let token = gateway.login_apis().access;
    let status = |name, value: &str| gateway.send(&get("/named").header(name, value)).status;
    assert_eq!(status("Cookie", &format!("a=1; sid={token}; b=2")), 200);
    assert_eq!(status("X-Token", &token), 200);
    assert_eq!(status("Authorization", &format!("Bearer {token}")), 401);
    assert_eq!(status("Cookie", &format!("other={token}")), 401);
}

#[test]
fn an_address_that_sends_bad_tokens_has_no_more_of_them_checked() {
    let upstream = Upstream::start();
    let throttle = "[throttle]\nbad_tokens = 3\nbad_tokens_window = \"10m\"";
    let gateway = Config::standard(upstream.address).text(throttle).start();
    let [known, new, third] = [(); 3].map(|()| gateway.login(Contract::Maxpoint));
    let (bad, other) = (own_address(), own_address());
    let status =
        |from, token: &str| Connection::open_from(from, gateway.front).send(&get("/maxpoint").bearer(token)).status;
    assert_eq!(status(bad, &known), 200);
    let garbage = |good: &str| format!("{}.{}", good.rsplit_once('.').unwrap().0, "A".repeat(43));
    // What costs nothing is not counted.
    for _ in 0..4 {
        assert_eq!(status(bad, "garbage"), 401);
    }
    for token in [&known, &new, &third] {
        assert_eq!(status(bad, &garbage(token)), 401);
    }
    assert_eq!(status(bad, &garbage(&new)), 429);
    assert_eq!(status(bad, &new), 429, "one that was never seen is not checked either");
    assert_eq!(status(bad, &known), 200, "one that was is not asked about");
    assert_eq!((status(other, &garbage(&new)), status(other, &new)), (401, 200), "another address has its own budget");
    assert_eq!(status(bad, &new), 200, "now it is known");
}

#[test]
fn cookies_are_octets_and_only_the_tokens_own_must_be_a_token() {
    let upstream = Upstream::start();
    let gateway = Config::standard(upstream.address)
        .route("kept", "/kept", "accept = [\"sws\"]\nsources = [\"cookie:sid\"]")
        .route("dropped", "/dropped", "accept = [\"sws\"]\nsources = [\"cookie:sid\"]\nforward_token = false")
        .start();
    let token = gateway.login(Contract::Sws);
    let others: [&[u8]; 3] = ["nombre=José".as_bytes(), b"latin=\xe9", b"quoted=\"a b\"; x=\xff\xfe"];
    for other in others {
        for path in ["/kept", "/dropped"] {
            let sid = format!("sid={token}");
            for cookies in [[other, sid.as_bytes()], [sid.as_bytes(), other]] {
                let answer = gateway.send(&get(path).header("Cookie", cookies.join(&b"; "[..])));
                assert_eq!(answer.status, 200, "{path} {}", String::from_utf8_lossy(other));
                let received = upstream.received();
                let got = received.header("cookie").unwrap();
                let other = String::from_utf8_lossy(other);
                let expected = match path {
                    "/kept" => String::from_utf8_lossy(&cookies.join(&b"; "[..])).into_owned(),
                    _ => other.into_owned(),
                };
                assert_eq!(got, expected, "{path}");
            }
        }
    }
    let broken = [&b"sid=\xe9"[..], &b"sid=a,b"[..], &b"x=1; sid=Jos\xc3\xa9"[..]];
    for cookie in broken {
        assert_eq!(gateway.send(&get("/kept").header("Cookie", cookie)).status, 401);
    }
}
