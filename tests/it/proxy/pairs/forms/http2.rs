//! HTTP/2 before the gateway, behind it, and on both sides.

use h2::Reason;

use super::{
    super::{Call, Client, Form, Service, Then, form, http2::Reply},
    CORS, GET, POST,
};

pub(super) fn forms() -> Vec<Form> {
    let mut forms = served();
    forms.extend(answered());
    forms.extend(refused());
    forms.extend(behind());
    forms.extend(grpc());
    forms
}

fn get() -> Call {
    Call::new("GET", "{path}")
}

fn post() -> Call {
    Call::new("POST", "{path}")
}

fn served() -> Vec<Form> {
    let fields = [
        ("user-agent", "recorder"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("x-two", "a"),
        ("x-between", "b"),
        ("x-two", "c"),
        ("te", "trailers"),
        ("x-auth-subject", "eve"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-request-id", "mine"),
        ("proxy-authorization", "Basic c2VjcmV0"),
        ("x-empty", ""),
    ];
    let mut frames = form("h2-frames");
    frames.client = Client::Frames;
    vec![
        frames,
        form("h2-get").calls(get()).calls(get()),
        form("h2-get-with-fields").calls(Call::new("GET", "{path}/a%20b?c=d").fields(&fields)),
        form("h2-get-with-host").calls(get().fields(&[("host", "portero.test")])),
        form("h2-head").calls(Call::new("HEAD", "{path}")).answered("HTTP/1.1 200 OK\nContent-Length: 2\n\n"),
        form("h2-delete").calls(Call::new("DELETE", "{path}")),
        form("h2-options").calls(Call::new("OPTIONS", "{path}")),
        form("h2-post").calls(post().fields(&[("content-length", "2")]).data("hi")),
        form("h2-post-without-length").calls(post().data("hel").data("lo")),
        form("h2-post-with-fields").calls(post().fields(&fields).data("hi")),
        form("h2-post-with-trailers").calls(post().data("hi").trailers(&[("x-sum", "1"), ("x-auth-role", "ADMIN")])),
        form("h2-post-empty").calls(post()),
        form("h2-post-expects").calls(post().fields(&[("expect", "100-continue"), ("content-length", "2")]).data("hi")),
        form("h2-put-empty").calls(Call::new("PUT", "{path}").fields(&[("content-length", "0")])),
        form("h2-put-without-length").calls(Call::new("PUT", "{path}").data("")),
        form("h2-checked")
            .calls(get().fields(&[("authorization", "Bearer {sws}")]))
            .route("accept = [\"sws\"]"),
        form("h2-spelling").calls(get().fields(&[("x-own", "1")])).pool("preserve_header_case = true"),
        form("h2-rewritten").calls(post().data("hi")).route(
            "auth = \"public\"\nharden = true\nreplace_prefix = \"/v2\"\nhost = \"crm.internal\"\n\
             request_headers = { set = { X-Env = \"prod\" } }\nresponse_headers = { set = { X-Set = \"1\" }, remove = [\"X-Own\"] }",
        ),
        form("h2-login").calls(
            Call::new("POST", "/auth").data(r#"{"client_id":"demo_client_123","client_secret":"demo_secret_456_ABCDEFGH"}"#),
        ),
        form("h2-login-refused").calls(Call::new("POST", "/api/auth/refreshtoken").data("{}")),
        form("h2-preflight")
            .calls(Call::new("OPTIONS", "{path}").fields(&[
                ("origin", "https://app.test"),
                ("access-control-request-method", "PUT"),
            ]))
            .route(&format!("auth = \"public\"\n{CORS}")),
        form("h2-page")
            .calls(get().fields(&[("origin", "https://app.test")]))
            .route(&format!("auth = \"public\"\n{CORS}")),
    ]
}

fn answered() -> Vec<Form> {
    let answer = |name, text: &str| form(name).calls(get()).answered(text);
    let fields = "HTTP/1.1 404 Not Here\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nX-Two: a\nX-Between: b\nx-two: c\n\
                  Set-Cookie: a=1\nSet-Cookie: b=2\nConnection: keep-alive, X-Hop\nX-Hop: 1\nKeep-Alive: timeout=5\n\
                  Upgrade: h2c\nTrailer: X-A\nX-Latin: caf\u{e9}\nContent-Length: 2\n\nno";
    let hints = "HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok";
    let slow = "timeouts.read = \"200ms\"";
    vec![
        answer("h2-answer-with-fields", fields),
        answer("h2-answer-204", "HTTP/1.1 204 No Content\nContent-Length: 60\n\n"),
        answer("h2-answer-304", "HTTP/1.1 304 Not Modified\nETag: \"a\"\nContent-Length: 60\n\n"),
        answer("h2-answer-empty", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        answer("h2-answer-after-103", hints),
        answer("h2-answer-chunked", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n"),
        answer("h2-answer-chunked-empty", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n"),
        answer(
            "h2-answer-with-trailers",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n2\nok\n0\nX-Sum: 1\n\n",
        ),
        answer("h2-answer-until-the-end", "HTTP/1.1 200 OK\n\nuntil the end").then(Then::Closes),
        answer("h2-answer-http10", "HTTP/1.0 200 OK\nContent-Length: 2\n\nok"),
        answer("h2-answer-and-close", "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok").calls(get()),
        form("h2-fault-closes").calls(get()).then(Then::ClosesAtOnce),
        form("h2-fault-closes-post").calls(post().data("hi")).then(Then::ClosesAtOnce),
        form("h2-fault-silent").calls(get()).then(Then::IsSilent).pool(slow),
        answer("h2-fault-cut-length", "HTTP/1.1 200 OK\nContent-Length: 10\n\nonly").then(Then::Closes),
        answer("h2-fault-cut-chunked", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\nonly\n").then(Then::Closes),
        answer("h2-fault-garbage", "I am no web server\n\n"),
    ]
}

fn refused() -> Vec<Form> {
    let small = |name| form(name).route("auth = \"public\"\nbody_bytes_max = \"16B\"");
    let checked = |name| form(name).route("accept = [\"become\"]");
    let many: Vec<_> = (0..201).map(|_| ("x-many", "1")).collect();
    vec![
        checked("h2-no-token").calls(get()).calls(get()),
        checked("h2-no-token-post").calls(post().data("hi")),
        checked("h2-no-token-head").calls(Call::new("HEAD", "{path}")),
        checked("h2-bad-token").calls(get().fields(&[("authorization", "Bearer x.y.z")])),
        form("h2-no-route").calls(Call::new("GET", "/nowhere")),
        form("h2-method-not-allowed").calls(post().data("hi")).route("auth = \"public\"\nmethods = [\"GET\"]"),
        form("h2-trace").calls(Call::new("TRACE", "{path}")),
        small("h2-too-large").calls(post().fields(&[("content-length", "17")]).data("x".repeat(17))),
        small("h2-too-large-without-length").calls(post().data("x".repeat(17))),
        form("h2-other-host").calls(get().fields(&[("host", "other.test")])),
        form("h2-many-fields").calls(get().fields(&many)),
        form("h2-encoded-slash").calls(Call::new("GET", "{path}%2fx")),
    ]
}

/// HTTP/2 behind the gateway alone.
fn behind() -> Vec<Form> {
    let usual = || Reply::new(200).fields(&[("x-own", "1"), ("set-cookie", "a"), ("set-cookie", "b")]).data("ok");
    let served = |name, request: &str, reply| form(name).sends(request).served_by(Service::Http2(reply));
    let fields =
        "Cookie: a=1\nCookie: b=2\nX-Two: a\nX-Between: b\nx-two: c\nTE: trailers\nConnection: TE, X-Hop\nX-Hop: 1\n";
    let chunks = POST.replace("Content-Length: 2", "Transfer-Encoding: chunked");
    vec![
        form("behind-frames").sends(POST).served_by(Service::Frames),
        served("behind-get", GET, usual()).sends(GET),
        served("behind-get-with-fields", &GET.replace("Host", &format!("{fields}Host")), usual()),
        served("behind-head", &GET.replace("GET", "HEAD"), Reply::new(200).fields(&[("content-length", "2")])),
        served("behind-post", POST, usual()),
        served("behind-post-chunked", &chunks.replace("hi", "2\nhi\n0\n\n"), usual()),
        served("behind-post-with-trailers", &chunks.replace("hi", "2\nhi\n0\nX-Sum: 1\n\n"), usual()),
        served("behind-put-empty", "PUT {path} HTTP/1.1\nHost: portero.test\nContent-Length: 0\n\n", usual()),
        served("behind-delete", &GET.replace("GET", "DELETE"), usual()),
        served("behind-http10", &GET.replace("1.1", "1.0"), usual()),
        served("behind-204", GET, Reply::new(204)),
        served("behind-304", GET, Reply::new(304).fields(&[("etag", "\"a\"")])),
        served("behind-empty", GET, Reply::new(200)),
        served("behind-length", GET, usual().fields(&[("content-length", "2")])),
        served("behind-with-trailers", GET, usual().trailers(&[("x-sum", "1")])),
        served("behind-after-103", GET, usual().after(103)),
        served("behind-upgrade", super::UPGRADE, usual()),
        served("behind-refuses", POST, Reply::reset(Reason::REFUSED_STREAM)),
        served("behind-resets", GET, Reply::reset(Reason::INTERNAL_ERROR)),
        served("behind-changed", POST, usual()).route(
            "auth = \"public\"\nharden = true\nreplace_prefix = \"/v2\"\nhost = \"crm.internal\"\n\
             request_headers = { set = { X-Env = \"prod\" } }\nresponse_headers = { set = { X-Set = \"1\" } }",
        ),
    ]
}

/// HTTP/2 on both sides.
fn grpc() -> Vec<Form> {
    let call = || {
        let fields = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "1S")];
        post().fields(&fields).data("\0\0\0\0\u{2}hi")
    };
    let answer = || Reply::new(200).fields(&[("content-type", "application/grpc")]);
    let over = |name, call: Call, reply| form(name).calls(call).served_by(Service::Http2(reply));
    let end = [("grpc-status", "0"), ("grpc-message", "")];
    vec![
        over("h2-both-get", get(), Reply::new(200).data("ok")).calls(get()),
        over("h2-both-head", Call::new("HEAD", "{path}"), Reply::new(200).fields(&[("content-length", "2")])),
        over("h2-both-post", post().fields(&[("content-length", "2")]).data("hi"), Reply::new(200).data("ok")),
        over(
            "h2-both-trailers",
            post().data("hi").trailers(&[("x-sum", "1"), ("x-auth-role", "ADMIN")]),
            Reply::new(200).data("ok").trailers(&[("x-end", "1")]),
        ),
        over("h2-both-204", get(), Reply::new(204)),
        over("h2-both-after-103", get(), Reply::new(200).data("ok").after(103)),
        over("h2-both-reset", post().data("hi"), Reply::reset(Reason::INTERNAL_ERROR)),
        over("grpc-unary", call(), answer().data("\0\0\0\0\u{2}ok").trailers(&end)),
        over(
            "grpc-error",
            call(),
            Reply::new(200).fields(&[("content-type", "application/grpc"), ("grpc-status", "5")]),
        ),
        over("grpc-stream", call().data("\0\0\0\0\u{3}two").in_turns(), answer().echoes().trailers(&end)),
        over("grpc-no-token", call(), answer()).route("accept = [\"become\"]"),
        over(
            "grpc-with-a-token",
            call().fields(&[("authorization", "Bearer {become}")]),
            answer().data("x").trailers(&end),
        )
        .route("accept = [\"become\"]"),
        form("grpc-to-http1").calls(call()),
        form("grpc-fault").calls(call()).then(Then::ClosesAtOnce),
        form("grpc-no-route")
            .calls(Call::new("POST", "/test.Nowhere/Say").fields(&[("content-type", "application/grpc")])),
    ]
}
