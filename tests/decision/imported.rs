//! Tokens of an imported key: other holders of the key write into them what they like.

use std::sync::Arc;

use portero::{
    decision::{Decision, LiveState, Waited, decide},
    domain::{Algorithm, EPOCH_DELETED, Reason},
    state::{
        keys::{Imported, Key, KeyState, MaterialBytes},
        limit::BadTokenSettings,
        revocation::log::{Record, RevokedSubject},
        token::{CacheSettings, NewToken},
    },
};

use crate::fixture::{
    MadeKey, NOW, Outcome, get, headers, holder, mint, new_token, policy, realm, route, site, snapshot,
};

/// A route of a realm whose signing key is imported or not, in that order.
fn live_states(unknown_accounts: bool) -> [LiveState; 2] {
    let site = site(vec![realm("sws", "sws", Algorithm::Hs256)], vec![], vec![route("/api", policy("sws"))]);
    let made = MadeKey::new("sws", Algorithm::Hs256);
    let key = || {
        let (id, material) = (made.id.clone(), MaterialBytes::Secret(made.material()));
        Key::new(id, "sws".parse().unwrap(), Algorithm::Hs256, KeyState::Active, NOW, material).unwrap()
    };
    let imported = key().with_import(Arc::new(Imported::new(unknown_accounts, [])));
    [imported, key()].map(|key| {
        let snapshot = snapshot(&site, [Arc::new(key)]).unwrap();
        LiveState::new(snapshot, CacheSettings::default(), BadTokenSettings::default())
    })
}

/// What is decided at first, and what after a wait with this outcome.
fn decisions(live_state: &LiveState, token: &str, waited: Waited) -> [Outcome; 2] {
    let headers = headers(token);
    let request = get("/api", &headers);
    let view = live_state.view();
    let first = match decide(&view, NOW, &request, None) {
        Decision::Verify(job) => decide(&view, NOW, &request, Some(&job.run(&view, None, NOW))),
        decided => decided,
    };
    let Decision::AwaitStep(proof) = first else { return [first.into(), Outcome::AwaitStep] };
    [Outcome::AwaitStep, decide(&live_state.view().after(waited), NOW, &request, Some(&proof)).into()]
}

const AWAITED: Outcome = Outcome::AwaitStep;
const GOOD: Outcome = Outcome::Forward(Reason::Authenticated);
const AHEAD: Outcome = Outcome::Deny(Reason::UnknownEpoch);
const AWAY: Outcome = Outcome::Deny(Reason::Unavailable);

#[test]
fn an_epoch_that_the_account_never_had_is_no_epoch() {
    let [imported, own] = live_states(true);
    let holder = holder();
    let token = |live_state: &LiveState, epoch| mint(live_state, "sws", &NewToken { epoch, ..new_token(&holder) });
    let raise = |epoch| {
        let record = Record { subject: RevokedSubject::Principal(holder.id, epoch), expires_at: None, created_at: NOW };
        imported.revocations().apply(&[record]);
    };
    assert_eq!(decisions(&imported, &token(&imported, 0), Waited::Followed)[0], GOOD);
    let forged = token(&imported, 999);
    for _ in 0..2 {
        assert_eq!(decisions(&imported, &forged, Waited::Followed), [AWAITED, AHEAD], "each time anew");
        assert_eq!(decisions(&imported, &forged, Waited::InVain), [AWAITED, AWAY], "nobody knows: try again");
    }
    // Our own token after a change of which memory hears with the next step.
    let next = token(&imported, 1);
    assert_eq!(decisions(&imported, &next, Waited::Followed)[0], AWAITED);
    raise(1);
    assert_eq!(decisions(&imported, &next, Waited::Followed)[0], GOOD);
    assert_eq!(decisions(&imported, &forged, Waited::Followed), [AWAITED, AHEAD], "it outlives nothing");
    // Under a key that nobody else has it was minted from the store.
    assert_eq!(decisions(&own, &token(&own, 999), Waited::Followed)[0], GOOD);
}

#[test]
fn no_token_has_the_epoch_of_a_deleted_account_under_any_key() {
    let holder = holder();
    for live_state in live_states(true) {
        for epoch in [EPOCH_DELETED, EPOCH_DELETED + 1, u32::MAX] {
            let token = mint(&live_state, "sws", &NewToken { epoch, ..new_token(&holder) });
            assert_eq!(decisions(&live_state, &token, Waited::Followed)[0], AHEAD, "{epoch}, without waiting");
        }
    }
}

#[test]
fn an_account_that_nobody_knows_is_waited_for_unless_the_key_takes_anybody() {
    let [anybody, own] = live_states(true);
    let [strict, _] = live_states(false);
    let holder = holder();
    let token = |live_state: &LiveState| mint(live_state, "sws", &NewToken { epoch: 0, ..new_token(&holder) });
    assert_eq!(decisions(&anybody, &token(&anybody), Waited::Followed)[0], GOOD);
    assert_eq!(decisions(&own, &token(&own), Waited::Followed)[0], GOOD);
    let token = token(&strict);
    for (waited, outcome) in [(Waited::Followed, Outcome::Deny(Reason::UnknownAccount)), (Waited::InVain, AWAY)] {
        assert_eq!(decisions(&strict, &token, waited), [AWAITED, outcome]);
    }
}
