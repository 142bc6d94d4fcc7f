//! What deciding about one request costs, from the request's head to the decision, as the proxy
//! does it. The figures stand in `README.md` beside this file.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

#[path = "../tests/decision/fixture.rs"]
mod fixture;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use portero::{
    decision::{Decision, Gate, Site},
    domain::{Algorithm, Clock, Reason, SystemClock},
    rules::{dialect::Dialect, limit::ScrutinySettings, policy::Policy},
    state::{
        keys::KeyState,
        revocation::log::{Record, Subject},
        token::CacheSettings,
    },
};

use fixture::{
    MadeKey, NOW, decide_fully, endpoint, get, headers, holder, jwt_of_bytes, mint, new_token, policy, realm, route,
    site, snapshot,
};

const PATH: &str = "/api/Clientes/42/pedidos";

/// Tokens that take turns, so that none of them is in the processor's nearest caches.
const RING_TOKENS: usize = 1024;

/// A realm of one algorithm, and a gate that remembers nothing yet.
struct House {
    site: Site,
    key: MadeKey,
}

impl House {
    fn new(algorithm: Algorithm) -> Self {
        let dialect = if algorithm.is_jwt() { Dialect::Sws } else { Dialect::Apis };
        let admins = Policy { roles: vec!["USER".into(), "ADMIN".into()], ..policy("sws") };
        let routes = vec![route("/api/Clientes", admins), route("/api", policy("sws"))];
        let site = site(vec![realm("sws", dialect, algorithm)], vec![endpoint("/login", "sws")], routes);
        Self { site, key: MadeKey::new("sws", algorithm) }
    }

    fn gate(&self) -> Gate {
        let cache = CacheSettings { entries_max: 4 * RING_TOKENS, ..CacheSettings::default() };
        Gate::new(
            snapshot(&self.site, [self.key.in_state(KeyState::Active)]).unwrap(),
            cache,
            ScrutinySettings::default(),
        )
    }

    /// The heads of requests with different tokens.
    fn ring(&self) -> Vec<HeaderMap> {
        let gate = self.gate();
        let heads = (0..RING_TOKENS).map(|_| headers(&mint(&gate, "sws", &new_token(&holder()))));
        heads.collect()
    }
}

fn forwards(decision: &Decision<'_>) -> bool {
    matches!(decision, Decision::Forward(_))
}

fn denies(decision: &Decision<'_>, reason: Reason) -> bool {
    matches!(decision, Decision::Reply(denial) if denial.reason == reason)
}

fn hits(c: &mut Criterion) {
    let house = House::new(Algorithm::Hs256);
    let gate = house.gate();
    for bytes in [500, 1024] {
        let headers = headers(&jwt_of_bytes(&gate, "sws", bytes));
        assert!(forwards(&decide_fully(&gate, NOW, &get(PATH, &headers))));
        c.bench_function(&format!("hit/{bytes} bytes"), |b| {
            b.iter(|| black_box(decide_fully(&gate, NOW, &get(black_box(PATH), black_box(&headers)))));
        });
    }
    let ring = house.ring();
    assert!(ring.iter().all(|headers| forwards(&decide_fully(&gate, NOW, &get(PATH, headers)))));
    let mut turn = ring.iter().cycle();
    c.bench_function(&format!("hit/{RING_TOKENS} tokens in turn"), |b| {
        b.iter(|| black_box(decide_fully(&gate, NOW, &get(black_box(PATH), turn.next().unwrap()))));
    });
}

fn misses(c: &mut Criterion) {
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256, Algorithm::Sealed] {
        let house = House::new(algorithm);
        let ring = house.ring();
        c.bench_function(&format!("miss/{algorithm}"), |b| {
            b.iter_custom(|iterations| {
                let mut left = usize::try_from(iterations).unwrap();
                let mut taken = Duration::ZERO;
                while left > 0 {
                    let round = &ring[..left.min(ring.len())];
                    taken += first_sights(&house.gate(), round);
                    left -= round.len();
                }
                taken
            });
        });
    }
}

/// How long a gate takes for tokens that it never saw.
fn first_sights(gate: &Gate, heads: &[HeaderMap]) -> Duration {
    let start: Instant = SystemClock.instant();
    for headers in heads {
        let decision = black_box(decide_fully(gate, NOW, &get(black_box(PATH), headers)));
        assert!(forwards(&decision));
    }
    let taken = SystemClock.instant().duration_since(start);
    assert_eq!((gate.verified().hits(), gate.verified().misses()), (0, heads.len() as u64));
    taken
}

fn refusals(c: &mut Criterion) {
    let house = House::new(Algorithm::Hs256);
    let gate = house.gate();
    let headers = headers(&jwt_of_bytes(&gate, "sws", 500));
    let Decision::Forward(permit) = decide_fully(&gate, NOW, &get(PATH, &headers)) else { panic!("a good token") };
    let session = permit.identity.and_then(|identity| identity.claims.session).unwrap();
    gate.revocations().apply(&[Record { subject: Subject::Session(session), expires_at: None, created_at: NOW }]);
    for (name, path, reason) in [
        ("refused/revoked session", PATH, Reason::SessionRevoked),
        ("refused/unknown route", "/nowhere/at/all", Reason::NoRoute),
    ] {
        assert!(denies(&decide_fully(&gate, NOW, &get(path, &headers)), reason));
        c.bench_function(name, |b| {
            b.iter(|| black_box(decide_fully(&gate, NOW, &get(black_box(path), black_box(&headers)))));
        });
    }
}

criterion_group!(decide, hits, misses, refusals);
criterion_main!(decide);
