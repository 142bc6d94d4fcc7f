//! Services behind the gateway: a real hyper server that records requests, and a raw socket that
//! records bytes.

use std::{
    convert::Infallible,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    pin::Pin,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    task::{Context, Poll},
    thread,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Runtime};

use super::{
    framing::request_end,
    port::Port,
    wait::{PATIENCE, wait_until},
};

/// Bytes of a recorded body that are kept; the rest is counted.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// A request as an upstream received it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query, as they stood in the request line.
    pub(crate) target: String,
    /// Names in lower case, in the order and number received.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) body_bytes: u64,
}

impl Received {
    /// Every value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The one value of a header that may stand there once at most.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} stands there {} times", values.len());
        values.first().copied()
    }

    /// The path without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// A hyper server: answers 200 with its name, `?bytes=N` with that many zeros, and `?echo` with what it keeps of the
/// body.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    received: Mutex<Receiver<Received>>,
    runtime: Option<Runtime>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        Self::named("upstream")
    }

    pub(crate) fn named(name: &'static str) -> Self {
        // A test may end it, and start another one there.
        Self::on(SocketAddr::from((Ipv4Addr::LOCALHOST, Port::hold().number)), name)
    }

    pub(crate) fn on(address: SocketAddr, name: &'static str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let (record, received) = mpsc::channel();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let record = record.clone();
                let service = service_fn(move |request| answer(request, record.clone(), name));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { address, received: Mutex::new(received), runtime: Some(runtime) }
    }

    /// The next request, waiting for it.
    #[track_caller]
    pub(crate) fn received(&self) -> Received {
        self.received.lock().unwrap().recv_timeout(PATIENCE).expect("the upstream received nothing")
    }

    /// Everything that was received until now and not looked at.
    pub(crate) fn received_so_far(&self) -> Vec<Received> {
        self.received.lock().unwrap().try_iter().collect()
    }

    /// Asserts that nothing was received. Sound once the gateway has answered: it answers no request
    /// that it forwarded before the upstream did.
    #[track_caller]
    pub(crate) fn received_nothing(&self) {
        if let Ok(received) = self.received.lock().unwrap().try_recv() {
            panic!("the upstream received {received:?}");
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    record: Sender<Received>,
    name: &'static str,
) -> Result<Response<Content>, Infallible> {
    let (head, mut incoming) = request.into_parts();
    let (mut body, mut body_bytes) = (vec![], 0);
    while let Some(Ok(frame)) = incoming.frame().await {
        if let Ok(data) = frame.into_data() {
            body_bytes += data.len() as u64;
            body.extend_from_slice(&data[..data.len().min(KEPT_BYTES_MAX - body.len())]);
        }
    }
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let content = match head.uri.query() {
        Some("echo") => Content::Whole(Some(Bytes::from(body.clone()))),
        query => {
            let bytes = query.and_then(|query| query.strip_prefix("bytes=")?.parse().ok());
            bytes.map_or(Content::Whole(Some(Bytes::from_static(name.as_bytes()))), Content::Zeros)
        }
    };
    // Nobody records any more: the test is over.
    let _ = record.send(Received {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body,
        body_bytes,
    });
    Ok(Response::new(content))
}

/// What the hyper server answers with.
enum Content {
    Whole(Option<Bytes>),
    Zeros(u64),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let data = match self.get_mut() {
            Self::Whole(bytes) => bytes.take(),
            Self::Zeros(0) => None,
            Self::Zeros(left) => {
                let now = usize::try_from(*left).unwrap_or(usize::MAX).min(ZEROS.len());
                *left -= now as u64;
                Some(Bytes::from_static(&ZEROS[..now]))
            }
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None) | Self::Zeros(0))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Whole(bytes) => bytes.as_ref().map_or(0, Bytes::len) as u64,
            Self::Zeros(left) => *left,
        })
    }
}

/// A raw socket: what a connection does is a function, what it read is recorded.
#[derive(Debug)]
pub(crate) struct RawUpstream {
    pub(crate) address: SocketAddr,
    read: Arc<Mutex<Vec<u8>>>,
    connections: Arc<Mutex<Vec<Option<String>>>>,
}

/// One connection of a raw upstream. What is read through it is recorded.
pub(crate) struct RawStream {
    stream: TcpStream,
    read: Arc<Mutex<Vec<u8>>>,
    own: Vec<u8>,
    /// Of those, the bytes of requests that `read_request` took.
    taken: usize,
}

impl RawUpstream {
    /// One that answers «late», and only when it is told to.
    pub(crate) fn late() -> (Self, Sender<()>) {
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let upstream = Self::start(move |stream| {
            if stream.read() {
                held.lock().unwrap().recv().unwrap();
                stream.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
            }
        });
        (upstream, release)
    }

    pub(crate) fn start(serve: impl Fn(&mut RawStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let read = Arc::new(Mutex::new(vec![]));
        let (record, serve) = (Arc::clone(&read), Arc::new(serve));
        let connections = Arc::new(Mutex::new(vec![]));
        let ended = Arc::clone(&connections);
        // Both threads end with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // What it writes is there at once, and not when the gateway has said that it has what came before.
                stream.set_nodelay(true).unwrap();
                let (read, serve, ended) = (Arc::clone(&record), Arc::clone(&serve), Arc::clone(&ended));
                let place = {
                    let mut places = ended.lock().unwrap();
                    places.push(None);
                    places.len() - 1
                };
                thread::spawn(move || {
                    let mut connection = RawStream { stream, read, own: vec![], taken: 0 };
                    serve(&mut connection);
                    let own = String::from_utf8_lossy(&connection.own).into_owned();
                    drop(connection);
                    ended.lock().unwrap()[place] = Some(own);
                });
            }
        });
        Self { address, read, connections }
    }

    /// What was read on each connection, waiting for all of them to end.
    #[track_caller]
    pub(crate) fn by_connection(&self) -> Vec<String> {
        wait_until("every connection ends", PATIENCE, || self.connections.lock().unwrap().iter().all(Option::is_some));
        self.connections.lock().unwrap().iter().flatten().cloned().collect()
    }

    /// Everything that was read on any connection.
    pub(crate) fn bytes(&self) -> String {
        String::from_utf8_lossy(&self.read.lock().unwrap()).into_owned()
    }
}

impl RawStream {
    /// Reads once; false at the end.
    pub(crate) fn read(&mut self) -> bool {
        let mut chunk = [0; 4096];
        let Ok(read @ 1..) = self.stream.read(&mut chunk) else { return false };
        self.read.lock().unwrap().extend_from_slice(&chunk[..read]);
        self.own.extend_from_slice(&chunk[..read]);
        true
    }

    /// Reads until another request is there with its body; false at the end.
    pub(crate) fn read_request(&mut self) -> bool {
        loop {
            if let Some(end) = request_end(&self.own[self.taken..]) {
                self.taken += end;
                return true;
            }
            if !self.read() {
                return false;
            }
        }
    }

    /// What was read on this connection until now.
    pub(crate) fn so_far(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.own)
    }

    /// The same, byte for byte.
    pub(crate) fn own(&self) -> &[u8] {
        &self.own
    }

    /// Writes again and again, a moment between: far below any wait of a test's gateway.
    pub(crate) fn dribble(&mut self, text: &str) {
        // Nobody ever sends.
        let (_sender, pause) = mpsc::channel::<()>();
        while self.write(text) {
            assert!(pause.recv_timeout(std::time::Duration::from_millis(20)).is_err());
        }
    }

    /// Writes until the other end takes no more for a moment.
    pub(crate) fn fill(&mut self) {
        self.stream.set_write_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
        while self.write_bytes(&[b'x'; 1 << 14]) {}
    }

    /// Says that nothing more will be written.
    pub(crate) fn end(&self) {
        // The other end may be gone.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Ends the connection as a killed process with unread bytes does: with a reset.
    pub(crate) fn reset(&mut self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Writes; false when the gateway has gone.
    pub(crate) fn write(&mut self, text: &str) -> bool {
        self.write_bytes(text.as_bytes())
    }

    /// The same with what is no text.
    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }
}

/// Answers whatever comes with 200, and goes on reading.
pub(crate) fn answer_every_head(stream: &mut RawStream) {
    while stream.read() {
        stream.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw");
    }
}

/// Answers each request with 200 when it has its body, and goes on reading.
pub(crate) fn answer_every_request(stream: &mut RawStream) {
    while stream.read_request() {
        stream.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw");
    }
}
