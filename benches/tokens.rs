//! What opening a token costs that was never seen, beside what its signature alone costs: the bare
//! verification with a parsed key, and jsonwebtoken's decoding. The figures stand in `README.md` beside this file.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

#[path = "../tests/decision/fixture.rs"]
mod fixture;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use criterion::{Criterion, criterion_group, criterion_main};
use jsonwebtoken::{DecodingKey, Validation};
use portero::{
    decision::{LiveState, Snapshot},
    domain::{Algorithm, Clock, SystemClock},
    state::{
        keys::{Key, KeyState},
        limit::BadTokenSettings,
        token::{self, CacheSettings},
    },
};
use serde_json::{Map, Value};
use std::sync::Arc;

use fixture::{MadeKey, holder, mint, new_token, policy, realm, route, site, snapshot};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tokens that take turns.
const TOKENS: usize = 64;

/// Rounds of the comparison; the best of each side counts, as noise only ever adds.
const ROUNDS: usize = 15;

/// How long a round of one side is, about.
const ROUND: Duration = Duration::from_millis(60);

/// Tokens of one algorithm and all that can be asked about them.
struct Bench {
    algorithm: Algorithm,
    key: Arc<Key>,
    snapshot: Arc<Snapshot>,
    tokens: Vec<String>,
    /// What each signature is over, and the signature.
    signed: Vec<(String, Vec<u8>)>,
    decoding: DecodingKey,
    validation: Validation,
}

impl Bench {
    fn new(algorithm: Algorithm) -> Self {
        let made = MadeKey::new("sws", algorithm);
        let key = made.in_state(KeyState::Active);
        let site = site(vec![realm("sws", "sws", algorithm)], vec![], vec![route("/", policy("sws"))]);
        let built = snapshot(&site, [Arc::clone(&key)]).unwrap();
        let live_state = LiveState::new(built, CacheSettings::default(), BadTokenSettings::default());
        let tokens: Vec<_> = (0..TOKENS).map(|_| mint(&live_state, "sws", &new_token(&holder()))).collect();
        let split = |token: &String| {
            let (signed, signature) = token.rsplit_once('.').unwrap();
            (signed.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap())
        };
        let mut validation = Validation::new(algorithm.name().parse().unwrap());
        validation.set_audience(&["api"]);
        validation.set_issuer(&["https://gateway.example.com/sws"]);
        // The tokens are of another day than today.
        validation.validate_exp = false;
        let decoding = decoding(&made, &key);
        let signed = tokens.iter().map(split).collect();
        Self { algorithm, key, snapshot: live_state.snapshot(), tokens, signed, decoding, validation }
    }

    fn bare(&self, at: usize) -> bool {
        let (signed, signature) = &self.signed[at % TOKENS];
        self.key.verifies(black_box(signed.as_bytes()), black_box(signature))
    }

    fn ours(&self, at: usize) -> bool {
        let token = black_box(&self.tokens[at % TOKENS]);
        token::open(token, &self.snapshot.keys, &self.snapshot.issuers).is_ok()
    }

    fn library(&self, at: usize) -> bool {
        let token = black_box(&self.tokens[at % TOKENS]);
        jsonwebtoken::decode::<Map<String, Value>>(token, &self.decoding, &self.validation).is_ok()
    }
}

fn decoding(made: &MadeKey, key: &Key) -> DecodingKey {
    match key.public() {
        None => DecodingKey::from_secret(made.material()),
        Some(public) => match key.algorithm {
            Algorithm::Es256 | Algorithm::Es384 => DecodingKey::from_ec_der(public.as_ref()),
            Algorithm::EdDsa => DecodingKey::from_ed_der(public.as_ref()),
            _ => DecodingKey::from_rsa_der(public.as_ref()),
        },
    }
}

/// What is done with the token of a number.
type Side = fn(&Bench, usize) -> bool;

const ALGORITHMS: [Algorithm; 4] = [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

fn opening(c: &mut Criterion) {
    for algorithm in ALGORITHMS {
        let bench = Bench::new(algorithm);
        assert!((0..TOKENS).all(|at| bench.bare(at) && bench.ours(at) && bench.library(at)), "{algorithm}");
        let sides: [(&str, Side); 3] =
            [("bare verification", Bench::bare), ("opened", Bench::ours), ("jsonwebtoken", Bench::library)];
        for (name, side) in sides {
            let mut at = 0;
            c.bench_function(&format!("{algorithm}/{name}"), |b| {
                b.iter(|| {
                    at += 1;
                    side(&bench, at)
                });
            });
        }
    }
}

/// The same three, in turns of one run, so that their ratios mean something on a machine that others use too.
fn comparison(_: &mut Criterion) {
    // A test run, or one that lists what there is, asks for no figures.
    let measures = |argument: String| argument == "--bench";
    let asks_otherwise = |argument: String| matches!(argument.as_str(), "--test" | "--list");
    if !std::env::args().any(measures) || std::env::args().any(asks_otherwise) {
        return;
    }
    println!("\nalgorithm  bare µs  opened µs  ratio  jsonwebtoken µs  ratio   (best of {ROUNDS} rounds in turn)");
    for algorithm in ALGORITHMS {
        let bench = Bench::new(algorithm);
        let mut best = [f64::MAX; 3];
        for _ in 0..ROUNDS {
            for (best, side) in best.iter_mut().zip([Bench::bare, Bench::ours, Bench::library]) {
                *best = best.min(micros(|at| side(&bench, at)));
            }
        }
        let [bare, ours, library] = best;
        println!(
            "{:<9}  {bare:>7.2}  {ours:>9.2}  {:>5.2}  {library:>15.2}  {:>5.2}",
            bench.algorithm.name(),
            ours / bare,
            library / bare
        );
    }
}

/// Microseconds of one call, over a round.
fn micros(mut call: impl FnMut(usize) -> bool) -> f64 {
    let start: Instant = SystemClock.instant();
    let mut calls = 0_u32;
    let mut taken = Duration::ZERO;
    while taken < ROUND {
        for at in 0..TOKENS {
            assert!(call(at));
        }
        calls += u32::try_from(TOKENS).unwrap();
        taken = SystemClock.instant().duration_since(start);
    }
    taken.as_secs_f64() * 1e6 / f64::from(calls)
}

criterion_group!(tokens, opening, comparison);
criterion_main!(tokens);
