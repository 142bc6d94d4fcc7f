//! Whether an account may use an opened token, for token endpoints: they may wait until the store is followed far
//! enough.

use crate::{
    decision::decide::{
        authenticate::{after_waiting, is_perhaps_early},
        freshness::StaleAction,
        live_state::LiveState,
    },
    domain::{Clock, Reason},
    state::token::Verified,
};

/// Whether the account may use this token now. What was revoked while the process was stopped is read first, and a
/// token that may only be ahead of memory is looked at again after the store sync's next step, as on a route.
///
/// # Errors
/// Why it may not; [`Reason::Unavailable`] where that would take a store that is away.
pub async fn check_account_status(
    live_state: &LiveState,
    verified: &Verified,
    clock: &dyn Clock,
) -> Result<(), Reason> {
    let following = live_state.following();
    following.catch_up(clock.instant()).await;
    let check = || live_state.view().check_account_status(verified, clock.now());
    let freshness = live_state.freshness();
    if freshness.stale_for().is_some() && freshness.action() == StaleAction::Refuse {
        return check().and(Err(Reason::Stale));
    }
    let early = |reason| is_perhaps_early(&verified.claims, reason);
    match check() {
        Err(reason) if early(reason) => {}
        status => return status,
    }
    let waited = following.next_step().await;
    check().map_err(|reason| if early(reason) { after_waiting(reason, waited) } else { reason })
}
