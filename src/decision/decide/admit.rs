//! The second half of a decision: the token of a request that has a route, whom it speaks for, and whether that passes.

use std::{ops::ControlFlow, sync::Arc};

use super::{
    authenticate::{Awaiting, AwaitingCheck, Job, Proof, VerifyError, after_waiting, is_perhaps_early},
    freshness::StaleAction,
    live_state::View,
    request::Request,
    snapshot::Route,
    trace::{Fact, Trace},
};
use crate::{
    domain::{RealmName, Reason, Timestamp},
    rules::policy::{Auth, Credential, find_credential},
    state::token::Verified,
};

/// What comes of looking for a token, where nothing is refused.
pub(super) enum Admitted {
    As(Option<Arc<Verified>>, Reason),
    After(Job),
    Awaiting(Awaiting),
    AwaitingCheck(AwaitingCheck),
    AwaitingStep(Proof),
}

/// Why somebody does not pass, and whom the token spoke for.
pub(super) struct Refused {
    pub(super) reason: Reason,
    pub(super) identity: Option<Arc<Verified>>,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { reason, identity: None }
    }
}

/// The principal, as far as the route wants to know it, and whether the route's policy lets it pass.
pub(super) fn admit<T: Trace>(
    view: &View<'_>,
    now: Timestamp,
    request: &Request<'_>,
    route: &Route,
    proof: Option<&Proof>,
    trace: &mut T,
) -> Result<Admitted, Refused> {
    let policy = &route.settings.policy;
    if policy.auth == Auth::Public {
        trace.note(Fact::Public);
        return Ok(Admitted::As(None, Reason::Public));
    }
    let found = find_credential(&route.settings.sources, request.headers, request.query);
    trace.note(Fact::Credential(found.as_ref().map(Option::as_ref).map_err(|reason| *reason)));
    let Some(credential) = found? else {
        return match policy.auth {
            Auth::Optional => Ok(Admitted::As(None, Reason::Anonymous)),
            _ => Err(Reason::MissingToken.into()),
        };
    };
    let verified = match verify(view, now, &credential, &policy.accept, proof, trace)? {
        ControlFlow::Continue(verified) => verified,
        ControlFlow::Break(later) => return Ok(later),
    };
    trace.note(Fact::Opened(Ok(&verified)));
    let mut status = view.account_status(&verified, now, trace);
    if let Err(reason) = status
        && is_perhaps_early(&verified.claims, reason)
        && !T::REHEARSAL
    {
        match view.waited {
            None => return Ok(Admitted::AwaitingStep(Proof::opened(credential.text()?, verified))),
            Some(waited) => status = Err(after_waiting(reason, waited)),
        }
    }
    if status.is_ok() {
        trace.note(Fact::Policy(policy, &verified.claims));
    }
    match status.and_then(|()| policy.authorise(&verified.claims)) {
        Ok(()) => Ok(Admitted::As(Some(verified), Reason::Authenticated)),
        Err(reason) => Err(Refused { reason, identity: Some(verified) }),
    }
}

/// Refuses a client that was let through, or is not known, where what is known of a shared store is too old: a token
/// may have been revoked meanwhile, and a key or an account may have come. What was known to have ended stays ended.
/// Nobody is told to log in again, which would take the store.
#[inline]
pub(super) fn refuse_stale(
    view: &View<'_>,
    route: &Route,
    admitted: Result<Admitted, Refused>,
    trace: &mut impl Trace,
) -> Result<Admitted, Refused> {
    let depends = match &admitted {
        Ok(Admitted::As(identity, _)) => identity.is_some(),
        Ok(_) => false,
        Err(refused) => {
            matches!(refused.reason, Reason::UnknownKey | Reason::UnknownEpoch | Reason::UnknownAccount)
        }
    };
    if !depends || view.stale_for().is_none() {
        return admitted;
    }
    let action = route.settings.stale.unwrap_or(view.stale_action());
    trace.note(Fact::Stale(action));
    match (action, admitted) {
        (StaleAction::Serve, admitted) => admitted,
        (StaleAction::Refuse, Ok(Admitted::As(identity, _))) => Err(Refused { reason: Reason::Stale, identity }),
        (StaleAction::Refuse, _) => Err(Reason::Stale.into()),
    }
}

/// What the token says, proven; or what must be done before that is known.
#[inline]
fn verify(
    view: &View<'_>,
    now: Timestamp,
    credential: &Credential<'_>,
    accepted: &[RealmName],
    proof: Option<&Proof>,
    trace: &mut impl Trace,
) -> Result<ControlFlow<Admitted, Arc<Verified>>, Reason> {
    let octets = credential.octets();
    match proof.and_then(|proof| proof.about(octets)) {
        Some(Ok(verified)) => Ok(ControlFlow::Continue(verified)),
        Some(Err(VerifyError::Refused(reason))) => {
            trace.note(Fact::Opened(Err(reason)));
            Err(reason)
        }
        Some(Err(VerifyError::Foreign(reason))) => {
            let Some(awaiting) = view.awaiting_check(accepted, credential.text()?, reason) else {
                trace.note(Fact::Opened(Err(reason)));
                return Err(reason);
            };
            trace.note(Fact::CheckAsked { asked: awaiting.check.name(), is_issuer: awaiting.is_introspected() });
            Ok(ControlFlow::Break(Admitted::AwaitingCheck(awaiting)))
        }
        Some(Err(VerifyError::UnknownExternalKey(key))) => {
            trace.note(Fact::KeyAsked { issuer: &key.issuer, id: &key.id });
            let job = Job::new(credential.text()?)?;
            Ok(ControlFlow::Break(Admitted::Awaiting(Awaiting { key, job })))
        }
        // What is remembered was looked at when it was opened, and these are the same octets.
        None => match view.remembered(octets, now, trace) {
            Some(verified) => Ok(ControlFlow::Continue(verified)),
            None => Ok(ControlFlow::Break(Admitted::After(Job::new(credential.text()?)?))),
        },
    }
}
