//! What a server receives of a request, and how long the two sides are waited for.

use http::{HeaderValue, Request, Version, header};
use tokio::time::Instant;

use super::retry::Outbound;
use crate::{
    decision::Route,
    edge::{
        forward::{
            body::{progress::Waits, request::RequestBody},
            context::connections::Lease,
            exchange::{Exchange, Verdict},
            failure::Failure,
            head::upstream_request::{self, Terms},
        },
        listen::trusted::TrustedHeaders,
    },
    upstream::{self, Server},
};

impl Exchange {
    /// Says how a request is framed to its server, in the form of its connection.
    pub(super) fn frame_request(
        &self,
        request: &mut Request<RequestBody>,
        outbound: &Outbound,
        route: &Route,
    ) -> Result<(), Failure> {
        if self.lease.as_ref().is_some_and(Lease::is_http2) {
            let encrypted = route.pool.settings.tls.is_some();
            let trailers = self.is_http2() && upstream_request::takes_trailers(&self.head.headers);
            return upstream_request::for_http2(request, encrypted, trailers).map_err(|_| Failure::Internal);
        }
        if outbound.upload.is_some() && !request.headers().contains_key(header::CONTENT_LENGTH) {
            request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        Ok(())
    }

    /// Gives a `request`, which is sent `now`, the head that the server receives, for HTTP/1.
    pub(in crate::edge::forward) fn hand_over(
        &mut self,
        request: &mut Request<RequestBody>,
        route: &Route,
        now: std::time::Instant,
    ) -> Result<(), Failure> {
        self.handed_over = Some(now);
        if let Some(upload) = &self.upload {
            let trial = self.server_lease.as_ref().and_then(upstream::ServerLease::held);
            upload.begin(Instant::from_std(now), self.waits(route, now), trial);
        }
        // What came has room for the fields that are added. A copy of it has not, and stays here.
        let copy = self.head.headers.clone();
        *request.headers_mut() = std::mem::replace(&mut self.head.headers, copy);
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        if route.pool.settings.preserve_header_case {
            // What hyper's server left there says how names were spelt, and hyper's client writes them so.
            *request.extensions_mut() = self.head.extensions.clone();
        }
        let Verdict::Forward(permitted) = &self.verdict else { return Err(Failure::Internal) };
        let tunables = &self.tunables;
        let connection = self.connection();
        let is_trusted = upstream_request::is_trusted(connection.peer.ip(), &tunables.trusted_proxies);
        let dropped = upstream_request::prepare(
            request,
            &Terms {
                route,
                identity: permitted.identity.as_deref(),
                internal_token: permitted.internal_token.as_ref(),
                path: permitted.path.as_deref(),
                server: self.server().map(Server::address),
                request_id: &self.request_id,
                connection: Some(connection),
                trusted: if is_trusted { tunables.trusted_headers } else { TrustedHeaders::NONE },
                odd_names: tunables.odd_header_names,
            },
        );
        let dropped = dropped.map_err(|_| Failure::Internal)?;
        if self.head.version == Version::HTTP_10
            && !request.headers().contains_key(header::HOST)
            && let Some(server) = self.server().and_then(|server| HeaderValue::from_str(server.address()).ok())
        {
            // HTTP/1.0 names no host, and what we speak with servers does.
            request.headers_mut().insert(header::HOST, server);
        }
        // Another attempt drops the same fields once more.
        if self.tries <= 1 {
            self.shared().fields_dropped(&dropped);
        }
        Ok(())
    }

    /// How long the two sides of an exchange with a body are waited for.
    fn waits(&self, route: &Route, now: std::time::Instant) -> Waits {
        let headers = &self.head.headers;
        let tunables = &self.tunables;
        // A field alone exempts nobody: a gRPC call is HTTP/2 on both sides.
        let is_grpc = upstream_request::is_grpc(headers, Some(self.connection()))
            && route.pool.settings.http != upstream::HttpVersion::One;
        Waits {
            body_timeout: tunables.body_timeout,
            // Its messages come when there is something to say.
            rate_min: if is_grpc { 0 } else { tunables.body_rate_min },
            rate_grace: tunables.body_rate_grace,
            body_total: tunables.body_total_timeout,
            read: route.pool.settings.timeouts.read,
            write: route.pool.settings.timeouts.write,
            ends_at: self.ends_at(route, now),
            declared: headers.contains_key(header::CONTENT_LENGTH),
        }
    }
}
