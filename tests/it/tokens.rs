//! Bad tokens, the whole way: each is refused with 401 and one bounded word in the access log and in the metrics,
//! nothing of it reaches a service, and the gateway goes on. All are signed with a key that the gateway knows
//! wherever the signature is not what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use portero::domain::Reason;
use rcgen::KeyPair;
use serde_json::{Map, Value, json};

use crate::support::{
    Config, Connection, Database, Gateway, PATIENCE, Upstream, get,
    pen::{Pen, encode, json as text, object, with, without},
    wait_until,
};

/// A shared secret of 32 bytes.
const SECRET: &str = "0123456789abcdef0123456789ABCDEF";

const KID: &str = "field";

/// A token and the word that it must be refused with.
type Bad = (String, String, &'static str);

/// The claims of a good token of `sws`.
fn good_claims() -> Map<String, Value> {
    object(json!({
        "iss": "https://portero.test/sws",
        "aud": "api",
        "sub": "b331336a-46f4-4fe4-a850-3208bfc2c398",
        "jti": "4d2f8a3e-0c6b-4a0f-9a53-2f5f6c1e7b90",
        "iat": 1_768_564_800,
        "nbf": 1_768_564_800,
        "exp": 8_000_000_000_i64,
        "sid": "9b2a7c1e-55d4-4d3b-8f0e-0a1b2c3d4e5f",
        "epoch": 0,
        "token_use": "access",
        "name": "ana",
    }))
}

/// A gateway that knows the secret in the realm `sws`, and these PEMs: kid, algorithm, text.
fn gateway_with(upstream: &Upstream, pems: &[(&str, &str, &str)]) -> Gateway {
    let folder = Config::standard(upstream.address).with_accounts();
    for (kid, algorithm, material) in pems.iter().chain(&[(KID, "HS256", SECRET)]) {
        folder.command(&format!("key import --realm sws --algorithm {algorithm} --kid {kid}"), material).succeeded();
    }
    let gateway = Gateway::run(folder);
    // The account that the claims above speak for, under the id that they have.
    Database::of(&gateway).execute(
        "INSERT INTO principals (id, realm, kind, name, password_hash, created_at) \
         VALUES (x'b331336a46f44fe4a8503208bfc2c398', 'sws', 'user', 'ana', '-', 0)",
    );
    gateway
}

/// Sends every token in a request of its own and holds the answer, the log and the metrics against what is
/// expected; then sends a good one.
#[track_caller]
fn all_are_refused(gateway: &Gateway, upstream: &Upstream, good: &str, bad: &[Bad]) {
    let before = denials(gateway);
    let mut expected = BTreeMap::<&str, u64>::new();
    for (at, (what, token, reason)) in bad.iter().enumerate() {
        let path = format!("/sws/{at}");
        let answer = gateway.send(&get(&path).bearer(token));
        let line = gateway.process.access_line(what, |line| line["path"] == path.as_str());
        assert_eq!((answer.status, line["reason"].as_str()), (401, Some(*reason)), "{what}: {token:.200}");
        assert_eq!((&line["status"], &line["decision"]), (&401.into(), &"deny".into()), "{what}");
        let challenge = answer.header("WWW-Authenticate").unwrap_or_default();
        assert!(challenge.contains(r#"error="invalid_token""#), "{what}: {challenge}");
        *expected.entry(reason).or_default() += 1;
    }
    upstream.received_nothing();
    let after = denials(gateway);
    for (reason, count) in expected {
        let counted = after.get(reason).unwrap_or(&0) - before.get(reason).unwrap_or(&0);
        assert_eq!(counted, count, "{reason} in {after:?}");
    }
    assert_eq!(gateway.status("/sws", good), 200);
    upstream.received();
    let written = gateway.process.written();
    assert!(!written.contains("panicked"), "{written}");
}

/// How often the route `sws` refused, by reason. Every reason of every series must be a word that is documented.
#[track_caller]
fn denials(gateway: &Gateway) -> BTreeMap<String, u64> {
    let known: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    let metrics = gateway.ask("/metrics").text();
    let mut denials = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with("portero_decisions_total{")) {
        let (labels, count) = line.rsplit_once(' ').unwrap();
        let label = |name: &str| labels.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
        assert!(known.contains(label("reason")), "{line}");
        if (label("route"), label("decision")) == ("sws", "deny") {
            denials.insert(label("reason").to_owned(), count.parse().unwrap());
        }
    }
    denials
}

/// Tokens that differ from a good one in a member of the header.
fn headers(pen: &Pen, of: &[(&str, Value)], reason: &'static str) -> Vec<Bad> {
    let token = |name: &str, value: &Value| {
        pen.sign_parts(text(&with(&pen.header(), name, value.clone())), text(&good_claims()))
    };
    of.iter().map(|(name, value)| (format!("{name}: {value:.60}"), token(name, value), reason)).collect()
}

/// Tokens that differ from a good one in a claim.
fn claims(pen: &Pen, of: &[(&str, Value)], reason: &'static str) -> Vec<Bad> {
    let token = |name: &str, value: &Value| pen.token(&with(&good_claims(), name, value.clone()));
    of.iter().map(|(name, value)| (format!("{name}: {value}"), token(name, value), reason)).collect()
}

#[test]
fn a_header_that_asks_for_trust_gets_none() {
    let upstream = Upstream::start();
    let pen = Pen::hs256(KID, SECRET.as_bytes());
    let gateway = gateway_with(&upstream, &[]);
    let good = pen.token(&good_claims());
    let mut bad = vec![];
    for alg in ["none", "None", "NONE", "nOnE", "", "none "] {
        let (what, signed, _) = headers(&pen, &[("alg", json!(alg))], "").remove(0);
        let (message, _) = signed.rsplit_once('.').unwrap();
        bad.push((what.clone(), format!("{message}."), "wrong_algorithm"));
        bad.push((what, signed, "wrong_algorithm"));
    }
    // Keys that the token brings along, and that its signature fits; nobody fetches them either.
    let theirs = Pen::hs256(KID, b"the attacker's own thirty-two byt");
    let theirs_at = |path: &str| json!(format!("http://{}/{path}", upstream.address));
    let brought = [
        ("jwk", json!({ "kty": "oct", "alg": "HS256", "kid": KID, "k": encode("the attacker's own thirty-two byt") })),
        ("jku", theirs_at("jwks.json")),
        ("x5u", theirs_at("chain.pem")),
        ("x5c", json!(["AAAA"])),
    ];
    bad.extend(headers(&theirs, &brought, "invalid_signature"));
    let names = [
        json!("../../../../../../dev/null"),
        json!("/dev/null"),
        json!("file:///etc/passwd"),
        json!("' OR '1'='1"),
        json!("field' UNION SELECT 'AA"),
        json!("field; DROP TABLE keys"),
        json!("field\u{0}"),
        json!("FIELD"),
        json!(" field"),
        json!("%66ield"),
        json!(""),
        json!("k".repeat(5_000)),
        json!(1),
        json!(null),
        json!(["field"]),
        json!({ "field": 1 }),
    ];
    bad.extend(headers(&pen, &names.map(|name| ("kid", name)), "unknown_key"));
    bad.extend(headers(&pen, &[("kid", json!("k".repeat(20_000)))], "token_too_large"));
    let extensions = [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("crit", json!(["b64"])),
        ("crit", json!(["http://example.com/x"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("typ", json!("at+jwt")),
        ("typ", json!("portero-internal+jwt")),
        ("typ", json!(7)),
    ];
    bad.extend(headers(&pen, &extensions, "unsupported_header"));
    let untyped = text(&without(&pen.header(), "typ"));
    bad.push(("no typ".into(), pen.sign_parts(untyped, text(&good_claims())), "unsupported_header"));
    let unnamed = text(&without(&pen.header(), "kid"));
    bad.push(("no kid".into(), pen.sign_parts(unnamed, text(&good_claims())), "unknown_key"));
    for algorithm in ["HS384", "HS512", "RS256", "EdDSA", "hs256", "ES512"] {
        bad.extend(headers(&pen, &[("alg", json!(algorithm))], "wrong_algorithm"));
    }
    all_are_refused(&gateway, &upstream, &good, &bad);

    // One of 1 MiB does not even come in.
    let huge = headers(&pen, &[("kid", json!("k".repeat(1 << 20)))], "").remove(0).1;
    let (_, refused) = Connection::send_refused(gateway.front, &get("/sws").bearer(&huge).bytes());
    assert_eq!(refused.status, 431);
    assert_eq!(gateway.status("/sws", &good), 200);
}

#[test]
fn a_public_key_is_no_secret_and_nothing_is_no_signature() {
    let upstream = Upstream::start();
    let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().public_key_pem();
    let ec = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().public_key_pem();
    let pems = [("rsa", "RS256", rsa.as_str()), ("ec", "ES256", ec.as_str())];
    let gateway = gateway_with(&upstream, &pems);
    let pen = Pen::hs256(KID, SECRET.as_bytes());
    let good = pen.token(&good_claims());
    let mut bad = vec![];
    for (kid, algorithm, pem) in pems {
        let set = gateway.command(&format!("key export-public --kid {kid} --format jwk"), "");
        let jwk = &set.json()["keys"][0];
        let number = jwk["n"].as_str().or(jwk["x"].as_str()).unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        for secret in [pem, pem.trim_end(), &set.stdout, &jwk.to_string(), number, &der] {
            let theirs = Pen::hs256(kid, secret.as_bytes());
            bad.push((format!("HS256 with {secret:.40}"), theirs.token(&good_claims()), "wrong_algorithm"));
            bad.extend(headers(&theirs, &[("alg", json!(algorithm))], "invalid_signature"));
        }
        // Zeros, which faulty ECDSA takes (CVE-2022-21449), ones, nothing, and those of another size.
        let header = with(&with(&pen.header(), "alg", json!(algorithm)), "kid", json!(kid));
        let message = format!("{}.{}", encode(text(&header)), encode(text(&good_claims())));
        for octets in [vec![], vec![0], vec![0; 64], vec![0; 256], vec![1; 64], vec![0xff; 256], vec![0; 1024]] {
            let (what, token) =
                (format!("{algorithm}, {} octets", octets.len()), format!("{message}.{}", encode(octets)));
            bad.push((what, token, "invalid_signature"));
        }
        let token = format!("{message}.{}", encode([0; 1025]));
        bad.push((format!("{algorithm}, longer than any"), token, "malformed_token"));
    }
    let (message, signature) = good.rsplit_once('.').unwrap();
    let octets = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let others = [
        vec![],
        octets[..1].to_vec(),
        octets[..16].to_vec(),
        octets[..31].to_vec(),
        [&octets[..], &[0]].concat(),
        octets.repeat(2),
        vec![0; 32],
    ];
    for other in others {
        let (what, token) = (format!("{} octets", other.len()), format!("{message}.{}", encode(other)));
        bad.push((what, token, "invalid_signature"));
    }
    bad.push(("no whole octets".into(), format!("{message}.{}", &signature[..41]), "malformed_token"));
    all_are_refused(&gateway, &upstream, &good, &bad);
}

#[test]
fn a_token_has_one_spelling() {
    let upstream = Upstream::start();
    let gateway = gateway_with(&upstream, &[]);
    let pen = Pen::hs256(KID, SECRET.as_bytes());
    let good = pen.token(&good_claims());
    let [header, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut bad: Vec<Bad> = vec![];
    for other in ["=", "==", "+", "/", "?", "%3D", "~", "ñ"] {
        // In the middle and at the end of each part, signed as it stands.
        for (name, part) in [("header", header), ("payload", payload), ("signature", signature)] {
            for at in [part.len() / 2, part.len()] {
                let (before, after) = part.split_at(at);
                let changed = format!("{before}{other}{after}");
                let token = match name {
                    "header" => pen.sign_text(&format!("{changed}.{payload}")),
                    "payload" => pen.sign_text(&format!("{header}.{changed}")),
                    _ => format!("{header}.{payload}.{changed}"),
                };
                bad.push((format!("{other:?} in the {name}"), token, "malformed_token"));
            }
        }
    }
    let blank = format!("{} {}", &good[..20], &good[20..]);
    bad.push(("a blank".into(), blank, "malformed_token"));
    let five =
        format!("{}.{}.{}.{}.{}", encode(r#"{"alg":"dir","enc":"A128GCM","kid":"field"}"#), "", "AAAA", "AAAA", "AAAA");
    bad.push(("a JWE".into(), five, "malformed_token"));
    bad.push(("five parts".into(), format!("{good}.{payload}.{signature}"), "malformed_token"));
    bad.push(("four parts".into(), format!("{good}.{signature}"), "malformed_token"));
    bad.push(("two parts".into(), format!("{header}.{payload}"), "malformed_token"));
    bad.push(("one part".into(), header.to_owned(), "malformed_token"));
    bad.push(("nothing but points".into(), "..".to_owned(), "malformed_token"));
    let twice = |of: &str, member: &str| format!("{},{member}}}", of.strip_suffix('}').unwrap());
    let [header, payload] = [text(&pen.header()), text(&good_claims())];
    for member in
        [r#""alg":"HS256""#, r#""alg":"none""#, r#""\u0061lg":"none""#, r#""kid":"field""#, r#""x":{"a":1,"a":1}"#]
    {
        let token = pen.sign_parts(twice(&header, member), &payload);
        bad.push((format!("twice in the header: {member}"), token, "malformed_token"));
    }
    for member in [r#""exp":9999999999"#, r#""\u0065xp":9999999999"#, r#""sub":"x""#, r#""x":[{"a":1,"a":1}]"#] {
        let token = pen.sign_parts(&header, twice(&payload, member));
        bad.push((format!("twice in the payload: {member}"), token, "malformed_token"));
    }
    // As deep as a token's size allows, and as a head's does.
    for (open, close, levels, reason) in [
        ("[", "]", 128, "malformed_token"),
        ("[", "]", 2_500, "malformed_token"),
        (r#"{"a":"#, "}", 128, "malformed_token"),
        (r#"{"a":"#, "}", 500, "malformed_token"),
        ("[", "]", 10_000, "token_too_large"),
    ] {
        let deep = format!(r#""x":{}1{}"#, open.repeat(levels), close.repeat(levels));
        let in_payload = pen.sign_parts(&header, twice(&payload, &deep));
        bad.push((format!("{levels} of {open} in the payload"), in_payload, reason));
        let in_header = pen.sign_parts(twice(&header, &deep), "{}");
        bad.push((format!("{levels} of {open} in the header"), in_header, reason));
    }
    for other in
        ["", "null", "[]", "7", "{", "{}{}", "\u{feff}{}", r#"{"exp":NaN}"#, r#"{"exp":1e400}"#, r#"{"exp":01}"#]
    {
        bad.push((format!("payload {other}"), pen.sign_parts(&header, other), "malformed_token"));
    }
    all_are_refused(&gateway, &upstream, &good, &bad);
}

#[test]
fn a_claim_is_of_its_type_or_the_token_is_none() {
    let upstream = Upstream::start();
    let gateway = gateway_with(&upstream, &[]);
    let pen = Pen::hs256(KID, SECRET.as_bytes());
    let good = pen.token(&good_claims());
    let mut bad = vec![];
    let no_dates = [
        json!("8000000000"),
        json!(8e9 + 0.5),
        json!(8e9),
        json!(-1),
        json!(-8_000_000_000_i64),
        json!(-0.5),
        json!(1e300),
    ];
    let nothing = [json!(null), json!(true), json!([]), json!({}), json!("")];
    for name in ["exp", "nbf", "iat"] {
        for value in no_dates.iter().chain(&nothing).chain(&[json!([8_000_000_000_i64])]) {
            bad.extend(claims(&pen, &[(name, value.clone())], "invalid_claims"));
        }
    }
    for name in ["iss", "aud", "sub", "jti", "sid", "token_use", "name"] {
        for value in nothing.iter().chain(&[json!(7), json!([1])]) {
            bad.extend(claims(&pen, &[(name, value.clone())], "invalid_claims"));
        }
    }
    for name in ["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "sid", "epoch", "token_use", "name"] {
        bad.push((format!("no {name}"), pen.token(&without(&good_claims(), name)), "invalid_claims"));
    }
    let own = "https://portero.test/sws";
    bad.extend(claims(
        &pen,
        &[("iss", json!([own])), ("aud", json!(["api"])), ("aud", json!(["other", "api"]))],
        "invalid_claims",
    ));
    let issuers = ["https://portero.test/apis", "https://portero.test/sws/", "https://portero.test/SWS", "sws"];
    bad.extend(claims(&pen, &issuers.map(|issuer| ("iss", json!(issuer))), "wrong_issuer"));
    bad.extend(claims(&pen, &["API", "other", "api "].map(|audience| ("aud", json!(audience))), "wrong_audience"));
    bad.extend(claims(&pen, &[("exp", json!(0)), ("exp", json!(1_000_000_000))], "expired"));
    bad.extend(claims(&pen, &[("nbf", json!(7_000_000_000_i64)), ("nbf", json!(i64::MAX))], "not_yet_valid"));
    bad.extend(claims(&pen, &["refresh", "content"].map(|kind| ("token_use", json!(kind))), "wrong_token_kind"));
    bad.extend(claims(&pen, &["id", "Access", "access "].map(|kind| ("token_use", json!(kind))), "invalid_claims"));
    all_are_refused(&gateway, &upstream, &good, &bad);
}

const BUSINESS: &str = "5a2ac49cbbbce212f885529c";

/// A token of the toc API before Portero.
fn old_toc_token(pen: &Pen, created: &str, ends: Option<&str>) -> String {
    let mut claims = object(json!({ "business": BUSINESS, "proyecto": "upconta", "creacion": created }));
    claims.extend(ends.map(|end| ("expiracion".to_owned(), end.into())));
    pen.sign_parts(r#"{"alg":"HS256","typ":"JWT"}"#, text(&claims))
}

#[test]
fn tocs_tokens_of_old_open_verify_and_end() {
    const CREATED: &str = "2024-03-03T08:00:00.000Z";
    const ENDS: &str = "2126-01-16T12:00:00.000Z";
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    folder.command("key import --realm toc --algorithm HS256 --profile toc", SECRET).succeeded();
    let gateway = Gateway::run(folder);
    let pen = Pen::hs256(KID, SECRET.as_bytes());
    let endless = old_toc_token(&pen, CREATED, None);
    let revoked = old_toc_token(&pen, "2024-03-02T08:00:00.000Z", Some(ENDS));
    let other = old_toc_token(&pen, CREATED, Some(ENDS));
    let verify = |token: &str| gateway.send(&get("/auth").header("Authorization", token));
    for good in [&endless, &revoked, &other] {
        assert_eq!(gateway.send(&get("/toc").header("Authorization", good)).status, 200);
        let received = upstream.received();
        assert_eq!(received.header("x-auth-name"), Some("upconta"));
        assert_eq!(received.header("x-auth-organization"), Some(BUSINESS));
        assert_eq!(received.header("x-auth-kind"), Some("project"));
        assert_eq!(verify(good).status, 200);
    }
    let shown = format!(r#"{{"business":"{BUSINESS}","creacion":"{CREATED}","proyecto":"upconta""#);
    assert_eq!(verify(&other).text(), format!(r#"{shown},"expiracion":"{ENDS}"}}"#));
    assert_eq!(verify(&endless).text(), format!("{shown}}}"));

    let ended = old_toc_token(&pen, "2014-03-01T08:00:00.000Z", Some("2016-03-01T08:00:00.000Z"));
    let no_date = old_toc_token(&pen, CREATED, Some("mañana"));
    let elsewhere = old_toc_token(&Pen::hs256(KID, &[7; 32]), CREATED, None);
    let both = |token: &str| [gateway.status("/toc", token), gateway.status("/auth", token)];
    for bad in [ended, no_date, elsewhere] {
        assert_eq!(both(&bad), [401, 401]);
    }
    assert_eq!(gateway.status("/sws", &other), 401, "it is of another realm");

    gateway.command("revoke token", &revoked).succeeded();
    wait_until("the token ends", PATIENCE, || both(&revoked) == [401, 401]);
    assert_eq!([both(&endless), both(&other)], [[200, 200]; 2]);
    let project = format!("--realm toc --business {BUSINESS} --proyecto upconta");
    gateway.command(&format!("project disable {project}"), "").succeeded();
    wait_until("all of them end", PATIENCE, || [both(&endless), both(&other)] == [[401, 401]; 2]);
    gateway.command(&format!("project enable {project}"), "").succeeded();
    let gateway = gateway.kill_and_restart();
    assert_eq!(gateway.status("/toc", &other), 401, "what has ended does not come back");
}
