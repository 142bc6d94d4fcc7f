//! What deciding about one request costs, from the request's head to the decision, as the proxy
//! does it. The figures stand in `README.md` beside this file.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

#[path = "../tests/decision/fixture.rs"]
mod fixture;

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use portero::{
    decision::{Decision, LiveState, Site},
    domain::{Algorithm, Clock, Reason, SystemClock},
    rules::policy::Policy,
    state::{
        keys::KeyState,
        limit::BadTokenSettings,
        revocation::log::{Record, RevokedSubject},
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

/// Decisions of a sample that says something about threads.
const SAMPLE_DECISIONS_MIN: u64 = 10_000;

/// A realm of one algorithm, and a live state that remembers nothing yet.
struct House {
    site: Site,
    key: MadeKey,
}

impl House {
    fn new(algorithm: Algorithm) -> Self {
        let dialect = if algorithm.is_jwt() { "sws" } else { "apis" };
        let admins = Policy { roles: vec!["USER".into(), "ADMIN".into()], ..policy("sws") };
        let routes = vec![route("/api/Clientes", admins), route("/api", policy("sws"))];
        let site = site(vec![realm("sws", dialect, algorithm)], vec![endpoint("/login", "sws")], routes);
        Self { site, key: MadeKey::new("sws", algorithm) }
    }

    fn live_state(&self) -> LiveState {
        let cache = CacheSettings { entries_max: 4 * RING_TOKENS, ..CacheSettings::default() };
        LiveState::new(
            snapshot(&self.site, [self.key.in_state(KeyState::Active)]).unwrap(),
            cache,
            BadTokenSettings::default(),
        )
    }

    /// The heads of requests with different tokens.
    fn ring(&self) -> Vec<HeaderMap> {
        let live_state = self.live_state();
        let heads = (0..RING_TOKENS).map(|_| headers(&mint(&live_state, "sws", &new_token(&holder()))));
        heads.collect()
    }
}

fn forwards(decision: &Decision<'_>) -> bool {
    matches!(decision, Decision::Forward(_))
}

fn denies(decision: &Decision<'_>, reason: Reason) -> bool {
    matches!(decision, Decision::Reply(denial) if denial.reason == reason)
}

/// A live state, and the head of a request whose token of exactly `bytes` it remembers. The entry is one
/// that the smallest JWT gave; its text is cut or filled, for no JWT of Portero's is as small as 400
/// bytes. A hit looks at the text no further than that it is the same.
fn hot(house: &House, bytes: usize) -> (LiveState, String) {
    let live_state = house.live_state();
    let jwt = mint(&live_state, "sws", &new_token(&holder()));
    let verified = Arc::new(live_state.view().open(&jwt, None, NOW).unwrap());
    let token: String = jwt.chars().rev().cycle().take(bytes).collect();
    live_state.verified().insert(&token, verified);
    (live_state, token)
}

fn hits(c: &mut Criterion) {
    let house = House::new(Algorithm::Hs256);
    for bytes in [400, 1024] {
        let (live_state, token) = hot(&house, bytes);
        c.bench_function(&format!("hit/{bytes} bytes, the cache alone"), |b| {
            b.iter(|| black_box(live_state.verified().get(black_box(token.as_bytes()))));
        });
        let headers = headers(&token);
        assert!(forwards(&decide_fully(&live_state, NOW, &get(PATH, &headers))));
        c.bench_function(&format!("hit/{bytes} bytes"), |b| {
            b.iter(|| black_box(decide_fully(&live_state, NOW, &get(black_box(PATH), black_box(&headers)))));
        });
    }
    one_hit(c, &house, "JWT");
    one_hit(c, &House::new(Algorithm::Sealed), "sealed token");
    let (live_state, ring) = (house.live_state(), house.ring());
    assert!(ring.iter().all(|headers| forwards(&decide_fully(&live_state, NOW, &get(PATH, headers)))));
    let mut turn = ring.iter().cycle();
    c.bench_function(&format!("hit/{RING_TOKENS} tokens in turn"), |b| {
        b.iter(|| black_box(decide_fully(&live_state, NOW, &get(black_box(PATH), turn.next().unwrap()))));
    });
}

/// A hit of the smallest token that the house mints.
fn one_hit(c: &mut Criterion, house: &House, what: &str) {
    let live_state = house.live_state();
    let token = mint(&live_state, "sws", &new_token(&holder()));
    let headers = headers(&token);
    assert!(forwards(&decide_fully(&live_state, NOW, &get(PATH, &headers))));
    c.bench_function(&format!("hit/{what} of {} bytes", token.len()), |b| {
        b.iter(|| black_box(decide_fully(&live_state, NOW, &get(black_box(PATH), black_box(&headers)))));
    });
}

/// Two threads that decide at the same time, beside one alone, in the same run.
fn contention(c: &mut Criterion) {
    let house = House::new(Algorithm::Hs256);
    let live_state = house.live_state();
    let ring = house.ring();
    assert!(ring.iter().all(|headers| forwards(&decide_fully(&live_state, NOW, &get(PATH, headers)))));
    let (one, other) = (&ring[..1], &ring[1..2]);
    let alone = together(c, &live_state, "contention/1 thread, one token", &[one]);
    let alone_in_turn = together(c, &live_state, "contention/1 thread, tokens in turn", &[&ring]);
    for (name, rings, alone) in [
        ("contention/2 threads, one token", [one, one], alone),
        ("contention/2 threads, a token each", [one, other], alone),
        ("contention/2 threads, tokens in turn", [&ring[..], &ring[..]], alone_in_turn),
    ] {
        if let (Some(alone), Some(taken)) = (alone, together(c, &live_state, name, &rings)) {
            println!("{name}: {taken:.0} ns a decision, {:.2} times one thread's {alone:.0} ns", taken / alone);
        }
    }
}

/// Benches a thread for each of `rings`, which takes its heads in turn. Gives the nanoseconds that a
/// decision takes a thread in the least disturbed sample; nothing when the bench was not chosen.
fn together(c: &mut Criterion, live_state: &LiveState, name: &str, rings: &[&[HeaderMap]]) -> Option<f64> {
    let mut least: Option<f64> = None;
    c.bench_function(name, |b| {
        b.iter_custom(|iterations| {
            let ready = AtomicUsize::new(0);
            let decide_all = |ring: &[HeaderMap]| {
                // A waiting thread stays on its core, so that all start at once.
                ready.fetch_add(1, Ordering::SeqCst);
                while ready.load(Ordering::SeqCst) < rings.len() {
                    std::hint::spin_loop();
                }
                let start: Instant = SystemClock.instant();
                for (headers, _) in ring.iter().cycle().zip(0..iterations) {
                    black_box(decide_fully(live_state, NOW, &get(black_box(PATH), headers)));
                }
                (start, SystemClock.instant())
            };
            // From the first start to the last end: threads that took turns on a core take twice as long.
            let (starts, ends): (Vec<_>, Vec<_>) = thread::scope(|scope| {
                let threads: Vec<_> = rings.iter().map(|ring| scope.spawn(|| decide_all(ring))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).unzip()
            });
            let taken = ends.iter().max().unwrap().duration_since(*starts.iter().min().unwrap());
            // A short sample measures the start of the threads.
            if iterations >= SAMPLE_DECISIONS_MIN {
                #[expect(clippy::cast_precision_loss, reason = "a count of iterations is small")]
                let nanos = taken.as_secs_f64() * 1e9 / iterations as f64;
                least = Some(least.map_or(nanos, |least| least.min(nanos)));
            }
            taken
        });
    });
    least
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
                    taken += first_sights(&house.live_state(), round);
                    left -= round.len();
                }
                taken
            });
        });
    }
}

/// How long a live state takes for tokens that it never saw.
fn first_sights(live_state: &LiveState, heads: &[HeaderMap]) -> Duration {
    let start: Instant = SystemClock.instant();
    for headers in heads {
        let decision = black_box(decide_fully(live_state, NOW, &get(black_box(PATH), headers)));
        assert!(forwards(&decision));
    }
    let taken = SystemClock.instant().duration_since(start);
    assert_eq!((live_state.verified().hits(), live_state.verified().misses()), (0, heads.len() as u64));
    taken
}

fn refusals(c: &mut Criterion) {
    let house = House::new(Algorithm::Hs256);
    let live_state = house.live_state();
    let headers = headers(&jwt_of_bytes(&live_state, "sws", 500));
    let Decision::Forward(permit) = decide_fully(&live_state, NOW, &get(PATH, &headers)) else {
        panic!("a good token")
    };
    let session = permit.identity.and_then(|identity| identity.claims.session).unwrap();
    live_state.revocations().apply(&[Record {
        subject: RevokedSubject::Session(session),
        expires_at: None,
        created_at: NOW,
    }]);
    let none = fixture::headers("");
    for (name, path, headers, reason) in [
        ("refused/revoked session", PATH, &headers, Reason::SessionRevoked),
        ("refused/no token", PATH, &none, Reason::MissingToken),
        ("refused/unknown route", "/nowhere/at/all", &headers, Reason::NoRoute),
    ] {
        assert!(denies(&decide_fully(&live_state, NOW, &get(path, headers)), reason));
        c.bench_function(name, |b| {
            b.iter(|| black_box(decide_fully(&live_state, NOW, &get(black_box(path), black_box(headers)))));
        });
    }
}

criterion_group!(decide, hits, contention, misses, refusals);
criterion_main!(decide);
