//! Resumed sessions of clients that showed a certificate.
//!
//! A resumed handshake shows no certificate again: the session's ticket stands for it, and the library looks at no date
//! in it. So a ticket begins with the span in which its certificate is good. Outside of that span it is no ticket, and
//! the client shakes hands in full, with the certificate that it has now.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::{
        ProducesTickets,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    time_provider::TimeProvider,
};
use zeroize::Zeroizing;

use super::{
    ClientAuthority,
    validity::{VALIDITY_BYTES, Validity},
};
use crate::domain::Clock;

/// The library's time is the gateway's.
#[derive(Debug)]
pub(super) struct Time(pub(super) Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_secs()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// When the certificate of one connection's client is good: what its handshake finds out.
#[derive(Debug)]
pub(super) struct Found(Mutex<Validity>);

impl Found {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Validity::ALWAYS)))
    }

    /// The span; always, where no certificate was shown.
    pub(super) fn validity(&self) -> Validity {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, validity: Validity) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = validity;
    }
}

/// The tickets of one handshake.
#[derive(Debug)]
pub(super) struct DatedTickets {
    pub(super) tickets: Arc<dyn ProducesTickets>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) found: Arc<Found>,
}

impl ProducesTickets for DatedTickets {
    fn enabled(&self) -> bool {
        self.tickets.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.tickets.lifetime()
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        let mut dated = Zeroizing::new(Vec::with_capacity(VALIDITY_BYTES + session.len()));
        dated.extend_from_slice(&self.found.validity().to_bytes());
        dated.extend_from_slice(session);
        self.tickets.encrypt(&dated)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let dated = Zeroizing::new(self.tickets.decrypt(ticket)?);
        let (validity, session) = dated.split_first_chunk()?;
        let validity = Validity::from_bytes(validity);
        if !validity.contains(self.clock.now()) {
            return None;
        }
        self.found.set(validity);
        Some(session.to_vec())
    }
}

/// Verifies the certificate of one handshake, and notes when it is good.
#[derive(Debug)]
pub(super) struct Noting {
    pub(super) clients: ClientAuthority,
    pub(super) found: Arc<Found>,
}

impl ClientCertVerifier for Noting {
    fn offer_client_auth(&self) -> bool {
        self.clients.whole().offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.clients.whole().client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.whole().root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let (verified, validity) = self.clients.verify(end_entity, intermediates, now)?;
        self.found.set(validity);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients.whole().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients.whole().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients.whole().supported_verify_schemes()
    }
}
