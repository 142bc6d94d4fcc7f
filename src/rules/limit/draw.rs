//! One attempt at a time above a cap, drawn fairly among those who ask.
//!
//! Time is cut into turns. A client that asks in a turn takes part in the draw for the next one, once, however often it
//! asks. In the next turn the one who was drawn is let pass when it comes again. Where nobody asked in the turn before,
//! the first one who asks is let pass. So a flood of questions from one place gains nothing against a single one from
//! elsewhere, and nobody is kept waiting in memory.

use std::time::Duration;

use crate::domain::Timestamp;

/// The draw of one name.
#[derive(Clone, Debug)]
pub struct Draw {
    since: Timestamp,
    turn: u64,
    /// Passes that others had taken when it began.
    passes_before: u32,
    /// The client with the lowest lot of those that asked in this turn.
    leading: Option<(u64, u128)>,
    /// The client that was drawn for this turn.
    drawn: Option<u128>,
    /// Whether somebody was let pass in this turn.
    passed: bool,
}

impl Draw {
    /// One that begins: nobody is let pass before its second turn. `passes` were taken before it.
    #[must_use]
    pub const fn new(now: Timestamp, passes: u32) -> Self {
        Self { since: now, turn: 0, passes_before: passes, leading: None, drawn: None, passed: false }
    }

    /// Asks for `client`. `passes` were taken so far by all processes that let pass for this name: together they let
    /// pass no more than one a turn in the long run. `lot` draws a lot for a turn; it must be unpredictable, and the
    /// same for the same turn and client.
    ///
    /// # Errors
    /// The time until the next turn.
    pub fn ask(
        &mut self,
        client: u128,
        passes: u32,
        turn_length: Duration,
        now: Timestamp,
        lot: impl FnOnce(u64) -> u64,
    ) -> Result<(), Duration> {
        self.advance(passes, turn_length, now);
        let due = u64::from(passes.saturating_sub(self.passes_before)) < self.turn;
        if due && !self.passed && self.drawn.is_none_or(|drawn| drawn == client) {
            self.passed = true;
            return Ok(());
        }
        let entry = (lot(self.turn), client);
        self.leading = Some(self.leading.map_or(entry, |leading| leading.min(entry)));
        Err(self.until_next(turn_length, now))
    }

    /// Goes on to the present turn.
    fn advance(&mut self, passes: u32, turn_length: Duration, now: Timestamp) {
        let turn = turn_at(self.since, turn_length, now);
        if now < self.since || turn < self.turn {
            // The clock was set back.
            *self = Self::new(now, passes);
        } else if turn > self.turn {
            let asked_before = turn == self.turn + 1;
            self.drawn = self.leading.take().filter(|_| asked_before).map(|(_, client)| client);
            self.passed = false;
            self.turn = turn;
        }
    }

    fn until_next(&self, turn_length: Duration, now: Timestamp) -> Duration {
        let turns = u32::try_from(self.turn.saturating_add(1)).unwrap_or(u32::MAX);
        let next = self.since.plus(turn_length.saturating_mul(turns));
        next.since(now).max(Duration::from_millis(1))
    }
}

fn turn_at(since: Timestamp, turn_length: Duration, now: Timestamp) -> u64 {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    millis(now.since(since)) / millis(turn_length).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    const TURN: Duration = Duration::from_secs(36);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + secs)
    }

    /// A lot that depends on both, well mixed (`SplitMix64`).
    fn lot(seed: u64, turn: u64, client: u128) -> u64 {
        let mut mixed =
            seed ^ turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::try_from(client).unwrap().rotate_left(32);
        for _ in 0..3 {
            mixed = mixed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed ^= mixed >> 31;
        }
        mixed
    }

    fn ask(draw: &mut Draw, client: u128, passes: u32, now: i64) -> Result<(), Duration> {
        draw.ask(client, passes, TURN, at(now), |turn| lot(7, turn, client))
    }

    #[test]
    fn one_alone_passes_once_a_turn_after_the_first() {
        let mut draw = Draw::new(at(0), 3);
        assert_eq!(ask(&mut draw, 1, 3, 0), Err(TURN));
        assert_eq!(ask(&mut draw, 1, 3, 30), Err(Duration::from_secs(6)));
        assert_eq!(ask(&mut draw, 1, 3, 36), Ok(()));
        assert_eq!(ask(&mut draw, 1, 4, 40), Err(Duration::from_secs(32)));
        assert_eq!(ask(&mut draw, 1, 4, 72), Ok(()));
        // Nobody asked for a while: the first one passes.
        assert_eq!(ask(&mut draw, 2, 5, 720), Ok(()));
    }

    #[test]
    fn who_was_drawn_and_no_other_passes() {
        let mut draw = Draw::new(at(0), 0);
        for client in 0..50 {
            assert!(ask(&mut draw, client, 0, 1).is_err());
        }
        let first = (0..50).min_by_key(|&client| lot(7, 0, client)).unwrap();
        let passed: Vec<_> = (0..50).filter(|&client| ask(&mut draw, client, 0, 36).is_ok()).collect();
        assert_eq!(passed, [first]);
    }

    #[test]
    fn what_other_processes_let_pass_counts() {
        let mut draw = Draw::new(at(0), 0);
        assert!(ask(&mut draw, 1, 2, 36).is_err(), "two passed elsewhere in this turn");
        assert!(ask(&mut draw, 1, 2, 72).is_err());
        assert!(ask(&mut draw, 1, 2, 108).is_ok());
    }

    #[test]
    fn a_clock_that_is_set_back_begins_anew_and_locks_nobody_out() {
        let mut draw = Draw::new(at(0), 0);
        assert!(ask(&mut draw, 1, 0, 3600).is_ok());
        assert!(ask(&mut draw, 1, 1, 0).is_err());
        assert!(ask(&mut draw, 1, 1, 36).is_ok());
        assert!(ask(&mut draw, 1, 2, -3600).is_err());
        assert!(ask(&mut draw, 1, 2, -3564).is_ok());
    }

    #[test]
    fn asking_more_often_gains_nothing() {
        let mut won = BTreeMap::new();
        for seed in 0..400 {
            let mut draw = Draw::new(at(0), 0);
            for _ in 0..200 {
                let _ = draw.ask(0, 0, TURN, at(1), |turn| lot(seed, turn, 0));
            }
            for client in 1..4 {
                let _ = draw.ask(client, 0, TURN, at(2), |turn| lot(seed, turn, client));
            }
            let winner =
                (0..4).find(|&client| draw.ask(client, 0, TURN, at(36), |turn| lot(seed, turn, client)).is_ok());
            *won.entry(winner.unwrap()).or_insert(0) += 1;
        }
        // A quarter each is 100.
        assert!(won.len() == 4 && won.values().all(|&times| (60..150).contains(&times)), "{won:?}");
    }

    proptest! {
        /// Never more than one a turn, none in the first one, and in each turn only the one that was drawn or that came
        /// first where nobody had asked before.
        #[test]
        fn no_more_than_one_passes_a_turn(steps in proptest::collection::vec((0u128..6, 0i64..30), 1..200)) {
            let mut draw = Draw::new(at(0), 0);
            let (mut now, mut passes) = (0, 0);
            let mut asked: BTreeMap<i64, BTreeSet<u128>> = BTreeMap::new();
            let mut passed = BTreeSet::new();
            for (client, wait) in steps {
                now += wait;
                let turn = now / 36;
                let before = asked.get(&(turn - 1)).cloned().unwrap_or_default();
                match ask(&mut draw, client, passes, now) {
                    Ok(()) => {
                        passes += 1;
                        prop_assert!(turn > 0 && passed.insert(turn));
                        let number = u64::try_from(turn - 1).unwrap();
                        let drawn = before.iter().copied().min_by_key(|&client| (lot(7, number, client), client));
                        prop_assert!(drawn.is_none_or(|drawn| drawn == client));
                    }
                    Err(wait) => {
                        prop_assert!(!wait.is_zero() && wait <= TURN);
                        asked.entry(turn).or_default().insert(client);
                    }
                }
            }
        }
    }
}
