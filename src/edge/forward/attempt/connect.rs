//! A connection to the server: one that another request makes, or a new one.

use tokio::time::{Instant, timeout};

use super::retry::Failed;
use crate::{
    decision::Route,
    edge::forward::{
        exchange::Exchange,
        failure::{Failure, Unconnected},
    },
    upstream::{self, HttpVersion, Speak},
};

impl Exchange {
    /// Finds a connection to the server where none had room: one that another request makes, or a new one. Gives when
    /// it was there, and whether another request made it. An error says whether another server may be asked.
    pub(super) async fn connect_or_share(&mut self, route: &Route) -> Result<(std::time::Instant, bool), Failed> {
        let Some(server) = self.server_lease.as_ref().map(|server_lease| server_lease.server().clone()) else {
            return Err(Failed { failure: Failure::Internal, again: false });
        };
        let connections = &self.inbound.worker.connections;
        while let Some(awaited) = connections.awaited(&server) {
            let patience = self.time_left(route).min(route.pool.settings.timeouts.connect);
            match timeout(patience, awaited.made()).await {
                Ok(Ok(())) => {}
                // The request that makes it says so of the server.
                Ok(Err(why)) => {
                    return Err(Failed { failure: Failure::Unconnected(why), again: self.spend_retry(false) });
                }
                // A server that does not say what it allows may take a request on another connection. It may be silent,
                // too: where there is another server, that is asked.
                Err(_) if !self.spend_retry(false) => break,
                Err(_) => return Err(Failed { failure: Failure::Unconnected(Unconnected::Timeout), again: true }),
            }
            let now = self.shared().services.clock.instant();
            self.lease = connections.take(&server, Instant::from_std(now));
            if self.lease.is_some() {
                return Ok((now, true));
            }
        }
        let connected = timeout(self.time_left(route), connections.connect(&route.pool, &server)).await;
        let lease = connected.unwrap_or(Err(Unconnected::Timeout));
        let lease = lease.map_err(|why| self.not_connected(why, Speak::AsConfigured))?;
        self.lease = Some(lease);
        self.connected();
        Ok((self.shared().services.clock.instant(), false))
    }

    /// A new connection to the server was made.
    pub(in crate::edge::forward) fn connected(&mut self) {
        let now = self.shared().services.clock.instant();
        if let Some(server_lease) = &mut self.server_lease {
            server_lease.connected(now);
        }
    }

    /// A connection that was to `speak` so and could not be made carried nothing: another server may be asked, whatever
    /// the request is.
    pub(in crate::edge::forward) fn not_connected(&mut self, why: Unconnected, speak: Speak) -> Failed {
        let mut may_lack_http1 = false;
        if let Some(route) = self.route() {
            route.pool.metrics.connection_failed(why.label());
            may_lack_http1 = speak == Speak::Http1 && route.pool.settings.http != HttpVersion::One;
        }
        // With next to nothing left of the exchange's time, no server could have taken it. An error of this machine
        // says nothing about a server either, and nor does one of HTTP/2 that is asked for HTTP/1.1.
        let is_servers = why != Unconnected::Local && !(may_lack_http1 && why == Unconnected::Tls);
        if is_servers && !self.is_over() {
            self.server_failed(upstream::Failure::Unreachable);
        }
        Failed { failure: Failure::Unconnected(why), again: self.spend_retry(false) }
    }
}
