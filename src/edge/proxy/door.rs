//! What stands behind each listening socket: whether its clients come through TLS or from a balancer.

use super::{
    settings::Listen,
    tls::{Settings as TlsSettings, Terminator},
};
use crate::{domain::Timestamp, observe::metrics::Metrics};

/// The doors, in the order of the listening sockets.
#[derive(Debug)]
pub(super) struct Doors(Vec<Door>);

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// `None` in the clear.
    pub(super) tls: Option<Terminator>,
    /// Whether each connection begins with who the client is.
    pub(super) proxy_protocol: bool,
}

impl Doors {
    pub(super) fn new(listen: &[Listen]) -> Result<Self, rustls::Error> {
        let door = |listen: &Listen| {
            let tls = listen.tls.as_ref().map(Terminator::new).transpose()?;
            Ok(Door { tls, proxy_protocol: listen.proxy_protocol })
        };
        listen.iter().map(door).collect::<Result<_, _>>().map(Self)
    }

    /// The door of a socket.
    pub(super) fn get(&self, at: usize) -> Option<&Door> {
        self.0.get(at)
    }

    /// Takes over other certificates. Where a listener came or went, or TLS on it, only a restart follows: nothing
    /// of that door changes until then.
    pub(super) fn replace(&self, started: &[Listen], listen: &[Listen]) -> Result<(), rustls::Error> {
        for (door, started) in self.0.iter().zip(started) {
            let same = |listen: &&Listen| listen.address == started.address;
            let settings = listen.iter().find(same).and_then(|listen| listen.tls.as_ref());
            if let (Some(terminator), Some(settings)) = (&door.tls, settings) {
                terminator.replace(settings)?;
            }
        }
        Ok(())
    }
}

/// Shows until when the certificates are good, and warns of those that are not any more.
pub(super) fn watch_certificates(listen: &[Listen], metrics: &Metrics, now: Timestamp) {
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
    }
}
