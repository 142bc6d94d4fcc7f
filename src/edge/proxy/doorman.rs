//! The doorman: pingora's hooks, each of which asks somebody else and does what they say.

use std::{any::Any, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    proxy::{FailToProxy, HttpProxy, ProxyHttp, ProxyWarnLogContext, Session, http_proxy},
    server::configuration::ServerConf,
    upstreams::peer::HttpPeer,
};

use super::{
    exchange::{Arrival, Exchange},
    shared::Shared,
};

/// How often pingora may offer one request to servers: above what the relay tries, so that ours decides.
const PINGORA_TRIES_MAX: usize = 4;

/// Idle upstream connections that are kept, for each thread.
const IDLE_UPSTREAM_CONNECTIONS: usize = 256;

/// pingora's application. What it does stands in `admission` (until a request is forwarded) and
/// `relay` (from there on).
pub(super) struct Doorman(pub(super) Arc<Shared>);

impl Doorman {
    /// A doorman with these means, as pingora runs him on `threads` threads.
    pub(super) fn in_pingora(shared: Arc<Shared>, threads: usize) -> HttpProxy<Self> {
        let conf = ServerConf {
            threads,
            upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS * threads,
            max_retries: PINGORA_TRIES_MAX,
            ..ServerConf::default()
        };
        http_proxy(&Arc::new(conf), Self(shared))
    }
}

#[async_trait]
impl ProxyHttp for Doorman {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::new(self.0.means.clock.instant())
    }

    /// Not only on reuse: our accept loop hands its connection over with every request.
    fn on_connection_reuse(&self, _: &mut Session, exchange: &mut Exchange, context: Box<dyn Any + Send + Sync>) {
        if let Ok(arrival) = context.downcast::<Arrival>() {
            exchange.arrive(*arrival);
        }
    }

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        self.admit(session, exchange).await
    }

    async fn upstream_peer(&self, _: &mut Session, exchange: &mut Exchange) -> Result<Box<HttpPeer>> {
        self.choose_server(exchange)
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        reused: bool,
        _: &HttpPeer,
        _: std::os::unix::io::RawFd,
        _: Option<&pingora::protocols::Digest>,
        exchange: &mut Exchange,
    ) -> Result<()> {
        self.connected(exchange, reused);
        Ok(())
    }

    fn fail_to_connect(&self, _: &mut Session, _: &HttpPeer, exchange: &mut Exchange, error: Box<Error>) -> Box<Error> {
        self.not_connected(exchange, error)
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        self.hand_over(request, exchange)
    }

    async fn upstream_response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        self.take_response(response, exchange);
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>> {
        exchange.bytes_out += body.as_ref().map_or(0, |body| body.len() as u64);
        if self.is_over(exchange) { Err(Error::new_up(ErrorType::ReadTimedout)) } else { Ok(None) }
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        exchange.bytes_in += body.as_ref().map_or(0, |body| body.len() as u64);
        if self.is_over(exchange) { Err(Error::new_down(ErrorType::ReadTimedout)) } else { Ok(()) }
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
        self.give_up(session, error, exchange).await
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, exchange: &mut Exchange) {
        self.0.record(session, exchange);
    }

    fn suppress_error_log(&self, _: &Session, _: &Exchange, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Exchange, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }

    /// pingora's has the path with its query.
    fn request_summary(&self, _: &Session, exchange: &Exchange) -> String {
        exchange.request_id.clone()
    }
}
