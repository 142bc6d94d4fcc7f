//! What is wrong with issuers that are asked about their tokens.

use std::{fs, path::Path};

use super::BASE;
use crate::config::{Origin, parse_part, reader::Scope};

const SECRET: &str = "client_secret_file = \"corp.secret\"";

/// What the report says, without the file's name, on an issuer at line 6 whose `introspection` (line 8) has these lines
/// and whose own keys are `beside` (line 7 ends with them); the secret is in a file beside the config.
fn report(beside: &str, lines: &str, secret: &[u8]) -> String {
    let folder = crate::memory::new_folder();
    fs::write(folder.path().join("corp.secret"), secret).unwrap();
    let text = format!("{BASE}[issuers.corp]\nissuer = \"https://i\"{beside}\n[issuers.corp.introspection]\n{lines}");
    said(folder.path(), &text, Scope::Host)
}

fn said(directory: &Path, text: &str, scope: Scope) -> String {
    let report = parse_part(text, &Origin { file: "t", directory }, &|_| None, scope);
    let report = report.map_or_else(|report| report.to_string(), |_| "no problem".to_owned());
    report.lines().map(|line| line.strip_prefix("t:").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The same with everything that is required, at lines 9 to 11, and `more` from line 12 on.
fn with(more: &str) -> String {
    report("", &format!("endpoint = \"https://i/introspect\"\nclient_id = \"gateway\"\n{SECRET}\n{more}"), b"s3cret\n")
}

#[test]
fn an_issuer_is_asked_by_a_client_that_can_be_told() {
    assert_eq!(with(""), "no problem");
    assert_eq!(
        report("", "", b"s"),
        "8:1: issuers.corp.introspection.endpoint: missing; add it, for example endpoint = \"https://login.example.com/introspect\"\n\
         8:1: issuers.corp.introspection.client_id: missing; add it, for example client_id = \"gateway\"\n\
         8:1: issuers.corp.introspection.client_secret_file: missing; add it, for example client_secret_file = \"corp.secret\""
    );
    for (more, expected) in [
        (
            "client_secret = \"hunter2\"",
            "12:1: issuers.corp.introspection.client_secret: a secret does not stand in this file; put it into one of its own: client_secret_file = \"corp.secret\"",
        ),
        ("max_aeg = \"1s\"", "12:1: issuers.corp.introspection.max_aeg: unknown key; did you mean 'max_age'?"),
        (
            "max_age = \"2h\"\ntimeout = \"31s\"\nrate = 0\nconcurrency = 0\nwait = \"1ms\"",
            "12:11: issuers.corp.introspection.max_age: '2h' is not a duration from 1s to 1h, such as \"500ms\", \"30s\", \"12h\" or \"1d\"\n\
             13:11: issuers.corp.introspection.timeout: '31s' is not a duration from 100ms to 30s, such as \"500ms\", \"30s\", \"12h\" or \"1d\"\n\
             14:8: issuers.corp.introspection.rate: expected an integer from 1 to 10000, found 0\n\
             15:15: issuers.corp.introspection.concurrency: expected an integer from 1 to 1024, found 0\n\
             16:8: issuers.corp.introspection.wait: '1ms' is not a duration from 100ms to 1m, such as \"500ms\", \"30s\", \"12h\" or \"1d\"",
        ),
        (
            "prefix = \"corp-\"\nmax_length = 5",
            "12:10: issuers.corp.introspection.prefix: it leaves nothing of max_length (5)",
        ),
        (
            "alphabet = \"z-a\"",
            "12:12: issuers.corp.introspection.alphabet: the range 'z-a' ends before it begins; write a list such as \"a-z0-9._-\"",
        ),
    ] {
        assert_eq!(with(more), expected, "{more}");
    }
}

#[test]
fn its_secret_crosses_no_network_as_it_is_and_is_one_line() {
    let at = |endpoint: &str, more: &str| {
        report("", &format!("endpoint = \"{endpoint}\"\nclient_id = \"gateway\"\n{SECRET}\n{more}"), b"s3cret")
    };
    for good in ["https://i/introspect", "https://10.0.0.1/i", "http://127.0.0.1:1/i", "http://[::1]/i"] {
        assert_eq!(at(good, ""), "no problem", "{good}");
    }
    for plain in ["http://i/introspect", "http://localhost/i", "ftp://i/introspect"] {
        assert_eq!(
            at(plain, ""),
            "9:12: issuers.corp.introspection.endpoint: must be https; http is for loopback addresses (127.0.0.1, [::1]) only: \
             the client's secret and every token would cross the network as they are",
            "{plain}"
        );
    }
    assert_eq!(
        at("https://u:hunter2@i/introspect", ""),
        "9:12: issuers.corp.introspection.endpoint: must be a URL without user information and fragment, such as \"https://login.example.com/introspect\""
    );
    assert_eq!(
        at("http://127.0.0.1/i", "ca = \"ca.pem\""),
        "12:6: issuers.corp.introspection.ca: endpoint is http: there is no certificate to check"
    );
    let lines = format!("endpoint = \"https://i/introspect\"\nclient_id = \"gateway\"\n{SECRET}");
    for bad in [&b""[..], b"\n", b"one\ntwo", b"a\0b", b"\xff", &[b's'; 1025]] {
        assert_eq!(
            report("", &lines, bad),
            "11:22: issuers.corp.introspection.client_secret_file: must hold one line of 1 to 1024 octets: the client's secret",
            "{bad:?}"
        );
    }
    // The same where there is no such file; on another machine, nobody looks.
    let text = format!("{BASE}[issuers.corp]\nissuer = \"https://i\"\n[issuers.corp.introspection]\n{lines}");
    let empty = crate::memory::new_folder();
    assert!(said(empty.path(), &text, Scope::Host).contains("client_secret_file: 'corp.secret' cannot be read: "));
    assert_eq!(said(empty.path(), &text, Scope::File), "no problem");
}

#[test]
fn an_issuer_that_is_asked_has_no_keys() {
    const WHY: &str = "an issuer that is asked about its tokens (introspection) needs no keys; leave one of both out";
    let beside = |more: &str| {
        let lines = format!("endpoint = \"https://i/introspect\"\nclient_id = \"gateway\"\n{SECRET}");
        report(&format!("\n{more}"), &lines, b"s")
    };
    for key in ["jwks_url = \"https://i/jwks\"", "keys = []", "algorithms = [\"RS256\"]", "ca = \"x\""] {
        let name = key.split(' ').next().unwrap();
        assert_eq!(beside(key), format!("8:1: issuers.corp.{name}: {WHY}"), "{key}");
    }
}

#[test]
fn issuers_whose_opaque_tokens_cannot_be_told_apart_are_warned_of() {
    let folder = crate::memory::new_folder();
    fs::write(folder.path().join("corp.secret"), "s").unwrap();
    let warned = |one: &str, other: &str, accept: &str| {
        let issuer = |name: &str, more: &str| {
            format!(
                "[issuers.{name}]\nissuer = \"https://{name}\"\n[issuers.{name}.introspection]\n\
                 endpoint = \"https://{name}/i\"\nclient_id = \"gateway\"\n{SECRET}\n{more}\n"
            )
        };
        let (one, other) = (issuer("one", one), issuer("other", other));
        let route = format!("[[routes]]\nname = \"a\"\npath = \"/a\"\nupstream = \"crm\"\naccept = {accept}\n");
        let text = format!("{BASE}{one}{other}{route}");
        let settings = parse_part(&text, &Origin { file: "t", directory: folder.path() }, &|_| None, Scope::Host);
        let warnings = settings.map_err(|report| report.to_string()).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let both = "[\"other\", \"one\"]";
    assert_eq!(
        warned("", "", both),
        "20:1: routes[0]: an opaque token may be of 'other' or of 'one', and one of them is asked: 'other', which accept \
         names first; a token of 'one' that has the form of its tokens is refused; add prefix = \"…\" to \
         [issuers.other.introspection] and [issuers.one.introspection]: how the tokens of each begin"
    );
    for (one, other, said) in [
        ("prefix = \"a_\"", "", "; add prefix = \"…\" to [issuers.other.introspection]: how its tokens begin"),
        (
            "prefix = \"a_\"",
            "prefix = \"a\"",
            "; let neither prefix of [issuers.other.introspection] and [issuers.one.introspection] begin with the other",
        ),
    ] {
        let warned = warned(one, other, both);
        assert!(warned.ends_with(said), "{warned}");
    }
    assert_eq!(warned("prefix = \"a_\"", "prefix = \"b_\"", both), "");
    assert_eq!(warned("max_length = 31", "min_length = 32", both), "");
    assert_eq!(warned("", "", "[\"one\"]"), "");
}

#[test]
fn discovery_says_where_an_issuer_is_asked() {
    let asked = |discovery: &str, more: &str| {
        report(&format!("\ndiscovery = \"{discovery}\""), &format!("client_id = \"gateway\"\n{SECRET}\n{more}"), b"s")
    };
    assert_eq!(asked("https://i", ""), "no problem");
    assert_eq!(
        asked("https://i", "endpoint = \"https://i/introspect\""),
        "12:1: issuers.corp.introspection.endpoint: discovery of the issuer says where it is asked; leave one of both out"
    );
    let plain = asked("http://i", "");
    assert!(plain.starts_with("8:13: issuers.corp.discovery: must be https") && plain.lines().count() == 1, "{plain}");
    let text = |discovery: &str| format!("\ndiscovery = \"{discovery}\"");
    let lines = format!("client_id = \"gateway\"\n{SECRET}\nca = \"ca.pem\"");
    let local = report(&text("http://127.0.0.1:1/.well-known/x"), &lines, b"s");
    assert_eq!(local, "12:6: issuers.corp.introspection.ca: discovery is http: there is no certificate to check");
}
