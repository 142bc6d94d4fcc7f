use super::*;
use crate::domain::{Clock, SystemClock};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const YEAR: i64 = 365 * 24 * HOUR;
const T: Timestamp = Timestamp::from_secs(1_800_000_000);

/// How far a clock is set wrong, in both directions.
const STEPS: [i64; 6] = [-20 * MINUTE, 20 * MINUTE, -14 * HOUR, 14 * HOUR, -3 * YEAR, 3 * YEAR];

/// Both clocks of a machine.
struct Clocks {
    reading: Reading,
}

impl Clocks {
    fn new() -> Self {
        Self { reading: Reading { civil: T, monotonic: SystemClock.instant() } }
    }

    fn pass(&mut self, millis: i64) -> Reading {
        self.reading.monotonic += Duration::from_millis(millis.try_into().unwrap());
        self.step(millis)
    }

    fn step(&mut self, millis: i64) -> Reading {
        self.reading.civil = Timestamp::from_millis(self.reading.civil.as_millis() + millis);
        self.reading
    }
}

fn doubt(observed: Result<TrustedNow, Suspended>) -> Option<Doubt> {
    observed.err().map(|suspended| suspended.doubt)
}

#[test]
fn clocks_that_run_in_step_are_trusted_for_ever() {
    let mut clocks = Clocks::new();
    let mut time = TrustedTime::start(None, clocks.reading);
    for _ in 0..10_000 {
        let at = clocks.pass(7 * MINUTE);
        let now = time.observe(at).unwrap();
        assert_eq!((now.civil(), now.earliest()), (at.civil, at.civil));
    }
    let record = time.record(clocks.reading);
    assert_eq!(record, Record { reference: clocks.reading.civil, lag: Duration::ZERO, suspension: None });
}

#[test]
fn a_step_suspends_until_both_clocks_have_run_in_step_for_a_day() {
    for step in STEPS {
        let mut clocks = Clocks::new();
        let mut time = TrustedTime::start(None, clocks.reading);
        let reference = clocks.pass(HOUR).civil;
        time.observe(clocks.reading).unwrap();
        let expected = if step > 0 { Doubt::SteppedForward } else { Doubt::SteppedBack };
        assert_eq!(doubt(time.observe(clocks.step(step))), Some(expected), "{step}");
        for _ in 0..23 {
            assert_eq!(doubt(time.observe(clocks.pass(HOUR))), Some(expected), "{step}");
        }
        let record = time.record(clocks.reading);
        assert_eq!(record.reference, reference, "a time seen in doubt is no reference");
        assert_eq!(record.suspension.unwrap().apart, clocks.reading.civil);
        let at = clocks.pass(HOUR);
        assert_eq!(time.observe(at).unwrap().earliest(), at.civil, "{step}");
        assert_eq!(time.record(at).reference, at.civil, "the clock is right, and the reference was not");
    }
}

#[test]
fn a_step_during_a_suspension_begins_the_day_anew_and_so_does_the_way_back() {
    let mut clocks = Clocks::new();
    let mut time = TrustedTime::start(None, clocks.reading);
    assert_eq!(doubt(time.observe(clocks.step(14 * HOUR))), Some(Doubt::SteppedForward));
    time.observe(clocks.pass(23 * HOUR)).unwrap_err();
    let back = time.observe(clocks.step(-14 * HOUR)).unwrap_err();
    assert_eq!((back.doubt, back.left), (Doubt::SteppedBack, IN_STEP_MIN));
    assert_eq!(back.since, T.plus(Duration::from_hours(14)), "it is one suspension");
    assert_eq!(time.doubts(), 2);
    time.observe(clocks.pass(24 * HOUR - 1)).unwrap_err();
    time.observe(clocks.pass(1)).unwrap();
}

#[test]
fn small_steps_pass_and_add_up() {
    for direction in [1, -1] {
        let mut clocks = Clocks::new();
        let mut time = TrustedTime::start(None, clocks.reading);
        // A leap second, and a daemon that steps by less than a second a day.
        for _ in 0..100 {
            time.observe(clocks.pass(24 * HOUR)).unwrap();
            time.observe(clocks.step(direction * 1_000)).unwrap();
        }
        let steps = (0..100).take_while(|_| time.observe(clocks.step(direction * 7_000)).is_ok()).count();
        assert_eq!(steps, 8, "the ninth is a minute in all");
    }
}

#[test]
fn small_steps_forward_do_not_make_it_later_than_it_is() {
    let mut clocks = Clocks::new();
    let mut time = TrustedTime::start(None, clocks.reading);
    clocks.step(50_000);
    let now = time.observe(clocks.pass(HOUR)).unwrap();
    assert_eq!(now.civil().since(now.earliest()), Duration::from_secs(50));
    let now = time.observe(clocks.pass(24 * HOUR)).unwrap();
    assert_eq!(now.civil(), now.earliest(), "after a day in step it is believed");
}

#[test]
fn a_start_is_held_against_the_latest_time_seen() {
    let record = Record { reference: T, lag: Duration::ZERO, suspension: None };
    for (offset, expected) in [
        (0, None),
        (-59_000, None),
        (14 * HOUR, None),
        (24 * HOUR, None),
        (-61_000, Some(Doubt::StartedBehind)),
        (24 * HOUR + 1, Some(Doubt::StartedAhead)),
        (3 * YEAR, Some(Doubt::StartedAhead)),
        (-3 * YEAR, Some(Doubt::StartedBehind)),
    ] {
        let mut clocks = Clocks::new();
        let at = clocks.step(offset);
        let mut time = TrustedTime::start(Some(&record), at);
        assert_eq!(doubt(time.observe(at)), expected, "{offset}");
        assert_eq!(time.record(at).reference, if offset > 0 && expected.is_none() { at.civil } else { T });
    }
}

#[test]
fn what_no_process_witnessed_is_not_counted_for_a_day() {
    let record = Record { reference: T, lag: Duration::from_secs(7), suspension: None };
    let mut clocks = Clocks::new();
    let at = clocks.step(14 * HOUR);
    let mut time = TrustedTime::start(Some(&record), at);
    assert_eq!(time.observe(at).unwrap().earliest(), T.minus(Duration::from_secs(7)));
    let now = time.observe(clocks.pass(HOUR)).unwrap();
    assert_eq!(now.earliest(), T.plus(Duration::from_mins(60)).minus(Duration::from_secs(7)));
    // The next start inherits it, with its own absence.
    let record = time.record(clocks.reading);
    assert_eq!(record.lag, Duration::from_hours(14) + Duration::from_secs(7));
    let later = clocks.step(2 * HOUR);
    let mut next = TrustedTime::start(Some(&record), later);
    let now = next.observe(later).unwrap();
    assert_eq!(now.civil().since(now.earliest()), Duration::from_hours(16) + Duration::from_secs(7));
    let now = next.observe(clocks.pass(24 * HOUR)).unwrap();
    assert_eq!(now.civil(), now.earliest());
}

#[test]
fn a_restart_ends_no_suspension_and_begins_no_day_anew() {
    for step in STEPS {
        let mut clocks = Clocks::new();
        let mut time = TrustedTime::start(None, clocks.reading);
        time.observe(clocks.step(step)).unwrap_err();
        time.observe(clocks.pass(20 * HOUR)).unwrap_err();
        // It restarts every minute.
        for _ in 0..30 {
            let record = time.record(clocks.reading);
            clocks.pass(30_000);
            time = TrustedTime::start(Some(&record), clocks.reading);
            time.observe(clocks.pass(30_000)).unwrap_err();
        }
        let left = time.observe(clocks.reading).unwrap_err().left;
        assert_eq!(
            left,
            Duration::from_hours(4).saturating_sub(30 * Duration::from_secs(30)),
            "what nobody witnessed does not count"
        );
        // Set right across a restart, the clock is another clock.
        let record = time.record(clocks.reading);
        let mut next = TrustedTime::start(Some(&record), clocks.step(-step));
        let suspended = next.observe(clocks.reading).unwrap_err();
        assert_eq!((suspended.left, next.doubts()), (IN_STEP_MIN, 1), "{step}");
    }
}

#[test]
fn an_operators_word_ends_a_suspension_at_once() {
    let mut clocks = Clocks::new();
    let mut time = TrustedTime::start(None, clocks.reading);
    time.observe(clocks.step(-3 * YEAR)).unwrap_err();
    time.confirm(clocks.reading);
    assert_eq!(time.observe(clocks.pass(1)).unwrap().earliest(), clocks.reading.civil);
    assert_eq!(time.record(clocks.reading).reference, clocks.reading.civil);
    time.observe(clocks.step(20 * MINUTE)).unwrap_err();
}

#[test]
fn what_ends_after_a_while_ends_neither_early_nor_late_by_a_step() {
    for step in STEPS {
        let mut clocks = Clocks::new();
        let mut time = TrustedTime::start(None, clocks.reading);
        assert_eq!(time.witnessed(clocks.pass(HOUR)), T.plus(Duration::from_hours(1)));
        // Steps to and fro in a suspension change nothing either.
        for (hours, step) in [(2, step), (3, -2 * step), (4, step)] {
            clocks.step(step);
            assert_eq!(time.witnessed(clocks.pass(HOUR)), T.plus(Duration::from_hours(hours)), "{step}");
        }
        // A process that begins in the suspension goes on from what was written down.
        clocks.step(step);
        time.witnessed(clocks.reading);
        let at = clocks.pass(HOUR);
        time.witnessed(at);
        let mut next = TrustedTime::start(Some(&time.record(at)), at);
        let seen = next.witnessed(clocks.pass(HOUR));
        assert!(seen <= T.plus(Duration::from_hours(6)), "{step}: never ahead of the true time");
        assert!(seen >= T.plus(Duration::from_hours(3)), "{step}: {seen:?}");
    }
}
