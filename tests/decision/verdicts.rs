//! Properties of a token that is remembered: whatever happened before, and in whatever order, a hit
//! is judged by what holds now; and nothing but the token itself hits.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use portero::{
    domain::{Reason, RevocationId, Timestamp},
    state::{keys::KeyState, revocation::log::RevokedSubject},
};
use proptest::prelude::*;

use crate::{
    fixture::*,
    hot::{GOOD, Hot, hot},
};

use Outcome::Deny;

/// The site's routes, and what a good token that has the scope `read` gets there.
const ROUTES: [(&str, Outcome); 5] = [
    ("/api", GOOD),
    ("/read", GOOD),
    ("/write", Deny(Reason::ScopeMissing)),
    ("/content", Deny(Reason::WrongTokenKind)),
    ("/other", Deny(Reason::RealmNotAccepted)),
];

/// What an operator, the clock or the client does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(usize),
    RevokeToken,
    RevokeSession,
    RevokePrincipal,
    /// Its key is in this state from now on, or gone.
    Key(Option<KeyState>),
    Wait(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    let states = [Some(KeyState::Active), Some(KeyState::Retiring), Some(KeyState::Revoked), None];
    prop_oneof![
        8 => (0..ROUTES.len()).prop_map(Step::Ask),
        1 => Just(Step::RevokeToken),
        1 => Just(Step::RevokeSession),
        1 => Just(Step::RevokePrincipal),
        4 => proptest::sample::select(states.to_vec()).prop_map(Step::Key),
        1 => (1..40_u64).prop_map(|minutes| Step::Wait(Duration::from_mins(minutes))),
    ]
}

/// What the steps so far should have made of the token.
struct Model {
    now: Timestamp,
    token: RevocationId,
    key: Option<KeyState>,
    revoked: [Option<Reason>; 3],
}

impl Model {
    fn expects(&self, at_the_route: Outcome) -> Outcome {
        if self.now >= NOW.plus(LIFETIME).plus(LEEWAY) {
            return Deny(Reason::Expired);
        }
        match self.key {
            None => return Deny(Reason::UnknownKey),
            Some(KeyState::Revoked) => return Deny(Reason::KeyRevoked),
            Some(_) => {}
        }
        self.revoked.iter().flatten().next().map_or(at_the_route, |&reason| Deny(reason))
    }
}

fn take(step: Step, hot: &Hot, model: &mut Model) -> Result<(), TestCaseError> {
    match step {
        Step::Ask(route) => {
            let (path, at_the_route) = ROUTES[route];
            let got = ask(&hot.live_state, model.now, path, &hot.token);
            prop_assert_eq!(got, model.expects(at_the_route), "{}", path);
        }
        Step::RevokeToken => {
            hot.revoke(RevokedSubject::Token(model.token));
            model.revoked[0] = Some(Reason::TokenRevoked);
        }
        Step::RevokeSession => {
            hot.revoke(RevokedSubject::Session(hot.session));
            model.revoked[1] = Some(Reason::SessionRevoked);
        }
        Step::RevokePrincipal => {
            hot.revoke(RevokedSubject::Principal(hot.principal, 2));
            model.revoked[2] = Some(Reason::PrincipalRevoked);
        }
        Step::Key(state) => {
            let keys: Vec<_> = state.into_iter().map(|state| hot.key.in_state(state)).collect();
            hot.publish_keys(&keys);
            model.key = state;
        }
        Step::Wait(duration) => model.now = model.now.plus(duration),
    }
    Ok(())
}

/// A head with these octets where the token stands, if a head can have them.
fn head_with(octets: &[u8]) -> Option<HeaderMap> {
    let value = HeaderValue::from_bytes(&[b"Bearer ", octets].concat()).ok()?;
    let mut headers = headers("");
    headers.insert(header::AUTHORIZATION, value);
    Some(headers)
}

proptest! {
    #[test]
    fn a_hit_is_judged_by_what_holds_now(steps in proptest::collection::vec(step(), 1..40)) {
        let hot = hot();
        let mut model = Model { now: NOW, token: hot.claims().revocation_id, key: Some(KeyState::Active), revoked: [None; 3] };
        for step in steps {
            take(step, &hot, &mut model)?;
        }
        prop_assert_eq!(hot.opened(), 1, "it was hot all the while");
    }

    #[test]
    fn no_flipped_bit_of_a_hot_token_hits(at in any::<proptest::sample::Index>(), bit in 0..8_u8) {
        let hot = hot();
        let mut octets = hot.token.clone().into_bytes();
        *at.get_mut(&mut octets) ^= 1 << bit;
        prop_assert!(hot.live_state.verified().get(&octets).is_none());
        if let Some(headers) = head_with(&octets) {
            let hits = hot.live_state.verified().hits();
            let outcome = Outcome::from(decide_fully(&hot.live_state, NOW, &get("/api", &headers)));
            prop_assert!(matches!(outcome, Deny(_)), "{:?}", outcome);
            prop_assert_eq!(hot.live_state.verified().hits(), hits);
        }
        prop_assert_eq!(ask(&hot.live_state, NOW, "/api", &hot.token), GOOD);
    }

    #[test]
    fn no_part_of_a_hot_token_hits(from in any::<proptest::sample::Index>(), to in any::<proptest::sample::Index>()) {
        let hot = hot();
        let octets = hot.token.as_bytes();
        let (from, to) = (from.index(octets.len()), to.index(octets.len() + 1));
        prop_assume!(from < to && to - from < octets.len());
        prop_assert!(hot.live_state.verified().get(&octets[from..to]).is_none());
    }
}

#[test]
fn what_is_no_token_is_not_overlooked_beside_a_hot_one() {
    let hot = hot();
    for (value, reason) in [
        ("a,b", Reason::MalformedToken),
        ("a b", Reason::MalformedToken),
        ("abc", Reason::ConflictingTokens),
        ("Bearer abc", Reason::ConflictingTokens),
    ] {
        let mut headers = headers(&hot.token);
        headers.insert("currenttokenvalue", HeaderValue::from_static(value));
        let outcome = Outcome::from(decide_fully(&hot.live_state, NOW, &get("/api", &headers)));
        assert_eq!(outcome, Deny(reason), "{value}");
    }
}
