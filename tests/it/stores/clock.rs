//! What the gateways of a store know of the civil clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use portero::{
    domain::{Clock, PrincipalId, RevocationId, SystemClock, Timestamp},
    state::{
        clock::{self, Settled, TrustedClock},
        revocation::log::{self, EXPIRED_KEPT, Record, RevokedSubject},
        store::Store,
    },
};

use super::{CALLERS, NOW, at, by, on_both_stores, trusted};

/// A clock that a test sets, and that does not run.
#[derive(Debug)]
struct StandingClock {
    civil: AtomicI64,
    monotonic: Instant,
}

impl StandingClock {
    fn at(civil: Timestamp) -> Arc<Self> {
        Arc::new(Self { civil: civil.as_millis().into(), monotonic: SystemClock.instant() })
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.civil.load(Ordering::Relaxed))
    }

    fn instant(&self) -> Instant {
        self.monotonic
    }

    fn since_boot(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn the_latest_time_that_any_gateway_saw_stays() {
    on_both_stores(async |gateways| {
        assert_eq!(clock::read(gateways.store()).await.unwrap(), None);
        assert_eq!(clock::latest_seen(gateways.store(), NOW).await.unwrap(), NOW);
        let call = |store: Store, caller: usize| async move {
            let seen = NOW.plus(Duration::from_secs(caller.try_into().unwrap()));
            TrustedClock::begin(None, StandingClock::at(seen)).keep(&store).await.unwrap()
        };
        let settled = gateways.at_once(call).await;
        assert!(settled.iter().all(Option::is_none));
        let latest = NOW.plus(Duration::from_secs(CALLERS as u64 - 1));
        let row = clock::read(gateways.other()).await.unwrap().unwrap();
        assert_eq!((row.record.reference, row.record.suspension), (latest, None));
        assert_eq!(clock::latest_seen(gateways.other(), NOW).await.unwrap(), latest.plus(clock::KEEP_EVERY));
    });
}

#[test]
fn an_operators_word_ends_a_suspension_for_every_gateway() {
    on_both_stores(async |gateways| {
        let clock = StandingClock::at(NOW);
        let begin = async |store: &Store| TrustedClock::open(store, clock.clone()).await.unwrap();
        let (one, two) = (begin(gateways.store()).await, begin(gateways.other()).await);
        assert_eq!(one.keep(gateways.store()).await.unwrap(), None);
        clock.civil.fetch_add(1_000_000, Ordering::Relaxed);
        for (trusted, store) in [&one, &two].into_iter().zip(&gateways.stores) {
            trusted.now().unwrap_err();
            assert_eq!(trusted.keep(store).await.unwrap(), None);
            assert!(!trusted.is_settled(store).await.unwrap());
        }
        let before = clock::confirm(&by(gateways.store()), clock.now()).await.unwrap().unwrap();
        assert!(before.record.suspension.is_some());
        for (trusted, store) in [&one, &two].into_iter().zip(&gateways.stores) {
            assert!(trusted.is_settled(store).await.unwrap());
            assert_eq!(trusted.keep(store).await.unwrap(), Some(Settled::Elsewhere));
            assert_eq!(trusted.now().unwrap().civil(), clock.now());
        }
        let row = clock::read(gateways.other()).await.unwrap().unwrap();
        assert_eq!((row.record.reference, row.record.suspension), (clock.now(), None));
    });
}

/// The tasks that drop revocations, keep the clock and confirm it write the same row.
#[test]
fn what_was_dropped_is_known_although_others_write_the_clock_meanwhile() {
    on_both_stores(async |gateways| {
        clock::confirm(&by(gateways.store()), NOW).await.unwrap();
        for number in 0..CALLERS {
            let subject = match number.try_into() {
                Ok(byte) if number > 0 => RevokedSubject::Token(RevocationId::from_bytes([byte; 16])),
                _ => RevokedSubject::Principal(PrincipalId::generate(), 1),
            };
            let end = at(i64::try_from(number).unwrap());
            let record = Record { subject, expires_at: Some(end), created_at: NOW };
            log::append(gateways.store(), &record).await.unwrap();
        }
        let now = trusted(at(i64::try_from(CALLERS).unwrap()).plus(EXPIRED_KEPT));
        let call = move |store: Store, caller: usize| async move {
            match caller % 4 {
                0 => {
                    TrustedClock::begin(None, StandingClock::at(NOW)).keep(&store).await.unwrap();
                    0
                }
                _ => log::prune(&store, now, 2).await.unwrap(),
            }
        };
        let dropped: u64 = gateways.at_once(call).await.into_iter().sum();
        assert_eq!(dropped, CALLERS as u64, "each is dropped once");
        let pruned = clock::read(gateways.other()).await.unwrap().unwrap().pruned;
        let last = i64::try_from(CALLERS).unwrap() - 1;
        assert!(pruned.covers(at(0), at(last)) && !pruned.covers(at(0), at(last + 1)));
        clock::confirm(&by(gateways.store()), at(30)).await.unwrap();
        let confirmed = clock::read(gateways.other()).await.unwrap().unwrap().pruned;
        assert!(confirmed.covers(at(20), at(last)) && !confirmed.covers(at(30), at(last)));
    });
}
