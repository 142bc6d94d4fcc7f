//! What stands behind each listening socket: whether its clients come through TLS or from a balancer.

use std::sync::Arc;

use super::{
    settings::Listen,
    tls::{ListenTlsSettings as TlsSettings, Present, Terminator},
};
use crate::{
    domain::{Clock, Timestamp},
    observe::metrics::Metrics,
};

/// The listener runtime, in the order of the listening sockets.
#[derive(Debug)]
pub(in crate::edge) struct ListenerRuntimes(Vec<ListenerRuntime>);

/// One of them.
#[derive(Debug, Default)]
pub(in crate::edge) struct ListenerRuntime {
    /// `None` in the clear.
    pub(in crate::edge) tls: Option<Terminator>,
    /// Whether each connection begins with a PROXY protocol header, which names the client.
    pub(in crate::edge) proxy_protocol: bool,
}

impl ListenerRuntimes {
    pub(in crate::edge) fn new(listen: &[Listen], clock: &Arc<dyn Clock>) -> Result<Self, rustls::Error> {
        let listener_runtime = |listen: &Listen| {
            let tls = listen.tls.as_ref().map(|settings| Terminator::new(settings, Arc::clone(clock))).transpose()?;
            Ok(ListenerRuntime { tls, proxy_protocol: listen.proxy_protocol })
        };
        listen.iter().map(listener_runtime).collect::<Result<_, _>>().map(Self)
    }

    /// The listener runtime of a socket.
    pub(in crate::edge) fn get(&self, at: usize) -> Option<&ListenerRuntime> {
        self.0.get(at)
    }

    /// What handshakes of each listener runtime are done with once these settings hold.
    pub(in crate::edge) fn prepare(&self, listen: &[Listen]) -> Result<Vec<NextTls>, rustls::Error> {
        let next = |(listener_runtime, listen): (&ListenerRuntime, &Listen)| {
            let tls = listener_runtime.tls.as_ref().zip(listen.tls.as_ref());
            tls.map(|(terminator, settings)| terminator.prepare(settings)).transpose()
        };
        self.0.iter().zip(listen).map(next).collect()
    }

    /// Takes over what was prepared.
    pub(in crate::edge) fn take_over(&self, next: Vec<NextTls>) {
        for (listener_runtime, next) in self.0.iter().zip(next) {
            if let (Some(terminator), Some(next)) = (&listener_runtime.tls, next) {
                terminator.take_over(next);
            }
        }
    }
}

/// How the listeners that are there go on when the config says this: with the certificates that it has for them. Where
/// a listener came or went, or TLS on it, only a restart follows: nothing of it changes until then.
pub(in crate::edge) fn with_certificates_of(present: &[Listen], config: &[Listen]) -> Vec<Listen> {
    let next = |(at, present): (usize, &Listen)| {
        let same = |listen: &&Listen| listen.address == present.address;
        // Several may take any free port: those are told apart by their place.
        let tls =
            config.get(at).filter(same).or_else(|| config.iter().find(same)).and_then(|listen| listen.tls.clone());
        Listen { tls: present.tls.as_ref().map(|present| tls.unwrap_or_else(|| present.clone())), ..present.clone() }
    };
    present.iter().enumerate().map(next).collect()
}

/// What a listener runtime's handshakes are done with from now on; `None` leaves them as they are.
pub(in crate::edge) type NextTls = Option<Arc<Present>>;

/// Shows until when the certificates are good, and warns of those that are not any more.
pub(in crate::edge) fn watch_certificates(listen: &[Listen], metrics: &Metrics, now: Timestamp) {
    metrics.listeners.forget_certificates();
    for listen in listen {
        let address = listen.address.to_string();
        for certificate in listen.tls.iter().flat_map(TlsSettings::certificates) {
            let mut names: Vec<_> = certificate.names().iter().map(ToString::to_string).collect();
            if names.is_empty() {
                names.push("-".to_owned());
            }
            for name in &names {
                let seconds = certificate.expires().as_secs_f64();
                metrics.listeners.set_certificate_expiry(&address, name, seconds);
            }
            if certificate.expires() <= now {
                tracing::warn!(listener = address, names = names.join(","), "a certificate has expired");
            }
        }
        let (out_of_date, authorities) =
            listen.tls.as_ref().and_then(TlsSettings::clients).map_or((0, 0), |clients| clients.out_of_date(now));
        if out_of_date > 0 {
            tracing::warn!(
                listener = address,
                out_of_date,
                authorities,
                "an authority of client certificates is out of date; it vouches for nobody"
            );
        }
    }
}
