//! Tokens that are remembered: an identity that is known is no permission, and every change is in
//! force on the next request.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portero::{
    decision::{Decision, LiveState, Site, decide},
    domain::{Algorithm, Claims, Holder, PrincipalId, Reason, RevocationId, SessionId, TokenKind},
    rules::{policy::Policy, realm::Realm},
    state::{
        keys::{KeyState, Keyring},
        limit::BadTokenSettings,
        revocation::log::{Record, RevokedSubject},
        token::{CacheSettings, NewToken},
    },
};
use proptest::prelude::*;

use crate::fixture::*;

use Outcome::{Deny, Forward};

pub(crate) const GOOD: Outcome = Forward(Reason::Authenticated);

/// Another's subject and the token's own.
type Subjects = fn(&Hot, Claims) -> (RevokedSubject, RevokedSubject);

/// A live state with a hot token, and what a test needs to act on it.
pub(crate) struct Hot {
    pub(crate) live_state: LiveState,
    site: Site,
    pub(crate) key: MadeKey,
    pub(crate) token: String,
    pub(crate) session: SessionId,
    pub(crate) principal: PrincipalId,
}

fn site_of(sws: Realm) -> Site {
    let with_scope = |scope: &str| Policy { scopes: vec![scope.into()], ..policy("sws") };
    let routes = vec![
        route("/api", policy("sws")),
        route("/read", with_scope("read")),
        route("/write", with_scope("write")),
        route("/content", Policy { token: TokenKind::Content, ..policy("sws") }),
        route("/other", policy("other")),
    ];
    site(vec![sws, realm("other", "sws", Algorithm::Hs256)], vec![], routes)
}

pub(crate) fn hot() -> Hot {
    let key = MadeKey::new("sws", Algorithm::Hs256);
    let site = site_of(realm("sws", "sws", Algorithm::Hs256));
    let live_state = live_state(&site, &[&key]);
    let (holder, session) = (holder(), SessionId::generate());
    let token = mint(&live_state, "sws", &NewToken { session, ..new_token(&holder) });
    assert_eq!(ask(&live_state, NOW, "/api", &token), GOOD);
    assert_eq!(ask(&live_state, NOW, "/api", &token), GOOD);
    assert_eq!((live_state.verified().len(), live_state.verified().misses()), (1, 1));
    Hot { live_state, site, key, token, session, principal: holder.id }
}

impl Hot {
    fn ask(&self, path: &str) -> Outcome {
        ask(&self.live_state, NOW, path, &self.token)
    }

    /// What its token says.
    pub(crate) fn claims(&self) -> Claims {
        self.live_state.view().open(&self.token, None, NOW).unwrap().claims
    }

    pub(crate) fn revoke(&self, subject: RevokedSubject) {
        self.live_state.revocations().apply(&[Record { subject, expires_at: None, created_at: NOW }]);
    }

    pub(crate) fn publish_keys(&self, keys: &[Arc<portero::state::keys::Key>]) {
        let keys = Arc::new(Keyring::new(keys.iter().cloned()));
        self.live_state.publish(|snapshot| snapshot.with_keys(keys));
    }

    /// Whether the last request opened its token anew.
    pub(crate) fn opened(&self) -> u64 {
        self.live_state.verified().misses()
    }
}

#[test]
fn one_routes_hit_is_not_anothers_permission() {
    let hot = hot();
    for _ in 0..2 {
        assert_eq!(hot.ask("/read"), GOOD);
        assert_eq!(hot.ask("/write"), Deny(Reason::ScopeMissing));
        assert_eq!(hot.ask("/content"), Deny(Reason::WrongTokenKind));
        assert_eq!(hot.ask("/other"), Deny(Reason::RealmNotAccepted));
    }
    assert_eq!(hot.opened(), 1, "it was hot all the while");
}

#[test]
fn a_hot_token_is_revoked_by_itself_its_session_and_its_principal() {
    let cases: [(Subjects, Reason); 3] = [
        (
            |hot, claims| {
                let holder = holder();
                let another = mint(&hot.live_state, "sws", &new_token(&holder));
                let another = hot.live_state.view().open(&another, None, NOW).unwrap().claims.revocation_id;
                (RevokedSubject::Token(another), RevokedSubject::Token(claims.revocation_id))
            },
            Reason::TokenRevoked,
        ),
        (
            |hot, _| (RevokedSubject::Session(SessionId::generate()), RevokedSubject::Session(hot.session)),
            Reason::SessionRevoked,
        ),
        // The token's epoch is 1: the present one is no reason, the next is.
        (
            |hot, _| (RevokedSubject::Principal(hot.principal, 1), RevokedSubject::Principal(hot.principal, 2)),
            Reason::PrincipalRevoked,
        ),
    ];
    for (subjects, reason) in cases {
        let hot = hot();
        let (another, own) = subjects(&hot, hot.claims());
        hot.revoke(another);
        assert_eq!(hot.ask("/api"), GOOD, "{reason:?}");
        hot.revoke(own);
        for _ in 0..2 {
            assert_eq!(hot.ask("/api"), Deny(reason));
        }
        assert_eq!(hot.opened(), 1, "revocation needs no second look at the signature");
    }
}

#[test]
fn a_principal_that_logs_in_again_gets_in_while_the_old_tokens_stay_out() {
    let hot = hot();
    hot.revoke(RevokedSubject::Principal(hot.principal, 2));
    let same = Holder { id: hot.principal, ..holder() };
    let again = mint(&hot.live_state, "sws", &NewToken { epoch: 2, ..new_token(&same) });
    assert_eq!(ask(&hot.live_state, NOW, "/api", &again), GOOD);
    assert_eq!(hot.ask("/api"), Deny(Reason::PrincipalRevoked));
    // An older record that comes late does not lower the epoch.
    hot.revoke(RevokedSubject::Principal(hot.principal, 1));
    assert_eq!(hot.ask("/api"), Deny(Reason::PrincipalRevoked));
}

#[test]
fn a_hot_token_ends_with_its_key() {
    for (keys, reason) in [(true, Reason::KeyRevoked), (false, Reason::UnknownKey)] {
        let hot = hot();
        let next = MadeKey::new("sws", Algorithm::Hs256).in_state(KeyState::Active);
        hot.publish_keys(&[hot.key.in_state(KeyState::Retiring), Arc::clone(&next)]);
        assert_eq!(hot.ask("/api"), GOOD, "a retiring key's tokens hold");
        let left = if keys { vec![next, hot.key.in_state(KeyState::Revoked)] } else { vec![next] };
        hot.publish_keys(&left);
        assert_eq!(hot.ask("/api"), Deny(reason));
    }
}

#[test]
fn a_key_that_moved_to_another_realm_takes_no_token_along() {
    let hot = hot();
    hot.publish_keys(&[hot.key.of_realm("other").in_state(KeyState::Active)]);
    assert_eq!(hot.ask("/api"), Deny(Reason::UnknownKey));
    assert_eq!(hot.ask("/other"), Deny(Reason::UnknownKey));
}

#[test]
fn a_hot_token_ends_on_time() {
    let hot = hot();
    let at = |now| ask(&hot.live_state, now, "/api", &hot.token);
    let end = NOW.plus(LIFETIME).plus(LEEWAY);
    assert_eq!(at(end.minus(Duration::from_millis(1))), GOOD);
    assert_eq!(at(end), Deny(Reason::Expired));
    assert_eq!(at(NOW.minus(LEEWAY).minus(Duration::from_millis(1))), Deny(Reason::NotYetValid));
    assert_eq!(at(NOW), GOOD);
    assert_eq!(hot.opened(), 1, "it was hot all the while");
}

#[test]
fn a_realm_that_reads_tokens_differently_opens_them_again() {
    let same = || realm("sws", "sws", Algorithm::Hs256);
    let changes: [(Realm, Outcome, u64); 5] = [
        (same(), GOOD, 1),
        (Realm { leeway: Duration::ZERO, ..same() }, GOOD, 2),
        (Realm { issuer: "https://elsewhere".into(), ..same() }, Deny(Reason::WrongIssuer), 2),
        (Realm { audience: "elsewhere".into(), ..same() }, Deny(Reason::WrongAudience), 2),
        (Realm { dialect: "become".parse().unwrap(), ..same() }, GOOD, 2),
    ];
    for (changed, outcome, opened) in changes {
        let hot = hot();
        let site = site_of(changed);
        let next = snapshot(&site, [hot.key.in_state(KeyState::Active)]).unwrap();
        hot.live_state.publish(|_| next);
        assert_eq!(hot.ask("/api"), outcome);
        assert_eq!(hot.opened(), opened);
    }
}

#[test]
fn a_realm_that_is_gone_takes_its_tokens_along() {
    let hot = hot();
    let left = Site { realms: vec![], routes: vec![route("/other", policy("other"))], ..hot.site.clone() };
    let left = Site { realms: vec![Arc::new(realm("other", "sws", Algorithm::Hs256))], ..left };
    let next = snapshot(&left, [hot.key.in_state(KeyState::Active)]).unwrap();
    hot.live_state.publish(|_| next);
    assert_eq!(hot.ask("/other"), Deny(Reason::UnknownKey));
}

#[test]
fn a_view_that_began_before_a_revocation_does_not_hide_it_from_later_ones() {
    let hot = hot();
    let headers = headers(&hot.token);
    let earlier = hot.live_state.view();
    hot.revoke(RevokedSubject::Session(hot.session));
    let request = get("/api", &headers);
    let before = Outcome::from(decide(&earlier, NOW, &request, None));
    assert_eq!(before, GOOD, "it was found good in the generation that this view has");
    assert_eq!(hot.ask("/api"), Deny(Reason::SessionRevoked));
    // And a late note of the earlier view changes nothing for the next one.
    let _ = decide(&earlier, NOW, &request, None);
    assert_eq!(hot.ask("/api"), Deny(Reason::SessionRevoked));
}

#[test]
fn a_revocation_holds_for_every_request_that_begins_after_it() {
    let hot = hot();
    for _ in 0..200 {
        let (holder, session) = (holder(), SessionId::generate());
        let token = mint(&hot.live_state, "sws", &NewToken { session, ..new_token(&holder) });
        let (revoked, hot_now) = (AtomicBool::new(false), Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(ask(&hot.live_state, NOW, "/api", &token), GOOD);
                hot_now.wait();
                loop {
                    let after = revoked.load(Ordering::Acquire);
                    let outcome = ask(&hot.live_state, NOW, "/api", &token);
                    assert!(!after || outcome == Deny(Reason::SessionRevoked), "{outcome:?}");
                    if after {
                        break;
                    }
                }
            });
            hot_now.wait();
            hot.revoke(RevokedSubject::Session(session));
            revoked.store(true, Ordering::Release);
        });
    }
}

#[test]
fn a_proof_speaks_about_its_own_token_only() {
    let (hot, holder) = (hot(), holder());
    let other = mint(&hot.live_state, "sws", &new_token(&holder));
    let (own, view) = (headers(&other), hot.live_state.view());
    let Decision::Verify(job) = decide(&view, NOW, &get("/api", &own), None) else { panic!("it is new") };
    let proof = job.run(&view, None, NOW);
    let forged = headers(&format!("{other}x"));
    assert!(matches!(decide(&view, NOW, &get("/api", &forged), Some(&proof)), Decision::Verify(_)));
    assert_eq!(Outcome::from(decide(&view, NOW, &get("/api", &own), Some(&proof))), GOOD);
}

#[test]
fn a_token_that_is_refused_is_not_remembered() {
    let hot = hot();
    for at in 0..3 {
        assert_eq!(ask(&hot.live_state, NOW, "/api", &format!("a.b.{at}")), Deny(Reason::MalformedToken));
    }
    assert_eq!(hot.live_state.verified().len(), 1);
}

#[test]
fn a_canary_is_refused_as_a_hot_token_is_and_ends_nobody_elses() {
    let hot = hot();
    assert_eq!(hot.ask("/api"), GOOD);
    let (canary, counts) = (RevocationId::from_bytes([7; 16]), hot.live_state.revocations().counts());
    assert!(hot.live_state.refuses_canary(canary, NOW));
    assert!(hot.live_state.revocations().is_token_revoked(canary), "by what tokens are held against");
    assert_eq!(hot.live_state.revocations().counts(), counts, "and counted nowhere");
    assert_eq!(hot.ask("/api"), GOOD);
    // Where no key signs, no token can show it: what tokens would be held against has it.
    hot.publish_keys(&[]);
    assert!(hot.live_state.refuses_canary(RevocationId::from_bytes([8; 16]), NOW));
}

#[test]
fn the_cache_stays_inside_its_bounds() {
    let key = MadeKey::new("sws", Algorithm::Hs256);
    let site = site_of(realm("sws", "sws", Algorithm::Hs256));
    let cache = CacheSettings { entries_max: 50, bytes_max: 1 << 20 };
    let live_state =
        LiveState::new(snapshot(&site, [key.in_state(KeyState::Active)]).unwrap(), cache, BadTokenSettings::default());
    for _ in 0..500 {
        let holder = holder();
        assert_eq!(ask(&live_state, NOW, "/api", &mint(&live_state, "sws", &new_token(&holder))), GOOD);
    }
    assert!((1..=50).contains(&live_state.verified().len()), "{}", live_state.verified().len());
    assert_eq!(live_state.verified().evictions() + live_state.verified().len() as u64, 500);
}

#[test]
fn the_cache_is_bounded_by_bytes_too() {
    let key = MadeKey::new("sws", Algorithm::Hs256);
    let site = site_of(realm("sws", "sws", Algorithm::Hs256));
    let cache = CacheSettings { entries_max: 1000, bytes_max: 1 << 20 };
    let live_state =
        LiveState::new(snapshot(&site, [key.in_state(KeyState::Active)]).unwrap(), cache, BadTokenSettings::default());
    for _ in 0..200 {
        let holder = holder();
        let mut token = new_token(&holder);
        token.extra.insert("filler".into(), "x".repeat(5000).into());
        assert_eq!(ask(&live_state, NOW, "/api", &mint(&live_state, "sws", &token)), GOOD);
    }
    let bytes = live_state.verified().len() * 5000;
    assert!((1..=1 << 20).contains(&bytes), "{bytes}");
}

proptest! {
    #[test]
    fn no_changed_byte_of_a_hot_token_hits(at in any::<usize>(), other in 33..127_u8) {
        let hot = hot();
        let at = at % hot.token.len();
        prop_assume!(hot.token.as_bytes()[at] != other);
        let changed = format!("{}{}{}", &hot.token[..at], char::from(other), &hot.token[at + 1..]);
        let hits = hot.live_state.verified().hits();
        prop_assert!(matches!(ask(&hot.live_state, NOW, "/api", &changed), Deny(_)));
        prop_assert_eq!(hot.live_state.verified().hits(), hits);
        prop_assert_eq!(hot.ask("/api"), GOOD);
    }
}
