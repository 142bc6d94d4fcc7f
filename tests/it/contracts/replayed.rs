//! `portero contract test`: what it holds against a contract, what it does not, and how it ends.

use std::fs;

use serde_json::{Value, json};

use super::contract;
use crate::support::{Folder, Ran};

/// An exchange of an archive: method and target, type and body of the request, status and body of the answer.
type Entry<'e> = (&'e str, &'e str, &'e str, u16, &'e str);

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn entry((target, media_type, request, status, answer): &Entry<'_>) -> Value {
    let (method, path) = target.split_once(' ').unwrap();
    json!({
        "request": {
            "method": method,
            "url": format!("https://erp.example.com{path}"),
            "headers": [{ "name": "Content-Type", "value": media_type }],
            "postData": { "text": request },
        },
        "response": { "status": status, "headers": [], "content": { "text": answer } },
    })
}

/// Holds an archive of these entries against a contract, with further arguments.
fn held(name: &str, entries: &[Value], further: &[&str]) -> Ran {
    let folder = Folder::new();
    let file = folder.file("erp.har");
    fs::write(&file, json!({ "log": { "entries": entries } }).to_string()).unwrap();
    contract(&[&["test", name, file.to_str().unwrap()], further].concat())
}

const WRONG: Entry<'_> = (
    "POST /login",
    JSON,
    r#"{"username":"a","password":"b"}"#,
    200,
    r#"{"error":1,"message":"Credenciales inválidas"}"#,
);
const IN_FORM: Entry<'_> = ("POST /login", FORM, "username=a&password=b", 200, WRONG.4);
const SERVED: Entry<'_> = ("GET /erp/orders", JSON, "", 200, "[]");

#[test]
fn what_the_contract_refuses_on_its_own_path_is_a_difference() {
    for further in [&[WRONG][..], &[]] {
        let entries: Vec<_> = [IN_FORM, SERVED].iter().chain(further).map(entry).collect();
        let ran = held("sws", &entries, &[]);
        let counts = format!("{} the same, 1 different, 1 a service's own", further.len());
        assert!(ran.code == 1 && ran.stdout.contains(&counts), "{ran:?}");
        assert!(ran.stdout.contains("erp.har:entry 1: POST /login\n"), "{ran:?}");
        assert!(ran.stdout.contains("a service's own: GET /erp/orders (1)"), "{ran:?}");
    }
    // Broken JSON, and a form in parts, go to the same place.
    let broken = ("POST /login", JSON, r#"{"username":"a","#, 200, WRONG.4);
    let parts = (
        "POST /login",
        "multipart/form-data; boundary=x",
        "--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\na\r\n--x--",
        200,
        WRONG.4,
    );
    for one in [broken, parts] {
        let ran = held("sws", &[entry(&one)], &[]);
        assert!(ran.code == 1 && ran.stdout.contains("0 the same, 1 different, 0 a service's own"), "{ran:?}");
    }
}

#[test]
fn a_recording_that_never_meets_the_contract_proves_nothing() {
    let other = ("POST /login", JSON, r#"{"user":"a","pin":"b"}"#, 200, WRONG.4);
    let ran = held("sws", &[entry(&other), entry(&SERVED)], &[]);
    assert!(ran.code == 1 && ran.stdout.contains("0 the same, 0 different, 2 a service's own"), "{ran:?}");
    let why = "nothing was held against the contract: no recorded request goes to its endpoint, with a member 'username' \
               or 'password'; name the path of the endpoint with --login PATH";
    assert!(ran.stderr.contains(why), "{ran:?}");
    let ran = held("sws", &[entry(&other), entry(&SERVED)], &["--login", "/login"]);
    assert!(ran.code == 1 && ran.stdout.contains("0 the same, 1 different, 1 a service's own"), "{ran:?}");
    // A service may have members of that name too.
    let users = ("POST /users", JSON, r#"{"username":"a"}"#, 201, r#"{"id":7}"#);
    let entries = [entry(&WRONG), entry(&users)];
    assert!(held("sws", &entries, &[]).stdout.contains("1 the same, 1 different"));
    held("sws", &entries, &["--login", "/login"]).succeeded();
}

#[test]
fn what_was_not_recorded_is_not_judged() {
    let mut cut = entry(&WRONG);
    cut["response"]["content"] = json!({ "size": 52 });
    let mut aborted = entry(&WRONG);
    aborted["response"]["status"] = json!(0);
    let mut bodiless = entry(&WRONG);
    bodiless["request"]["postData"] = Value::Null;
    bodiless["request"]["bodySize"] = json!(30);
    let ran = held("sws", &[entry(&WRONG), cut, aborted, bodiless], &[]);
    assert!(
        ran.code == 1 && ran.stdout.contains("1 the same, 0 different, 0 a service's own, 3 not judged"),
        "{ran:?}"
    );
    for (number, why) in [
        (2, "the recording lacks the answer's body"),
        (3, "no answer came"),
        (4, "the recording lacks the request's body"),
    ] {
        let line = format!("erp.har:entry {number}: POST /login\nnot judged: {why}\n");
        assert!(ran.stdout.contains(&line), "{line}: {ran:?}");
    }
    // A browser may write a form as its pairs.
    let mut pairs = entry(&IN_FORM);
    pairs["request"]["postData"] = json!({ "params": [{ "name": "username", "value": "a" }] });
    assert!(held("sws", &[pairs], &[]).stdout.contains("1 different, 0 a service's own"));
}

#[test]
fn white_space_and_empty_tokens_are_differences() {
    let login = |answer: &str| {
        let body = r#"{"username":"a","password":"b"}"#;
        held("apis", &[entry(&("POST /login", JSON, body, 200, answer))], &[])
    };
    let answer = fs::read_to_string("tests/golden/apis/01-login.http").unwrap();
    let answer = answer.split("<<< ").nth(1).unwrap().split("\n\n").nth(1).unwrap().trim();
    let answer = answer.replace("{{sealed}}", "a.b.c");
    let ran = login(&answer);
    assert!(ran.code == 0, "{answer}: {ran:?}");
    for (bad, hint) in [
        (answer.replacen(":\"", ": \"", 1), "the recording has white space here"),
        (answer.replacen("a.b.c", "", 1), "a token, without white space"),
        (answer.replacen("a.b.c", " a.b.c", 1), "a token, without white space"),
    ] {
        let ran = login(&bad);
        assert!(ran.code == 1 && ran.stdout.contains(hint), "{bad}: {ran:?}");
    }
}
