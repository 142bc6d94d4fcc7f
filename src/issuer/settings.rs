//! What an external issuer is, as the config says.

use std::{path::PathBuf, sync::Arc, time::Duration};

use http::Uri;

use crate::{
    domain::{Algorithm, KeyId, RealmName},
    rules::{issuer::ExternalIssuer, profile::ClaimMapping},
    verifier::VerifierSettings,
};

/// An issuer whose tokens are accepted beside our own, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Its name in the config, in `accept` and in metrics; no realm has it.
    pub name: RealmName,
    /// `iss` of its tokens, letter by letter.
    pub issuer: String,
    /// The `aud` that its tokens must have, or one of these.
    pub audiences: Vec<String>,
    /// Which of their claims say what.
    pub claims: ClaimMapping,
    /// How far clocks may be apart when `exp` and `nbf` are checked; at most 60 s.
    pub leeway: Duration,
    /// The algorithms that its tokens may have; never empty, and for [`Source::Jwks`] all asymmetric.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are.
    pub source: Source,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It publishes them.
    Jwks(Jwks),
    /// They were handed over; at least one, each with another id and an algorithm of the settings'.
    Files(Vec<KeyFile>),
    /// There are none: it is asked about each token (RFC 7662).
    Introspection(Arc<VerifierSettings>),
}

/// A JWK set (RFC 7517 section 5) that is fetched again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwks {
    /// Where it is, or where the issuer's metadata says it: `https`, or `http` on a loopback address; without user
    /// information.
    pub url: Uri,
    /// Whether `url` is an issuer, or its metadata document, that says where the set is.
    pub discovery: bool,
    /// The PEM file of the certificates that the server's is traced to; default the system's.
    pub ca: Option<PathBuf>,
    /// How long a set is fresh when its answer does not say; default 5 min.
    pub refresh: Duration,
    /// How long a set is used after the issuer confirmed it last; default 24 h.
    pub max_stale: Duration,
    /// From one fetch that an unknown key id asked for to the next; default 30 s.
    pub cooldown: Duration,
    /// For a whole fetch, from the name's resolution to the last byte; default 5 s.
    pub timeout: Duration,
}

/// A key in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The file: a PEM public key, or a secret for an HMAC.
    pub file: PathBuf,
    /// The one algorithm it is used with.
    pub algorithm: Algorithm,
    /// The `kid` of its tokens.
    pub id: KeyId,
}

impl Source {
    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let (ca, keys) = match self {
            Self::Jwks(jwks) => (jwks.ca.as_ref(), &[][..]),
            Self::Files(keys) => (None, &keys[..]),
            Self::Introspection(settings) => (settings.ca.as_ref(), &[][..]),
        };
        ca.into_iter().chain(keys.iter().map(|key| &key.file))
    }
}

impl IssuerSettings {
    /// What its tokens must say.
    #[must_use]
    pub fn tokens(&self) -> ExternalIssuer {
        ExternalIssuer {
            name: self.name.clone(),
            issuer: self.issuer.clone(),
            audiences: self.audiences.clone(),
            leeway: self.leeway,
            claims: self.claims.clone(),
            is_asked: matches!(self.source, Source::Introspection(_)),
        }
    }

    /// What is accepted where the config does not say: asymmetric, and one of each family that issuers use.
    pub const ALGORITHMS_DEFAULT: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
}

impl Jwks {
    /// The set at `url`, with every default; without discovery.
    #[must_use]
    pub fn new(url: Uri) -> Self {
        Self {
            url,
            discovery: false,
            ca: None,
            refresh: Duration::from_mins(5),
            max_stale: Duration::from_hours(24),
            cooldown: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
        }
    }
}
