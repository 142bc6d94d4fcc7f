//! Questions that are under way, so that the same one is asked once at a time, and refusals that are remembered for a
//! moment. Both are known by a keyed hash of the name and the secret alone.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

use crate::domain::{Secret, random};

/// A question under way.
pub(super) type Flight<A> = BoxFuture<'static, A>;

/// How long a refusal is remembered.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// Refusals that are remembered, at most; the oldest makes room.
const REFUSED_MAX: usize = 65_536;

/// Questions that are under way, at most.
const FLIGHTS_MAX: usize = 65_536;

/// What is known of questions whose answers are `A`, and whose refusals are `R`. The key dies with the process.
pub(super) struct Flights<A: Clone, R> {
    key: hmac::Key,
    tables: Mutex<Tables<A, R>>,
}

struct Tables<A: Clone, R> {
    under_way: HashMap<u128, WeakShared<Flight<A>>>,
    refused: HashMap<u128, (Instant, R)>,
    /// The same by their time.
    order: VecDeque<(Instant, u128)>,
    /// Flights after which those that nobody waits for are dropped.
    sweep_at: usize,
}

/// What came of a question.
pub(super) enum Joined<A: Clone, R> {
    /// It is under way.
    Flight(Shared<Flight<A>>),
    /// It was refused a moment ago.
    Refused(R),
    /// Too many are under way.
    Full,
}

impl<A: Clone, R: Copy> Flights<A, R> {
    pub(super) fn new() -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random::bytes::<32>());
        let tables = Tables { under_way: HashMap::new(), refused: HashMap::new(), order: VecDeque::new(), sweep_at: 0 };
        Self { key, tables: Mutex::new(tables) }
    }

    /// What stands for a question: its parts and its secret.
    pub(super) fn key(&self, parts: &[&str], secret: &Secret) -> u128 {
        let mut context = hmac::Context::with_key(&self.key);
        // Each part but the last with its length, so that no two questions are the same bytes.
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.update(secret.expose().as_bytes());
        let mut head = [0; 16];
        head.copy_from_slice(&context.sign().as_ref()[..16]);
        u128::from_be_bytes(head)
    }

    /// Joins the question's flight, or begins one.
    pub(super) fn join(&self, key: u128, now: Instant, begin: impl FnOnce() -> Flight<A>) -> Joined<A, R> {
        let mut tables = self.tables();
        if let Some(&(until, refusal)) = tables.refused.get(&key)
            && now < until
        {
            return Joined::Refused(refusal);
        }
        if let Some(flight) = tables.under_way.get(&key).and_then(WeakShared::upgrade) {
            return Joined::Flight(flight);
        }
        tables.sweep();
        if tables.under_way.len() >= FLIGHTS_MAX {
            return Joined::Full;
        }
        let flight = begin().shared();
        if let Some(weak) = flight.downgrade() {
            tables.under_way.insert(key, weak);
        }
        Joined::Flight(flight)
    }

    /// Remembers a refusal.
    pub(super) fn remember(&self, key: u128, refusal: R, now: Instant) {
        let mut tables = self.tables();
        while let Some(&(until, oldest)) = tables.order.front() {
            if until > now && tables.order.len() < REFUSED_MAX {
                break;
            }
            tables.order.pop_front();
            // A later refusal of the same question stands further behind.
            if tables.refused.get(&oldest).is_some_and(|(known, _)| *known == until) {
                tables.refused.remove(&oldest);
            }
        }
        let until = now + REFUSED_FOR;
        tables.refused.insert(key, (until, refusal));
        tables.order.push_back((until, key));
    }

    fn tables(&self) -> MutexGuard<'_, Tables<A, R>> {
        // Nothing under the lock leaves a table half changed in a way that matters.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Clone, R> Tables<A, R> {
    /// Drops what has ended, when there are twice as many as the last time.
    fn sweep(&mut self) {
        if self.under_way.len() < self.sweep_at.max(64) {
            return;
        }
        self.under_way.retain(|_, flight| flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
        self.sweep_at = 2 * self.under_way.len();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        decision::verifier::Answered,
        domain::{Clock, SystemClock},
        rules::verifier::Refusal,
    };

    type Flights = super::Flights<Answered, Refusal>;

    fn busy() -> Answered {
        Answered::Busy { retry_after: Duration::ZERO }
    }

    fn question(flights: &Flights, name: &str, secret: &str) -> u128 {
        flights.key(&["sws", "", name], &secret.into())
    }

    #[test]
    fn no_two_questions_have_one_key_and_no_two_processes_the_same() {
        let (one, other) = (Flights::new(), Flights::new());
        let key = question(&one, "ab", "c");
        assert_eq!(key, question(&one, "ab", "c"));
        assert_ne!(key, question(&one, "a", "bc"));
        assert_ne!(key, question(&one, "ab", "d"));
        assert_ne!(key, question(&other, "ab", "c"));
    }

    #[tokio::test]
    async fn the_same_question_is_asked_once_at_a_time_and_again_later() {
        let flights = Flights::new();
        let now = SystemClock.instant();
        let asked = Arc::new(AtomicUsize::new(0));
        let (answer, answered) = oneshot::channel();
        let count = Arc::clone(&asked);
        let begin = || {
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                answered.await.unwrap_or_else(|_| busy())
            }
            .boxed()
        };
        let Joined::Flight(first) = flights.join(1, now, begin) else { panic!("no flight") };
        let Joined::Flight(second) = flights.join(1, now, || panic!("one is under way")) else { panic!("no flight") };
        answer.send(busy()).unwrap();
        assert_eq!(tokio::join!(first, second), (busy(), busy()));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let Joined::Flight(third) = flights.join(1, now, || async { busy() }.boxed()) else { panic!("no flight") };
        third.await;
    }

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_is_dropped() {
        struct Told(Arc<AtomicUsize>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let flights = Flights::new();
        let dropped = Arc::new(AtomicUsize::new(0));
        let told = Told(Arc::clone(&dropped));
        let begin = || {
            async move {
                let _told = told;
                std::future::pending().await
            }
            .boxed()
        };
        let Joined::Flight(first) = flights.join(1, SystemClock.instant(), begin) else { panic!("no flight") };
        let second = first.clone();
        drop(first);
        assert_eq!(dropped.load(Ordering::SeqCst), 0);
        drop(second);
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert!(matches!(flights.join(1, SystemClock.instant(), || async { busy() }.boxed()), Joined::Flight(_)));
    }

    #[test]
    fn a_refusal_is_remembered_for_a_moment_and_in_bounded_memory() {
        let flights = Flights::new();
        let now = SystemClock.instant();
        flights.remember(7, Refusal::Locked, now);
        let join = |key, now| flights.join(key, now, || async { busy() }.boxed());
        assert!(matches!(join(7, now + Duration::from_millis(9999)), Joined::Refused(Refusal::Locked)));
        assert!(matches!(join(7, now + REFUSED_FOR), Joined::Flight(_)));
        for key in 0..REFUSED_MAX as u128 + 10 {
            flights.remember(key, Refusal::Credentials, now);
        }
        let tables = flights.tables();
        assert!(tables.refused.len() <= REFUSED_MAX && tables.order.len() <= REFUSED_MAX);
        assert!(tables.refused.contains_key(&(REFUSED_MAX as u128)), "the newest stay");
    }
}
