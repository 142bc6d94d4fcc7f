//! Waiting for conditions.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything may take that has no bound of its own: far more than it does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(5);

/// The end of somebody's patience.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    #[expect(clippy::disallowed_methods, reason = "a test waits in real time for a real process")]
    pub(crate) fn after(patience: Duration) -> Self {
        Self(Instant::now() + patience)
    }

    /// What is left of it; `None` when it is over.
    #[expect(clippy::disallowed_methods, reason = "a test waits in real time for a real process")]
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

/// Looks at the condition until it holds, and fails the test when it does not `within` that.
#[track_caller]
pub(crate) fn wait_until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Deadline::after(within);
    while !condition() {
        assert!(deadline.left().is_some(), "not within {within:?}: {what}");
        thread::park_timeout(POLL);
    }
}

/// The same inside a runtime, whose tasks go on meanwhile.
pub(crate) async fn wait_until_async(what: &str, within: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(within, async {
        let mut looks = tokio::time::interval(POLL);
        while !condition().await {
            looks.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "not within {within:?}: {what}");
}
