//! Wakes that may be for nothing.
//!
//! hyper reads a body in the task of its connection. Whoever takes a piece of the body wakes that task to read on,
//! behind the last piece too, where nothing is left to be read. That is one of the five turns of a task that a GET
//! takes, and two of the six of a POST. So connections of HTTP/1 are polled with a waker whose wakes can be held back.

use std::{
    cell::Cell,
    sync::Arc,
    task::{Context, Wake, Waker},
};

/// Wakes a task, unless its wakes are held back.
#[derive(Debug)]
struct Holdable(Waker);

thread_local! {
    /// Whether this thread holds wakes back.
    static IS_HOLDING: Cell<bool> = const { Cell::new(false) };
    /// The one that it holds back.
    static HELD: Cell<Option<Arc<Holdable>>> = const { Cell::new(None) };
}

impl Wake for Holdable {
    fn wake(self: Arc<Self>) {
        if !IS_HOLDING.get() {
            self.0.wake_by_ref();
        } else if let Some(another) = HELD.replace(Some(self)) {
            another.0.wake_by_ref();
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if IS_HOLDING.get() { Arc::clone(self).wake() } else { self.0.wake_by_ref() }
    }
}

/// A task's waker, in a form whose wakes [`hold`] can hold back.
#[derive(Debug, Default)]
pub(crate) struct HoldableWaker(Option<Known>);

#[derive(Debug)]
struct Known {
    task: Waker,
    waker: Waker,
}

impl HoldableWaker {
    /// What to poll with in place of `cx`. It is made once for each task.
    pub(crate) fn context(&mut self, cx: &Context<'_>) -> Context<'_> {
        if self.0.as_ref().is_some_and(|known| !known.task.will_wake(cx.waker())) {
            self.0 = None;
        }
        let known = self.0.get_or_insert_with(|| {
            let task = cx.waker().clone();
            Known { waker: Arc::new(Holdable(task.clone())).into(), task }
        });
        Context::from_waker(&known.waker)
    }
}

/// A wake that was held back, if there was one. Dropped, it never comes.
#[must_use]
#[derive(Debug)]
pub(crate) struct HeldWake(Option<Arc<Holdable>>);

impl HeldWake {
    /// Lets it come.
    pub(crate) fn release(self) {
        if let Some(held) = self.0 {
            held.0.wake_by_ref();
        }
    }
}

/// Ends holding back, also where the work panics.
struct Holding;

impl Drop for Holding {
    fn drop(&mut self) {
        IS_HOLDING.set(false);
    }
}

/// Does some work. Where that wakes a task with a [`HoldableWaker`], the last such wake is held back.
pub(crate) fn hold<T>(work: impl FnOnce() -> T) -> (T, HeldWake) {
    IS_HOLDING.set(true);
    let holding = Holding;
    let done = work();
    drop(holding);
    (done, HeldWake(HELD.take()))
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    /// Counts how often its task is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    /// A task's count of wakes, and a waker of that task that can be held back.
    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::<Count>::default();
        let waker = Waker::from(Arc::clone(&count));
        let holdable = HoldableWaker::default().context(&Context::from_waker(&waker)).waker().clone();
        (count, holdable)
    }

    #[test]
    fn a_wake_comes_at_once_unless_it_is_held_back() {
        let (count, waker) = task();
        waker.wake_by_ref();
        assert_eq!(count.get(), 1);
        let ((), held) = hold(|| waker.wake_by_ref());
        assert_eq!(count.get(), 1, "held back");
        held.release();
        assert_eq!(count.get(), 2, "let come");
        drop(hold(|| waker.wake_by_ref()));
        let ((), nothing) = hold(|| ());
        nothing.release();
        assert_eq!(count.get(), 2, "forgotten");
        waker.wake();
        assert_eq!(count.get(), 3);
    }

    #[test]
    fn one_wake_is_held_back_and_others_come() {
        let (first, second) = (task(), task());
        let ((), held) = hold(|| {
            first.1.wake_by_ref();
            second.1.wake();
        });
        assert_eq!((first.0.get(), second.0.get()), (1, 0));
        held.release();
        assert_eq!((first.0.get(), second.0.get()), (1, 1));
    }

    #[test]
    fn another_thread_holds_nothing_back() {
        let (count, waker) = task();
        let ((), held) = hold(|| thread::spawn(move || waker.wake()).join().unwrap());
        assert_eq!(count.get(), 1);
        held.release();
        assert_eq!(count.get(), 1);
    }

    #[test]
    fn work_that_panics_leaves_nothing_held_back() {
        let (count, waker) = task();
        let panicked = catch_unwind(AssertUnwindSafe(|| hold(|| panic!("as a defect does")).0));
        assert!(panicked.is_err());
        waker.wake();
        assert_eq!(count.get(), 1);
    }

    #[test]
    fn the_waker_is_made_once_for_each_task() {
        let (one, other) = (Waker::from(Arc::<Count>::default()), Waker::from(Arc::<Count>::default()));
        let mut holdable = HoldableWaker::default();
        let mut made = |task: &Waker| holdable.context(&Context::from_waker(task)).waker().clone();
        let first = made(&one);
        assert!(first.will_wake(&made(&one)));
        assert!(!first.will_wake(&made(&other)));
    }
}
