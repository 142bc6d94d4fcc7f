//! The row of the clock in a form that is kept outside of the store.

use std::time::Duration;

use super::{Pruned, Row, pruned};
use crate::domain::{
    Timestamp,
    trusted_time::{Doubt, Record, Suspension},
};

/// What [`Row::to_numbers`] has.
const NUMBERS: usize = 9 + pruned::NUMBERS;

impl Row {
    /// The row as numbers; times are in milliseconds.
    pub(in crate::state) fn to_numbers(self) -> [Option<i64>; NUMBERS] {
        let Self { record: Record { reference, lag, suspension }, episode, settled, pruned } = self;
        let doubt = suspension.and_then(|suspension| Doubt::ALL.iter().position(|doubt| *doubt == suspension.doubt));
        let [before, confirmed_before, confirmed_at] = pruned.to_numbers();
        [
            Some(reference.as_millis()),
            Some(millis(lag)),
            Some(episode),
            Some(settled),
            doubt.and_then(|doubt| i64::try_from(doubt).ok()),
            suspension.map(|suspension| suspension.since.as_millis()),
            suspension.map(|suspension| millis(suspension.run)),
            suspension.map(|suspension| suspension.apart.as_millis()),
            suspension.map(|suspension| suspension.apart_latest.as_millis()),
            before,
            confirmed_before,
            confirmed_at,
        ]
    }

    /// Read back; `None` where these are no row.
    pub(in crate::state) fn from_numbers(numbers: [Option<i64>; NUMBERS]) -> Option<Self> {
        let [reference, lag, episode, settled, doubt, since, run, apart, apart_latest, pruned @ ..] = numbers;
        let instant = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        let suspension = match doubt {
            None => None,
            Some(doubt) => Some(Suspension {
                doubt: *Doubt::ALL.get(usize::try_from(doubt).ok()?)?,
                since: instant(since)?,
                run: span(run?)?,
                apart: instant(apart)?,
                apart_latest: instant(apart_latest)?,
            }),
        };
        let record = Record { reference: instant(reference)?, lag: span(lag?)?, suspension };
        Some(Self { record, episode: episode?, settled: settled?, pruned: Pruned::from_numbers(pruned) })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn span(millis: i64) -> Option<Duration> {
    u64::try_from(millis).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_as_it_went_in() {
        let at = Timestamp::from_secs;
        let record = Record { reference: at(7), lag: Duration::from_secs(3), suspension: None };
        let quiet = Row { record, episode: 2, settled: 2, pruned: Pruned::default().and(at(5)).confirmed(at(6)) };
        let suspensions = Doubt::ALL.map(|doubt| Suspension {
            doubt,
            since: at(1),
            run: Duration::from_secs(2),
            apart: at(3),
            apart_latest: at(4),
        });
        let suspended = suspensions.map(|suspension| {
            let record = Record { suspension: Some(suspension), ..record };
            Row { record, episode: 3, settled: 2, pruned: Pruned::default() }
        });
        for row in suspended.into_iter().chain([quiet]) {
            assert_eq!(Row::from_numbers(row.to_numbers()), Some(row));
        }
        for missing in [0, 1, 2, 3] {
            let mut numbers = quiet.to_numbers();
            numbers[missing] = None;
            assert_eq!(Row::from_numbers(numbers), None, "{missing}");
        }
    }
}
