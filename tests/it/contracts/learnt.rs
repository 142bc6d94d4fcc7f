//! `portero contract learn`: what it drafts from the golden exchanges, against the contracts that ship.

use std::{collections::BTreeMap, fs, time::Duration};

use portero::{
    domain::{AccountName, Grant, Holder, IssuedToken, Reason, Secret, Timestamp, TokenKind},
    rules::contract::{
        Contract, ContractResponse, DialectSettings, FileContract, MissingMembers, Outcome, Rejection, Translations,
        builtin_text, load,
    },
};
use serde_json::Value;

use super::contract;
use crate::support::Folder;

/// Of a hundred members or statuses, so many come out as the contract that ships has them, at least.
const FLOOR_PERCENT: usize = 80;

fn read(text: &str) -> Translations {
    load("learnt.toml", text).unwrap_or_else(|faults| panic!("{faults:?}\n{text}")).contract
}

fn grant(kinds: &[TokenKind]) -> Grant {
    let issued_at = Timestamp::from_millis(1_658_197_359_118);
    let token = |&kind: &TokenKind| IssuedToken {
        kind,
        token: Secret::from(kind.name()),
        expires_at: Some(issued_at.plus(Duration::from_hours(1))),
    };
    let name = AccountName { business: "5a2ac49cbbbce212f885529c".into(), name: "ana".into() };
    let holder = Holder {
        id: "b331336a-46f4-4fe4-a850-3208bfc2c398".parse().unwrap(),
        name,
        display_name: "Ana".into(),
        legacy_id: Some(7),
        role: "ADMIN".into(),
        scopes: vec!["read".into()],
        company: Some("acme".into()),
    };
    Grant { holder, issued_at, tokens: kinds.iter().map(token).collect() }
}

fn rejections(contract: &FileContract) -> Vec<Rejection> {
    let retry_after = Duration::from_secs(7);
    let members = contract.members(false);
    let missing = |count: usize| Rejection::Missing(MissingMembers::of(members[..count].to_vec()).unwrap());
    vec![
        Rejection::NotJson,
        missing(1),
        missing(2),
        Rejection::InvalidQuery("q".into()),
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
    ]
}

/// Everything that a contract answers, by name.
fn answers(contract: &FileContract) -> BTreeMap<String, ContractResponse> {
    let settings = DialectSettings::default();
    let mut answers = BTreeMap::new();
    let facts = contract.facts();
    answers.insert("login".to_owned(), contract.write(&Outcome::Granted(&grant(&facts.tokens.login)), &settings));
    if !facts.tokens.refresh.is_empty() {
        let grant = grant(&facts.tokens.refresh);
        answers.insert("refresh".to_owned(), contract.write(&Outcome::Refreshed(&grant), &settings));
    }
    for (at, rejection) in rejections(contract).iter().enumerate() {
        let name = format!("{at} {}", rejection.name());
        answers.insert(name, contract.write(&Outcome::Rejected(rejection), &settings));
    }
    for reason in Reason::ALL.into_iter().filter(|reason| !reason.allows()) {
        answers.insert(format!("denial {}", reason.name()), contract.deny(reason));
    }
    answers
}

/// The members of a body with their values, by path.
fn members(value: &Value, path: &str, out: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(all) => all.iter().for_each(|(name, below)| members(below, &format!("{path}.{name}"), out)),
        value => drop(out.insert(path.to_owned(), value.clone())),
    }
}

/// How many of the members and statuses of the first come out in the second: members right and all, statuses likewise.
fn measure(ships: &FileContract, learnt: &FileContract) -> [(usize, usize); 2] {
    let (ships, learnt) = (answers(ships), answers(learnt));
    let [mut right, mut all, mut statuses] = [0; 3];
    for (name, answer) in &ships {
        let found = learnt.get(name);
        statuses += usize::from(found.is_some_and(|found| found.status == answer.status));
        let parsed = |answer: &ContractResponse| {
            let mut out = BTreeMap::new();
            members(&serde_json::from_slice(&answer.body).unwrap(), "", &mut out);
            out
        };
        let (expected, found) = (parsed(answer), found.map(parsed).unwrap_or_default());
        all += expected.len();
        right += expected.iter().filter(|(path, value)| found.get(*path) == Some(value)).count();
    }
    [(right, all), (statuses, ships.len())]
}

#[test]
fn a_draft_of_each_contract_that_ships_comes_near_to_it() {
    for name in ["sws", "apis", "toc", "maxpoint", "become"] {
        let ran = contract(&["learn", &format!("tests/golden/{name}"), "--name", name]);
        assert_eq!(ran.code, 0, "the draft answers as it was recorded: {ran:?}");
        let (ships, learnt) = (read(builtin_text(name).unwrap()), read(&ran.stdout));
        let [members, statuses] = measure(ships.in_default(), learnt.in_default());
        println!("{name}: {}/{} members, {}/{} statuses", members.0, members.1, statuses.0, statuses.1);
        for (what, (right, all)) in [("members", members), ("statuses", statuses)] {
            assert!(right * 100 >= all * FLOOR_PERCENT, "{name}: {right} of {all} {what}\n{}", ran.stdout);
        }
        for secret in ["demo2024", "abcd1234", "1234", "c0f2afed", "demo_secret", "eyJ"] {
            assert!(!ran.stdout.contains(&format!("\"{secret}")), "{name}: {secret} is written");
        }
    }
}

/// Contracts of other projects, and how many of the recorded exchanges their drafts answer otherwise.
const RECORDED_OF_OTHERS: [(&str, &[&str], usize); 3] =
    [("drf-authtoken", &[""], 0), ("simplejwt", &[""], 0), ("feathers-local", &["", "not-expressed"], 11)];

#[test]
fn a_draft_says_what_others_servers_answer() {
    for (name, folders, otherwise) in RECORDED_OF_OTHERS {
        let folders: Vec<_> = folders.iter().map(|folder| format!("tests/golden_variants/{name}/{folder}")).collect();
        let recordings: Vec<_> = folders.iter().map(String::as_str).collect();
        let ran = contract(&[&["learn"], &recordings[..]].concat());
        assert_eq!(ran.code, i32::from(otherwise > 0), "{name}: {ran:?}");
        assert!(!ran.stderr.contains("passed over"), "{name}: {ran:?}");
        assert!(!ran.stdout.contains("demo-2024-pw") && !ran.stdout.contains("eyJ"), "{name}: {ran:?}");
        read(&ran.stdout);
        if otherwise > 0 {
            let why = format!("{otherwise} of ");
            assert!(ran.stderr.contains(&why), "{name}: {ran:?}");
        }
    }
    let ran = contract(&["learn", "tests/golden_variants/simplejwt"]);
    for line in [
        "form = \"also\"",
        "{missing.why|cases 'This field is required.' 'This field may not be blank.'",
        "method_not_allowed = { message = 'Method \"{request.method}\" not allowed.' }",
        "wrong_token_kind = {",
        "missing_token = {",
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
    let ran = contract(&[
        "learn",
        "tests/golden_variants/feathers-local",
        "tests/golden_variants/feathers-local/not-expressed",
    ]);
    let line = "# not expressed: authentication.payload.jti: it is new each time, as the id of a token is: left out";
    assert!(ran.stdout.contains(line) && !ran.stdout.contains("\"jti\""), "{}", ran.stdout);
}

/// Two logins, one refusal and one request without a member, as a browser records them.
const RECORDED: [(&str, u16, &str); 4] = [
    (
        r#"{"email":"ana@example.com","password":"correct horse","remember":true}"#,
        200,
        r#"{"key":"9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b","user":{"pk":7,"email":"ana@example.com"},"pk_id":7}"#,
    ),
    (
        r#"{"email":"luz@example.com","password":"battery staple"}"#,
        200,
        r#"{"key":"1244b09199c62bcf9418ad846dd0e4bbdfc6ee4c","user":{"pk":9,"email":"luz@example.com"},"pk_id":9}"#,
    ),
    (
        r#"{"email":"ana@example.com","password":"mistyped one"}"#,
        400,
        r#"{"non_field_errors":["Unable to log in with provided credentials."]}"#,
    ),
    (r#"{"email":"ana@example.com"}"#, 400, r#"{"password":["This field is required."]}"#),
];

fn recorded(exchanges: &[(&str, u16, &str)]) -> String {
    let entry = |(request, status, answer): &(&str, u16, &str)| {
        let json = serde_json::json!([{ "name": "Content-Type", "value": "application/json" }]);
        serde_json::json!({
            "request": { "method": "POST", "url": "https://old.example.com/auth/login/", "headers": json, "postData": { "text": request } },
            "response": { "status": status, "headers": json, "content": { "text": answer } },
        })
    };
    let entries: Vec<_> = exchanges.iter().map(entry).collect();
    serde_json::json!({ "log": { "entries": entries } }).to_string()
}

fn learn(exchanges: &[(&str, u16, &str)]) -> crate::support::Ran {
    let folder = Folder::new();
    let file = folder.file("old.har");
    fs::write(&file, recorded(exchanges)).unwrap();
    contract(&["learn", file.to_str().unwrap()])
}

#[test]
fn a_draft_says_what_it_guessed_and_no_secret() {
    let ran = learn(&RECORDED);
    assert_eq!(ran.code, 0, "{ran:?}");
    for line in [
        r#"members = { email = "name", password = "secret" }"#,
        "# guessed: user.pk: the account's number",
        r#"missing_field = { body = '{"{missing.each}":["This field is required."]}' }"#,
        r#"invalid_credentials = { status = 400, body = '{"non_field_errors":["Unable to log in with provided credentials."]}' }"#,
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
    for secret in ["correct", "battery", "mistyped", "9944b091", "1244b091"] {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{secret}: {ran:?}");
    }
}

#[test]
fn what_cannot_be_learnt_is_said() {
    let ran = learn(&RECORDED[2..]);
    assert!(ran.code == 1 && ran.stderr.contains("no login succeeds in the recordings"), "{ran:?}");
    let echoed = (
        r#"{"email":"ana@example.com","password":"correct horse"}"#,
        200,
        r#"{"key":"9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b","hint":"correct horse"}"#,
    );
    let ran = learn(&[echoed]);
    assert!(ran.code == 1 && ran.stdout.is_empty() && ran.stderr.contains("repeats a password or a token"), "{ran:?}");
    let odd = (r#"{"email":"ana@example.com"}"#, 400, r#"{"password":["Say it."]}"#);
    let ran = learn(&[RECORDED[0], RECORDED[1], RECORDED[3], odd]);
    assert!(ran.code == 1 && ran.stderr.contains("would be answered otherwise"), "{ran:?}");
}
