//! `portero explain`, from the running gateway and from a config alone.

use serde_json::{Value, json};

use crate::support::{
    Config, Connection, Contract, Folder, Gateway, PATIENCE, Port, Ran, Upstream, get, portero, post, wait_until,
};

struct House {
    gateway: Gateway,
    upstream: Upstream,
}

fn house() -> House {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address)
        .route("roots", "/apis/roots", "accept = [\"apis\"]\nrequire.roles = [\"ROOT\"]")
        .route("trial", "/trial", "accept = [\"apis\"]\nmode = \"shadow\"");
    House { gateway: config.start(), upstream }
}

impl House {
    /// Explains with the admin listener's real address, and the token on standard input where there is one.
    fn explain(&self, words: &[&str], token: &str) -> Ran {
        let (admin, config) = (format!("http://{}", self.gateway.admin), self.gateway.folder.config());
        let own = ["explain", "--config", &config, "--admin", &admin];
        let token_from: &[&str] = if token.is_empty() { &[] } else { &["--token-file", "-"] };
        portero(&[&own, token_from, words].concat(), token)
    }

    fn explained(&self, words: &[&str], token: &str) -> (i32, Value) {
        let ran = self.explain(&[words, &["--json"]].concat(), token);
        (ran.code, serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}")))
    }
}

fn failed(explained: &Value) -> Vec<&str> {
    let steps = explained["steps"].as_array().unwrap();
    steps.iter().filter_map(|step| step["reason"].as_str()).collect()
}

#[test]
fn it_says_what_the_gateway_does() {
    let house = house();
    let gateway = &house.gateway;
    let token = gateway.login(Contract::Apis);
    for (path, token) in [
        ("/apis", token.as_str()),
        ("/apis", ""),
        ("/apis", "garbage"),
        ("/apis/roots", &token),
        ("/sws", &token),
        ("/sws", ""),
        ("/public", ""),
        ("/trial", "garbage"),
        ("/nowhere", ""),
        ("/a%2fb", ""),
    ] {
        let (code, explained) = house.explained(&["GET", path], token);
        let bearer = if token.is_empty() { get(path) } else { get(path).bearer(token) };
        let status = gateway.send(&bearer).status;
        let said = explained["status"].as_u64().unwrap_or(200);
        assert_eq!((u64::from(status), i32::from(status != 200)), (said, code), "{path} {explained:#}");
        gateway.process.access_line(path, |line| {
            ["decision", "reason", "route"].iter().all(|member| line[member] == explained[member])
        });
    }
}

#[test]
fn what_it_says_it_forwards_is_what_the_upstream_receives() {
    let house = house();
    let token = house.gateway.login(Contract::Apis);
    let (code, explained) = house.explained(&["GET", "http://crm.test/apis/./x?y=1"], &token);
    assert_eq!((code, &explained["decision"], &explained["route"]), (0, &json!("forward"), &json!("apis")));
    assert_eq!(house.gateway.status("/apis/./x?y=1", &token), 200);
    let received = house.upstream.received();
    let forwards = &explained["forwards"];
    assert_eq!(received.path(), forwards["path"]);
    assert_eq!(forwards["servers"], json!([house.upstream.address.to_string()]));
    let headers = forwards["headers"].as_array().unwrap();
    assert!(headers.len() > 3, "{headers:?}");
    for header in headers {
        assert_eq!(received.header(header[0].as_str().unwrap()), header[1].as_str());
    }
}

#[test]
fn people_read_one_step_a_line() {
    let house = house();
    let token = house.gateway.login(Contract::Apis);
    let ran = house.explain(&["GET", "/apis/roots/x"], &token);
    assert_eq!(ran.code, 1, "{ran:?}");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "✓ path         /apis/roots/x, canonical as received");
    assert!(lines.contains(&"·              not 'apis': /apis/roots is longer than /apis"), "{}", ran.stdout);
    assert!(
        lines.contains(&"✗ roles        asks for one of the roles ROOT; it has ADMIN [role_missing]"),
        "{}",
        ran.stdout
    );
    assert_eq!(lines.last(), Some(&"→ denied with 403: role_missing"));
}

#[test]
fn a_revocation_is_named_and_asking_leaves_no_trace() {
    let house = house();
    let gateway = &house.gateway;
    let token = gateway.login(Contract::Apis);
    let metrics = || {
        let text = gateway.ask("/metrics").text();
        let counted =
            |line: &&str| line.starts_with("portero_decisions_total") || line.starts_with("portero_token_cache");
        text.lines().filter(counted).map(str::to_owned).collect::<Vec<_>>()
    };
    // A login is counted after it was answered.
    wait_until("the login is counted", PATIENCE, || metrics().iter().any(|line| line.contains("endpoint")));
    let before = metrics();
    assert_eq!(house.explained(&["GET", "/apis"], &token).0, 0);
    gateway.api("/revocations/token", &json!({ "token": token }));
    let (code, explained) = house.explained(&["GET", "/apis"], &token);
    assert_eq!((code, failed(&explained)), (1, vec!["token_revoked"]));
    let (code, explained) = house.explained(&["GET", "/trial"], &token);
    assert_eq!((code, &explained["decision"], failed(&explained)), (0, &json!("shadow"), vec!["token_revoked"]));
    assert_eq!(metrics(), before);
    let written = gateway.process.written();
    assert!(!written.contains(&token) && !explained.to_string().contains(&token), "the token is nowhere");
    house.upstream.received_nothing();
}

#[test]
fn headers_and_hosts_are_those_that_are_given() {
    let house = house();
    let token = house.gateway.login(Contract::Sws);
    let own = format!("CURRENTTOKENVALUE: {token}");
    let (_, explained) =
        house.explained(&["GET", "https://crm.test/sws", "--header", &own, "--header", "Host: OTHER.test:80"], "");
    assert_eq!(explained["decision"], "forward", "{explained:#}");
    let host = explained["steps"].as_array().unwrap().iter().find(|step| step["step"] == "host").unwrap();
    assert_eq!(host["text"], "other.test");
    let (code, explained) = house.explained(&["POST", "/api/Session/GetToken"], "");
    assert_eq!((code, &explained["decision"]), (0, &json!("endpoint")));
}

#[test]
fn from_a_config_alone_nothing_is_said_about_tokens() {
    let upstream = Upstream::start();
    let folder = Folder::new();
    Config::standard(upstream.address).write_to(&folder);
    let explain = |words: &[&str], token: &str| {
        let config = folder.config();
        portero(&[&["explain", "--offline", "--config", &config][..], words].concat(), token)
    };
    let ran = explain(&["GET", "/public"], "");
    assert_eq!((ran.code, ran.stdout.lines().last().is_some()), (0, true), "{ran:?}");
    let ran = explain(&["GET", "/apis"], "");
    assert!(ran.code == 1 && ran.stdout.ends_with("→ denied with 401: missing_token\n"), "{ran:?}");
    let ran = explain(&["GET", "/sws", "--token-file", "-"], "a.b.c");
    assert!(ran.code == 1, "{ran:?}");
    assert_eq!(folder.names(), ["gateway.toml"], "nothing is made: no store, no key, no token");
    let (gateway, _upstream) = Gateway::with_upstream();
    let token = gateway.login(Contract::Sws);
    let ran = explain(&["GET", "/sws", "--token-file", "-"], &token);
    assert!(ran.code == 1 && ran.stdout.contains("keys are unknown offline"), "{ran:?}");
    assert!(ran.stdout.contains("→ undecided"), "{ran:?}");
}

#[test]
fn trouble_says_what_to_do_next() {
    let house = house();
    let trouble = |words: &[&str], said: &str| {
        let ran = house.explain(words, "");
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    };
    let wrong = house.gateway.folder.file("wrong");
    std::fs::write(&wrong, "wrong").unwrap();
    trouble(&["GET", "/", "--admin-token-file", wrong.to_str().unwrap()], "--admin-token-file");
    trouble(&["GET", "/", "--token-file", "/nowhere"], "--token-file /nowhere");
    trouble(&["G T", "/"], "this is no method");
    trouble(&["GET", "ftp://x"], "this is no URL");
    let nobody = Port::hold();
    let nobodys = format!("127.0.0.1:{}", nobody.number);
    let config = house.gateway.folder.config();
    let ran = portero(&["explain", "GET", "/", "--config", &config, "--admin", &nobodys], "");
    assert!(ran.code == 2 && ran.stderr.contains("--offline"), "{ran:?}");
}

#[test]
fn the_api_asks_for_its_token() {
    let house = house();
    let ask = |request: crate::support::Request| Connection::open(house.gateway.admin).send(&request).status;
    let body = json!({ "method": "GET", "url": "/apis" }).to_string();
    let request = || post("/api/v1/explain", body.clone()).header("Host", "localhost");
    assert_eq!(ask(request()), 401);
    assert_eq!(ask(request().bearer(&house.gateway.admin_token())), 200);
    let unknown = post("/api/v1/explain", r#"{"method":"GET","url":"/","tokn":"x"}"#).header("Host", "localhost");
    assert_eq!(ask(unknown.bearer(&house.gateway.admin_token())), 422);
}
