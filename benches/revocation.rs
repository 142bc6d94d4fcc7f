//! What millions of revocations cost: time of a look-up, memory of an entry, time to load them at the
//! start. The figures stand in `README.md` beside this file.
//!
//! A look-up's id depends on the answer before it, so that the processor cannot work on two at once.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

use std::{fs, hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use portero::{
    domain::{Claims, Clock, PrincipalId, PrincipalKind, RevocationId, SessionId, SystemClock, Timestamp, TokenKind},
    state::{
        revocation::{
            Revocations,
            log::{self, Record, Subject},
        },
        store::{Settings, Store},
    },
};
use tokio::runtime::Runtime;

/// The binary's allocator: what is measured is what the process holds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

const HOUR: Duration = Duration::from_secs(3600);

/// Buckets that the entries end in, in turn.
const BUCKETS: u32 = 24;

/// Records that are applied at once, as the follower does.
const PAGE: usize = 10_000;

/// Sizes, and what is loaded from the store. Without `--bench` everything runs once, as a test.
fn sizes() -> (&'static [usize], usize) {
    if std::env::args().any(|argument| argument == "--bench") {
        (&[0, 1_000, 1_000_000, 10_000_000], 1_000_000)
    } else {
        (&[0, 1_000], 1_000)
    }
}

/// The id of the token `n`: 128 bits that look random, made without a look into memory.
fn id(n: u64) -> RevocationId {
    let upper = mix(n);
    RevocationId::from_bytes((u128::from(upper) << 64 | u128::from(mix(upper ^ n))).to_be_bytes())
}

/// The finalizer of splitmix64.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn record(n: u64) -> Record {
    let bucket = u32::try_from(n % u64::from(BUCKETS)).unwrap();
    Record { subject: Subject::Token(id(n)), expires_at: Some(NOW.plus(HOUR * bucket)), created_at: NOW }
}

fn revoked(size: usize) -> Revocations {
    let revocations = Revocations::default();
    let all: Vec<u64> = (0..size as u64).collect();
    for page in all.chunks(PAGE) {
        revocations.apply(&page.iter().map(|n| record(*n)).collect::<Vec<_>>());
    }
    revocations
}

/// A token with a session, of a principal: all three are looked up.
fn claims() -> Claims {
    Claims {
        realm: "sws".parse().unwrap(),
        kind: TokenKind::Access,
        subject: PrincipalId::generate(),
        principal: PrincipalKind::User,
        session: Some(SessionId::generate()),
        revocation_id: id(0),
        epoch: 0,
        issued_at: NOW,
        not_before: NOW,
        expires_at: Some(NOW.plus(HOUR)),
        name: "ana".into(),
        legacy_id: None,
        role: None,
        scopes: vec![],
        organization: None,
        extra: serde_json::Map::new(),
    }
}

fn lookups(c: &mut Criterion) {
    for size in sizes().0 {
        let before = resident_bytes();
        let start = SystemClock.instant();
        let revocations = revoked(*size);
        let took = SystemClock.instant().duration_since(start);
        let bytes = resident_bytes().saturating_sub(before);
        assert_eq!(revocations.counts().tokens, *size);
        if let Some(each) = (bytes * 10).checked_div(*size) {
            println!(
                "{size} entries: {bytes} bytes resident, {}.{} an entry; applied in {took:.2?}",
                each / 10,
                each % 10
            );
        }
        let mut claims = claims();
        let mut look_up = |n: u64| {
            claims.revocation_id = id(n);
            revocations.check(black_box(&claims)).is_err()
        };
        let size = *size as u64;
        let mut at = 0_u64;
        c.bench_function(&format!("not revoked/{size}"), |b| {
            // Every `n` from `size` on is a token that is not revoked.
            b.iter(|| at = mix(at + u64::from(look_up(size + at))) >> 1);
        });
        if size > 0 {
            c.bench_function(&format!("revoked/{size}"), |b| {
                b.iter(|| at = mix(at + u64::from(look_up(at % size))) >> 1);
            });
        }
        c.bench_function(&format!("the id alone/{size}"), |b| {
            b.iter(|| at = mix(at + u64::from(id(black_box(at) % size.max(1)) == id(1))) >> 1);
        });
        let start = SystemClock.instant();
        revocations.prune(NOW.plus(HOUR * (BUCKETS / 2)));
        let took = SystemClock.instant().duration_since(start);
        std::thread::sleep(Duration::from_millis(500));
        println!(
            "after prune in {took:?}: {} left, {} bytes ",
            revocations.counts().tokens,
            resident_bytes().saturating_sub(before)
        );
    }
}

/// What the process holds in memory (`proc_pid_statm(5)`: its second field, in pages).
fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).map_or(0, |pages| pages.parse::<usize>().unwrap() * 4096)
}

fn load(c: &mut Criterion) {
    let _ = c;
    let size = sizes().1;
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let store = Store::open(&Settings { path: folder.path().join("portero.db") }).await.unwrap();
        let mut transaction = store.begin().await.unwrap();
        let start = SystemClock.instant();
        for n in 0..size as u64 {
            log::append_in(&mut transaction, &record(n)).await.unwrap();
        }
        transaction.commit().await.unwrap();
        println!("filled in {:?}", SystemClock.instant().duration_since(start));
        for _ in 0..3 {
            let start = SystemClock.instant();
            let revocations = Revocations::default();
            let mut seen = 0;
            let mut reading = Duration::ZERO;
            loop {
                let t = SystemClock.instant();
                let (records, last) = log::since(&store, seen, 10_000).await.unwrap();
                reading += SystemClock.instant().duration_since(t);
                if records.is_empty() {
                    break;
                }
                revocations.apply(&records);
                seen = last;
            }
            println!(
                "loaded {} in {:?}, reading {reading:?}",
                revocations.counts().tokens,
                SystemClock.instant().duration_since(start)
            );
        }
    });
}

criterion_group!(revocation, lookups, load);
criterion_main!(revocation);
