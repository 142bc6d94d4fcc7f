//! Whose client certificates are good at which time.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    CertificateError, Error, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use thiserror::Error;

use super::validity::Validity;
use crate::domain::Timestamp;

/// Authorities of one file, at most.
const AUTHORITIES_MAX: usize = 1024;

/// Why a file of authorities was not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("has no usable authority in PEM (-----BEGIN CERTIFICATE-----), or more than {AUTHORITIES_MAX}")]
pub struct ClientAuthorityError;

/// Whose certificates clients show.
#[derive(Clone)]
pub struct ClientAuthority(Arc<Authorities>);

struct Authorities {
    all: Vec<(CertificateDer<'static>, Validity)>,
    required: bool,
    /// Knows all of them, whatever the time is: for what does not depend on it.
    whole: Arc<dyn ClientCertVerifier>,
    /// Those that are good at the time of the last handshake.
    present: ArcSwap<Present>,
}

/// The authorities that are good in a span of time.
struct Present {
    holds: Validity,
    /// `None` where no authority is good then.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl ClientAuthority {
    /// The authorities of a PEM file; `required` when a client without a certificate is turned away.
    ///
    /// # Errors
    /// When the file has none.
    pub fn from_pem(pem: &[u8], required: bool) -> Result<Self, ClientAuthorityError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(AUTHORITIES_MAX + 1).collect();
        let certificates = certificates.map_err(|_| ClientAuthorityError)?;
        if certificates.is_empty() || certificates.len() > AUTHORITIES_MAX {
            return Err(ClientAuthorityError);
        }
        let dated = |certificate: CertificateDer<'static>| {
            let validity = Validity::read(&certificate).ok_or(ClientAuthorityError)?;
            Ok((certificate, validity))
        };
        let all = certificates.into_iter().map(dated).collect::<Result<Vec<_>, _>>()?;
        let whole = verifier(all.iter().map(|(certificate, _)| certificate), required).ok_or(ClientAuthorityError)?;
        let present = ArcSwap::from_pointee(Present { holds: Validity::NEVER, verifier: None });
        Ok(Self(Arc::new(Authorities { all, required, whole, present })))
    }

    /// How many of them are not good at this time, and how many there are.
    pub(in crate::edge) fn out_of_date(&self, now: Timestamp) -> (usize, usize) {
        let all = &self.0.all;
        (all.iter().filter(|(_, validity)| !validity.contains(now)).count(), all.len())
    }

    /// Verifies a chain. With it comes when it stays good: as long as each of its certificates is, and the same
    /// authorities are. What is out of date now is no part of the way to the authority; what cannot be read ends it at
    /// once.
    ///
    /// The library does not look at the dates of a trusted authority; here one that is out of date vouches for nobody.
    pub(super) fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(ClientCertVerified, Validity), Error> {
        let present = self.0.at(now);
        let verifier = present.verifier.as_ref().ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let proof = verifier.verify_client_cert(end_entity, intermediates, now)?;
        let chain = [end_entity].into_iter().chain(intermediates);
        let chain = chain.map(|certificate| Validity::read(certificate));
        let counts =
            |validity: &Option<Validity>| validity.is_none_or(|validity| validity.contains_second(second(now)));
        let chain = chain.filter(counts).map(|validity| validity.unwrap_or(Validity::NEVER));
        Ok((proof, chain.fold(present.holds, Validity::and)))
    }

    /// For what does not depend on the time.
    pub(super) fn whole(&self) -> &dyn ClientCertVerifier {
        &*self.0.whole
    }
}

impl Authorities {
    /// What holds at this time.
    fn at(&self, now: UnixTime) -> Arc<Present> {
        let second = second(now);
        let present = self.present.load();
        if present.holds.contains_second(second) {
            return Arc::clone(&present);
        }
        let good = self.all.iter().filter(|(_, validity)| validity.contains_second(second));
        let spans = self.all.iter().map(|(_, validity)| validity.unchanged_around(second));
        let next = Arc::new(Present {
            holds: spans.fold(Validity::ALWAYS, Validity::and),
            verifier: verifier(good.map(|(certificate, _)| certificate), self.required),
        });
        self.present.store(Arc::clone(&next));
        next
    }
}

/// A verifier that trusts these; `None` where the list is empty, or has one that cannot be read.
fn verifier<'c>(
    authorities: impl Iterator<Item = &'c CertificateDer<'static>>,
    required: bool,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).ok()?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().ok()
}

fn second(now: UnixTime) -> i64 {
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

impl PartialEq for ClientAuthority {
    fn eq(&self, other: &Self) -> bool {
        self.0.all == other.0.all && self.0.required == other.0.required
    }
}

impl fmt::Debug for ClientAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client{:?}", self.0)
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({} authorities, required: {})", self.all.len(), self.required)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_authorities_is_refused() {
        assert_eq!(ClientAuthority::from_pem(b"", true).unwrap_err(), ClientAuthorityError);
    }
}
