//! Requests that are served: methods, bodies, versions, connections.

use super::{
    super::{Form, Until, form},
    GET, POST, message,
};

pub(super) fn forms() -> Vec<Form> {
    let mut forms = methods();
    forms.extend(framed());
    forms.extend(versions());
    forms.extend(connections());
    forms
}

fn methods() -> Vec<Form> {
    let fields = [
        "GET {path}/a%20b/?c=d&e HTTP/1.1",
        "HOST: Portero.Test",
        "Connection: keep-alive, X-Hop, X-Auth-Subject",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Proxy-Authorization: Basic c2VjcmV0",
        "x-lower: 1",
        "X-UPPER: 2",
        "x-Two: a",
        "X-Between: b",
        "X-TWO: c",
        "Cookie: a=1",
        "Cookie: b=2",
        "Accept-Encoding: gzip",
        "X-Empty:",
        "X-Spaces:   a b  ",
        "X-Latin: caf\u{e9}",
        "X_Odd: 1",
        "X-Forwarded-For: 192.0.2.1",
        "Forwarded: for=192.0.2.1",
        "X-Real-IP: 192.0.2.1",
        "x-auth-subject: eve",
        "X_Auth_Role: ADMIN",
        "X-Request-Id: mine",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate: a=b",
    ];
    let asks = "Origin: https://app.test\nAccess-Control-Request-Method: PUT";
    vec![
        form("get").sends(GET),
        form("get-without-space").sends("GET {path} HTTP/1.1\nHost:portero.test\nAccept:*/*\n\n"),
        form("get-with-fields").sends(message(&fields, "")),
        form("get-absolute").sends("GET http://Portero.test{path}?q HTTP/1.1\nHost: portero.test\nAccept: a\n\n"),
        form("get-encoded").sends("GET {path}/%7eana/%c3%b1/./x?%zz&\"<> HTTP/1.1\nHost: portero.test\n\n"),
        form("head").sends(GET.replace("GET", "HEAD")).answered("HTTP/1.1 200 OK\nContent-Length: 2\nX-Own: 1\n\n"),
        form("head-chunked")
            .sends(GET.replace("GET", "HEAD"))
            .answered("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"),
        form("head-without-length").sends(GET.replace("GET", "HEAD")).answered("HTTP/1.1 200 OK\nX-Own: 1\n\n"),
        form("delete").sends(GET.replace("GET", "DELETE")),
        form("delete-with-body").sends(POST.replace("POST", "DELETE")),
        form("get-with-body").sends(POST.replace("POST", "GET")),
        form("patch").sends(POST.replace("POST", "PATCH")),
        form("propfind").sends(GET.replace("GET", "PROPFIND")),
        form("options").sends(GET.replace("GET", "OPTIONS")),
        form("options-of-a-page").sends(format!("OPTIONS {{path}} HTTP/1.1\nHost: portero.test\n{asks}\n\n")),
        form("options-star").sends("OPTIONS * HTTP/1.1\nHost: portero.test\n\n"),
        form("put-empty").sends("PUT {path} HTTP/1.1\nHost: portero.test\nContent-Length: 0\n\n"),
        form("put-without-length").sends(GET.replace("GET", "PUT")),
        form("post-without-length").sends(GET.replace("GET", "POST")),
    ]
}

fn framed() -> Vec<Form> {
    let chunked = |rest: &str| {
        let head = ["POST {path} HTTP/1.1", "Host: portero.test", "Transfer-Encoding: chunked", "Content-Type: text/a"];
        message(&head, rest)
    };
    let expects = ["POST {path} HTTP/1.1", "Host: portero.test", "Content-Length: 2", "Expect: 100-continue"];
    let fields = [
        "POST {path} HTTP/1.1",
        "host: portero.test",
        "Content-Type: application/json",
        "x-one: 1",
        "Content-Length: 2",
        "Connection: X-Hop",
        "X-Hop: 1",
        "Cookie: a=1",
        "TE: trailers",
        "X-Auth-Role: ADMIN",
    ];
    vec![
        form("post").sends(POST),
        form("post-with-fields").sends(message(&fields, "{}")),
        form("post-large")
            .sends(message(&["POST {path} HTTP/1.1", "Host: portero.test", "Content-Length: 3000"], &"x".repeat(3000))),
        form("post-length-twice").sends("POST {path} HTTP/1.1\nHost: portero.test\nContent-Length: 2, 2\n\nhi"),
        form("post-in-two-writes")
            .turn(message(&expects[..3], "").replace(": 2", ": 5"), Until::Answers(vec![]))
            .sends("hello"),
        form("post-expects")
            .turn(message(&expects, ""), Until::Head)
            .turn("hi".to_owned(), Until::Answers(vec!["POST".to_owned()])),
        form("post-expects-and-sends").pipelines(&message(&expects, "hi"), &["POST"]),
        form("get-expects").sends("GET {path} HTTP/1.1\nHost: portero.test\nExpect: 100-continue\n\n"),
        form("post-chunked").sends(chunked("5\nhello\n6\n world\n0\n\n")),
        form("post-chunked-empty").sends(chunked("0\n\n")),
        form("post-chunked-with-extensions").sends(chunked("5;a=b;c=\"d;e\"\nhello\n0;last\n\n")),
        form("post-chunked-with-zeros").sends(chunked("0005\nhello\n000\n\n")),
        form("post-chunked-with-trailers").sends(
            chunked("5\nhello\n0\nX-Sum: 1\nX-Auth-Role: ADMIN\n\n")
                .replace("Content-Type", "Trailer: X-Sum\nContent-Type"),
        ),
        form("post-chunked-in-capitals").sends(chunked("A\n0123456789\n0\n\n").replace("chunked", "Chunked")),
    ]
}

fn versions() -> Vec<Form> {
    let old = GET.replace("1.1", "1.0");
    let chunks = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n5\nhello\n0\nX-Sum: 1\n\n";
    vec![
        form("http10-get").sends(&*old),
        form("http10-without-host").sends("GET {path} HTTP/1.0\n\n"),
        form("http10-kept").sends(old.replace("Host", "Connection: keep-alive\nHost")),
        form("http10-head").sends(old.replace("GET", "HEAD")),
        form("http10-post").sends(POST.replace("1.1", "1.0")),
        form("http10-post-kept").sends(POST.replace("1.1", "1.0").replace("Host", "Connection: keep-alive\nHost")),
        form("http10-post-chunked")
            .sends("POST {path} HTTP/1.0\nHost: portero.test\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n"),
        form("http10-expects").sends(POST.replace("1.1", "1.0").replace("Host", "Expect: 100-continue\nHost")),
        form("http10-answered-in-chunks").sends(&*old).answered(chunks),
        form("http10-kept-answered-in-chunks")
            .sends(old.replace("Host", "Connection: keep-alive\nHost"))
            .answered(chunks),
        form("http10-answered-after-103")
            .sends(&*old)
            .answered("HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
        form("http10-cut-body")
            .sends(&*old)
            .answered("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n")
            .then(super::super::Then::Closes),
        form("http12").sends(GET.replace("1.1", "1.2")),
        form("http12-post").sends(POST.replace("1.1", "1.2")),
        form("http20-without-preface").sends(GET.replace("1.1", "2.0")),
    ]
}

fn connections() -> Vec<Form> {
    let first = "HTTP/1.1 200 OK\nContent-Length: 5\n\nfirst";
    let second = "HTTP/1.1 200 OK\nContent-Length: 6\n\nsecond";
    let pair = |name| form(name).answered(first).answered(second);
    let quit = GET.replace("Host", "Connection: close\nHost");
    vec![
        pair("kept-get-get").sends(GET).sends(GET),
        pair("kept-post-get").sends(POST).sends(GET),
        pair("kept-get-post").sends(GET).sends(POST),
        pair("kept-chunked-post")
            .sends("POST {path} HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n")
            .sends(POST),
        pair("kept-head-get").sends(GET.replace("GET", "HEAD")).sends(GET),
        pair("pipelined-get-get").pipelines(&GET.repeat(2), &["GET", "GET"]),
        pair("pipelined-post-get").pipelines(&format!("{POST}{GET}"), &["POST", "GET"]),
        pair("pipelined-get-post").pipelines(&format!("{GET}{POST}"), &["GET", "POST"]),
        pair("pipelined-get-and-malformed").pipelines(&format!("{GET}bad\n\n"), &["GET", "GET"]),
        pair("pipelined-post-and-malformed").pipelines(&format!("{POST}bad\n\n"), &["POST", "GET"]),
        pair("crlf-before-a-request").pipelines(&format!("\n{GET}"), &["GET"]),
        pair("crlf-behind-a-body").pipelines(&format!("{POST}\n{GET}"), &["POST", "GET"]),
        form("get-and-close").sends(&*quit),
        form("post-and-close").sends(POST.replace("Host", "Connection: close\nHost")),
        pair("close-and-another").pipelines(&format!("{quit}{GET}"), &["GET", "GET"]),
    ]
}
