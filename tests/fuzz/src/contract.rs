//! Contracts' files: nothing panics, whatever stands in them, and a contract that is good answers as it declares.
//!
//! The input is a file, a line `---`, and the body of a login.

use portero::{
    domain::{Reason, json::parse_object},
    rules::contract::{
        Contract, DialectSettings, Endpoint, FileContract, Observed, Outcome, Recorded, TokenRequest, Verdict, learn,
        load,
    },
};

/// Between the file and the body.
const END_OF_FILE: &str = "\n---\n";

/// A password of the seeds, as requests send it.
const PASSWORD: &str = "correct horse battery";

/// Holds one input against what is promised.
///
/// # Panics
/// Panics where a promise does not hold: that is a finding.
pub fn check(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let (file, body) = input.split_once(END_OF_FILE).unwrap_or((input, ""));
    draft(body);
    match load("fuzz.toml", file) {
        Ok(loaded) => {
            for (place, _) in loaded.contract.languages().enumerate() {
                speak(loaded.contract.at(place), body);
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "it is refused without a word");
            for fault in faults {
                assert!(!fault.message.contains('\n') && fault.position.line > 0, "{fault}");
            }
        }
    }
}

/// What is learnt from lines of requests and answers is a good contract, and says no secret of them.
fn draft(lines: &str) {
    let recorded: Vec<_> = lines.split('\n').collect::<Vec<_>>().chunks(2).map(exchange).collect();
    let observed: Vec<_> = recorded.iter().map(|recorded| Observed { path: "/login", recorded }).collect();
    let Ok(learnt) = learn("fuzz", &observed) else { return };
    assert!(load("fuzz.toml", &learnt.text).is_ok(), "{}", learnt.text);
    let sends = |recorded: &Recorded| {
        parse_object(&recorded.request).is_ok_and(|body| body.get("password").is_some_and(|sent| sent == PASSWORD))
    };
    if learnt.text.contains("password = \"secret\"") && recorded.iter().any(sends) {
        assert!(!learnt.text.contains(PASSWORD), "{}", learnt.text);
    }
    assert!(learnt.others.iter().all(|at| *at < observed.len()));
}

/// A request and its answer, which begins with its status.
fn exchange(lines: &[&str]) -> Recorded {
    let (status, answer) = lines.get(1).and_then(|line| line.split_once(' ')).unwrap_or(("200", ""));
    let request = lines.first().copied().unwrap_or_default();
    Recorded {
        method: "POST".parse().expect("a method"),
        query: None,
        content_type: Some(b"application/json".to_vec()),
        authorization: None,
        request: request.as_bytes().to_vec(),
        to: Endpoint::Login,
        status: status.parse().unwrap_or(200),
        answer_type: None,
        answer: answer.as_bytes().to_vec(),
    }
}

/// What a good contract says is what it declares.
fn speak(contract: &FileContract, body: &str) {
    for reason in Reason::ALL {
        assert!(contract.deny(reason).status.as_u16() >= 400, "{}", reason.name());
    }
    let settings = DialectSettings::default();
    let members = parse_object(body.as_bytes());
    for method in contract.methods() {
        let content_type = Some(&b"application/json"[..]);
        let authorization = Some(body.as_bytes());
        let request = TokenRequest {
            method,
            query: Some(body),
            content_type,
            authorization,
            body: (&members).into(),
            refresh: false,
        };
        let Err(rejection) = contract.read(&request, &settings) else { continue };
        let answer = contract.write(&Outcome::Rejected(&rejection), &settings);
        let recorded = Recorded {
            method: method.clone(),
            query: Some(body.to_owned()),
            content_type: content_type.map(<[u8]>::to_vec),
            authorization: Some(body.to_owned()),
            request: body.as_bytes().to_vec(),
            to: Endpoint::Login,
            status: answer.status.as_u16(),
            answer_type: Some(answer.content_type.to_owned()),
            answer: answer.body.to_vec(),
        };
        let is_small = body.len() <= 16 << 10;
        assert!(!is_small || matches!(contract.replay(&recorded), Verdict::Same(_)), "{}", rejection.name());
    }
}
