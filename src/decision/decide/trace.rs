//! What a decision comes across on its way, for the one who wants it explained. Nobody does while a request is
//! served: then the trace is `()`, and nothing of it is left in the program.

use super::{
    freshness::StaleAction,
    snapshot::{Endpoint, Route},
};
use crate::{
    domain::{Claims, KeyId, RealmName, Reason},
    per_thread::Spread,
    rules::{
        policy::{Credential, Policy},
        route::{CanonicalPath, Found, Host, InvalidHost, PathError},
    },
    state::{keys::KeyState, token::Verified},
};

/// Is told of the steps of a decision, in the order in which they are taken.
pub(in crate::decision) trait Trace {
    /// Whether the decision is only rehearsed: nothing is counted or remembered, and every look-up is made, also
    /// those whose outcome is known from an earlier request.
    const REHEARSAL: bool;

    /// Notes what was found out. Where it is a refusal, it is the last fact about the request.
    fn note(&mut self, fact: Fact<'_>);
}

impl Trace for () {
    const REHEARSAL: bool = false;

    #[inline]
    fn note(&mut self, _fact: Fact<'_>) {}
}

/// One step of a decision.
#[derive(Debug)]
pub(in crate::decision) enum Fact<'a> {
    /// The path in its canonical spelling.
    Path(Result<&'a CanonicalPath<'a>, PathError>),
    /// The host.
    Host(Result<Host<'a>, InvalidHost>),
    /// Whether an `OPTIONS` is a browser's question that is answered here.
    Preflight(bool),
    /// The token endpoint that answers, or that none does.
    Endpoint(Option<&'a Endpoint>),
    /// What the route table says.
    Route(&'a Found<'a, Spread<Route>>),
    /// Whether the method is one that is forwarded at all.
    Method(bool),
    /// A field asks for another method; whether that is refused.
    MethodOverride(bool),
    /// The route looks at no token.
    Public,
    /// The token that the request carries.
    Credential(Result<Option<&'a Credential<'a>>, Reason>),
    /// The key is not known; its issuer would be asked for it.
    KeyAsked {
        /// The external issuer.
        issuer: &'a RealmName,
        /// The key that the token names.
        id: &'a KeyId,
    },
    /// The token is not ours; somebody would be asked about it.
    CheckAsked {
        /// An old system, or an external issuer.
        asked: &'a str,
        /// Whether it is an issuer.
        is_issuer: bool,
    },
    /// The token was opened, or there is no token.
    Opened(Result<&'a Verified, Reason>),
    /// Whether the token's times hold.
    Times(&'a Verified, Result<(), Reason>),
    /// Whether the key's external issuer still stands by it.
    KeyConfirmed(&'a Verified, bool),
    /// Whether the issuer's tokens are still read as they were.
    Issuer(&'a Verified, bool),
    /// The state of the key now; `None` where it is gone.
    Key(&'a Verified, Option<KeyState>),
    /// Whether the token, its session or its principal is revoked.
    Revocations(&'a Verified, Result<(), Reason>),
    /// Whether the account of an imported key's token exists, and had the token's epoch.
    Account(Result<(), Reason>),
    /// The shared store was not heard of for too long; what is done then.
    Stale(StaleAction),
    /// What the policy says about the claims.
    Policy(&'a Policy, &'a Claims),
}
