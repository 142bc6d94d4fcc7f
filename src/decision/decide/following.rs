//! How far the store is followed, and waiting until it is followed further.
//!
//! The store sync takes one step after the other; a step that *began* after some moment has read everything that was
//! committed before that moment. Two kinds of requests wait for such a step, for [`WAIT_MAX`] at most:
//! - those whose token speaks of what memory does not know yet (an account, an epoch): [`Following::next_step`];
//! - those whose token is looked at, or that a token endpoint answers, where no step was completed for a while: the
//!   process was stopped. What was revoked meanwhile is read first: [`Following::catch_up`].
//!
//! A slow store is something else: the process runs while the step takes long, and waiting would only make requests
//! slow too. So the store sync polls while a step is under way, and only a gap between polls makes memory late.
//!
//! While the store is known to be away nobody waits: checked traffic goes on with what is in force.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

/// Without a poll of the store sync for so long the process was stopped: nothing is decided then before a step that
/// began later, unless the store is away. Five polls.
pub const LATE_AFTER: Duration = Duration::from_millis(500);

/// How long a request waits for a step, at most.
pub const WAIT_MAX: Duration = Duration::from_secs(1);

/// A gateway that could not follow the store for longer than this is not ready. What passes sooner is not worth a
/// switch.
const FAILING_MAX: Duration = Duration::from_secs(3);

/// Requests that wait for an account or an epoch, at most; those beyond are refused without waiting.
pub const WAITING_MAX: usize = 1024;

/// Parts that a wait is cut into. A process that is stopped while it waits loses one part, not the whole wait.
const SLICES: u32 = 10;

/// No step is late: nobody follows yet, or the store is away.
const NEVER: u64 = u64::MAX;

/// How far the store is followed.
#[derive(Debug)]
pub struct Following {
    /// The first step's beginning: others are counted from it.
    base: OnceLock<Instant>,
    /// Nanoseconds after `base`, from which on memory is too old to decide by; or [`NEVER`].
    late_from: AtomicU64,
    /// When the first step failed after which none was completed; or [`NEVER`].
    failing_from: AtomicU64,
    /// When the store sync polled last, in nanoseconds after `base`. This and the next are the store sync's alone.
    polled: AtomicU64,
    /// The step that makes memory good again after a gap between polls; 0 where there was none.
    heals: AtomicU64,
    begun: AtomicU64,
    completed: watch::Sender<u64>,
    waiting: Semaphore,
}

/// A step that has begun.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    number: u64,
    began: Instant,
}

/// What came of waiting for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Everything that was committed before is in force.
    Followed,
    /// The store is away, too many wait, or no step came in time.
    InVain,
}

impl Default for Following {
    fn default() -> Self {
        Self {
            base: OnceLock::new(),
            late_from: AtomicU64::new(NEVER),
            failing_from: AtomicU64::new(NEVER),
            polled: AtomicU64::new(0),
            heals: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            completed: watch::Sender::new(0),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }
}

impl Following {
    /// A step begins. Call it before anything is read.
    pub fn begin(&self, now: Instant) -> Step {
        let _ = self.base.set(now);
        self.poll(now);
        Step { number: self.begun.fetch_add(1, Ordering::SeqCst) + 1, began: now }
    }

    /// What the step read is in force.
    pub fn complete(&self, step: Step) {
        let heals = self.heals.load(Ordering::Acquire);
        // A step that began before the gap may have read before it.
        if step.number >= heals {
            self.heals.store(0, Ordering::Release);
            self.late_from.store(late_from(self.polled.load(Ordering::Acquire)), Ordering::Release);
        }
        self.failing_from.store(NEVER, Ordering::Release);
        self.completed.send_replace(step.number);
    }

    /// The step failed: the store is away as far as anybody knows.
    pub fn fail(&self, step: Step) {
        self.failing_from.fetch_min(self.nanos(step.began), Ordering::AcqRel);
        self.away();
    }

    /// Whether steps have failed for so long that others should serve instead.
    #[must_use]
    pub fn is_failing(&self, now: Instant) -> bool {
        self.nanos(now) > self.failing_from.load(Ordering::Acquire).saturating_add(nanos(FAILING_MAX))
    }

    /// The store sync polls: it does so while a step is under way, too.
    pub fn poll(&self, now: Instant) {
        let now = self.nanos(now);
        let before = self.polled.swap(now, Ordering::AcqRel);
        let present = self.late_from.load(Ordering::Acquire);
        if now > late_from(before) {
            self.heals.store(self.begun.load(Ordering::SeqCst) + 1, Ordering::Release);
        } else if present != NEVER && self.heals.load(Ordering::Acquire) == 0 {
            // Unless a request found the store away in this very moment.
            let _ = self.late_from.compare_exchange(present, late_from(now), Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// The store is away, or is followed no more.
    pub fn away(&self) {
        self.late_from.store(NEVER, Ordering::Release);
    }

    /// Whether memory is too old to decide by.
    #[must_use]
    #[inline]
    pub fn is_late(&self, now: Instant) -> bool {
        self.base.get().is_some() && self.nanos(now) > self.late_from.load(Ordering::Acquire)
    }

    /// Where memory is too old to decide by, waits until it is not. A store that does not answer within
    /// [`WAIT_MAX`] counts as away from then on, so that only the first requests wait for it.
    pub async fn catch_up(&self, now: Instant) {
        let late_from = self.late_from.load(Ordering::Acquire);
        if self.is_late(now) && self.step_after_now().await == Waited::InVain {
            // Unless a step was completed in this very moment.
            let _ = self.late_from.compare_exchange(late_from, NEVER, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// Waits for a step that begins from now on.
    pub async fn next_step(&self) -> Waited {
        let Ok(_place) = self.waiting.try_acquire() else { return Waited::InVain };
        if self.late_from.load(Ordering::Acquire) == NEVER {
            return Waited::InVain;
        }
        self.step_after_now().await
    }

    async fn step_after_now(&self) -> Waited {
        let mut completed = self.completed.subscribe();
        let step = self.begun.load(Ordering::SeqCst) + 1;
        for _ in 0..SLICES {
            // The sender lives as long as `self`, so all that can come is the step or the end of the slice.
            if let Ok(Ok(_)) = timeout(WAIT_MAX / SLICES, completed.wait_for(|completed| *completed >= step)).await {
                return Waited::Followed;
            }
        }
        Waited::InVain
    }

    fn nanos(&self, at: Instant) -> u64 {
        self.base.get().map_or(0, |base| nanos(at.saturating_duration_since(*base)))
    }
}

fn late_from(polled: u64) -> u64 {
    polled.saturating_add(nanos(LATE_AFTER))
}

/// 584 years of them.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::yield_now;

    use super::*;

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Followed once, at `start`.
    fn followed(start: Instant) -> Arc<Following> {
        let following = Arc::new(Following::default());
        following.complete(following.begin(start));
        following
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_began_before_is_not_waited_for() {
        let (start, following) = (start(), followed(start()));
        let under_way = following.begin(start);
        let waiting = tokio::spawn({
            let following = Arc::clone(&following);
            async move { following.next_step().await }
        });
        yield_now().await;
        following.complete(under_way);
        yield_now().await;
        assert!(!waiting.is_finished(), "it may have read before the request came");
        following.complete(following.begin(start));
        assert_eq!(waiting.await.unwrap(), Waited::Followed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_and_the_number_of_those_who_wait_is_bounded() {
        let following = followed(start());
        let all: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                let following = Arc::clone(&following);
                tokio::spawn(async move { following.next_step().await })
            })
            .collect();
        while following.waiting.available_permits() > 0 {
            yield_now().await;
        }
        let began = tokio::time::Instant::now();
        assert_eq!(following.next_step().await, Waited::InVain);
        assert_eq!(began.elapsed(), Duration::ZERO, "there is no place to wait");
        for waiting in all {
            assert_eq!(waiting.await.unwrap(), Waited::InVain);
        }
        assert_eq!(began.elapsed(), WAIT_MAX);
        following.away();
        assert_eq!(following.next_step().await, Waited::InVain);
        assert_eq!(began.elapsed(), WAIT_MAX, "nobody waits for a store that is away");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_late_when_no_step_was_completed_for_a_while() {
        let start = start();
        let unfollowed = Following::default();
        assert!(!unfollowed.is_late(start + Duration::from_hours(1)), "nobody follows");
        let following = followed(start);
        let late = start + LATE_AFTER + Duration::from_millis(1);
        assert!(!following.is_late(start + LATE_AFTER) && following.is_late(late));
        // A step that was under way while the process was stopped read before that.
        following.complete(following.begin(start));
        assert!(following.is_late(late));
        following.catch_up(late).await;
        assert!(!following.is_late(late + Duration::from_hours(1)), "the store does not answer: it counts as away");
        following.complete(following.begin(late));
        assert!(!following.is_late(late) && following.is_late(late + Duration::from_secs(1)));
    }

    #[test]
    fn steps_that_fail_for_a_while_are_known_until_one_is_completed() {
        let (start, following) = (start(), Following::default());
        assert!(!following.is_failing(start + 2 * FAILING_MAX));
        let moment = Duration::from_millis(1);
        following.complete(following.begin(start));
        following.fail(following.begin(start));
        following.fail(following.begin(start + FAILING_MAX));
        assert!(!following.is_failing(start + FAILING_MAX) && following.is_failing(start + FAILING_MAX + moment));
        following.complete(following.begin(start + 2 * FAILING_MAX));
        assert!(!following.is_failing(start + 9 * FAILING_MAX));
    }

    #[test]
    fn memory_is_late_for_a_process_that_was_stopped_and_never_for_a_slow_store() {
        let poll = Duration::from_millis(100);
        for polls in [0, 3, 40] {
            let start = start();
            let (following, mut now) = (followed(start), start);
            let step_for = |polls: u32, now: &mut Instant| {
                let step = following.begin(*now);
                for _ in 0..polls {
                    *now += poll;
                    assert!(!following.is_late(*now), "{polls} polls, {:?}", *now - start);
                    following.poll(*now);
                }
                step
            };
            for _ in 0..5 {
                following.complete(step_for(polls, &mut now));
                now += poll;
                assert!(!following.is_late(now));
            }
            // It is stopped within a step, which was completed before anybody polls, or is still under way.
            let step = step_for(polls, &mut now);
            now += LATE_AFTER + poll;
            assert!(following.is_late(now));
            if polls > 0 {
                following.poll(now);
                now += poll;
                following.poll(now);
            }
            following.complete(step);
            assert!(following.is_late(now), "it may have read before");
            let step = following.begin(now);
            assert!(following.is_late(now));
            following.complete(step);
            assert!(!following.is_late(now), "this one began after it");
        }
    }

    #[test]
    fn a_process_that_is_stopped_while_it_catches_up_does_so_once_more() {
        let start = start();
        let (following, mut now) = (followed(start), start);
        let stopped = LATE_AFTER * 2;
        now += stopped;
        for polls in [0, 1] {
            let step = following.begin(now);
            now += stopped;
            (0..polls).for_each(|_| following.poll(now));
            following.complete(step);
            assert!(following.is_late(now), "{polls}");
        }
        following.complete(following.begin(now));
        assert!(!following.is_late(now));
        following.away();
        following.begin(now + stopped);
        assert!(!following.is_late(now + stopped * 2), "it is away still");
    }
}
