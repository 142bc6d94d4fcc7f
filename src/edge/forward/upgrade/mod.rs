//! Upgrades (RFC 9110 section 7.8), which pingora does not see: a request that asks for one is decided
//! about like any other, its head goes to an upstream, and once that answered 101 the bytes of both
//! sides are passed on. Nothing that the client sends behind its head goes anywhere before.
//!
//! We pass the bytes ourselves because a tunnel must end with its token while nobody says anything,
//! and a `WebSocket` must be told so between two frames.

mod frames;
mod pump;
mod wire;

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::{HeaderValue, StatusCode, header};
use pingora::{
    http::{RequestHeader, ResponseHeader},
    protocols::Stream,
};
use tokio::{
    io::AsyncWriteExt,
    sync::watch,
    time::{Instant, sleep, timeout},
};

use self::{
    frames::{GOING_AWAY, UNAUTHORIZED},
    pump::{Pump, Stopped},
    wire::Answer,
};
use super::{
    attempt,
    body::{self, Broken, Framing, Source},
    client::Client,
    exchange::{Arrival, Exchange, Verdict},
    local_response, message,
    pingora_loop::Doorman,
    services::Shared,
    upstream_request,
};
use crate::{
    decision::{Denial, Route},
    domain::Reason,
    edge::{lazy_timeout::Patience, respond},
    rules::upgrade::offered,
    upstream::{Failure, HttpVersion, Transport},
};

/// How long before the end of draining tunnels are closed: enough to say so to both ends.
const DRAIN_LEAD: Duration = Duration::from_secs(2);

/// What became of a request that asked for an upgrade.
pub(in crate::edge) enum Entered {
    /// It is none: the head without the wish is any other request's.
    Ordinary(BytesMut),
    /// It is over, and so is the connection.
    Ended,
    /// The same, with an answer that must not be lost in a reset.
    Answered,
}

/// Serves a request that has an `Upgrade` header, if it is one that may be upgraded and is let through.
pub(in crate::edge) async fn enter(
    client: &mut Stream,
    mut bytes: BytesMut,
    arrival: &mut Arrival,
    shared: &Arc<Shared>,
    shutdown: &mut watch::Receiver<bool>,
) -> Entered {
    let plain = wire::without_upgrade(&bytes);
    let Some((head, head_bytes)) = message::parse_request(&bytes) else { return Entered::Ordinary(plain) };
    let Some(asked) = wire::asked_protocols(&head) else { return Entered::Ordinary(plain) };
    let doorman = Doorman(Arc::clone(shared));
    let mut protocols = String::new();
    let switches = |route: &Route| {
        protocols = offered(&asked, &route.settings.upgrades).join(", ");
        !protocols.is_empty() && bears_upgrades(route)
    };
    let Some((exchange, route)) = doorman.admit_past_pingora(&head, arrival, switches).await else {
        return Entered::Ordinary(plain);
    };
    let early = bytes.split_off(head_bytes);
    let mut tunnel = Tunnel { client, arrival, route, doorman: &doorman, request: head, exchange };
    let entered = tunnel.serve(&protocols, &early, shutdown).await;
    shared.record_left(&mut tunnel.exchange);
    entered
}

/// Whether an upstream can be asked to switch: HTTP/2 in the clear knows nothing of it (RFC 9113 section 8.6).
fn bears_upgrades(route: &Route) -> bool {
    let settings = &route.pool.settings;
    settings.http != HttpVersion::Two || settings.tls.is_some()
}

struct Tunnel<'t> {
    client: &'t mut Stream,
    arrival: &'t Arrival,
    route: Arc<Route>,
    doorman: &'t Doorman,
    /// As it came, but for what speaks about the client's connection.
    request: RequestHeader,
    exchange: Exchange,
}

impl Tunnel<'_> {
    async fn serve(&mut self, protocol: &str, early: &[u8], shutdown: &mut watch::Receiver<bool>) -> Entered {
        let lifeline = Arc::clone(&self.arrival.lifeline);
        self.watch(Some(self.route.pool.settings.timeouts.total));
        let has_key = self.request.headers.contains_key(header::SEC_WEBSOCKET_KEY);
        let (mut upstream, answer) = match lifeline.guard(self.open(protocol)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(reason)) | Err(reason) => return self.refuse(reason).await,
        };
        self.exchange.status = answer.head.status.as_u16();
        if answer.head.status != StatusCode::SWITCHING_PROTOCOLS {
            self.watch(Some(self.route.pool.settings.timeouts.total));
            return match lifeline.guard(self.relay(&mut upstream, answer)).await {
                Ok(Ok(())) => Entered::Answered,
                Ok(Err(Broken::Upstream(error))) => {
                    self.doorman.turn_failed(&mut self.exchange, Failure::AfterSending);
                    self.exchange.failure = Some(failure(&error));
                    Entered::Ended
                }
                // As it is logged of every request whose client went away.
                Ok(Err(Broken::Client)) => {
                    self.exchange.failure = Some(Reason::MalformedRequest);
                    Entered::Ended
                }
                Err(reason) => {
                    self.exchange.failure = Some(reason);
                    Entered::Ended
                }
            };
        }
        // Of several protocols that were asked for, the service chose.
        let Some(chosen) = wire::chosen_protocol(&answer.head.headers, protocol) else {
            return self.refuse(Reason::UpstreamFailed).await;
        };
        let framed = has_key && chosen.eq_ignore_ascii_case("websocket");
        self.watch(None);
        self.pump(upstream, &answer, early, framed, shutdown).await
    }

    /// Makes the exchange end with its token; `total` does not hold for a tunnel.
    fn watch(&self, total: Option<Duration>) {
        if let Verdict::Forward(permitted) = &self.exchange.verdict {
            let certified = self.arrival.connection.certified;
            self.arrival.lifeline.watch(permitted.ends_with(), certified, self.exchange.started, total);
        }
    }

    /// Brings the head to a server, and its answer back.
    async fn open(&mut self, protocol: &str) -> Result<(Transport, Answer), Reason> {
        let internal = |_| Reason::Internal;
        upstream_request::drop_nominations(&mut self.request).map_err(internal)?;
        wire::remove_hop_by_hop(&mut self.request);
        let mut upstream = self.connect().await?;
        let mut head = self.request.clone();
        self.doorman.hand_over(&mut head, &mut self.exchange).map_err(internal)?;
        let protocol = HeaderValue::from_str(protocol).map_err(|_| Reason::Internal)?;
        head.insert_header(header::CONNECTION, "Upgrade").map_err(internal)?;
        head.insert_header(header::UPGRADE, protocol).map_err(internal)?;
        let mut answer = match self.ask(&mut upstream, &head).await {
            Ok(answer) => answer,
            Err(error) => {
                self.doorman.turn_failed(&mut self.exchange, Failure::AfterSending);
                return Err(failure(&error));
            }
        };
        self.doorman.take_response(&mut answer.head, &mut self.exchange);
        let amended = match answer.head.status {
            StatusCode::SWITCHING_PROTOCOLS => self.exchange.amend_switch(&self.request, &mut answer.head),
            _ => self.exchange.amend(&self.request, &mut answer.head),
        };
        amended.map_err(internal)?;
        Ok((upstream, answer))
    }

    async fn ask(&self, upstream: &mut Transport, head: &RequestHeader) -> io::Result<Answer> {
        let timeouts = self.route.pool.settings.timeouts;
        let bytes = message::request_bytes(head);
        let sent = timeout(timeouts.write, async {
            upstream.write_all(&bytes).await?;
            upstream.flush().await
        });
        sent.await.map_err(io::Error::from)??;
        Ok(wire::read_final_answer(upstream, timeouts.read).await?)
    }

    /// A connection that could not be made carried nothing: the next server may be asked.
    async fn connect(&mut self) -> Result<Transport, Reason> {
        loop {
            self.doorman.take_turn(&self.request, &mut self.exchange).await?;
            let turn = self.exchange.turn.as_ref().ok_or(Reason::Internal)?;
            let server = Arc::clone(turn.server());
            match self.doorman.connect(&server, &mut self.exchange, &self.route).await {
                Ok(upstream) => return Ok(upstream),
                Err(error) if error.retry() => {}
                Err(error) => return Err(attempt::failure(&error).unwrap_or(Reason::Internal)),
            }
        }
    }

    /// Answers that there is no tunnel.
    async fn refuse(&mut self, reason: Reason) -> Entered {
        self.exchange.failure = Some(reason);
        self.exchange.status = reason.status();
        let denial = Denial { route: Some(Arc::clone(&self.route)), ..Denial::of(reason) };
        let answer = respond::denial(&denial, &self.exchange.asker(&self.request));
        let body_bytes = answer.body().len() as u64;
        let Ok(answer) = local_response::closing(&answer, &self.request.method) else { return Entered::Ended };
        let sent = self.send(&answer).await;
        if matches!(sent, Entered::Answered) {
            self.exchange.bytes_out = body_bytes;
        }
        sent
    }

    /// Hands on the answer of an upstream that does not switch. What the client sent for a tunnel goes nowhere.
    async fn relay(&mut self, upstream: &mut Transport, answer: Answer) -> Result<(), Broken> {
        let Answer { mut head, rest } = answer;
        let no_message = || Broken::Upstream(io::ErrorKind::InvalidData.into());
        let framing = Framing::of(&self.request.method, &head).ok_or_else(no_message)?;
        framing.announce(&mut head).map_err(|_| no_message())?;
        message::conclude(&mut head, true).map_err(|_| no_message())?;
        if let Entered::Ended = self.send(&message::answer_bytes(&head)).await {
            return Err(Broken::Client);
        }
        let mut client = Client::new(self.client, self.doorman.0.tunables().body_timeout);
        let mut patience = Patience::until(Instant::now());
        let read_timeout = self.route.pool.settings.timeouts.read;
        let mut source = Source { stream: upstream, patience: &mut patience, read_timeout };
        let count = |bytes| {
            self.exchange.bytes_out += bytes as u64;
            Ok(())
        };
        body::relay(rest, &mut source, &mut client, framing, count).await.map(drop)
    }

    /// The tunnel itself.
    async fn pump(
        &mut self,
        mut upstream: Transport,
        answer: &Answer,
        early: &[u8],
        framed: bool,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Entered {
        let shared = &self.doorman.0;
        let _tunnel = shared.tunnel_begun();
        let timeouts = self.route.pool.settings.timeouts;
        let patience = pump::Patience { idle: timeouts.tunnel_idle, write: timeouts.write };
        if let Entered::Ended = self.send(&message::answer_bytes(&switching(&answer.head))).await {
            return Entered::Ended;
        }
        let mut pump = Pump::new(early, &answer.rest, framed);
        let lifeline = Arc::clone(&self.arrival.lifeline);
        let (code, text) = tokio::select! {
            biased;
            reason = lifeline.ended() => {
                self.exchange.failure = Some(reason);
                (UNAUTHORIZED, reason.name())
            }
            () = drained(shutdown, shared) => (GOING_AWAY, "draining"),
            stopped = pump.run(self.client, &mut upstream, patience) => match stopped {
                Stopped::Closed => (0, ""),
                Stopped::Idle => (GOING_AWAY, "idle"),
            },
        };
        (self.exchange.bytes_in, self.exchange.bytes_out) = (pump.up.moved, pump.down.moved);
        if code == 0 || !framed {
            return Entered::Ended;
        }
        if pump.close(self.client, &mut upstream, code, text).await { Entered::Answered } else { Entered::Ended }
    }

    async fn send(&mut self, bytes: &[u8]) -> Entered {
        let patience = self.doorman.0.tunables().body_timeout;
        let sent = timeout(patience, async {
            self.client.write_all(bytes).await?;
            self.client.flush().await
        });
        if matches!(sent.await, Ok(Ok(()))) { Entered::Answered } else { Entered::Ended }
    }
}

/// The head of a 101, without what has no meaning there (RFC 9110 section 8.6).
fn switching(head: &ResponseHeader) -> ResponseHeader {
    let mut head = head.clone();
    head.remove_header(&header::CONTENT_LENGTH);
    head.remove_header(&header::TRANSFER_ENCODING);
    head
}

/// Waits until the gateway has been draining for so long that tunnels have to go.
async fn drained(shutdown: &mut watch::Receiver<bool>, shared: &Shared) {
    // An error means that nobody can stop us any more but the end of the process.
    if shutdown.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
    let drain = shared.tunables().drain_timeout;
    sleep(drain.saturating_sub(DRAIN_LEAD.min(drain / 2))).await;
}

fn failure(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::TimedOut => Reason::UpstreamTimeout,
        _ => Reason::UpstreamFailed,
    }
}
