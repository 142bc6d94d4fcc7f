//! HTTP/2 as text: the fields of each head in order, the frames of data, the trailers, and what ended the stream.

use std::{
    fmt::{Display, Write as _},
    future::{Future as _, poll_fn},
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    task::Poll,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture, server::SendResponse};
use http::{HeaderMap, HeaderName, Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    time::timeout,
};

use super::{
    service::{Record, Way},
    text::{escaped, section},
};
use crate::support::PATIENCE;

type Fields = Vec<(&'static str, String)>;

/// A request of a client.
#[derive(Clone, Default)]
pub(super) struct Call {
    method: &'static str,
    authority: &'static str,
    path: &'static str,
    fields: Fields,
    data: Vec<String>,
    trailers: Fields,
    /// Whether an answer to each piece of data is awaited before the next is sent.
    in_turns: bool,
}

/// What a service answers.
#[derive(Clone, Default)]
pub(super) struct Reply {
    interim: Option<u16>,
    status: u16,
    fields: Fields,
    data: Vec<&'static str>,
    trailers: Fields,
    /// The reason with which it ends the stream in the place of all that.
    reset: Option<Reason>,
    /// Whether it sends back each piece of data when it comes.
    echoes: bool,
}

fn owned(fields: &[(&'static str, &str)]) -> Fields {
    fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

impl Call {
    pub(super) fn new(method: &'static str, path: &'static str) -> Self {
        Self { method, authority: "portero.test", path, ..Self::default() }
    }

    pub(super) fn fields(mut self, fields: &[(&'static str, &str)]) -> Self {
        self.fields.extend(owned(fields));
        self
    }

    pub(super) fn data(mut self, data: impl Into<String>) -> Self {
        self.data.push(data.into());
        self
    }

    pub(super) fn trailers(mut self, fields: &[(&'static str, &str)]) -> Self {
        self.trailers = owned(fields);
        self
    }

    pub(super) fn in_turns(mut self) -> Self {
        self.in_turns = true;
        self
    }
}

impl Reply {
    pub(super) fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn reset(reason: Reason) -> Self {
        Self { reset: Some(reason), ..Self::default() }
    }

    pub(super) fn fields(mut self, fields: &[(&'static str, &str)]) -> Self {
        self.fields = owned(fields);
        self
    }

    pub(super) fn data(mut self, data: &'static str) -> Self {
        self.data.push(data);
        self
    }

    pub(super) fn trailers(mut self, fields: &[(&'static str, &str)]) -> Self {
        self.trailers = owned(fields);
        self
    }

    pub(super) fn after(mut self, interim: u16) -> Self {
        self.interim = Some(interim);
        self
    }

    pub(super) fn echoes(mut self) -> Self {
        self.echoes = true;
        self
    }
}

/// What a client sees who sends these on one connection, one after the other.
pub(super) fn ask(to: SocketAddr, calls: &[Call], expand: &dyn Fn(&str) -> String) -> String {
    // On one thread, so that no informational response comes between two looks.
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let stream = TcpStream::connect(to).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
        let driving = tokio::spawn(connection);
        let mut told = String::new();
        for call in calls {
            let asked = timeout(PATIENCE, call.ask(&mut sender, expand)).await;
            told += &asked.unwrap_or_else(|_| section("client's stream is silent", ""));
        }
        driving.abort();
        told
    })
}

impl Call {
    async fn ask(&self, sender: &mut h2::client::SendRequest<Bytes>, expand: &dyn Fn(&str) -> String) -> String {
        let uri = format!("http://{}{}", self.authority, expand(self.path));
        let mut request = Request::builder().method(self.method).uri(uri).body(()).unwrap();
        for (name, value) in &self.fields {
            let value = http::HeaderValue::from_str(&expand(value)).unwrap();
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
        if let Err(error) = poll_fn(|cx| sender.poll_ready(cx)).await {
            return section("client's connection is gone", &ended(&error));
        }
        let bare = self.data.is_empty() && self.trailers.is_empty();
        let mut sends = request_head(&request, bare);
        let (mut answer, mut out) = sender.send_request(request, bare).unwrap();
        let mut receives = String::new();
        if self.in_turns {
            let mut body = None;
            for data in &self.data {
                send(&mut out, &mut sends, data, false);
                if body.is_none() {
                    body = response(&mut answer, &mut receives).await;
                }
                let Some(body) = &mut body else { break };
                next_data(body, &mut receives).await;
            }
            send_end(&mut out, &mut sends, &self.trailers);
            if let Some(body) = &mut body {
                rest(body, &mut receives).await;
            }
        } else {
            for (at, data) in self.data.iter().enumerate() {
                let end = at + 1 == self.data.len() && self.trailers.is_empty();
                send(&mut out, &mut sends, data, end);
            }
            if !self.trailers.is_empty() {
                send_end(&mut out, &mut sends, &self.trailers);
            }
            if let Some(mut body) = response(&mut answer, &mut receives).await {
                rest(&mut body, &mut receives).await;
            }
        }
        section("client sends", &sends) + &section("client receives", &receives)
    }
}

/// Sends data; a stream that the other end closed takes none.
fn send(out: &mut SendStream<Bytes>, told: &mut String, data: &str, end: bool) {
    write!(told, "DATA{} {}", mark(end), escaped(data.as_bytes())).unwrap();
    let _ = out.send_data(Bytes::copy_from_slice(data.as_bytes()), end);
}

fn send_end(out: &mut SendStream<Bytes>, told: &mut String, trailers: &Fields) {
    if trailers.is_empty() {
        told.push_str("DATA (ends the stream)\n");
        let _ = out.send_data(Bytes::new(), true);
        return;
    }
    let trailers = map(trailers);
    write!(told, "TRAILERS\n{}", lines(&trailers)).unwrap();
    let _ = out.send_trailers(trailers);
}

/// The head of an answer, with the informational ones before it, and its body.
async fn response(answer: &mut ResponseFuture, told: &mut String) -> Option<RecvStream> {
    loop {
        let next = poll_fn(|cx| match answer.poll_informational(cx) {
            Poll::Ready(Some(Ok(interim))) => Poll::Ready(Err(interim)),
            _ => Pin::new(&mut *answer).poll(cx).map(Ok),
        });
        match next.await {
            Err(interim) => told.push_str(&response_head(&interim, false)),
            Ok(Err(error)) => {
                told.push_str(&ended(&error));
                return None;
            }
            Ok(Ok(answer)) => {
                told.push_str(&response_head(&answer, answer.body().is_end_stream()));
                return Some(answer.into_body());
            }
        }
    }
}

/// The next piece of data; false at its end.
async fn next_data(body: &mut RecvStream, told: &mut String) -> bool {
    match body.data().await {
        None => false,
        Some(Err(error)) => {
            // What was on its way when the stream was reset may be lost, or not.
            told.truncate(told.find("\nDATA").map_or(told.len(), |at| at + 1));
            told.push_str(&ended(&error));
            false
        }
        Some(Ok(data)) => {
            body.flow_control().release_capacity(data.len()).unwrap();
            let text = escaped(&data);
            write!(told, "DATA{} {}", mark(body.is_end_stream()), if text.is_empty() { "\n" } else { &text }).unwrap();
            true
        }
    }
}

async fn rest(body: &mut RecvStream, told: &mut String) {
    while !body.is_end_stream() && next_data(body, told).await {}
    if let Ok(Some(trailers)) = body.trailers().await {
        write!(told, "TRAILERS\n{}", lines(&trailers)).unwrap();
    }
}

/// An HTTP/2 server in the clear that answers so.
pub(super) fn serve(runtime: &Runtime, reply: Reply, record: Record) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reply, record) = (reply.clone(), record.clone());
            let place = record.open();
            tokio::spawn(async move {
                if let Ok(mut connection) = h2::server::handshake(stream).await {
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(answer(request, respond, reply.clone(), record.clone(), place));
                    }
                }
                record.end(place);
            });
        }
    });
    address
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    reply: Reply,
    record: Record,
    place: usize,
) {
    let receives = |text: &str| record.add(place, Way::Receives, text.as_bytes());
    let sends = |text: &str| record.add(place, Way::Sends, text.as_bytes());
    let (head, mut body) = request.into_parts();
    receives(&request_head(&Request::from_parts(head, ()), body.is_end_stream()));
    let mut response = Response::builder().status(reply.status.max(200)).body(()).unwrap();
    *response.headers_mut() = map(&reply.fields);
    if reply.echoes {
        sends(&response_head(&response, false));
        let mut out = respond.send_response(response, false).unwrap();
        while let Some(Ok(data)) = body.data().await {
            body.flow_control().release_capacity(data.len()).unwrap();
            let mut text = String::new();
            write!(text, "DATA{} {}", mark(body.is_end_stream()), escaped(&data)).unwrap();
            receives(&text);
            if !data.is_empty() {
                sends(&format!("DATA {}", escaped(&data)));
                let _ = out.send_data(data, false);
            }
        }
        let mut text = String::new();
        send_end(&mut out, &mut text, &reply.trailers);
        return sends(&text);
    }
    let mut text = String::new();
    rest(&mut body, &mut text).await;
    receives(&text);
    if let Some(reason) = reply.reset {
        sends(&format!("RST_STREAM {reason:?}\n"));
        return respond.send_reset(reason);
    }
    if let Some(interim) = reply.interim {
        let interim = Response::builder().status(interim).header("link", "</a>").body(()).unwrap();
        sends(&response_head(&interim, false));
        respond.send_informational(interim).unwrap();
    }
    let bare = reply.data.is_empty() && reply.trailers.is_empty();
    sends(&response_head(&response, bare));
    let mut out = respond.send_response(response, bare).unwrap();
    let mut text = String::new();
    for (at, data) in reply.data.iter().enumerate() {
        send(&mut out, &mut text, data, at + 1 == reply.data.len() && reply.trailers.is_empty());
    }
    if !reply.trailers.is_empty() {
        send_end(&mut out, &mut text, &reply.trailers);
    }
    sends(&text);
}

fn map(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    map
}

fn request_head<T>(request: &Request<T>, end: bool) -> String {
    let uri = request.uri();
    let part =
        |name: &str, part: Option<&dyn Display>| part.map(|part| format!(":{name}: {part}\n")).unwrap_or_default();
    format!(
        "HEADERS{}\n{}{}{}{}{}",
        mark(end),
        part("method", Some(request.method())),
        part("scheme", uri.scheme().map(|scheme| scheme as &dyn Display)),
        part("authority", uri.authority().map(|authority| authority as &dyn Display)),
        part("path", uri.path_and_query().map(|path| path as &dyn Display)),
        lines(request.headers())
    )
}

fn response_head<T>(response: &Response<T>, end: bool) -> String {
    format!("HEADERS{}\n:status: {}\n{}", mark(end), response.status().as_u16(), lines(response.headers()))
}

fn lines(fields: &HeaderMap) -> String {
    let line = |(name, value): (&HeaderName, &http::HeaderValue)| {
        let value = escaped(value.as_bytes());
        format!("{name}: {}\n", value.trim_end_matches('\n'))
    };
    fields.iter().map(line).collect()
}

/// How a frame is marked with which a stream ends.
fn mark(end: bool) -> &'static str {
    if end { " (ends the stream)" } else { "" }
}

fn ended(error: &h2::Error) -> String {
    let how = if error.is_reset() {
        "RST_STREAM"
    } else if error.is_go_away() {
        "GOAWAY"
    } else {
        "broken"
    };
    format!("{how} {:?}\n", error.reason())
}
