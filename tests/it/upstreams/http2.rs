//! HTTP/2 with an upstream, frame by frame: trailers, streams that are refused, connections that go away.

use std::{
    future::poll_fn,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Waker},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http::{HeaderMap, Request as Head, Response};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::{Builder, Runtime},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{named_pool, nobody, pool, start};
use crate::support::{
    Authority, Config, Connection, Folder, PATIENCE, RawStream, RawUpstream, Request, get, wait_until, with_client,
};

/// A server of HTTP/2 in clear that counts connections and requests.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    _runtime: Runtime,
}

type Serve = fn(usize, Head<RecvStream>, SendResponse<Bytes>) -> End;

/// What becomes of a connection after a request.
#[derive(PartialEq)]
enum End {
    Stays,
    Breaks,
}

impl Server {
    /// `serve` is given the number of each request, from 0.
    fn start(serve: Serve) -> Self {
        Self::allowing(100, serve)
    }

    /// So many streams on each connection.
    fn allowing(streams: u32, serve: Serve) -> Self {
        Self::over(None, streams, serve)
    }

    fn over(tls: Option<TlsAcceptor>, streams: u32, serve: Serve) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (connected, requested) = (Arc::clone(&connections), Arc::clone(&requests));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connected.fetch_add(1, Ordering::SeqCst);
                let (requested, tls) = (Arc::clone(&requested), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, streams, serve, &requested).await,
                        // One that does not offer what it speaks is refused.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, streams, serve, &requested).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, connections, requests, _runtime: runtime }
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, streams: u32, serve: Serve, requested: &AtomicUsize) {
    let shaking_hands = h2::server::Builder::new().max_concurrent_streams(streams).handshake(stream);
    // A health check says nothing.
    let Ok(mut connection) = shaking_hands.await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let number = requested.fetch_add(1, Ordering::SeqCst);
        if serve(number, request, respond) == End::Breaks {
            return;
        }
    }
}

/// TLS that agrees on HTTP/2 and nothing else, as a server named `localhost` whose authority is `ca.pem` in the folder.
fn http2_alone(folder: &Folder) -> TlsAcceptor {
    let authority = Authority::new();
    authority.write(folder, "ca");
    authority.issue(folder, "server", "localhost");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let certificates = CertificateDer::pem_file_iter(folder.file("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.file("server.key")).unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(certificates, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn answer(mut respond: SendResponse<Bytes>) -> End {
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(b"streamed"), true).unwrap();
    End::Stays
}

const HTTP_2: &str = "http = \"2\"";

#[test]
fn requests_share_a_connection_and_trailers_break_nothing() {
    let server = Server::start(|_, _, mut respond| {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"streamed"), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        body.send_trailers(trailers).unwrap();
        End::Stays
    });
    let gateway = start(&pool(&[server.address], HTTP_2));
    let mut connection = Connection::open(gateway.front);
    for _ in 0..5 {
        assert_eq!(connection.send(&get("/")).text(), "streamed");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

/// Sends many requests at once on one connection; how many had a good response.
fn burst(gateway: SocketAddr, method: &str, requests: usize) -> usize {
    with_client(gateway, async |mut sender| {
        let mut responses = vec![];
        for _ in 0..requests {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            let head = Head::builder().method(method).uri("http://a/").body(()).unwrap();
            responses.push(sender.send_request(head, true).unwrap().0);
        }
        let mut good = 0;
        for response in responses {
            good += usize::from(response.await.unwrap().status() == 200);
        }
        good
    })
}

#[test]
fn a_burst_makes_as_few_connections_as_can_carry_it() {
    let server = Server::start(|_, _, respond| answer(respond));
    let gateway = start(&pool(&[server.address], HTTP_2));
    assert_eq!(burst(gateway.front, "GET", 60), 60);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_burst_sends_a_server_no_more_streams_than_it_allows() {
    // A POST whose stream is refused is not sent again.
    let server = Server::allowing(1, |_, _, respond| answer(respond));
    let gateway = start(&pool(&[server.address], HTTP_2));
    for _ in 0..2 {
        assert_eq!(burst(gateway.front, "POST", 20), 20);
    }
}

#[test]
fn a_burst_for_a_server_that_is_not_there_fails_as_one() {
    let address = nobody();
    let gateway = start(&pool(&[address], HTTP_2));
    assert!(burst(gateway.front, "GET", 60) < 60);
    let failed = gateway.metric("portero_upstream_connection_failures_total{kind=\"refused\",upstream=\"service\"}");
    assert!((1.0..60.0).contains(&failed), "{failed}");
}

#[test]
fn trailers_say_nothing_that_the_head_may_not() {
    let server = Server::start(|_, _, mut respond| {
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(b"streamed"), false).unwrap();
        let mut trailers = HeaderMap::new();
        for name in ["grpc-status", "x-debug", "server", "content-length", "trailer"] {
            trailers.insert(name, "0".parse().unwrap());
        }
        body.send_trailers(trailers).unwrap();
        End::Stays
    });
    let upstream = format!("[upstreams.service]\nservers = [\"{}\"]\n{HTTP_2}\n", server.address);
    let route = "auth = \"public\"\nharden = true\nresponse_headers.remove = [\"X-Debug\"]";
    let gateway = start(&Config::new().text(&upstream).route("public", "/", route));
    let trailers = with_client(gateway.front, async |mut sender| {
        poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
        let (response, _) = sender.send_request(Head::get("http://a/").body(()).unwrap(), true).unwrap();
        let mut incoming = response.await.unwrap().into_body();
        while let Some(data) = incoming.data().await {
            data.unwrap();
        }
        incoming.trailers().await.unwrap().unwrap()
    });
    assert_eq!(trailers.keys().collect::<Vec<_>>(), ["grpc-status"]);
}

/// Answers with the request's head, a line each, in an order of their own and without what is new with each.
fn tell_head(request: &Head<RecvStream>, mut respond: SendResponse<Bytes>) -> End {
    // A length of 0 is said of a PUT without content (RFC 9110 section 8.6).
    let new = ["x-request-id", "traceparent", "content-length"];
    let fields = request.headers().iter().filter(|(name, _)| !new.contains(&name.as_str()));
    let mut lines: Vec<_> = fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort_unstable();
    lines.insert(0, request.uri().to_string());
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from(lines.join("\n")), true).unwrap();
    End::Stays
}

/// What a client of HTTP/2 reads.
async fn answer_to(sender: &mut h2::client::SendRequest<Bytes>, request: Head<()>, body: bool) -> String {
    poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
    let (response, mut out) = sender.send_request(request, !body).unwrap();
    if body {
        out.send_data(Bytes::from_static(b"body"), true).unwrap();
    }
    let mut incoming = response.await.unwrap().into_body();
    let mut text = vec![];
    while let Some(data) = incoming.data().await {
        text.extend_from_slice(&data.unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_request_with_a_body_has_the_same_head_as_one_without() {
    let server = Server::start(|_, request, respond| tell_head(&request, respond));
    let gateway = start(&pool(&[server.address], HTTP_2));
    Runtime::new().unwrap().block_on(async {
        let stream = tokio::net::TcpStream::connect(gateway.front).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        let driving = tokio::spawn(connection);
        for fields in [
            &[][..],
            &[("te", "trailers")],
            &[("trailer", "x-sum"), ("proxy-authorization", "Basic x")],
            &[("cookie", "a=1"), ("cookie", "b=2"), ("accept", "*/*"), ("x-own", "1"), ("x-own", "2")],
        ] {
            let mut heads = vec![];
            for body in [false, true] {
                let mut request = Head::builder().method("PUT").uri("http://a.test/path?q=1").body(()).unwrap();
                for (name, value) in fields {
                    request.headers_mut().append(*name, value.parse().unwrap());
                }
                heads.push(timeout(PATIENCE, answer_to(&mut sender, request, body)).await.unwrap());
            }
            assert_eq!(heads[0], heads[1], "{fields:?}");
            assert!(heads[0].starts_with("http://a.test/path?q=1\n"), "{fields:?}: {}", heads[0]);
            assert_eq!(heads[0].contains("te: trailers"), fields.contains(&("te", "trailers")), "{}", heads[0]);
        }
        driving.abort();
    });
}

#[test]
fn a_refused_stream_is_opened_again_where_that_changes_nothing() {
    for (method, status, requests) in [("GET", 200, 2), ("POST", 502, 1)] {
        let server = Server::start(|number, _, mut respond| {
            if number > 0 {
                return answer(respond);
            }
            respond.send_reset(Reason::REFUSED_STREAM);
            End::Stays
        });
        let gateway = start(&pool(&[server.address], HTTP_2));
        assert_eq!(gateway.send(&Request::new(method, "/").body("x")).status, status, "{method}");
        assert_eq!(server.requests.load(Ordering::SeqCst), requests, "{method}");
    }
}

#[test]
fn a_connection_that_breaks_takes_a_get_to_another_and_a_post_nowhere() {
    for (method, status, requests) in [("GET", 200, 3), ("POST", 502, 2)] {
        let server = Server::start(|number, _, respond| if number == 1 { End::Breaks } else { answer(respond) });
        let gateway = start(&pool(&[server.address], HTTP_2));
        assert_eq!(gateway.send(&get("/")).status, 200);
        assert_eq!(gateway.send(&Request::new(method, "/").body("x")).status, status, "{method}");
        assert_eq!(server.requests.load(Ordering::SeqCst), requests, "{method}");
        assert_eq!(gateway.send(&get("/")).status, 200, "the pool recovers");
    }
}

#[test]
fn a_server_that_does_not_speak_it_is_502() {
    let old = RawUpstream::start(|stream| {
        stream.read();
        stream.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let gateway = start(&pool(&[old.address], HTTP_2));
    assert_eq!(gateway.send(&get("/")).status, 502);
}

/// The stream of a first request, which a second one looks at.
static FIRST: Mutex<Option<h2::SendStream<Bytes>>> = Mutex::new(None);

#[test]
fn a_response_that_ends_behind_its_length_is_whole_and_its_stream_is_not_reset() {
    let server = Server::start(|number, _, mut respond| {
        let mut first = FIRST.lock().unwrap();
        let mut body = respond.send_response(Response::builder().header("content-length", 5).body(()).unwrap(), false);
        if let Some(mut ended) = first.take() {
            let is_reset = ended.poll_reset(&mut Context::from_waker(Waker::noop())).is_ready();
            let told = if is_reset { "reset" } else { "stays" };
            body.as_mut().unwrap().send_data(Bytes::from_static(told.as_bytes()), true).unwrap();
            // What ends behind its length may end with nothing, or with trailers.
            let _ = if number % 2 == 0 {
                ended.send_data(Bytes::new(), true)
            } else {
                ended.send_trailers(HeaderMap::new())
            };
        } else {
            body.as_mut().unwrap().send_data(Bytes::from_static(b"hello"), false).unwrap();
            *first = body.ok();
        }
        End::Stays
    });
    let gateway = start(&pool(&[server.address], HTTP_2));
    let mut connection = Connection::open(gateway.front);
    for at in 0..2 {
        assert_eq!(connection.send(&get(&format!("/first/{at}"))).text(), "hello");
        let path = format!("/first/{at}");
        let line = gateway.process.access_line("the first", |line| line["path"] == path.as_str());
        assert_eq!((&line["decision"], &line["bytes_out"]), (&"forward".into(), &5.into()));
        let second = connection.send(&get("/second"));
        assert_eq!(second.text(), "stays", "a reset would have come before the next request");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_request_that_ends_behind_its_length_is_whole_for_its_server() {
    for http in ["1.1", "2"] {
        let silent = RawUpstream::start(|stream| while stream.read() {});
        // A server that was still owed some of the body would have an hour to take it.
        let timeouts = format!("http = \"{http}\"\ntimeouts = {{ read = \"300ms\", write = \"1h\" }}\nretries = 0");
        let gateway = start(&pool(&[silent.address], &timeouts));
        let status = with_client(gateway.front, async |mut sender| {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            let head = Head::post("http://a/").header("content-length", 5).body(()).unwrap();
            let (response, mut out) = sender.send_request(head, false).unwrap();
            out.send_data(Bytes::from_static(b"hello"), false).unwrap();
            response.await.unwrap().status()
        });
        assert_eq!(status, 504, "{http}");
    }
}

#[test]
fn a_client_may_end_its_requests_behind_their_length_for_ever() {
    // More would end the connection, where each counted as an error of the stream.
    const REQUESTS: usize = 1100;
    let server = Server::start(|_, request, mut respond| {
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.data().await {}
            respond.send_response(Response::new(()), true).unwrap();
        });
        End::Stays
    });
    let gateway = start(&pool(&[server.address], HTTP_2));
    with_client(gateway.front, async |mut sender| {
        for _ in 0..REQUESTS {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            let head = Head::post("http://a/").header("content-length", 1).body(()).unwrap();
            let (response, mut out) = sender.send_request(head, false).unwrap();
            out.send_data(Bytes::from_static(b"x"), false).unwrap();
            assert_eq!(response.await.unwrap().status(), 200);
            // It comes when the response is over.
            out.send_data(Bytes::new(), true).unwrap();
        }
    });
}

/// Whether the stream of a request was reset whose body its server did not take.
static WAS_RESET: AtomicBool = AtomicBool::new(false);

#[test]
fn a_response_that_is_over_ends_an_upload_that_its_server_does_not_take() {
    let server = Server::start(|_, request, mut respond| {
        let mut body = request.into_body();
        let response = Response::builder().status(401).body(()).unwrap();
        respond.send_response(response, true).unwrap();
        tokio::spawn(async move {
            // What comes is held: the client gets no more room.
            while let Some(piece) = body.data().await {
                if piece.is_err() {
                    WAS_RESET.store(true, Ordering::SeqCst);
                    return;
                }
            }
        });
        End::Stays
    });
    let gateway = start(&pool(&[server.address], HTTP_2));
    let mut connection = Connection::open(gateway.front);
    connection
        .write(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n{}", "x".repeat(200_000)))
        .unwrap();
    assert_eq!(connection.receive_head().unwrap().status, 401);
    connection.is_closed();
    wait_until("the stream is reset", PATIENCE, || WAS_RESET.load(Ordering::SeqCst));
    wait_until("nothing is held", PATIENCE, || gateway.metric("portero_connections{state=\"open\"}") < 0.5);
}

#[test]
fn a_response_that_is_no_http_is_asked_for_once() {
    // SETTINGS; then HEADERS with `:status: 200` and what HTTP/2 does not have (RFC 9113 section 8.2.2).
    let malformed = || {
        RawUpstream::start(|stream| {
            stream.read();
            stream.write("\0\0\0\x04\0\0\0\0\0");
            // The request follows the preface, perhaps in a piece of its own.
            stream.read();
            stream.write("\0\0\x0f\x01\x05\0\0\0\x01\x08\x03200\x0f\x2a\x07chunked");
            while stream.read() {}
        })
    };
    let servers = [malformed(), malformed()];
    let gateway = start(&pool(&servers.each_ref().map(|server| server.address), HTTP_2));
    assert_eq!(gateway.send(&get("/asked")).status, 502);
    let asked: usize = servers.iter().map(|server| server.bytes().matches("PRI * HTTP/2.0").count()).sum();
    assert_eq!(asked, 1);
}

#[test]
fn what_asks_a_server_of_http_2_alone_for_http_1_says_nothing_of_it() {
    let folder = Folder::new();
    let server = Server::over(Some(http2_alone(&folder)), 100, |_, _, respond| answer(respond));
    let name = format!("localhost:{}", server.address.port());
    let healthy = format!("portero_upstream_healthy{{server=\"{name}\",upstream=\"service\"}}");
    for http in ["2", "auto"] {
        let pool = format!(
            "http = \"{http}\"\ntls = {{ ca = \"{}\" }}\neject = {{ failures = 1, for = \"1h\" }}\n\
             health = {{ tcp = true, interval = \"100ms\", timeout = \"20s\", unhealthy = 1 }}",
            folder.file("ca.pem").display()
        );
        let gateway = start(&named_pool(&format!("\"{name}\""), &pool));
        let upgrade = get("/").header("Connection", "Upgrade").header("Upgrade", "websocket");
        for _ in 0..3 {
            assert_eq!(gateway.send(&upgrade).status, 502, "{http}");
        }
        let before = server.connections.load(Ordering::SeqCst);
        wait_until("it was checked", PATIENCE, || server.connections.load(Ordering::SeqCst) > before + 3);
        assert!(gateway.metric(&healthy) > 0.5, "{http}");
        assert_eq!(gateway.send(&get("/")).text(), "streamed", "{http}");
    }
}

#[test]
fn downloads_that_nobody_reads_hold_up_no_other_response() {
    let server = Server::start(|_, request, mut respond| {
        let bytes = if request.uri().path() == "/large" { 1 << 20 } else { 2048 };
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from(vec![b'x'; bytes]), true).unwrap();
        End::Stays
    });
    let gateway = start(&pool(&[server.address], &format!("{HTTP_2}\ntimeouts.read = \"5s\"")));
    with_client(gateway.front, async |mut sender| {
        let mut unread = vec![];
        for _ in 0..40 {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            let head = Head::get("http://a/large").body(()).unwrap();
            unread.push(sender.send_request(head, true).unwrap().0.await.unwrap());
        }
        for _ in 0..20 {
            let other = Connection::open(gateway.front).send(&get("/small"));
            assert_eq!((other.status, other.body.len()), (200, 2048));
        }
        drop(unread);
    });
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

/// A frame: its kind, flags, stream and payload.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Reads until the head of a request has come; false at the end.
fn read_head(stream: &mut RawStream) -> bool {
    loop {
        let mut frames = stream.own().get(24..).unwrap_or_default();
        while let [a, b, c, kind, rest @ ..] = frames {
            if *kind == 1 {
                return true;
            }
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            frames = rest.get(5 + length..).unwrap_or_default();
        }
        if !stream.read() {
            return false;
        }
    }
}

const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A response on the first stream: `:status: 200`, and its end.
fn respond_200(stream: &mut RawStream) {
    stream.write_bytes(&frame(1, 5, 1, &[0x88]));
    while stream.read() {}
}

#[test]
fn a_stream_that_a_server_did_not_take_up_before_it_went_away_is_opened_again() {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    let server = RawUpstream::start(|stream| {
        stream.write_bytes(&SETTINGS);
        if !read_head(stream) {
        } else if CONNECTIONS.fetch_add(1, Ordering::SeqCst) == 0 {
            // GOAWAY: the last stream that was taken up is none.
            stream.write_bytes(&frame(7, 0, 0, &[0; 8]));
        } else {
            respond_200(stream);
        }
    });
    let gateway = start(&pool(&[server.address], &format!("{HTTP_2}\neject = {{ failures = 1, for = \"1h\" }}")));
    assert_eq!(gateway.send(&get("/")).status, 200);
    assert_eq!(CONNECTIONS.load(Ordering::SeqCst), 2);
}

#[test]
fn requests_that_wait_for_a_server_to_say_what_it_allows_have_connections_of_their_own_in_the_end() {
    static BARRIER: std::sync::Barrier = std::sync::Barrier::new(3);
    let server = RawUpstream::start(|stream| {
        if read_head(stream) {
            // It says what it allows once it has all of them.
            BARRIER.wait();
            stream.write_bytes(&SETTINGS);
            respond_200(stream);
        }
    });
    let gateway = start(&pool(&[server.address], &format!("{HTTP_2}\ntimeouts.connect = \"300ms\"")));
    assert_eq!(burst(gateway.front, "GET", 3), 3);
}

#[test]
fn requests_that_wait_for_a_server_that_says_nothing_go_to_another_in_the_end() {
    let silent = RawUpstream::start(|stream| while stream.read() {});
    let server = Server::start(|_, _, respond| answer(respond));
    let settings = format!("{HTTP_2}\ntimeouts = {{ connect = \"300ms\", read = \"1s\" }}");
    let gateway = start(&pool(&[silent.address, server.address], &settings));
    // The one for which the connection was made was sent on it: nobody knows what became of it.
    assert_eq!(burst(gateway.front, "POST", 8), 7);
}

#[test]
fn a_response_has_no_more_fields_than_over_http_1() {
    let server = Server::start(|_, request, mut respond| {
        let fields = request.uri().path()[1..].parse().unwrap();
        let mut response = Response::new(());
        for at in 0..fields {
            response.headers_mut().append("x-many", at.into());
        }
        respond.send_response(response, true).unwrap();
        End::Stays
    });
    let gateway = start(&pool(&[server.address], HTTP_2));
    assert_eq!(gateway.send(&get("/100")).status, 200);
    assert_eq!(gateway.send(&get("/101")).status, 502);
}
