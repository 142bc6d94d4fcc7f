//! The doorman: pingora's hooks, each of which asks somebody else and does what they say.

use std::{any::Any, os::fd::RawFd, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pingora::{
    Error, ErrorType, Result,
    apps::HttpServerOptions,
    http::{RequestHeader, ResponseHeader},
    modules::http::HttpModules,
    protocols::Digest,
    proxy::{FailToProxy, HttpProxy, ProxyHttp, ProxyWarnLogContext, Session, http_proxy},
    server::configuration::ServerConf,
    upstreams::peer::HttpPeer,
};
use tokio::time::Instant;

use super::{
    exchange::{Arrival, Exchange},
    services::Shared,
    stream::STREAM,
    upstream_request,
};
use crate::{edge::listen::settings::IDLE_UPSTREAM_CONNECTIONS, upstream::RETRIES_MAX};

/// How often pingora may offer one request to servers: above what the relay tries, so that ours decides.
const PINGORA_TRIES_MAX: usize = 1 + RETRIES_MAX as usize + 1;

/// pingora's application. What it does stands in `admission` (until a request is forwarded) and
/// `relay` (from there on).
pub(in crate::edge) struct Doorman(pub(in crate::edge) Arc<Shared>);

impl Doorman {
    /// A doorman with these means, as pingora runs him on one thread.
    pub(in crate::edge) fn in_pingora(shared: Arc<Shared>) -> HttpProxy<Self> {
        let conf = ServerConf {
            threads: 1,
            upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS,
            max_retries: PINGORA_TRIES_MAX,
            ..ServerConf::default()
        };
        let mut proxy = http_proxy(&Arc::new(conf), Self(shared));
        // pingora would answer it by itself, past the log: it never gets further than `admit`.
        let mut options = HttpServerOptions::default();
        options.allow_connect_method_proxying = true;
        proxy.server_options = Some(options);
        proxy
    }
}

#[async_trait]
impl ProxyHttp for Doorman {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        let mut exchange = Exchange::new(self.0.means.clock.instant());
        // Where there is none it is HTTP/1, see below.
        if let Ok(stream) = STREAM.try_with(Clone::clone) {
            exchange.connection = Some(Arc::clone(&stream.connection));
            exchange.lifeline = Some(Arc::clone(&stream.lifeline));
            exchange.refused = stream.refused;
            exchange.upload = stream.upload;
        }
        exchange
    }

    /// None: pingora's default would compress nothing, and be asked about every part of every message.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    /// Not only on reuse: our accept loop hands its connection over with every request.
    fn on_connection_reuse(&self, _: &mut Session, exchange: &mut Exchange, context: Box<dyn Any + Send + Sync>) {
        if let Ok(arrival) = context.downcast::<Arrival>() {
            exchange.arrive(*arrival);
        }
    }

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        self.admit(session, exchange).await
    }

    async fn upstream_peer(&self, session: &mut Session, exchange: &mut Exchange) -> Result<Box<HttpPeer>> {
        self.choose_server(session, exchange).await
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        exchange: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        self.not_connected(exchange, &mut error);
        error
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        reused: bool,
        _: &HttpPeer,
        _: RawFd,
        _: Option<&Digest>,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if !reused {
            self.connected(exchange);
        }
        Ok(())
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        exchange: &mut Exchange,
        reused: bool,
    ) -> Box<Error> {
        self.broke_off(session, exchange, &mut error, reused);
        error
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        upstream_request::settle_trailers(request, session.req_header())?;
        self.hand_over(request, exchange)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        exchange.note_answer(session.req_header(), response);
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked: whoever may switch goes through `tunnel`.
            return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
        }
        self.take_response(response, exchange);
        if response.status.is_informational() {
            self.check_interim(response.status, exchange)?;
        }
        exchange.amend(session.req_header(), response)
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>> {
        exchange.bytes_out += body.as_ref().map_or(0, |body| body.len() as u64);
        if let Some(upload) = &exchange.upload {
            upload.received(Instant::now());
            if end {
                upload.answered();
            }
        }
        if self.is_over(exchange) { Err(Error::new_up(ErrorType::ReadTimedout)) } else { Ok(None) }
    }

    fn upstream_response_trailer_filter(
        &self,
        _: &mut Session,
        _: &mut HeaderMap,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if let Some(upload) = &exchange.upload {
            upload.answered();
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        exchange.bytes_in += body.as_ref().map_or(0, |body| body.len() as u64);
        if let Some(upload) = &exchange.upload {
            upload.passed_on(Instant::now(), end);
        }
        exchange.take_body(session.body_bytes_read())?;
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
        exchange.request_id.as_str().to_owned()
    }
}
