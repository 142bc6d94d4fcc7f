//! Opaque tokens of others: a real authorization server is asked about them (RFC 7662), within bounds, and what it does
//! not say opens nothing.

use std::{fs, os::unix::fs::PermissionsExt, thread};

use portero::domain::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::support::{
    AuthorizationServer, Config, Connection, Folder, Gateway, PATIENCE, Said, Upstream, get, wait_until,
};

/// Strangers' tokens in the suite. `PORTERO_STRANGERS` says another number for a run by hand.
const STRANGERS: usize = 400;

/// Clients that send strangers' tokens at once.
const CLIENTS: usize = 64;

/// Questions a second, at most, in these tests.
const RATE: usize = 40;

const SECRET: &str = "s:e/c r%et";

/// A gateway whose route `/corp` takes tokens that the server knows, and `/readers` those with a scope.
fn gateway(upstream: &Upstream, server: &AuthorizationServer, more: &str) -> Gateway {
    start(&config(upstream, server, more))
}

fn start(config: &Config) -> Gateway {
    let folder = Folder::new();
    fs::write(folder.file("corp.secret"), format!("{SECRET}\n")).unwrap();
    config.write_to(&folder);
    Gateway::run(folder)
}

fn config(upstream: &Upstream, server: &AuthorizationServer, more: &str) -> Config {
    let address = server.address;
    Config::standard(upstream.address)
        .text(&format!(
            "[issuers.corp]\nissuer = \"https://corp.test\"\nclaims_to_headers = {{ X-Tenant = \"tenant\" }}\n\
             introspection = {{ endpoint = \"http://{address}/introspect\", client_id = \"gate:way\", \
             client_secret_file = \"corp.secret\", rate = {RATE}{more} }}\n\
             [throttle]\nbad_tokens = 1000000\n"
        ))
        .route("corp", "/corp", "accept = [\"corp\"]")
        .route("readers", "/readers", "accept = [\"corp\", \"sws\"]\nrequire.scopes = [\"read\"]")
}

fn active(more: Value) -> Said {
    let mut said = json!({"active": true, "sub": "u1", "client_id": "crm", "scope": "read", "tenant": "acme"});
    let Value::Object(more) = more else { unreachable!() };
    said.as_object_mut().unwrap().extend(more);
    Said::json(&said)
}

#[test]
fn a_token_that_its_server_knows_opens_what_it_may() {
    let (server, upstream) = (AuthorizationServer::start(), Upstream::start());
    server.knows("opaque-1", active(json!({"exp": 8_000_000_000_i64, "jti": "1"})));
    server.knows("opaque-2", active(json!({"scope": "write"})));
    // One that looks like a JWT, as many servers give out.
    server.knows("eyJhbGciOiJIUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJodHRwczovL2NvcnAudGVzdCJ9.c2ln", active(json!({})));
    let gateway = gateway(&upstream, &server, ", max_age = \"1h\"");
    assert_eq!(gateway.send(&get("/corp").bearer("opaque-1").header("X-Tenant", "forged")).status, 200);
    let received = upstream.received();
    for (name, value) in [
        ("x-auth-issuer", "https://corp.test"),
        ("x-auth-subject", "u1"),
        ("x-auth-name", "crm"),
        ("x-auth-scopes", "read"),
        ("x-tenant", "acme"),
    ] {
        assert_eq!(received.header(name), Some(value), "{name}");
    }
    let question = server.questions().pop().unwrap();
    assert_eq!(question.body, "token=opaque-1&token_type_hint=access_token");
    // RFC 6749 section 2.3.1: both parts in the form's encoding.
    assert_eq!(question.basic(), "gate%3Away:s%3Ae%2Fc+r%25et");

    let asked = server.questions().len();
    for _ in 0..20 {
        assert_eq!(gateway.status("/corp", "opaque-1"), 200);
    }
    assert_eq!(server.questions().len(), asked, "it is remembered");
    assert_eq!(gateway.status("/readers", "opaque-1"), 200);
    assert_eq!(gateway.status("/readers", "opaque-2"), 403);
    let jwt = "eyJhbGciOiJIUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJodHRwczovL2NvcnAudGVzdCJ9.c2ln";
    assert_eq!(gateway.status("/corp", jwt), 200);

    assert_eq!(gateway.status("/corp", "unknown"), 401);
    let line = gateway.process.access_line("the stranger", |line| line["reason"] == "inactive_token");
    assert_eq!(line["status"], 401);
    // Under its own name, which an old system may have too.
    let metrics = gateway.ask("/metrics").text();
    let questions = |outcome| format!("portero_introspection_questions_total{{issuer=\"corp\",outcome=\"{outcome}\"}}");
    for line in [
        format!("{} 3\n", questions("yes")),
        // The stranger, and the one that nobody has.
        format!("{} 2\n", questions("no")),
        "portero_introspection_seconds_count{issuer=\"corp\"} 5\n".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert!(!metrics.contains("verifier=\"corp\""), "{metrics}");
    let believed =
        gateway.process.event("an issuer's introspection endpoint refuses a token that nobody has; its word counts");
    assert_eq!(believed["issuer"], "corp");
    let written = gateway.process.written();
    assert!(!written.contains("old system"), "{written}");
    assert!(!written.contains(SECRET) && !written.contains("opaque-1"), "neither secret nor token is logged");
}

#[test]
fn what_is_no_plain_yes_opens_nothing() {
    let (server, upstream) = (AuthorizationServer::start(), Upstream::start());
    let bad = [
        (401, active(json!({"active": false}))),
        (401, active(json!({"iss": "https://other.test"}))),
        (401, active(json!({"exp": 1_000_000_000}))),
        (401, active(json!({"token_type": "DPoP"}))),
        (503, active(json!({"active": "true"}))),
        (503, Said { status: 500, ..active(json!({})) }),
        (503, Said { status: 302, location: Some("/good".to_owned()), ..active(json!({})) }),
        (503, Said { media_type: "text/html".to_owned(), ..active(json!({})) }),
        (503, Said { body: "{\"active\":true,\"sub\":\"u1\",\"active\":true}".to_owned(), ..active(json!({})) }),
        (503, active(json!({"padding": "x".repeat(17 << 10)}))),
    ];
    for (at, (_, said)) in bad.iter().enumerate() {
        server.knows(&format!("bad-{at}"), said.clone());
    }
    let gateway = gateway(&upstream, &server, "");
    for (at, (status, said)) in bad.iter().enumerate() {
        let answer = gateway.send(&get("/corp").bearer(&format!("bad-{at}")));
        assert_eq!(answer.status, *status, "{said:?}");
    }
    upstream.received_nothing();
}

#[test]
fn a_server_that_is_away_keeps_known_tokens_and_lets_nothing_new_in() {
    let (server, upstream) = (AuthorizationServer::start(), Upstream::start());
    server.knows("known", active(json!({})));
    let gateway = gateway(&upstream, &server, ", max_age = \"1h\"");
    assert_eq!(gateway.status("/corp", "known"), 200);
    drop(server);
    for at in 0..8 {
        let answer = gateway.send(&get("/corp").bearer(&format!("new-{at}")));
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(gateway.status("/corp", "known"), 200);
}

#[test]
fn a_server_that_says_yes_to_everything_is_not_believed() {
    let (server, upstream) = (AuthorizationServer::start(), Upstream::start());
    server.says_to_all(Some(active(json!({}))));
    let gateway = gateway(&upstream, &server, "");
    assert_eq!(gateway.status_at_once("/corp", "anything"), 503);
    upstream.received_nothing();
}

#[test]
fn who_retries_one_ended_token_is_not_locked_out_and_who_makes_them_up_is() {
    let (server, upstream) = (AuthorizationServer::start(), Upstream::start());
    server.knows("good", active(json!({})));
    let few = "bad_tokens = 5\nbad_tokens_window = \"1h\"";
    let gateway = start(&config(&upstream, &server, ", max_age = \"1h\"").replace("bad_tokens = 1000000", few));
    assert_eq!(gateway.status("/corp", "good"), 200);
    for _ in 0..20 {
        assert_eq!(gateway.status("/corp", "ended"), 401);
    }
    wait_until("the address is restrained", PATIENCE, || {
        let asked = server.questions().len();
        assert!(asked < 50, "it is not");
        let status = gateway.status("/corp", &format!("made-up-{asked}"));
        assert!(matches!(status, 401 | 429), "{status}");
        status == 429
    });
    // The one that nobody has, the good one, and as many bad ones as may be.
    assert_eq!(server.questions().len(), 2 + 5);
    assert_eq!(gateway.status("/corp", "good"), 200, "what is known goes on");
}

#[test]
fn a_token_is_revoked_by_its_text_or_its_id_and_stays_so() {
    let (server, upstream) = (AuthorizationServer::start(), Upstream::start());
    let tokens =
        [("bare", json!({})), ("named", json!({"jti": "1"})), ("by-id", json!({"jti": "2"})), ("good", json!({}))];
    for (token, said) in tokens {
        server.knows(token, active(said));
    }
    let gateway = gateway(&upstream, &server, ", max_age = \"1h\"");
    for token in ["bare", "named", "by-id", "good"] {
        assert_eq!(gateway.status("/corp", token), 200, "{token}");
    }
    let unsaid = gateway.command("revoke token", "bare");
    assert!(unsaid.code == 1 && unsaid.stderr.contains("nothing was recorded"), "{unsaid:?}");
    gateway.command("revoke token --realm corp", "bare").succeeded();
    gateway.command("revoke token --realm corp --expires 8000000000", "named").succeeded();
    gateway.command("revoke token --realm corp --jti 2", "").succeeded();
    let revoked = |gateway: &Gateway, token: &str| gateway.status("/corp", token) == 401;
    for token in ["bare", "named", "by-id"] {
        wait_until(token, PATIENCE, || revoked(&gateway, token));
        gateway.process.access_line(token, |line| line["reason"] == "token_revoked");
    }
    assert_eq!(gateway.status("/corp", "good"), 200);
    // Nor at a gateway that asks anew.
    let gateway = gateway.kill_and_restart();
    assert!(["bare", "named", "by-id"].iter().all(|token| revoked(&gateway, token)));
    assert_eq!(gateway.status("/corp", "good"), 200);
    let asked = json!({ "token": "good", "realm": "corp" });
    gateway.api("/revocations/token", &asked);
    assert!(revoked(&gateway, "good"), "at once where it was asked");
}

#[test]
fn a_lower_max_age_counts_for_what_is_remembered() {
    let (server, upstream) = (AuthorizationServer::start(), Upstream::start());
    server.knows("ended", active(json!({})));
    let config = config(&upstream, &server, ", max_age = \"1h\"");
    let gateway = start(&config);
    assert_eq!(gateway.status("/corp", "ended"), 200);
    server.knows("ended", active(json!({"active": false})));
    assert_eq!(gateway.status("/corp", "ended"), 200, "it is remembered");
    config.replace("max_age = \"1h\"", "max_age = \"1s\"").write_to(&gateway.folder);
    gateway.asked("reload").succeeded();
    gateway.wait_until_refused("its age is over", "/corp", "ended");
}

#[test]
fn the_issuers_metadata_say_where_it_is_asked() {
    const DOCUMENT: &str = "/.well-known/oauth-authorization-server";
    let (server, upstream) = (AuthorizationServer::start(), Upstream::start());
    server.knows("good", active(json!({})));
    let address = server.address;
    let (own, endpoint) = (format!("http://{address}"), format!("http://{address}/deep/introspect"));
    let config = config(&upstream, &server, "")
        .replace("issuer = \"https://corp.test\"", &format!("discovery = \"{own}\""))
        .replace(&format!("endpoint = \"http://{address}/introspect\", "), "");
    let metadata = |issuer: &str, endpoint: &str| {
        Said::json(
            &json!({ "issuer": issuer, "introspection_endpoint": endpoint, "jwks_uri": "https://corp.test/jwks" }),
        )
    };
    for (document, why) in [
        (metadata("https://other.test", &endpoint), "is of another issuer than"),
        (metadata(&own, "http://corp.test/introspect"), "'introspection_endpoint' is no https URL"),
        (Said::json(&json!({ "issuer": own })), "has no 'introspection_endpoint'"),
        (Said { body: "<html>".to_owned(), ..metadata(&own, &endpoint) }, "is not one JSON object"),
        (Said { status: 302, location: Some(endpoint.clone()), ..metadata(&own, &endpoint) }, "it answered 302"),
        (metadata(&own, &format!("{endpoint}{}", "/".repeat(64 << 10))), "more than 65536 octets"),
    ] {
        server.publishes(DOCUMENT, document);
        let gateway = start(&config);
        assert_eq!(gateway.status_at_once("/corp", "good"), 503, "{why}");
        let told = gateway.process.event("an issuer's metadata do not say where it is asked about tokens");
        assert_eq!(told["issuer"], "corp");
        assert!(told["error"].as_str().unwrap().contains(why), "{told}");
        assert!(gateway.ask("/metrics").text().contains("issuer=\"corp\",outcome=\"discovery\"} 1\n"));
    }
    assert!(server.questions().is_empty(), "nobody is sent the secret");
    upstream.received_nothing();
    let gateway = start(&config);
    assert_eq!(gateway.status_at_once("/corp", "good"), 503);
    server.publishes(DOCUMENT, metadata(&own, &endpoint));
    wait_until("the metadata are looked at again", PATIENCE, || gateway.status("/corp", "good") == 200);
    assert!(server.questions().iter().all(|question| question.path == "/deep/introspect"));
    assert_eq!(upstream.received().header("x-auth-issuer"), Some(&*own));
}

#[test]
fn many_with_one_token_are_one_question() {
    let (server, upstream) = (AuthorizationServer::start(), Upstream::start());
    server.knows("shared", active(json!({})));
    let gateway = gateway(&upstream, &server, ", max_age = \"1h\"");
    assert_eq!(gateway.status("/corp", "first"), 401, "the server has proved itself");
    let asked = server.questions().len();
    server.hold();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..32).map(|_| scope.spawn(|| gateway.status("/corp", "shared"))).collect();
        wait_until("the question", PATIENCE, || server.questions().len() > asked);
        server.release();
        for client in clients {
            assert_eq!(client.join().unwrap(), 200);
        }
    });
    assert_eq!(server.questions().len(), asked + 1);
}

#[test]
fn who_does_not_wait_for_the_question_is_no_fault_of_ours() {
    let (server, upstream) = (AuthorizationServer::start(), Upstream::start());
    let gateway = gateway(&upstream, &server, "");
    assert_eq!(gateway.status("/corp", "first"), 401, "the server has proved itself");
    let asked = server.questions().len();
    server.hold();
    let mut impatient = Connection::open(gateway.front);
    impatient.write(get("/corp").bearer("second").bytes()).unwrap();
    wait_until("the question", PATIENCE, || server.questions().len() > asked);
    drop(impatient);
    let line = gateway.process.access_line("the end", |line| line["reason"] == "client_left");
    assert_eq!((&line["status"], &line["decision"]), (&json!(0), &json!("error")));
    server.release();
}

#[test]
fn strangers_tokens_are_asked_about_at_the_rate_and_good_ones_go_on() {
    let strangers = std::env::var("PORTERO_STRANGERS").ok().and_then(|count| count.parse().ok()).unwrap_or(STRANGERS);
    let (server, upstream) = (AuthorizationServer::start(), Upstream::start());
    server.knows("good", active(json!({})));
    let gateway = gateway(&upstream, &server, ", max_age = \"1h\", wait = \"200ms\"");
    assert_eq!(gateway.status("/corp", "good"), 200);
    let (before, began) = (server.questions().len(), SystemClock.instant());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let gateway = &gateway;
            scope.spawn(move || {
                for at in (client..strangers).step_by(CLIENTS) {
                    let status = gateway.status_at_once("/corp", &format!("stranger-{at}"));
                    assert!(matches!(status, 401 | 503), "{status}");
                    assert_eq!(gateway.status("/corp", "good"), 200);
                }
            });
        }
    });
    let (asked, seconds) =
        (server.questions().len() - before, SystemClock.instant().saturating_duration_since(began).as_secs_f64());
    // The pace is even, so that any stretch of time has no more than this.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand questions")]
    let most = RATE as f64 * (seconds + 1.0);
    #[expect(clippy::cast_precision_loss, reason = "a few thousand questions")]
    let within = asked as f64 <= most;
    assert!(within, "{asked} questions in {seconds:.1} s");
    println!("{strangers} strangers' tokens: {asked} questions in {seconds:.1} s");
}

#[test]
fn a_secret_that_everybody_can_read_is_warned_of_and_no_other() {
    let (upstream, server) = (Upstream::start(), AuthorizationServer::start());
    let gateway = gateway(&upstream, &server, "");
    let secret = gateway.folder.file("corp.secret");
    for (mode, warned) in [(0o600, false), (0o644, true)] {
        fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
        let checked = gateway.command("check", "");
        assert_eq!(checked.stdout.contains("corp.secret: every user of this system can read"), warned, "{checked:?}");
    }
}

#[test]
fn explaining_asks_nobody_and_puts_no_words_in_their_mouth() {
    let (upstream, server) = (Upstream::start(), AuthorizationServer::start());
    let gateway = gateway(&upstream, &server, "");
    let told = gateway.command(&format!("explain --admin {} --token-file - GET /corp", gateway.admin), "opaque-1");
    assert!(told.stdout.contains("'corp' would be asked about it, which explaining does not do"), "{told:?}");
    assert!(told.stdout.ends_with("[malformed_token]\n→ denied with 401: malformed_token\n"), "{told:?}");
}
