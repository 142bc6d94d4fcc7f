//! A client that sends exactly the bytes it is told to, and reads HTTP/1.1 answers strictly.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::wait::{Deadline, PATIENCE, wait_until};

/// Half of what a gateway reads on for after its answer.
const WRITTEN_WITHIN: Duration = Duration::from_millis(500);

/// A request. It has the headers that it is given, and besides only `Host` and `Content-Length`.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

pub(crate) fn get(target: &str) -> Request {
    Request::new("GET", target)
}

pub(crate) fn delete(target: &str) -> Request {
    Request::new("DELETE", target)
}

/// A POST of a JSON body.
pub(crate) fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", target).header("Content-Type", "application/json").body(body)
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: vec![], body: None }
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if !self.has("Host") {
            bytes.extend_from_slice(b"Host: portero.test\r\n");
        }
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        let wants_length = self.body.is_some() || matches!(self.method.as_str(), "POST" | "PUT");
        if wants_length && !self.has("Content-Length") && !self.has("Transfer-Encoding") {
            let length = self.body.as_ref().map_or(0, Vec::len);
            bytes.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// The head over HTTP/2, which has no `Connection` (RFC 9113 section 8.2.2), and the body.
    pub(super) fn http2(&self) -> (http::Request<()>, Option<Bytes>) {
        let host = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Host"));
        let host = host.map_or(&b"portero.test"[..], |(_, value)| value);
        let uri = format!("http://{}{}", String::from_utf8_lossy(host), self.target);
        let mut request = http::Request::builder().method(&*self.method).uri(uri).body(()).unwrap();
        for (name, value) in &self.headers {
            if !["host", "connection"].contains(&&*name.to_ascii_lowercase()) {
                let value = HeaderValue::from_bytes(value).unwrap();
                request.headers_mut().append(HeaderName::try_from(name).unwrap(), value);
            }
        }
        (request, self.body.clone().map(Bytes::from))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of a header, named in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn length(&self) -> Option<usize> {
        self.header("Content-Length").map(|length| length.parse().unwrap())
    }

    fn is_chunked(&self) -> bool {
        self.header("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }
}

/// A connection that stays open.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(to: SocketAddr) -> Self {
        Self::open_from(Ipv4Addr::LOCALHOST, to)
    }

    /// A connection, or why there is none.
    pub(crate) fn try_open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: vec![] })
    }

    /// A connection from this loopback address.
    pub(crate) fn open_from(source: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // The system takes this one itself, and a port that is free for the one peer. One that was bound here would be
        // taken for all of them, for a minute after its end.
        if source != Ipv4Addr::LOCALHOST {
            socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        }
        socket.connect(&to.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, buffer: vec![] }
    }

    /// The same connection for another thread, without what was read already.
    pub(crate) fn try_clone(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), buffer: vec![] }
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent.
    pub(crate) fn end(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    #[track_caller]
    pub(crate) fn send(&mut self, request: &Request) -> Response {
        self.try_send(request).unwrap_or_else(|error| panic!("no whole answer: {error}"))
    }

    /// The same; an error when the connection ends before the answer is whole.
    pub(crate) fn try_send(&mut self, request: &Request) -> io::Result<Response> {
        self.write(request.bytes())?;
        // The answer to a HEAD tells the length of a body that does not come.
        if request.method == "HEAD" { self.receive_head() } else { self.try_receive() }
    }

    /// The same, sent again while the answer is 503: on a busy machine the gateway may not know in time.
    #[track_caller]
    pub(crate) fn send_until_available(&mut self, request: &Request) -> Response {
        let mut answer = self.send(request);
        wait_until("the gateway knows", PATIENCE, || {
            if answer.status == 503 {
                answer = self.send(request);
            }
            answer.status != 503
        });
        answer
    }

    /// Sends on a connection of its own what is refused before it has been read. The gateway reads on for a second, so
    /// that the answer arrives; a client that needs longer to write is not held against it.
    #[track_caller]
    pub(crate) fn send_refused(to: SocketAddr, bytes: &[u8]) -> (Self, Response) {
        let mut answered = None;
        wait_until("all of it is written in time", PATIENCE, || {
            let mut connection = Self::open(to);
            let time = Deadline::after(WRITTEN_WITHIN);
            if connection.write(bytes).is_ok() && time.left().is_some() {
                let answer = connection.receive();
                answered = Some((connection, answer));
            }
            answered.is_some()
        });
        answered.unwrap()
    }

    /// The next answer.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Response {
        self.try_receive().unwrap_or_else(|error| panic!("no whole answer: {error}"))
    }

    /// The next answer; an error when the connection ends before it is whole.
    pub(crate) fn try_receive(&mut self) -> io::Result<Response> {
        let mut response = self.receive_head()?;
        let without_body = matches!(response.status, 204 | 304);
        response.body = match response.length() {
            _ if without_body => vec![],
            Some(length) => self.take(length)?,
            None if response.is_chunked() => self.receive_chunks()?,
            None => self.rest()?,
        };
        Ok(response)
    }

    /// The next answer's head; its body stays unread.
    pub(crate) fn receive_head(&mut self) -> io::Result<Response> {
        loop {
            let end = loop {
                match self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                    Some(end) => break end + 4,
                    None => self.read_more()?,
                }
            };
            let head = String::from_utf8(self.take(end)?).unwrap();
            let mut lines = head.lines();
            let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
            let status: u16 = status.unwrap_or_else(|| panic!("no HTTP/1.1 answer: {head}"));
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let header =
                |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
            return Ok(Response { status, headers: lines.filter_map(header).collect(), body: vec![] });
        }
    }

    /// The next head's first line, an interim answer's too; the head is read to its end.
    #[track_caller]
    pub(crate) fn receive_line(&mut self) -> String {
        let end = loop {
            match self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.read_more().unwrap(),
            }
        };
        let head = String::from_utf8(self.take(end).unwrap()).unwrap();
        head.lines().next().unwrap_or_default().to_owned()
    }

    /// Reads this many bytes of a body and forgets them.
    pub(crate) fn discard(&mut self, mut bytes: u64) -> io::Result<()> {
        let mut chunk = vec![0; 256 << 10];
        let buffered = self.buffer.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
        self.buffer.drain(..buffered);
        bytes -= buffered as u64;
        while bytes > 0 {
            let want = chunk.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
            match self.stream.read(&mut chunk[..want])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => bytes -= read as u64,
            }
        }
        Ok(())
    }

    /// The kind and the payload of the next HTTP/2 frame.
    #[track_caller]
    pub(crate) fn receive_frame(&mut self) -> (u8, Vec<u8>) {
        self.try_receive_frame().unwrap()
    }

    /// The same; an error where the connection ended.
    pub(crate) fn try_receive_frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let head = self.take(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        Ok((head[3], self.take(usize::try_from(length).unwrap())?))
    }

    /// The payload of the next frame of this kind.
    #[track_caller]
    pub(crate) fn receive_frame_of(&mut self, wanted: u8) -> Vec<u8> {
        loop {
            let (kind, payload) = self.receive_frame();
            if kind == wanted {
                return payload;
            }
        }
    }

    /// Everything until the other end closes.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        while match self.read_more() {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        } {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Asserts that the other end closes the connection without another byte.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) {
        match self.rest() {
            Ok(rest) => assert!(rest.is_empty(), "sent before closing: {}", String::from_utf8_lossy(&rest)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("still open: {error}"),
        }
    }

    fn receive_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = vec![];
        loop {
            let end = loop {
                match self.buffer.windows(2).position(|window| window == b"\r\n") {
                    Some(end) => break end,
                    None => self.read_more()?,
                }
            };
            let line = self.take(end + 2)?;
            let size = usize::from_str_radix(std::str::from_utf8(&line[..end]).unwrap(), 16).unwrap();
            body.extend_from_slice(&self.take(size)?);
            assert_eq!(self.take(2)?, b"\r\n", "the end of a chunk");
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.read_more()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 << 10];
        loop {
            return match self.stream.read(&mut chunk) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.buffer.extend_from_slice(&chunk[..read]);
                    Ok(())
                }
                // A process that was stopped and goes on ends a read with a time limit.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }
}
