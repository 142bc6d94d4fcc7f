//! Which side is waited for, and which is blamed, whatever happens in whatever order.

use proptest::prelude::*;

use super::*;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn waits(start: Instant) -> Waits {
    Waits {
        body_timeout: seconds(30),
        rate_min: 500,
        rate_grace: seconds(60),
        body_total: seconds(600),
        read: seconds(10),
        write: seconds(7200),
        ends_at: start + seconds(3600),
        declared: true,
    }
}

fn begun(waits: Waits, start: Instant) -> Progress {
    let progress = Progress::default();
    progress.begin(start, waits, None);
    progress
}

fn asked(progress: &Progress, now: Instant) {
    progress.asked(now, &Context::from_waker(std::task::Waker::noop()));
}

fn deadline(progress: &Progress) -> Option<(Instant, Overdue)> {
    progress.lock().deadline()
}

#[test]
fn a_client_that_owes_its_body_is_waited_for_and_the_server_is_not() {
    let start = Instant::now();
    let progress = begun(waits(start), start);
    assert_eq!(deadline(&progress), Some((start + seconds(3600), Overdue::Client)), "nobody asked it yet");
    asked(&progress, start + seconds(1));
    assert_eq!(deadline(&progress), Some((start + seconds(31), Overdue::Client)));
    progress.came(start + seconds(20), 8);
    progress.passed_on(start + seconds(20), false);
    assert!(!progress.client_owes());
    asked(&progress, start + seconds(21));
    assert_eq!(deadline(&progress), Some((start + seconds(51), Overdue::Client)));
    progress.came(start + seconds(40), 8);
    progress.passed_on(start + seconds(40), true);
    assert_eq!(deadline(&progress), Some((start + seconds(50), Overdue::Server)));
}

#[test]
fn each_byte_of_the_server_restarts_its_time_and_a_client_that_reads_slowly_stops_it() {
    let start = Instant::now();
    let progress = begun(waits(start), start);
    progress.passed_on(start, true);
    progress.received(start + seconds(9));
    assert_eq!(deadline(&progress), Some((start + seconds(19), Overdue::Server)));
    progress.answering(start + seconds(12));
    progress.takes(start + seconds(13), false);
    assert_eq!(deadline(&progress), Some((start + seconds(3600), Overdue::Exchange)));
    progress.takes(start + seconds(40), true);
    assert_eq!(deadline(&progress), Some((start + seconds(50), Overdue::Server)));
    assert_eq!(progress.held_up(start + seconds(60)), seconds(27));
    progress.answered();
    assert_eq!(deadline(&progress), Some((start + seconds(3600), Overdue::Exchange)));
}

#[test]
fn either_side_of_a_stream_may_be_silent_and_a_body_of_known_length_is_none() {
    let start = Instant::now();
    for (declared, expected) in
        [(false, (start + seconds(3600), Overdue::Client)), (true, (start + seconds(31), Overdue::Client))]
    {
        let progress = begun(Waits { declared, ..waits(start) }, start);
        progress.answering(start);
        asked(&progress, start + seconds(1));
        assert_eq!(deadline(&progress), Some(expected), "declared: {declared}");
        progress.answered();
        assert_eq!(deadline(&progress), Some((start + seconds(31), Overdue::Client)), "the answer is whole");
    }
}

#[test]
fn a_body_has_its_grace_and_a_second_for_each_so_many_bytes() {
    let start = Instant::now();
    for (rate_min, pauses) in [(500, 5), (1_000_000, 3), (0, 30)] {
        let waits = Waits { rate_min, ..waits(start) };
        let progress = begun(waits, start);
        let mut now = start;
        let mut served = 0;
        // 5000 bytes after 20 s each: 250 a second.
        loop {
            asked(&progress, now);
            let (end, overdue) = deadline(&progress).unwrap();
            assert_eq!(overdue, Overdue::Client);
            if end < now + seconds(20) {
                break;
            }
            now += seconds(20);
            progress.came(now, 5000);
            served += 1;
        }
        assert_eq!(served, pauses, "{rate_min}");
    }
}

#[test]
fn a_server_that_does_not_take_the_body_costs_the_client_no_time() {
    let start = Instant::now();
    let progress = begun(waits(start), start);
    asked(&progress, start);
    progress.came(start + seconds(1), 1 << 20);
    // For ten minutes nobody reads from the client: its time in all is still there.
    asked(&progress, start + seconds(600));
    assert_eq!(deadline(&progress), Some((start + seconds(630), Overdue::Client)));
}

#[test]
fn a_verdict_is_told_once_and_cuts_off_where_nobody_hears_it() {
    let start = Instant::now();
    for (hears, late) in [(false, Verdict::CutOff(Overdue::Server)), (true, Verdict::Fine)] {
        let progress = begun(waits(start), start);
        progress.passed_on(start, true);
        let over = start + seconds(10);
        assert_eq!(progress.judge(over.checked_sub(seconds(1)).unwrap()), Verdict::Fine);
        assert_eq!(progress.hear(), None);
        assert_eq!(progress.judge(over), Verdict::Tell);
        assert_eq!(progress.judge(over), Verdict::Fine);
        if hears {
            assert_eq!(progress.hear(), Some(Overdue::Server));
        }
        assert_eq!(progress.judge(over + UNHEARD), late);
    }
}

#[test]
fn a_response_that_has_begun_is_cut_off_at_once() {
    let start = Instant::now();
    let progress = begun(waits(start), start);
    progress.passed_on(start, true);
    progress.answering(start);
    assert_eq!(progress.judge(start + seconds(10)), Verdict::CutOff(Overdue::Server));
}

#[test]
fn a_response_that_comes_before_the_verdict_is_heard_is_in_time() {
    let start = Instant::now();
    let progress = begun(waits(start), start);
    progress.passed_on(start, true);
    let over = start + seconds(10);
    assert_eq!(progress.judge(over), Verdict::Tell);
    progress.answering(over);
    assert_eq!(progress.overdue(), None);
    assert_eq!(progress.judge(over + seconds(9)), Verdict::Fine);
    assert_eq!(progress.judge(over + seconds(10)), Verdict::CutOff(Overdue::Server));
}

#[test]
fn the_time_between_two_attempts_is_nobodys() {
    let start = Instant::now();
    let progress = begun(waits(start), start);
    progress.passed_on(start, true);
    progress.attempt_failed();
    let next = start + seconds(12);
    assert_eq!(progress.judge(next), Verdict::Fine, "no server has the request");
    progress.begin(next, waits(start), None);
    assert_eq!(progress.judge(next + seconds(9)), Verdict::Fine);
    assert_eq!(progress.judge(next + seconds(10)), Verdict::Tell);
    // Another attempt that begins all the same is not held to what was said of this one.
    progress.begin(next + seconds(11), waits(start), None);
    assert_eq!((progress.overdue(), progress.judge(next + seconds(12))), (None, Verdict::Fine));
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Asked,
    Came(u16),
    PassedOn(bool),
    Received,
    Answering,
    Answered,
    Takes(bool),
    AttemptFailed,
    Begun,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Asked),
        3 => any::<u16>().prop_map(Event::Came),
        2 => prop::bool::weighted(0.2).prop_map(Event::PassedOn),
        2 => Just(Event::Received),
        1 => Just(Event::Answering),
        1 => Just(Event::Answered),
        2 => any::<bool>().prop_map(Event::Takes),
        1 => Just(Event::AttemptFailed),
        1 => Just(Event::Begun),
    ]
}

proptest! {
    /// Whatever happens in whatever order: the server is blamed only when it has the whole request, has not
    /// answered all of it, nothing keeps us from reading from it, and nothing moved for `read`. Between two attempts
    /// nobody is waited for.
    #[test]
    fn a_server_is_blamed_for_its_own_silence_alone(
        events in prop::collection::vec((event(), 0..40_u64), 1..60),
        declared: bool,
    ) {
        let start = Instant::now();
        let progress = begun(Waits { declared, ..waits(start) }, start);
        let (mut now, mut moved) = (start, start);
        let (mut whole, mut answered, mut held, mut attempted) = (false, false, false, true);
        for (event, pause) in events {
            let end = now + seconds(pause);
            prop_assert!(attempted || deadline(&progress).is_none());
            if let Some((at, Overdue::Server)) = deadline(&progress) {
                prop_assert!(whole && !answered && !held);
                prop_assert_eq!(at, moved + seconds(10));
            }
            if whole {
                prop_assert!(!matches!(deadline(&progress), Some((_, Overdue::Client))));
                prop_assert!(!progress.client_owes());
            }
            now = end;
            match event {
                Event::Asked => asked(&progress, now),
                Event::Came(bytes) => {
                    progress.came(now, usize::from(bytes));
                }
                Event::PassedOn(last) => {
                    progress.passed_on(now, last);
                    (moved, whole) = (now, whole || last);
                }
                Event::Received => {
                    progress.received(now);
                    moved = now;
                }
                Event::Answering => {
                    progress.answering(now);
                    moved = now;
                }
                Event::Answered => {
                    progress.answered();
                    answered = true;
                }
                Event::Takes(takes) => {
                    progress.takes(now, takes);
                    if takes && held {
                        moved = now;
                    }
                    held = !takes;
                }
                Event::AttemptFailed => {
                    progress.attempt_failed();
                    attempted = false;
                }
                Event::Begun => {
                    progress.begin(now, Waits { declared, ..waits(start) }, None);
                    (attempted, moved) = (true, now);
                }
            }
        }
    }
}
