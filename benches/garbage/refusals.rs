//! What each kind of bad token costs the thread that refuses it, without any network.

use std::{hint::black_box, net::IpAddr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use portero::{
    decision::{Decision, LiveState, decide},
    domain::{Algorithm, Clock, Reason, SystemClock},
    rules::realm::Realm,
    state::{keys::KeyState, limit::BadTokenSettings, token::CacheSettings},
};

use super::fixture::{MadeKey, NOW, get, headers, holder, mint, new_token, policy, realm, route, site, snapshot};

/// Rounds of each kind; the best counts, as noise only ever adds.
const ROUNDS: usize = 15;

/// Refusals in a round.
const REFUSALS: u32 = 500;

/// Prints the time of one refusal of each kind; as a test, only asserts what each is refused with.
pub(super) fn measure(measures: bool) {
    if measures {
        println!("| refused | size | reason | time |\n|---|---|---|---|");
    }
    for (what, live_state, token, reason) in kinds() {
        let client = Some(IpAddr::from([192, 0, 2, 1]));
        let headers = headers(&token);
        let request = get("/", &headers);
        let refuse = |client| {
            let view = live_state.view();
            let decided = match decide(&view, NOW, black_box(&request), None) {
                Decision::Verify(job) => decide(&view, NOW, &request, Some(&job.run(&view, client, NOW))),
                decided => decided,
            };
            let Decision::Reply(denial) = decided else { panic!("{what}: let through") };
            denial.reason
        };
        // Without an address nothing is counted, so that every one is looked at.
        let client = client.filter(|_| reason == Reason::TooManyBadTokens);
        if client.is_some() {
            assert_eq!(refuse(client), Reason::InvalidSignature, "{what}: the first");
        }
        assert_eq!(refuse(client), reason, "{what}");
        let mut best = Duration::MAX;
        for _ in 0..if measures { ROUNDS } else { 0 } {
            let start = SystemClock.instant();
            (0..REFUSALS).for_each(|_| assert_eq!(refuse(client), reason));
            best = best.min(SystemClock.instant().duration_since(start) / REFUSALS);
        }
        if measures {
            println!("| {what} | {} | {} | {:.1} µs |", token.len(), reason.name(), best.as_secs_f64() * 1e6);
        }
    }
}

/// Tokens that are refused, with the live state that does so and why.
fn kinds() -> Vec<(&'static str, LiveState, String, Reason)> {
    let mut kinds = vec![];
    for (name, algorithm, bytes) in [("HS256", Algorithm::Hs256, 32), ("RS256", Algorithm::Rs256, 256)] {
        let key = MadeKey::new("sws", algorithm);
        let bad = garbage(signed(&mint(&live_state(&key, "api"), "sws", &new_token(&holder()))), bytes);
        kinds.push((name, live_state(&key, "api"), bad, Reason::InvalidSignature));
    }
    let key = MadeKey::new("sws", Algorithm::Es256);
    let good = mint(&live_state(&key, "api"), "sws", &new_token(&holder()));
    let (header, payload) = signed(&good).split_once('.').unwrap();
    let nobodys = |more: &str| URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","kid":"nobody's"{more}}}"#));
    let large = || URL_SAFE_NO_PAD.encode(members(5_800));
    let token = |header: &str, payload: &str| garbage(&format!("{header}.{payload}"), 64);
    let mut kind = |what, token, reason| kinds.push((what, live_state(&key, "api"), token, reason));
    kind("ES256", token(header, payload), Reason::InvalidSignature);
    kind("ES256, large", token(header, &large()), Reason::InvalidSignature);
    kind("ES256 over the budget", token(header, payload), Reason::TooManyBadTokens);
    kind("unknown key", token(&nobodys(""), payload), Reason::UnknownKey);
    kind("unknown key, large payload", token(&nobodys(""), &large()), Reason::UnknownKey);
    let member = format!(r#","x":{}"#, members(5_300));
    kind("unknown key, large header", token(&nobodys(&member), payload), Reason::UnknownKey);
    kind("no token", "2".repeat(200), Reason::MalformedToken);
    kinds.push(("ES256, well signed for others", live_state(&key, "others"), good, Reason::WrongAudience));
    kinds
}

/// What the signature of a token is over.
fn signed(token: &str) -> &str {
    token.rsplit_once('.').unwrap().0
}

fn live_state(key: &MadeKey, audience: &str) -> LiveState {
    let (algorithm, audience) = (key.in_state(KeyState::Active).algorithm, audience.to_owned());
    let realm = Realm { audience, ..realm("sws", "sws", algorithm) };
    let built = snapshot(&site(vec![realm], vec![], vec![route("/", policy("sws"))]), [key.in_state(KeyState::Active)]);
    let bad_tokens = BadTokenSettings { bad_tokens: 1, ..BadTokenSettings::default() };
    LiveState::new(built.unwrap(), CacheSettings::default(), bad_tokens)
}

/// A JSON object of so many bytes, with as many members as fit.
fn members(bytes: usize) -> String {
    let mut object = "{".to_owned();
    for at in 0.. {
        let member = format!(r#""{at:x}":0,"#);
        if object.len() + member.len() > bytes {
            break;
        }
        object.push_str(&member);
    }
    format!("{}}}", object.trim_end_matches(','))
}

/// A token with a signature of the right size: below every RSA modulus, and two numbers that ECDSA takes.
fn garbage(signed: &str, signature_bytes: usize) -> String {
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(vec![0x55; signature_bytes]))
}
