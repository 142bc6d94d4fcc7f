//! What the log says of somebody who is asked about tokens, in words of their own for old systems and for issuers.

use http::Uri;

use crate::{issuer::EndpointLookupError, rules::verifier::Unclear, verifier::ExchangeError};

/// The verifier that is asked about tokens, by its name in the config.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked<'a> {
    /// `[verifiers.NAME]`.
    OldSystem(&'a str),
    /// `[issuers.NAME]` with an introspection endpoint.
    Issuer(&'a str),
}

impl Asked<'_> {
    /// Its metadata say where it is asked. Only an issuer has metadata.
    pub(super) fn has_endpoint(self, endpoint: &Uri) {
        let (Self::OldSystem(issuer) | Self::Issuer(issuer)) = self;
        tracing::info!(issuer, %endpoint, "an issuer's metadata say where it is asked about tokens");
    }

    /// They do not.
    pub(super) fn has_no_endpoint(self, error: &EndpointLookupError) {
        let (Self::OldSystem(issuer) | Self::Issuer(issuer)) = self;
        let hint =
            "its opaque tokens are refused while no address is known; check discovery, or write introspection.endpoint";
        tracing::warn!(issuer, %error, hint, "an issuer's metadata do not say where it is asked about tokens");
    }

    /// It refuses a token that nobody has.
    pub(super) fn is_believed(self) {
        match self {
            Self::OldSystem(verifier) => {
                tracing::info!(verifier, "an old system refuses a token that nobody has; its word about tokens counts");
            }
            Self::Issuer(issuer) => {
                tracing::info!(
                    issuer,
                    "an issuer's introspection endpoint refuses a token that nobody has; its word counts"
                );
            }
        }
    }

    /// It says yes to one.
    pub(super) fn says_yes_to_all(self) {
        match self {
            Self::OldSystem(verifier) => {
                let hint = "tokens.url is no check of tokens; its yes counts for nothing until the config is right and the gateway reloads";
                tracing::error!(
                    verifier,
                    hint,
                    "an old system says yes to a token that nobody has; its word about tokens counts for nothing"
                );
            }
            Self::Issuer(issuer) => {
                let hint = "that is no introspection endpoint; its yes counts for nothing until the config is right and the gateway reloads";
                tracing::error!(
                    issuer,
                    hint,
                    "an issuer's introspection endpoint says yes to a token that nobody has; its word counts for nothing"
                );
            }
        }
    }

    /// Its answer to such a token is neither yes nor no.
    pub(super) fn says_nothing_to_nobodys(self, why: Unclear) {
        let why = why.name();
        match self {
            Self::OldSystem(verifier) => {
                let hint = "check tokens.url and what it answers to a wrong token";
                tracing::warn!(verifier, why, hint, "an old system's answer about a token says nothing");
            }
            Self::Issuer(issuer) => {
                let hint = "check the introspection endpoint, client_id and client_secret_file, and what it answers to a wrong token";
                tracing::warn!(issuer, why, hint, "an issuer's answer about a token says nothing");
            }
        }
    }

    /// Its answer about a client's token is neither.
    pub(super) fn says_nothing(self, why: Unclear) {
        let why = why.name();
        match self {
            Self::OldSystem(verifier) => {
                tracing::warn!(verifier, why, "an old system's answer about a token says nothing");
            }
            Self::Issuer(issuer) => tracing::warn!(issuer, why, "an issuer's answer about a token says nothing"),
        }
    }

    /// It counts as away from now on.
    pub(super) fn is_away(self, error: ExchangeError) {
        let reason = error.name();
        match self {
            Self::OldSystem(verifier) => {
                tracing::warn!(verifier, reason, "an old system's check of tokens is out of reach");
            }
            Self::Issuer(issuer) => {
                tracing::warn!(issuer, reason, "an issuer's introspection endpoint is out of reach");
            }
        }
    }
}
