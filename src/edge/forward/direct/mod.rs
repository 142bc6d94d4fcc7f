//! Requests without a body for servers that speak HTTP/1.1, as most requests are: brought there and back without
//! pingora, whose loop for messages of every kind costs them more than everything else that is done for them.
//!
//! What decides about a request, what its server receives, and what is answered are the same pieces as behind pingora's
//! hooks; here is only who calls them. Whatever is not [plain](crate::edge::armour::head::Head::plain), or goes to a server that speaks
//! otherwise, is handed over to pingora.

mod failure;
mod idle;

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{Method, Version, header};
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    protocols::Stream,
};
use tokio::{io::AsyncWriteExt, time::Instant};

pub(in crate::edge) use self::idle::Idle;
use self::{
    failure::{broken, gone, not_answered, not_sent},
    idle::Upstream,
};
use super::{
    attempt,
    body::{self, Broken, Framing, Source},
    client::Client,
    exchange::{Arrival, Exchange, Verdict},
    in_flight::Lifeline,
    local_response,
    message::{self, answer_bytes, parse_plain_request, read_answer, request_bytes},
    pingora_loop::Doorman,
};
use crate::{
    decision::{Denial, Route},
    edge::respond,
    upstream::{HttpVersion, Server},
};

/// What became of a plain request.
pub(in crate::edge) enum Carried {
    /// It is for pingora: its bytes.
    Ordinary(BytesMut),
    /// It was answered, and the next begins with these bytes.
    Answered(BytesMut),
    /// It is over, and so is the connection.
    Ended,
    /// The same, with an answer that must not be lost in a reset.
    Closing,
}

/// Brings a plain request to its server and the answer back, where that needs nobody else. `closing` is whether the
/// connection is to end with it.
pub(in crate::edge) async fn carry(
    client: &mut Stream,
    bytes: BytesMut,
    arrival: &mut Arrival,
    (doorman, idle): (&Doorman, &Idle),
    closing: bool,
) -> Carried {
    let bytes = bytes.freeze();
    let Some(head) = parse_plain_request(&bytes) else { return Carried::Ordinary(thawed(bytes)) };
    let Some((exchange, route)) = doorman.admit_past_pingora(&head, arrival, is_direct).await else {
        drop(head);
        return Carried::Ordinary(thawed(bytes));
    };
    let client = Client::new(client, doorman.0.tunables().body_timeout);
    let mut errand = Errand { client, doorman, idle, route, bytes, exchange, closing, answered: false };
    let over = errand.serve(head, &arrival.lifeline).await;
    doorman.0.record_left(&mut errand.exchange);
    over.unwrap_or_else(|| Carried::Answered(errand.client.into_early()))
}

/// The same bytes, for whoever reads them again.
fn thawed(bytes: Bytes) -> BytesMut {
    bytes.try_into_mut().unwrap_or_else(|bytes| BytesMut::from(&bytes[..]))
}

/// Whether the route's servers are spoken to here.
fn is_direct(route: &Route) -> bool {
    let settings = &route.pool.settings;
    settings.http == HttpVersion::One && !settings.preserve_header_case
}

/// A request on its way.
struct Errand<'e> {
    client: Client<'e, Stream>,
    doorman: &'e Doorman,
    idle: &'e Idle,
    route: Arc<Route>,
    /// The request, for another attempt.
    bytes: Bytes,
    exchange: Exchange,
    /// Whether the client's connection ends with the answer.
    closing: bool,
    /// Whether the client was given any of the final answer.
    answered: bool,
}

impl Errand<'_> {
    /// Serves it; how the connection ends, unless it takes the next request.
    async fn serve(&mut self, head: RequestHeader, lifeline: &Lifeline<Exchange>) -> Option<Carried> {
        if let Verdict::Forward(permitted) = &self.exchange.verdict {
            let total = self.route.pool.settings.timeouts.total;
            let certified = self.exchange.certified();
            lifeline.watch(permitted.ends_with(), certified, self.exchange.started, Some(total));
        }
        match lifeline.guard(self.run(head)).await {
            Ok(Ok(())) => self.closing.then_some(Carried::Closing),
            Ok(Err(error)) => Some(self.fail(&error).await),
            Err(reason) => {
                self.exchange.failure = Some(reason);
                Some(Carried::Ended)
            }
        }
    }

    /// Tries one server after the other, as long as one may be asked.
    async fn run(&mut self, head: RequestHeader) -> Result<()> {
        let mut first = Some(head);
        loop {
            let request = first.take().or_else(|| parse_plain_request(&self.bytes));
            let request = request.ok_or_else(|| Error::explain(ErrorType::InternalError, "it was parsed before"))?;
            // A client that leaves waits for no place.
            let turn = self.doorman.take_turn(&request, &mut self.exchange);
            if let Err(reason) = self.client.unless_gone(turn).await.map_err(gone)? {
                self.exchange.failure = Some(reason);
                return Error::e_explain(ErrorType::InternalError, "no server to go to");
            }
            let Err(error) = self.attempt(request).await else { return Ok(()) };
            if !error.retry() {
                return Err(error);
            }
        }
    }

    /// Asks the server whose turn it is. An error says whether another attempt may be made.
    async fn attempt(&mut self, request: RequestHeader) -> Result<()> {
        let Some(server) = self.exchange.turn.as_ref().map(|turn| Arc::clone(turn.server())) else {
            return Error::e_explain(ErrorType::InternalError, "no server to go to");
        };
        let kept = self.idle.take(&server);
        let reused = kept.is_some();
        let mut upstream = if let Some(kept) = kept { kept } else { self.connect(&server).await? };
        match self.exchange_with(&mut upstream, request).await {
            Ok(true) => self.idle.put(&server, upstream, self.route.pool.settings.timeouts.idle),
            Ok(false) => {}
            Err(mut error) => {
                self.exchange.held_up = self.client.held_up();
                // Its method is idempotent; what it is overridden with need not be.
                let idempotent = parse_plain_request(&self.bytes).is_some_and(|asked| attempt::is_idempotent(&asked));
                self.doorman.failed_on_the_way(&mut self.exchange, &mut error, reused, idempotent && !self.answered);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn connect(&mut self, server: &Server) -> Result<Upstream> {
        let connecting = self.doorman.connect(server, &mut self.exchange, &self.route);
        self.client.unless_gone(connecting).await.map_err(gone)?.map(Upstream::new)
    }

    /// Sends the request, and hands the answer on; whether the server may be asked something else on this connection.
    async fn exchange_with(&mut self, upstream: &mut Upstream, mut request: RequestHeader) -> Result<bool> {
        let timeouts = self.route.pool.settings.timeouts;
        let left = self.doorman.time_left(&self.exchange, &self.route);
        // What the client asked for decides what a page of another origin may read.
        let asked = self.route.settings.cors.as_ref().map(|_| request.clone());
        request.remove_header(&header::CONNECTION);
        self.doorman.hand_over(&mut request, &mut self.exchange)?;
        upstream.patience.set(Instant::now() + timeouts.write.min(left));
        let bytes = request_bytes(&request);
        let sending = async {
            upstream.stream.write_all(&bytes).await?;
            upstream.stream.flush().await
        };
        let sent = self.client.unless_gone(upstream.patience.bound(sending)).await.map_err(gone)?;
        sent.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())).map_err(|error| not_sent(&error))?;
        let asked = asked.as_ref().unwrap_or(&request);
        let read_timeout = timeouts.read.min(left);
        let mut rest = BytesMut::new();
        let (mut head, stays) = loop {
            upstream.patience.set(Instant::now() + read_timeout);
            let reading = read_answer(&mut upstream.stream, &mut rest);
            let read = self.client.unless_gone(upstream.patience.bound(reading)).await.map_err(gone)?;
            let read = read.unwrap_or_else(|| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
            let mut head = match read {
                Ok(head) => head,
                Err(why) => {
                    // With its first byte the answer has begun, and the request is never sent again.
                    self.exchange.answering |= !rest.is_empty();
                    return Err(not_answered(&why, rest.is_empty()));
                }
            };
            let stays = stays_open(&head);
            self.doorman.take_response(&mut head, &mut self.exchange);
            if !head.status.is_informational() {
                break (head, stays);
            }
            self.doorman.check_interim(head.status, &mut self.exchange)?;
            self.exchange.amend(asked, &mut head)?;
            self.client.write(&answer_bytes(&head)).await.map_err(gone)?;
            self.client.flush().await.map_err(gone)?;
        };
        self.exchange.amend(asked, &mut head)?;
        let framing = Framing::of(&asked.method, &head).ok_or_else(|| Error::new_up(ErrorType::InvalidHTTPHeader))?;
        framing.announce(&mut head)?;
        message::conclude(&mut head, self.closing)?;
        self.answered = true;
        self.client.write(&answer_bytes(&head)).await.map_err(gone)?;
        let mut source = Source { stream: &mut upstream.stream, patience: &mut upstream.patience, read_timeout };
        let (doorman, exchange) = (self.doorman, &mut self.exchange);
        let count = |bytes| {
            exchange.bytes_out += bytes as u64;
            if doorman.is_over(exchange) { Err(Broken::Upstream(io::ErrorKind::TimedOut.into())) } else { Ok(()) }
        };
        let clean = body::relay(rest, &mut source, &mut self.client, framing, count).await.map_err(broken)?;
        Ok(stays && clean)
    }

    /// Answers a request that came to nothing, where there is still somebody to answer.
    async fn fail(&mut self, error: &Error) -> Carried {
        let Some(reason) = self.exchange.came_to_nothing(error) else { return Carried::Ended };
        if self.answered {
            return Carried::Ended;
        }
        self.exchange.status = reason.status();
        let denial = Denial { route: Some(Arc::clone(&self.route)), ..Denial::of(reason) };
        let Some(request) = parse_plain_request(&self.bytes) else { return Carried::Ended };
        let answer = respond::denial(&denial, &self.exchange.asker(&request));
        let body_bytes = if request.method == Method::HEAD { 0 } else { answer.body().len() as u64 };
        let Ok(answer) = local_response::closing(&answer, &request.method) else { return Carried::Ended };
        let written = match self.client.write(&answer).await {
            Ok(()) => self.client.flush().await,
            gone => gone,
        };
        if written.is_err() {
            return Carried::Ended;
        }
        self.exchange.bytes_out = body_bytes;
        Carried::Closing
    }
}

/// Whether a server keeps the connection after such an answer (RFC 9112 section 9.3).
fn stays_open(head: &ResponseHeader) -> bool {
    let says = |said: &str| {
        let lists = head.headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        lists.flat_map(|list| list.split(',')).any(|word| word.trim().eq_ignore_ascii_case(said))
    };
    let chunked = head.headers.contains_key(header::TRANSFER_ENCODING);
    match head.version {
        // One that has a length too is perhaps not what it seems (RFC 9112 section 6.3).
        Version::HTTP_11 if chunked && head.headers.contains_key(header::CONTENT_LENGTH) => false,
        Version::HTTP_11 => !says("close"),
        _ => says("keep-alive") && !chunked,
    }
}
