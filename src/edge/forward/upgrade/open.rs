//! Asks a server to switch, and gives the client its 101.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    decision::Route,
    edge::{
        forward::{
            attempt::{informational::HEADS_BYTES_MAX, retry::Failed, waiting::Waiting},
            body::request::RequestBody,
            exchange::{Exchange, Tunnel},
            failure::{Failure, Unconnected},
            give_up::{Unanswered, give_up},
            head::client_response,
            response_body::ResponseBody,
        },
        respond::Asker,
    },
    rules::{
        list::elements,
        rewrite::remove_hop_by_hop_but_upgrade,
        upgrade::{carries_requests, offered},
    },
    upstream::{self, HttpVersion, Server, Speak, Transport},
};

/// What a request asks to switch to and its route lets it ask for, as a list; `None` where it is any other request's.
pub(in crate::edge::forward) fn asked(head: &Parts, has_body: bool, route: &Route) -> Option<String> {
    let asked = asked_protocols(head).filter(|_| !has_body)?;
    let protocols = offered(&asked, &route.settings.upgrades).join(", ");
    (!protocols.is_empty() && bears_upgrades(route)).then_some(protocols)
}

/// What a request asks to switch to, where it may. HEAD's response has no body, and `h2c` would carry requests that
/// nobody decides about.
fn asked_protocols(head: &Parts) -> Option<Vec<&str>> {
    let headers = &head.headers;
    if head.version != Version::HTTP_11 || head.method == Method::HEAD {
        return None;
    }
    if !elements(headers, &header::CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade")) {
        return None;
    }
    let asked: Vec<_> = elements(headers, &header::UPGRADE).filter(|word| !word.is_empty()).collect();
    let http = |word: &&str| carries_requests(&word.to_ascii_lowercase());
    (!asked.is_empty() && !asked.iter().any(http)).then_some(asked)
}

/// What a service switches to; `None` unless it is one of those that it was asked for.
fn chosen_protocol<'h>(headers: &'h HeaderMap, asked: &str) -> Option<&'h str> {
    let mut chosen = elements(headers, &header::UPGRADE);
    let (Some(protocol), None) = (chosen.next(), chosen.next()) else { return None };
    asked.split(", ").any(|asked| asked.eq_ignore_ascii_case(protocol)).then_some(protocol)
}

/// Whether an upstream can be asked to switch: HTTP/2 in the clear knows nothing of it (RFC 9113 section 8.6).
fn bears_upgrades(route: &Route) -> bool {
    let settings = &route.pool.settings;
    settings.http != HttpVersion::Two || settings.tls.is_some()
}

/// Brings the head to a server, and its response back. A 101 leaves the tunnel with the connection.
pub(in crate::edge::forward) async fn open(
    mut exchange: Box<Exchange>,
    protocols: &str,
    route: &Route,
) -> Result<Response<ResponseBody>, Unanswered> {
    exchange.watch(Some(route.pool.settings.timeouts.total));
    // What comes behind the head was meant for a tunnel.
    exchange.keeps_connection = false;
    let response = match exchange.ask(protocols, route).await {
        Ok(response) => response,
        Err(failure) => return give_up(exchange, failure),
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return exchange.hand_back(response, route);
    }
    let Some(chosen) = chosen_protocol(response.headers(), protocols).map(str::to_owned) else {
        exchange.server_failed(upstream::Failure::AfterSending);
        return give_up(exchange, Failure::Invalid);
    };
    let headers = &exchange.head.headers;
    let framed = headers.contains_key(header::SEC_WEBSOCKET_KEY) && chosen.eq_ignore_ascii_case("websocket");
    let (switched, upstream) = switching(response, &exchange.asker(), route);
    let Some((upstream, rest)) = upstream.await else {
        return give_up(exchange, Failure::BrokenOff);
    };
    exchange.give_up_fields();
    // The total time does not hold for a tunnel.
    exchange.watch(None);
    let inbound = Arc::clone(&exchange.inbound);
    let tunnel = Tunnel { exchange, upstream, rest, framed };
    *inbound.tunnel.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(tunnel);
    Ok(switched)
}

/// The 101 for the client, without what has no meaning there (RFC 9110 section 8.6); and the connection behind it.
fn switching(
    mut response: Response<Incoming>,
    asker: &Asker<'_>,
    route: &Route,
) -> (Response<ResponseBody>, impl Future<Output = Option<(Transport, Bytes)>> + use<>) {
    let upgraded = hyper::upgrade::on(&mut response);
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    remove_hop_by_hop_but_upgrade(&mut head.headers);
    // Whatever the server says: one of HTTP/1.0 has no 1xx (RFC 9110 sections 2.5 and 15.2).
    head.version = Version::HTTP_11;
    client_response::amend_by_route(&mut head, asker, route);
    let upstream = async move {
        let parts = upgraded.await.ok()?.downcast::<TokioIo<Transport>>().ok()?;
        Some((parts.io.into_inner(), parts.read_buf))
    };
    (Response::from_parts(head, ResponseBody::none()), upstream)
}

impl Exchange {
    /// Asks one server after the other for a connection, and the first that has one to switch.
    async fn ask(&mut self, protocols: &str, route: &Route) -> Result<Response<Incoming>, Failure> {
        let transport = loop {
            self.acquire_server().await?;
            let server = self
                .server_lease
                .as_ref()
                .map(|server_lease| server_lease.server().clone())
                .ok_or(Failure::Internal)?;
            match self.connect_alone(&server, route).await {
                Ok(transport) => break transport,
                Err(failed) if failed.again => {}
                Err(failed) => return Err(failed.failure),
            }
        };
        let now = self.shared().services.clock.instant();
        let mut request = Request::new(RequestBody::default());
        self.hand_over(&mut request, route, now)?;
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        let protocols = HeaderValue::from_str(protocols).map_err(|_| Failure::Internal)?;
        request.headers_mut().insert(header::UPGRADE, protocols);
        let response = self.exchange_heads(transport, request, route).await;
        match &response {
            Ok(response) => self.note_response(response.status()),
            Err(failure) => self.note_failure(*failure, false),
        }
        response
    }

    async fn connect_alone(&mut self, server: &Server, route: &Route) -> Result<Transport, Failed> {
        let connecting = timeout(self.time_left(route), route.pool.connect(server, Speak::Http1));
        let connected = connecting.await.map_err(std::io::Error::from).flatten();
        let transport = connected.map_err(|error| self.not_connected(Unconnected::of(&error), Speak::Http1))?;
        self.connected();
        Ok(transport)
    }

    async fn exchange_heads(
        &self,
        transport: Transport,
        request: Request<RequestBody>,
        route: &Route,
    ) -> Result<Response<Incoming>, Failure> {
        let received = transport.received();
        received.let_come(Some(HEADS_BYTES_MAX));
        let shaking_hands = route.pool.http1().handshake(TokioIo::new(transport));
        let (mut sender, connection) = shaking_hands.await.map_err(|error| Failure::of(&error))?;
        tokio::spawn(async move { drop(connection.with_upgrades().await) });
        let now = Instant::now();
        let mut waiting = Waiting::new(route, now + self.time_left(route), received.bytes());
        let (mut sending, mut end) = (pin!(sender.send_request(request)), waiting.end(now));
        let sent = loop {
            match timeout_at(end, sending.as_mut()).await {
                Ok(sent) => break sent,
                Err(_) => end = waiting.begins_anew(received.bytes(), Instant::now()).ok_or(Failure::ReadTimeout)?,
            }
        };
        let response = sent.map_err(|error| Failure::of(&error))?;
        // What comes now is a body or a tunnel.
        received.let_come(None);
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &[(&'static str, &'static str)]) -> Option<String> {
        let mut request = Request::get("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        asked_protocols(&request.body(()).unwrap().into_parts().0).map(|asked| asked.join(", "))
    }

    #[test]
    fn only_a_request_that_says_it_twice_may_switch() {
        let connection = ("connection", "keep-alive, Upgrade");
        assert_eq!(asked(&[connection, ("upgrade", "foo")]).as_deref(), Some("foo"));
        for fields in [
            &[("upgrade", "foo")][..],
            &[connection, ("upgrade", "")],
            &[connection, ("upgrade", "h2c")],
            &[connection, ("upgrade", "websocket, H2C")],
            &[connection, ("upgrade", "HTTP/2.0")],
        ] {
            assert_eq!(asked(fields), None, "{fields:?}");
        }
    }
}
