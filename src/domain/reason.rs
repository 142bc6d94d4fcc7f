//! Why a request was let through or refused: one word each, for metrics, logs and answers.

/// The reason of a decision. [`Reason::name`] is a metric label and a field of the access log, so
/// the words are a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    // Let through.
    /// The route asks for no token.
    Public,
    /// A valid token opened the route.
    Authenticated,
    /// The route's token is optional and none was sent.
    Anonymous,
    /// A browser asked what a page may do, and was told; nothing was forwarded.
    Preflight,
    // 400
    /// The path has no single meaning.
    AmbiguousPath,
    /// `Host` is missing, repeated, malformed or not the target's.
    InvalidHost,
    /// Two different tokens were sent.
    ConflictingTokens,
    /// The message itself is broken.
    MalformedRequest,
    /// A field asks for another method than the request's, and the route does not have it so.
    MethodOverride,
    // 401
    /// No token was sent.
    MissingToken,
    /// What was sent is no token.
    MalformedToken,
    /// The token is larger than any that Portero mints or accepts.
    TokenTooLarge,
    /// No key has the token's key id.
    UnknownKey,
    /// The token's key was revoked.
    KeyRevoked,
    /// The token names another algorithm than its key's.
    WrongAlgorithm,
    /// The header asks for an extension that is not understood (`crit`, `b64`), or is of another type.
    UnsupportedHeader,
    /// The signature does not fit.
    InvalidSignature,
    /// A registered claim is missing or of the wrong type.
    InvalidClaims,
    /// `iss` is not the key's realm's.
    WrongIssuer,
    /// `aud` is not the key's realm's.
    WrongAudience,
    /// `exp` has passed.
    Expired,
    /// `nbf` has not come.
    NotYetValid,
    /// The token itself was revoked.
    TokenRevoked,
    /// The login that gave it was revoked.
    SessionRevoked,
    /// Its principal was disabled, deleted, or given a new password or role.
    PrincipalRevoked,
    /// The store has no such account.
    UnknownAccount,
    /// The principal never had this epoch.
    UnknownEpoch,
    /// A token of a realm that the route does not accept.
    RealmNotAccepted,
    /// Its authorization server says that it does not hold.
    InactiveToken,
    /// A refresh or content token where an access token is asked for, or the other way round.
    WrongTokenKind,
    // 403
    /// The role is not among those required.
    RoleMissing,
    /// A required scope is missing.
    ScopeMissing,
    /// A required claim is missing or has another value.
    ClaimMissing,
    // 404, 405
    /// No route has this host and path.
    NoRoute,
    /// The route exists, but not for this method.
    MethodNotAllowed,
    // Others
    /// The request's body is larger than is taken here.
    BodyTooLarge,
    /// The request's head was not complete in time.
    RequestTimeout,
    /// The head has more fields or bytes than are taken.
    HeadTooLarge,
    /// Something is expected that no server here does.
    ExpectationFailed,
    /// The client did not wait for the answer: nobody is told.
    ClientLeft,
    /// The gateway stopped, and had waited for as long as it may: nobody is told.
    GatewayStopped,
    /// Too many attempts, or too many connections.
    TooManyRequests,
    /// Too many tokens from this address were checked and found bad.
    TooManyBadTokens,
    /// The upstream could not be reached, or broke off.
    UpstreamFailed,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// No server of the upstream is healthy.
    UpstreamUnavailable,
    /// The upstream has as many requests in flight and waiting as it may have.
    UpstreamBusy,
    /// What is needed to decide is out of reach.
    Unavailable,
    /// The shared store was not heard of for longer than `store.max_staleness`: nobody knows what was revoked.
    Stale,
    /// The keys of the token's external issuer cannot be had, or are too old to be believed.
    IssuerUnavailable,
    /// A defect of ours.
    Internal,
}

impl Reason {
    /// Every reason, for resolving metric handles ahead.
    pub const ALL: [Self; 51] = [
        Self::Public,
        Self::Authenticated,
        Self::Anonymous,
        Self::Preflight,
        Self::AmbiguousPath,
        Self::InvalidHost,
        Self::ConflictingTokens,
        Self::MalformedRequest,
        Self::MethodOverride,
        Self::MissingToken,
        Self::MalformedToken,
        Self::TokenTooLarge,
        Self::UnknownKey,
        Self::KeyRevoked,
        Self::WrongAlgorithm,
        Self::UnsupportedHeader,
        Self::InvalidSignature,
        Self::InvalidClaims,
        Self::WrongIssuer,
        Self::WrongAudience,
        Self::Expired,
        Self::NotYetValid,
        Self::TokenRevoked,
        Self::SessionRevoked,
        Self::PrincipalRevoked,
        Self::UnknownAccount,
        Self::UnknownEpoch,
        Self::RealmNotAccepted,
        Self::InactiveToken,
        Self::WrongTokenKind,
        Self::RoleMissing,
        Self::ScopeMissing,
        Self::ClaimMissing,
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::BodyTooLarge,
        Self::RequestTimeout,
        Self::HeadTooLarge,
        Self::ExpectationFailed,
        Self::ClientLeft,
        Self::GatewayStopped,
        Self::TooManyRequests,
        Self::TooManyBadTokens,
        Self::UpstreamFailed,
        Self::UpstreamTimeout,
        Self::UpstreamUnavailable,
        Self::UpstreamBusy,
        Self::Unavailable,
        Self::Stale,
        Self::IssuerUnavailable,
        Self::Internal,
    ];

    /// The word for metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Authenticated => "authenticated",
            Self::Anonymous => "anonymous",
            Self::Preflight => "preflight",
            Self::AmbiguousPath => "ambiguous_path",
            Self::InvalidHost => "invalid_host",
            Self::ConflictingTokens => "conflicting_tokens",
            Self::MalformedRequest => "malformed_request",
            Self::MethodOverride => "method_override",
            Self::MissingToken => "missing_token",
            Self::MalformedToken => "malformed_token",
            Self::TokenTooLarge => "token_too_large",
            Self::UnknownKey => "unknown_key",
            Self::KeyRevoked => "key_revoked",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::UnsupportedHeader => "unsupported_header",
            Self::InvalidSignature => "invalid_signature",
            Self::InvalidClaims => "invalid_claims",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::TokenRevoked => "token_revoked",
            Self::SessionRevoked => "session_revoked",
            Self::PrincipalRevoked => "principal_revoked",
            Self::UnknownAccount => "unknown_account",
            Self::UnknownEpoch => "unknown_epoch",
            Self::RealmNotAccepted => "realm_not_accepted",
            Self::InactiveToken => "inactive_token",
            Self::WrongTokenKind => "wrong_token_kind",
            Self::RoleMissing => "role_missing",
            Self::ScopeMissing => "scope_missing",
            Self::ClaimMissing => "claim_missing",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::HeadTooLarge => "head_too_large",
            Self::ExpectationFailed => "expectation_failed",
            Self::ClientLeft => "client_left",
            Self::GatewayStopped => "gateway_stopped",
            Self::TooManyRequests => "too_many_requests",
            Self::TooManyBadTokens => "too_many_bad_tokens",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamBusy => "upstream_busy",
            Self::Unavailable => "unavailable",
            Self::Stale => "stale",
            Self::IssuerUnavailable => "issuer_unavailable",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status that a denial for this reason answers (a success where the reason is no denial).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Public | Self::Authenticated | Self::Anonymous => 200,
            Self::Preflight => 204,
            Self::AmbiguousPath
            | Self::InvalidHost
            | Self::ConflictingTokens
            | Self::MalformedRequest
            | Self::MethodOverride
            | Self::ClientLeft => 400,
            Self::RoleMissing | Self::ScopeMissing | Self::ClaimMissing => 403,
            Self::NoRoute => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::ExpectationFailed => 417,
            Self::TooManyRequests | Self::TooManyBadTokens => 429,
            Self::HeadTooLarge => 431,
            Self::Internal => 500,
            Self::UpstreamFailed => 502,
            Self::UpstreamUnavailable
            | Self::UpstreamBusy
            | Self::GatewayStopped
            | Self::Unavailable
            | Self::Stale
            | Self::IssuerUnavailable => 503,
            Self::UpstreamTimeout => 504,
            _ => 401,
        }
    }

    /// Whether it is no reason to refuse anything.
    #[must_use]
    pub const fn allows(self) -> bool {
        matches!(self, Self::Public | Self::Authenticated | Self::Anonymous | Self::Preflight)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_distinct_and_all_are_listed_in_order() {
        let names: HashSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.name());
        }
    }
}
