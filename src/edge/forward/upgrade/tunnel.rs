//! A connection that goes on as another protocol, until one of its ends has enough.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{sync::watch, time::sleep_until};

use super::{
    frames::{GOING_AWAY, UNAUTHORIZED},
    pump::{Pump, Stopped, TunnelTimeouts},
};
use crate::edge::{
    forward::{
        context::services::Shared,
        exchange::{Sent, Tunnel},
    },
    listen::stream::ClientStream,
};

/// How long before the end of draining tunnels are closed: enough to say so to both ends.
const DRAIN_LEAD: Duration = Duration::from_secs(2);

impl Tunnel {
    /// Passes the bytes on, of which the client sent `early` already. Gives the client's connection back where it was
    /// told that it ends.
    pub(in crate::edge) async fn run(
        self,
        mut client: ClientStream,
        early: BytesMut,
        mut shutdown: watch::Receiver<bool>,
    ) -> Option<ClientStream> {
        let Self { mut exchange, mut upstream, rest, framed } = self;
        let shared = Arc::clone(exchange.shared());
        let _tunnel = shared.tunnel_begun();
        let timeouts = exchange.route().map(|route| route.pool.settings.timeouts)?;
        let timeouts = TunnelTimeouts { idle: timeouts.tunnel_idle, write: timeouts.write };
        let mut pump = Pump::new(&early, &rest, framed);
        drop((early, rest));
        let inbound = Arc::clone(&exchange.inbound);
        let (code, text) = {
            let mut ended = pin!(inbound.guard.ended());
            tokio::select! {
                biased;
                reason = &mut ended => {
                    exchange.failure = Some(reason);
                    (UNAUTHORIZED, reason.name())
                }
                () = drained(&mut shutdown, &shared) => (GOING_AWAY, "draining"),
                stopped = pump.run(&mut client, &mut upstream, timeouts) => match stopped {
                    Stopped::Closed => (0, ""),
                    Stopped::Idle => (GOING_AWAY, "idle"),
                },
            }
        };
        (exchange.bytes_in, exchange.bytes_out) = (pump.up.moved, pump.down.moved);
        exchange.sent = Sent::GoneOut;
        if code == 0 || !framed {
            return None;
        }
        pump.close(&mut client, &mut upstream, code, text).await.then_some(client)
    }
}

/// Waits until the gateway has been draining for so long that tunnels have to go.
async fn drained(shutdown: &mut watch::Receiver<bool>, shared: &Shared) {
    // An error means that nobody can stop us any more but the end of the process.
    if shutdown.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
    let drain = shared.tunables().drain_timeout;
    // One that opens meanwhile has what is left of it.
    sleep_until(shared.draining_since() + drain.saturating_sub(DRAIN_LEAD.min(drain / 2))).await;
}
