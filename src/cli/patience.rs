//! How long a command waits for a store that does not answer.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::output::CliError;
use crate::state::store::StoreError;

/// Between two looks whether a call came back.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks that may find that none did: 25 seconds. With the closing of the store, a command ends within 30.
const LOOKS_MAX: u32 = 25;

/// What is left of a command's patience. The time in which somebody types does not count: nothing is looked at then.
#[derive(Debug)]
pub(super) struct Patience {
    left: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { left: LOOKS_MAX }
    }
}

impl Patience {
    /// Waits for `work`, as long as `calls` grows or there is patience.
    pub(super) async fn with<T>(
        &mut self,
        calls: impl Fn() -> u64,
        work: impl Future<Output = T>,
    ) -> Result<T, CliError> {
        let mut looks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        // Time in which the thread was held up, by a question on the terminal, is one look and not many.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = pin!(work);
        let mut seen = calls();
        while self.left > 0 {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                _ = looks.tick() => {
                    let now = calls();
                    self.left -= u32::from(now == seen);
                    seen = now;
                }
            }
        }
        Err(StoreError::unresponsive().into())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        future::{pending, ready},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_given_up_and_what_goes_on_is_not() {
        let mut patience = Patience::default();
        assert_eq!(patience.with(|| 0, ready(7)).await.unwrap(), 7);
        let calls = Cell::new(0);
        let goes_on = || {
            calls.set(calls.get() + 1);
            calls.get()
        };
        let long = tokio::time::sleep(Duration::from_secs(600));
        assert!(patience.with(goes_on, long).await.is_ok());
        let begun = Instant::now();
        assert!(patience.with(|| 0, pending::<()>()).await.is_err());
        assert_eq!(begun.elapsed(), LOOK_EVERY * LOOKS_MAX);
        // It is one patience for all of a command.
        assert!(patience.with(|| 0, pending::<()>()).await.is_err());
        assert_eq!(begun.elapsed(), LOOK_EVERY * LOOKS_MAX);
    }
}
