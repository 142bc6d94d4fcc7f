//! What services answer, and how they fail.

use super::{
    super::{Form, Service, Then, Until, form},
    GET, POST,
};

pub(super) fn forms() -> Vec<Form> {
    let mut forms = answers();
    forms.extend(framings());
    forms.extend(faults());
    forms
}

fn head(name: &'static str, request: &str, answer: &str) -> Form {
    form(name).sends(request).answered(answer)
}

fn answers() -> Vec<Form> {
    let fields = "HTTP/1.1 200 OK\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nserver: own\nx-lower: 1\nX-UPPER: 2\nX-Two: a\n\
                  X-Between: b\nx-two: c\nSet-Cookie: a=1\nSet-Cookie: b=2\nX-Empty:\nX-Latin: caf\u{e9}\nX-Spaces:   a b  \n\
                  Connection: keep-alive, X-Hop\nX-Hop: 1\nKeep-Alive: timeout=5\nUpgrade: h2c\nProxy-Connection: a\n\
                  Trailer: X-A\nX-Request-Id: service\nVia: 1.1 a\nAlt-Svc: h3=\":443\"\nContent-Length: 2\nX-Last: 1\n\nok";
    let many = format!("HTTP/1.1 200 OK\n{}Content-Length: 2\n\nok", "X-Many: 1\n".repeat(150));
    let hints = "HTTP/1.1 103 Early Hints\nLink: </a>\nX-Own: 1\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok";
    vec![
        head("answer-with-fields", GET, fields),
        head("answer-with-fields-to-post", POST, fields),
        head("answer-with-many-fields", GET, &many),
        head("answer-with-reason", GET, "HTTP/1.1 404 Not Here\nContent-Length: 2\n\nno"),
        head("answer-without-reason", GET, "HTTP/1.1 200\nContent-Length: 2\n\nok"),
        head("answer-with-odd-status", GET, "HTTP/1.1 299 Odd\nContent-Length: 2\n\nok"),
        head("answer-with-status-600", GET, "HTTP/1.1 600 Odd\nContent-Length: 2\n\nok"),
        head("answer-204", GET, "HTTP/1.1 204 No Content\nX-Own: 1\n\n"),
        head("answer-204-to-post", POST, "HTTP/1.1 204 No Content\nX-Own: 1\n\n"),
        head("answer-204-with-length", GET, "HTTP/1.1 204 No Content\nContent-Length: 60\n\n"),
        head("answer-204-chunked", GET, "HTTP/1.1 204 No Content\nTransfer-Encoding: chunked\n\n"),
        head("answer-205", GET, "HTTP/1.1 205 Reset Content\nContent-Length: 0\n\n"),
        head("answer-304", GET, "HTTP/1.1 304 Not Modified\nETag: \"a\"\n\n"),
        head("answer-304-with-length", GET, "HTTP/1.1 304 Not Modified\nETag: \"a\"\nContent-Length: 60\n\n"),
        head("answer-empty", GET, "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        head("answer-after-100", POST, "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
        head("answer-after-102", GET, "HTTP/1.1 102 Processing\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
        head("answer-after-103", GET, hints),
        head("answer-after-103-to-post", POST, hints),
        head("answer-and-close", GET, "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok").sends(GET),
        head("answer-and-end", GET, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok").then(Then::Closes).sends(GET),
        head("answer-and-surplus", GET, "HTTP/1.1 200 OK\nContent-Length: 2\n\nokEVIL").sends(GET),
        head("answer-and-surplus-to-post", POST, "HTTP/1.1 200 OK\nContent-Length: 2\n\nokEVIL").sends(POST),
        form("answer-before-the-body-and-close").sends(POST.replace("Length: 2", "Length: 9")).served_by(
            Service::Http1 {
                answers: vec!["HTTP/1.1 413 Too Large\nConnection: close\nContent-Length: 2\n\nno".to_owned()],
                then: Then::Stays,
                asks: Some("hi"),
            },
        ),
        form("answer-before-the-body-and-all-of-it")
            .sends(POST.replace("Length: 2", "Length: 9"))
            .turn(
                "-and-onGET /nowhere HTTP/1.1\nHost: portero.test\n\n".to_owned(),
                Until::Answers(vec!["GET".to_owned()]),
            )
            .served_by(Service::Http1 {
                answers: vec!["HTTP/1.1 200 OK\nContent-Length: 2\n\nok".to_owned()],
                then: Then::Stays,
                asks: Some("hi"),
            }),
        form("answer-before-the-body").sends(POST.replace("Length: 2", "Length: 9")).served_by(Service::Http1 {
            answers: vec!["HTTP/1.1 200 OK\nContent-Length: 2\n\nok".to_owned()],
            then: Then::Stays,
            asks: Some("hi"),
        }),
    ]
}

fn framings() -> Vec<Form> {
    let chunks = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nX-Own: 1\n\n3\nabc\n2;x=y\nde\n0\n\n";
    let trailers =
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n3\nabc\n0\nX-Sum: 1\nx-auth-a: 2\n\n";
    let until_the_end = "HTTP/1.1 200 OK\nX-Own: 1\n\nuntil the end";
    vec![
        head("answer-chunked", GET, chunks).sends(GET),
        head("answer-chunked-to-post", POST, chunks),
        head("answer-chunked-empty", GET, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n"),
        head("answer-chunked-with-trailers", GET, trailers),
        head(
            "answer-chunked-with-trailers-asked",
            &GET.replace("Host", "TE: trailers\nConnection: TE\nHost"),
            trailers,
        ),
        head("answer-chunked-in-capitals", GET, "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n2\nok\n0\n\n"),
        head("answer-until-the-end", GET, until_the_end).then(Then::Closes),
        head("answer-until-the-end-to-post", POST, until_the_end).then(Then::Closes),
        head("answer-until-the-end-to-head", &GET.replace("GET", "HEAD"), "HTTP/1.1 200 OK\n\n").then(Then::Closes),
        head("answer-until-the-end-http10-client", &GET.replace("1.1", "1.0"), until_the_end).then(Then::Closes),
        head("answer-until-a-reset", GET, until_the_end).then(Then::Resets),
        head("answer-http10", GET, "HTTP/1.0 200 OK\nContent-Length: 2\n\nok").sends(GET),
        head("answer-http10-kept", GET, "HTTP/1.0 200 OK\nConnection: keep-alive\nContent-Length: 2\n\nok").sends(GET),
        head(
            "answer-http10-kept-and-chunks-sent",
            GET,
            "HTTP/1.0 200 OK\nConnection: keep-alive\nContent-Length: 2\n\nok",
        )
        .sends(POST.replace("Content-Length: 2", "Transfer-Encoding: chunked").replace("hi", "2\nhi\n0\n\n")),
        head("answer-http10-until-the-end", GET, "HTTP/1.0 200 OK\n\nuntil the end").then(Then::Closes),
        head("answer-http10-chunked", GET, "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n"),
        head("answer-http10-chunked-to-post", POST, "HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n"),
        head("answer-http12", GET, "HTTP/1.2 200 OK\nContent-Length: 2\n\nok"),
        head("answer-length-twice", GET, "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\n\nok"),
        head("answer-length-list", GET, "HTTP/1.1 200 OK\nContent-Length: 2, 2\n\nok"),
        head("answer-length-list-to-post", POST, "HTTP/1.1 200 OK\nContent-Length: 2, 2\n\nok"),
        head("answer-two-lengths", GET, "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\nok!"),
        head("answer-two-lengths-to-post", POST, "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\nok!"),
        head("answer-length-bad", GET, "HTTP/1.1 200 OK\nContent-Length: x\n\nok"),
        head(
            "answer-length-and-chunked",
            GET,
            "HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
        ),
        head(
            "answer-length-and-chunked-to-post",
            POST,
            "HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
        ),
        head("answer-coding-before-chunked", GET, "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n2\nok\n0\n\n"),
        head(
            "answer-coding-before-chunked-to-post",
            POST,
            "HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n2\nok\n0\n\n",
        ),
        head("answer-coding-unknown", GET, "HTTP/1.1 200 OK\nTransfer-Encoding: gzip\n\nok").then(Then::Closes),
        head(
            "answer-chunked-twice",
            GET,
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
        ),
        head("answer-folded", GET, "HTTP/1.1 200 OK\nX-Folded: a\n b\nContent-Length: 2\n\nok"),
        head("answer-blank-before-colon", GET, "HTTP/1.1 200 OK\nX-Blank : a\nContent-Length: 2\n\nok"),
        head("answer-with-bare-lf", GET, "HTTP/1.1 200 OK␊Content-Length: 2␊␊ok"),
        head("answer-without-colon", GET, "HTTP/1.1 200 OK\nnothing\nContent-Length: 2\n\nok"),
    ]
}

fn faults() -> Vec<Form> {
    let slow = "timeouts.read = \"200ms\"";
    // What does come has to come in time.
    let slow_within = "timeouts.read = \"3s\"";
    let cut = "HTTP/1.1 200 OK\nContent-Length: 10\n\nonly";
    let cut_chunk = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\nonly\n";
    vec![
        form("fault-closes").sends(GET).then(Then::ClosesAtOnce),
        form("fault-closes-post").sends(POST).then(Then::ClosesAtOnce),
        form("fault-closes-put").sends(POST.replace("POST", "PUT")).then(Then::ClosesAtOnce),
        form("fault-closes-head").sends(GET.replace("GET", "HEAD")).then(Then::ClosesAtOnce),
        form("fault-closes-http10").sends(GET.replace("1.1", "1.0")).then(Then::ClosesAtOnce),
        form("fault-closes-kept").sends(GET).sends(GET).then(Then::ClosesAtOnce),
        form("fault-resets").sends(GET).then(Then::ResetsAtOnce),
        form("fault-resets-post").sends(POST).then(Then::ResetsAtOnce),
        form("fault-silent").sends(GET).then(Then::IsSilent).pool(slow),
        form("fault-silent-post").sends(POST).then(Then::IsSilent).pool(slow),
        head("fault-garbage", GET, "I am no web server\n\n"),
        head("fault-garbage-post", POST, "I am no web server\n\n"),
        head("fault-half-head", GET, "HTTP/1.1 200 OK\nContent-Le").then(Then::Closes),
        head("fault-half-head-post", POST, "HTTP/1.1 200 OK\nContent-Le").then(Then::Closes),
        head("fault-half-head-and-silence", GET, "HTTP/1.1 200 OK\nContent-Le").pool(slow),
        head("fault-103-only", GET, "HTTP/1.1 103 Early Hints\nLink: </a>\n\n").then(Then::Closes),
        head("fault-cut-length", GET, cut).then(Then::Closes),
        head("fault-cut-length-post", POST, cut).then(Then::Closes),
        head("fault-cut-length-http10", &GET.replace("1.1", "1.0"), cut).then(Then::Closes),
        head("fault-cut-chunked", GET, cut_chunk).then(Then::Closes),
        head("fault-cut-chunked-post", POST, cut_chunk).then(Then::Closes),
        head("fault-silent-body", GET, cut).pool(slow_within),
        head("fault-silent-body-post", POST, cut).pool(slow_within),
        head("fault-bad-chunk", GET, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nx\nonly\n0\n\n"),
    ]
}
