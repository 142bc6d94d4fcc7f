//! So many questions a second: each has its moment, evenly apart, so that no second has more.

use std::time::{Duration, Instant};

/// When the next question may be asked.
#[derive(Debug)]
pub(super) struct Pace {
    apart: Duration,
    next: Option<Instant>,
}

impl Pace {
    /// At most `rate` a second; at least one.
    pub(super) fn new(rate: u32) -> Self {
        Self { apart: Duration::from_secs(1) / rate.max(1), next: None }
    }

    /// Takes the next moment; answers how long it is until then.
    pub(super) fn turn(&mut self, now: Instant) -> Duration {
        let at = self.next.map_or(now, |next| next.max(now));
        self.next = Some(at + self.apart);
        at.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Clock, SystemClock};

    proptest! {
        #[test]
        fn no_second_has_more_than_the_rate(rate in 1u32..50, waits in proptest::collection::vec(0u64..300, 1..200)) {
            let start = SystemClock.instant();
            let mut pace = Pace::new(rate);
            let mut now = start;
            let mut asked = vec![];
            for wait in waits {
                now += Duration::from_millis(wait);
                asked.push(now + pace.turn(now));
            }
            for (at, first) in asked.iter().enumerate() {
                // A moment less than a second: the last of so many may fall on its end.
                let end = *first + Duration::from_micros(999_999);
                let within = asked[at..].iter().filter(|asked| **asked < end).count();
                prop_assert!(within <= rate as usize, "{within} of {rate}");
            }
        }
    }
}
