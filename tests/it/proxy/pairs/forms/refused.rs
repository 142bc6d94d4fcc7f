//! Requests that the gateway refuses.

use super::{
    super::{Form, Until, form},
    GET, POST, message,
};
use crate::support::Contract;

pub(super) fn forms() -> Vec<Form> {
    let mut forms = denied();
    forms.extend(malformed());
    forms.extend(malformed_bodies());
    forms.extend(late());
    forms
}

fn denied() -> Vec<Form> {
    let names = [
        ["no-token-sws", "bad-token-sws", "no-token-sws-post"],
        ["no-token-apis", "bad-token-apis", "no-token-apis-post"],
        ["no-token-toc", "bad-token-toc", "no-token-toc-post"],
        ["no-token-maxpoint", "bad-token-maxpoint", "no-token-maxpoint-post"],
        ["no-token-become", "bad-token-become", "no-token-become-post"],
    ];
    let mut forms = vec![];
    for (names, contract) in names.into_iter().zip(Contract::ALL) {
        let requests = [GET.to_owned(), GET.replace("Host", "Authorization: Bearer x.y.z\nHost"), POST.to_owned()];
        for (name, request) in names.into_iter().zip(requests) {
            forms.push(form(name).sends(request).route(&format!("accept = [\"{}\"]", contract.realm())));
        }
    }
    let checked = |name| form(name).route("accept = [\"sws\"]");
    let small = |name| form(name).route("auth = \"public\"\nbody_bytes_max = \"16B\"");
    let long = POST.replace("Length: 2", "Length: 17").replace("hi", &"x".repeat(17));
    let expects = long.replace("Host", "Expect: 100-continue\nHost").replace(&"x".repeat(17), "");
    let chunks = "Transfer-Encoding: chunked";
    forms.extend([
        checked("token-of-another-realm").sends(GET.replace("Host", "Authorization: Bearer {become}\nHost")),
        form("role-missing")
            .sends(GET.replace("Host", "Authorization: Bearer {sws}\nHost"))
            .route("accept = [\"sws\"]\nrequire = { roles = [\"NOBODY\"] }"),
        checked("no-token-head").sends(GET.replace("GET", "HEAD")),
        checked("no-token-http10").sends(GET.replace("1.1", "1.0")),
        checked("no-token-and-close").sends(GET.replace("Host", "Connection: close\nHost")),
        checked("no-token-twice").sends(GET).sends(GET),
        checked("no-token-pipelined").pipelines(&GET.repeat(2), &["GET", "GET"]),
        checked("no-token-post-pipelined").pipelines(&format!("{POST}{GET}"), &["POST", "GET"]),
        checked("no-token-chunked").sends(POST.replace("Content-Length: 2", chunks).replace("hi", "2\nhi\n0\n\n")),
        checked("no-token-expects").sends(expects.replace("17", "2")),
        checked("no-token-body-to-come").sends(expects.replace("Expect: 100-continue\n", "")),
        form("no-route").sends("GET /nowhere HTTP/1.1\nHost: portero.test\n\n"),
        form("no-route-head").sends("HEAD /nowhere HTTP/1.1\nHost: portero.test\n\n"),
        form("no-route-post").sends("POST /nowhere HTTP/1.1\nHost: portero.test\nContent-Length: 2\n\nhi"),
        form("method-not-allowed").sends(POST).route("auth = \"public\"\nmethods = [\"GET\", \"PUT\"]"),
        form("trace").sends(GET.replace("GET", "TRACE")),
        form("connect").sends("CONNECT portero.test:443 HTTP/1.1\nHost: portero.test:443\n\n"),
        form("method-override").sends(POST.replace("Host", "X-HTTP-Method-Override: DELETE\nHost")),
        small("too-large").sends(&*long),
        small("too-large-expects").sends(expects),
        small("too-large-chunked")
            .sends(POST.replace("Content-Length: 2", chunks).replace("hi", &format!("11\n{}\n0\n\n", "x".repeat(17)))),
    ]);
    forms
}

fn malformed() -> Vec<Form> {
    let field = |name, line: &str| form(name).sends(GET.replace("Host", &format!("{line}\nHost")));
    let target = |name, target: &str| form(name).sends(GET.replace("{path}", target));
    let many = "X-Many: 1\n".repeat(201);
    vec![
        form("bare-lf").sends("GET {path} HTTP/1.1␊Host: portero.test␊␊"),
        form("bare-lf-in-a-field").sends("GET {path} HTTP/1.1\nX-A: a␊Host: portero.test\n\n"),
        form("bare-cr-in-a-field").sends("GET {path} HTTP/1.1\nX-A: a␍b\nHost: portero.test\n\n"),
        field("nul-in-a-field", "X-A: a␀b"),
        field("control-in-a-field", "X-A: a\u{1}b"),
        field("space-before-colon", "X-A : 1"),
        field("space-before-a-field", " X-A: 1"),
        field("folded-field", "X-A: 1\n 2"),
        field("field-without-colon", "nothing"),
        field("field-without-name", ": 1"),
        field("field-with-odd-name", "X(A): 1"),
        field("other-host-twice", "Host: other.test"),
        form("no-host").sends("GET {path} HTTP/1.1\nAccept: a\n\n"),
        form("empty-host").sends("GET {path} HTTP/1.1\nHost:\n\n"),
        form("bad-host").sends("GET {path} HTTP/1.1\nHost: a b\n\n"),
        form("target-of-another-host").sends("GET http://other.test{path} HTTP/1.1\nHost: portero.test\n\n"),
        target("encoded-slash", "{path}%2fx"),
        target("bad-escape", "{path}/%zz"),
        target("dots-above", "{path}/../../x"),
        target("backslash", "{path}\\x"),
        target("fragment", "{path}#x"),
        target("target-with-control", "{path}\u{1}"),
        target("target-latin", "{path}/\u{f1}"),
        target("target-without-slash", "public"),
        target("target-long", &format!("{{path}}?{}", "x".repeat(20_000))),
        form("two-spaces").sends("GET  {path} HTTP/1.1\nHost: portero.test\n\n"),
        form("no-version").sends("GET {path}\n\n"),
        form("lower-case-method").sends(GET.replace("GET", "get")),
        form("odd-method").sends(GET.replace("GET", "GE(T")),
        form("version-09").sends(GET.replace("HTTP/1.1", "HTTP/0.9")),
        form("version-10-odd").sends(GET.replace("HTTP/1.1", "http/1.1")),
        form("not-http").sends("SSH-2.0-OpenSSH_9.6\n"),
        form("tls-in-the-clear")
            .turn("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}\n\n".to_owned(), Until::End),
        form("half-preface").turn("PRI * HTTP/2.0\n\nXX\n\n".to_owned(), Until::End),
        form("many-fields").sends(GET.replace("Host", &format!("{many}Host"))),
        field("large-field", &format!("X-A: {}", "x".repeat(70_000))),
    ]
}

fn malformed_bodies() -> Vec<Form> {
    let lines = |name, lines: &[&str], body: &str| {
        form(name).sends(message(&[&["POST {path} HTTP/1.1", "Host: portero.test"], lines].concat(), body))
    };
    let chunked = |name, body: &str| lines(name, &["Transfer-Encoding: chunked"], body);
    vec![
        lines("length-and-chunked", &["Content-Length: 2", "Transfer-Encoding: chunked"], "2\nhi\n0\n\n"),
        lines("two-lengths", &["Content-Length: 2", "Content-Length: 3"], "hi!"),
        lines("same-length-in-two-fields", &["Content-Length: 2", "Content-Length: 2"], "hi"),
        lines("length-with-sign", &["Content-Length: +2"], "hi"),
        lines("length-negative", &["Content-Length: -2"], "hi"),
        lines("length-empty", &["Content-Length:"], ""),
        lines("length-huge", &["Content-Length: 99999999999999999999"], ""),
        lines("coding-unknown", &["Transfer-Encoding: gzip"], ""),
        lines("coding-before-chunked", &["Transfer-Encoding: gzip, chunked"], "2\nhi\n0\n\n"),
        lines("coding-after-chunked", &["Transfer-Encoding: chunked, gzip"], "2\nhi\n0\n\n"),
        lines("chunked-twice", &["Transfer-Encoding: chunked, chunked"], "2\nhi\n0\n\n"),
        lines("expects-otherwise", &["Content-Length: 2", "Expect: 200-ok"], "hi"),
        chunked("chunk-size-bad", "x\nhi\n0\n\n"),
        chunked("chunk-size-signed", "+2\nhi\n0\n\n"),
        chunked("chunk-size-huge", "11111111111111111\nhi\n0\n\n"),
        chunked("chunk-size-empty", "\nhi\n0\n\n"),
        chunked("chunk-with-bare-lf", "2␊hi\n0\n\n"),
        chunked("chunk-too-long", "2\nhi!\n0\n\n"),
        chunked("chunk-extension-empty", "2;\nhi\n0\n\n"),
        chunked("chunk-extension-bad", "2;a=[b\nhi\n0\n\n"),
        chunked("chunk-extension-control", "2;a=\u{1}\nhi\n0\n\n"),
        chunked("chunk-space-behind", "2 \nhi\n0\n\n"),
        chunked("trailer-bad", "2\nhi\n0\nX A: 1\n\n"),
        chunked("trailer-folded", "2\nhi\n0\nX-A: 1\n 2\n\n"),
    ]
}

/// Clients that the gateway does not wait for longer.
fn late() -> Vec<Form> {
    let hasty = |name| form(name).hasty();
    vec![
        hasty("late-nothing").turn(String::new(), Until::End),
        hasty("late-head").turn("GET {path} HTTP/1.1\nHost: portero.test\n".to_owned(), Until::End),
        hasty("late-line").turn("GET {path}".to_owned(), Until::End),
        hasty("late-body").sends(POST.replace("hi", "h")),
        hasty("late-chunk")
            .sends(POST.replace("Content-Length: 2", "Transfer-Encoding: chunked").replace("hi", "2\nh")),
        hasty("late-login").sends("POST /auth HTTP/1.1\nHost: portero.test\nContent-Length: 9\n\n{"),
        hasty("late-second").sends(GET).turn(String::new(), Until::End),
        hasty("late-second-head").sends(GET).turn("GET ".to_owned(), Until::End),
        hasty("late-body-of-a-denied").sends(POST.replace("hi", "h")).route("accept = [\"sws\"]"),
    ]
}
