//! What millions of revocations cost: the time of a look-up, the memory of an entry, the time to load
//! them at the start. The figures stand in `README.md` beside this file.
//!
//! A look-up's id depends on the answer before it, and a fence keeps the processor from working on two
//! at once. What that takes by itself is measured too, as `the id alone`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

use std::{
    env, fs,
    hint::black_box,
    sync::atomic::{Ordering, fence},
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use portero::{
    domain::{
        Claims, Clock, PrincipalId, PrincipalKind, RevocationId, Roles, SessionId, SystemClock, Timestamp, TokenKind,
        TrustedNow, TrustedTime, trusted_time::Reading,
    },
    state::{
        revocation::{
            EXPIRED_HELD, Revocations,
            log::{self, Record, RevokedSubject},
        },
        store::{Store, StoreSettings},
    },
};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use tokio::runtime::Runtime;

/// The binary's allocator: what is measured is what the process holds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

const HOUR: Duration = Duration::from_hours(1);

/// Hours in which the entries end, in turn.
const HOURS: u32 = 24;

/// Records that are read and applied at once, as the store sync does.
const PAGE: u32 = 10_000;

/// Principals with a raised epoch, sessions that are revoked: so that these are looked up too.
const OTHERS: usize = 1_000;

/// How long the allocator is given to return what is free: it waits a second by itself.
const SETTLING: Duration = Duration::from_secs(5);

/// The trusted time of a store that is new then.
fn trusted(civil: Timestamp) -> TrustedNow {
    let at = Reading { civil, monotonic: now() };
    TrustedTime::start(None, at).observe(at).unwrap()
}

/// Whether this is `cargo bench`. Otherwise everything runs once, as a test, or is only listed.
fn measures() -> bool {
    env::args().any(|argument| argument == "--bench")
}

/// How many tokens are revoked, and how many are loaded.
fn sizes() -> (&'static [u64], u64) {
    if measures() { (&[0, 1_000, 1_000_000, 10_000_000], 1_000_000) } else { (&[0, 1_000], 1_000) }
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

fn record(subject: RevokedSubject, n: u64) -> Record {
    let hours = u32::try_from(n % u64::from(HOURS)).unwrap();
    Record { subject, expires_at: Some(NOW.plus(HOUR * hours)), created_at: NOW }
}

fn others() -> Vec<Record> {
    let session = |_| record(RevokedSubject::Session(SessionId::generate()), 0);
    let principal = |_| record(RevokedSubject::Principal(PrincipalId::generate(), 1), 0);
    (0..OTHERS).map(session).chain((0..OTHERS).map(principal)).collect()
}

/// The tokens below `size`, revoked page by page on a thread of its own, as the store sync's runtime does.
fn revoked(size: u64) -> Revocations {
    std::thread::spawn(move || {
        let revocations = Revocations::default();
        revocations.apply(&others());
        let mut page = Vec::with_capacity(PAGE as usize);
        for n in 0..size {
            page.push(record(RevokedSubject::Token(id(n)), n));
            if page.len() == PAGE as usize || n + 1 == size {
                revocations.apply(&page);
                page.clear();
            }
        }
        revocations
    })
    .join()
    .unwrap()
}

/// A token with a session, of a principal: all three are looked up.
fn claims() -> Claims {
    Claims {
        realm: "sws".parse().unwrap(),
        kind: TokenKind::Access,
        subject: portero::domain::TokenSubject::Account(PrincipalId::generate()),
        principal: Some(PrincipalKind::User),
        session: Some(SessionId::generate()),
        revocation_id: id(0),
        epoch: 0,
        issued_at: NOW,
        not_before: NOW,
        expires_at: Some(NOW.plus(HOUR)),
        name: "ana".into(),
        legacy_id: None,
        roles: Roles::none(),
        scopes: vec![],
        organization: None,
        extra: serde_json::Map::new(),
    }
}

fn lookups(c: &mut Criterion) {
    for &size in sizes().0 {
        let before = memory_kib("VmRSS");
        let start = now();
        let revocations = revoked(size);
        report(&format!("{size} tokens, applied in {:.2?}", now() - start), before, size);

        time_lookups(c, &revocations, size);

        let start = now();
        revocations.prune(trusted(NOW.plus(EXPIRED_HELD + HOUR * (HOURS / 2))));
        let left = u64::try_from(revocations.counts().tokens).unwrap();
        report(&format!("{left} tokens left, pruned in {:.2?}", now() - start), before, left);
    }
}

fn time_lookups(c: &mut Criterion, revocations: &Revocations, size: u64) {
    let mut claims = claims();
    let mut is_revoked = |n: u64| {
        claims.revocation_id = id(n);
        revocations.check(black_box(&claims)).is_err()
    };
    let mut at = 0_u64;
    let mut next = |answer: bool| {
        fence(Ordering::SeqCst);
        at = mix(at + u64::from(answer)) >> 1;
        at
    };
    let mut n = 0;
    c.bench_function(&format!("not revoked/{size}"), |b| {
        // Every number from `size` on is a token that is not revoked.
        b.iter(|| n = next(is_revoked(size + n)));
    });
    assert!(!is_revoked(size + n));
    if size > 0 {
        c.bench_function(&format!("revoked/{size}"), |b| b.iter(|| n = next(is_revoked(n % size))));
        assert!(is_revoked(n % size));
    }
    c.bench_function(&format!("the id alone/{size}"), |b| b.iter(|| n = next(black_box(id(n)) == id(1))));
}

/// Loads what a gateway loads at its start, in the way it does.
fn load(c: &mut Criterion) {
    let size = sizes().1;
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = runtime.block_on(async {
        let path = folder.path().join("portero.db");
        let store = Store::make(&StoreSettings::Sqlite(path.clone())).await.unwrap();
        let mut beside = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
        let fill = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1) \
                    INSERT INTO revocations (kind, subject, expires_at, created_at) \
                    SELECT 'token', randomblob(16), ?2 + 3600000 * (n % ?3), ?2 FROM numbers";
        let fill = sqlx::query(fill).bind(i64::try_from(size).unwrap()).bind(NOW.as_millis()).bind(HOURS);
        fill.execute(&mut beside).await.unwrap();
        beside.close().await.unwrap();
        store
    });
    let mut group = c.benchmark_group("load");
    group.sample_size(10);
    group.bench_function(size.to_string(), |b| {
        b.iter(|| {
            let revocations = runtime.block_on(async { load_all(&store.apart()).await });
            assert_eq!(revocations.counts().tokens as u64, size);
        });
    });
    runtime.block_on(store.close());
}

async fn load_all(store: &Store) -> Revocations {
    let revocations = Revocations::default();
    let mut seen = 0;
    loop {
        let (records, last) = log::since(store, seen, PAGE).await.unwrap();
        if records.is_empty() {
            return revocations;
        }
        revocations.apply(&records);
        seen = last;
    }
}

fn now() -> Instant {
    SystemClock.instant()
}

/// Says how much memory `tokens` take: at once, and when the allocator has returned what is free.
fn report(what: &str, before: u64, tokens: u64) {
    if !measures() {
        return;
    }
    println!("{what}; the process took {} KiB at most until now", memory_kib("VmHWM"));
    for when in ["at once", "settled"] {
        let kib = memory_kib("VmRSS").saturating_sub(before);
        let tenths = (kib * 1024 * 10).checked_div(tokens).unwrap_or(0);
        println!("  {when}: {kib} KiB more than before, {}.{} bytes a token", tenths / 10, tenths % 10);
        settle();
    }
}

/// What the process holds in memory, or held at most (`proc_pid_status(5)`).
fn memory_kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0)
}

/// The allocator returns memory in passing, while a gateway's threads ask it for some.
fn settle() {
    let start = now();
    while now() - start < SETTLING {
        let blocks: Vec<_> = (0..100).map(|n| vec![0_u8; 64 << (n % 8)]).collect();
        black_box(blocks);
        std::thread::sleep(Duration::from_millis(1));
    }
}

criterion_group!(revocation, lookups, load);
criterion_main!(revocation);
