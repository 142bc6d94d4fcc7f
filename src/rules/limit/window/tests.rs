use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_mins(1);
const BOUNDS: Bounds = Bounds { failures_max: 3, window: WINDOW, entries_max: 64 };

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + secs)
}

fn fail(windows: &mut Windows, key: u128, times: u32, now: i64, bounds: &Bounds) -> bool {
    (0..times).all(|_| windows.count(key, bounds, at(now), None))
}

fn wait(windows: &Windows, key: u128, now: i64) -> Option<Duration> {
    windows.wait(key, &BOUNDS, at(now), None)
}

fn share(start: i64, failures: u32) -> Share {
    Share { start: at(start), failures, passes: 0, cleared: None }
}

#[test]
fn a_full_table_keeps_every_restraint_in_force() {
    let bounds = Bounds { entries_max: 4, ..BOUNDS };
    let mut windows = Windows::default();
    assert!(fail(&mut windows, 1, 3, 0, &bounds));
    assert!(fail(&mut windows, 2, 2, 1, &bounds));
    // A flood of keys with one failure each displaces itself.
    for key in 100..200 {
        assert!(fail(&mut windows, key, 1, 2, &bounds));
    }
    assert_eq!(windows.failures(1, WINDOW, at(3), None), 3);
    assert_eq!(windows.failures(2, WINDOW, at(3), None), 2);
    assert_eq!(windows.failures(199, WINDOW, at(3), None), 1);
    // Where all are in force, a newcomer finds no room until one has ended.
    for key in [2, 199, 198] {
        assert!(fail(&mut windows, key, 2, 4, &bounds));
    }
    fail(&mut windows, 199, 1, 4, &bounds);
    fail(&mut windows, 198, 1, 4, &bounds);
    assert!(!fail(&mut windows, 7, 1, 5, &bounds));
    assert!([1, 2, 198, 199].iter().all(|&key| wait(&windows, key, 5).is_some()));
    assert!(fail(&mut windows, 7, 1, 60, &bounds), "the first one's window has ended");
    assert_eq!(wait(&windows, 1, 60), None);
}

#[test]
fn a_clearing_finds_room_and_takes_what_restrains_least() {
    let bounds = Bounds { entries_max: 2, ..BOUNDS };
    let mut windows = Windows::default();
    fail(&mut windows, 1, 4, 0, &bounds);
    fail(&mut windows, 2, 3, 0, &bounds);
    windows.clear(3, &bounds, at(1));
    assert_eq!(windows.cleared(3), Some(at(1)));
    assert!(wait(&windows, 1, 1).is_some() && wait(&windows, 2, 1).is_none());
}

#[test]
fn shares_of_several_processes_add_up_and_end_one_by_one() {
    let mut windows = Windows::default();
    fail(&mut windows, 1, 1, 0, &BOUNDS);
    windows.merge(1, [1; 16], share(10, 1), &BOUNDS, at(11));
    assert_eq!(wait(&windows, 1, 11), None);
    windows.merge(1, [2; 16], share(20, 2), &BOUNDS, at(21));
    // At 60 its own has ended, at 70 the first other one's: then two are left.
    assert_eq!(wait(&windows, 1, 21), Some(Duration::from_secs(49)));
    assert_eq!(wait(&windows, 1, 60), Some(Duration::from_secs(10)));
    assert_eq!(wait(&windows, 1, 70), None);
    // The same share again changes nothing; a later state of it counts once.
    windows.merge(1, [2; 16], share(20, 2), &BOUNDS, at(71));
    assert_eq!(windows.failures(1, WINDOW, at(71), None), 2);
    windows.merge(1, [2; 16], share(20, 3), &BOUNDS, at(72));
    assert_eq!(windows.failures(1, WINDOW, at(72), None), 3);
}

#[test]
fn clearing_voids_what_began_before_wherever_it_was_counted() {
    let mut windows = Windows::default();
    fail(&mut windows, 1, 3, 0, &BOUNDS);
    windows.merge(1, [1; 16], share(5, 9), &BOUNDS, at(6));
    let cleared = Share { start: at(10), failures: 0, passes: 0, cleared: Some(at(10)) };
    windows.merge(1, [2; 16], cleared, &BOUNDS, at(11));
    assert_eq!((wait(&windows, 1, 11), windows.failures(1, WINDOW, at(11), None)), (None, 0));
    fail(&mut windows, 1, 1, 12, &BOUNDS);
    assert_eq!(windows.failures(1, WINDOW, at(12), None), 1, "it counts anew");
    windows.clear(1, &BOUNDS, at(13));
    assert_eq!(windows.take_changed(9)[0].share.cleared, Some(at(13)));
    // The clock of the gateway that cleared it may be ahead.
    let ahead = Share { start: at(20), failures: 0, passes: 0, cleared: Some(at(20)) };
    windows.merge(1, [3; 16], ahead, &BOUNDS, at(14));
    fail(&mut windows, 1, 2, 15, &BOUNDS);
    assert_eq!(windows.failures(1, WINDOW, at(15), None), 2);
    // From outside: a whole name, say.
    assert_eq!(windows.failures(1, WINDOW, at(30), Some(at(29))), 0);
}

#[test]
fn what_changed_is_taken_once_the_heaviest_first() {
    let mut windows = Windows::default();
    for (key, times) in [(1, 1), (2, 3), (3, 2)] {
        fail(&mut windows, key, times, 0, &BOUNDS);
    }
    let taken: Vec<_> = windows.take_changed(2).iter().map(|changed| (changed.key, changed.share.failures)).collect();
    assert_eq!(taken, [(2, 3), (3, 2)]);
    windows.give_back(3);
    let mut taken: Vec<_> = windows.take_changed(9).iter().map(|changed| changed.key).collect();
    taken.sort_unstable();
    assert_eq!(taken, [1, 3]);
    assert!(windows.take_changed(9).is_empty());
    windows.merge(1, [1; 16], share(0, 9), &BOUNDS, at(1));
    assert!(windows.take_changed(9).is_empty(), "another process's share is not this one's to tell");
}

#[test]
fn what_is_restrained_is_counted() {
    let mut windows = Windows::default();
    for (key, times, now) in [(1, 3, 0), (2, 2, 0), (3, 5, 10)] {
        fail(&mut windows, key, times, now, &BOUNDS);
    }
    assert_eq!(windows.restrained(&BOUNDS, at(20), |_| None), (2, Duration::from_secs(50)));
    assert_eq!(windows.restrained(&BOUNDS, at(20), |key| (key == 3).then_some(at(11))), (1, Duration::from_secs(40)));
    assert_eq!(windows.restrained(&BOUNDS, at(60), |_| None), (1, Duration::from_secs(10)));
}

/// Processes that count and tell each other, beside the rule in plain words: what each process has counted since the
/// first failure of its window and since the last clearing, added up.
#[derive(Default)]
struct Model {
    failures: BTreeMap<(usize, u128), Vec<Timestamp>>,
    cleared: BTreeMap<u128, Timestamp>,
}

impl Model {
    fn fail(&mut self, process: usize, key: u128, now: Timestamp) {
        let cleared = self.cleared.get(&key).copied();
        let failures = self.failures.entry((process, key)).or_default();
        let is_over = |&first: &Timestamp| now.since(first) >= WINDOW || cleared.is_some_and(|cleared| first < cleared);
        if failures.first().is_some_and(is_over) {
            failures.clear();
        }
        failures.push(now);
    }

    fn count(&self, key: u128, now: Timestamp) -> usize {
        let cleared = self.cleared.get(&key).copied();
        let counts = |first: &Timestamp| now.since(*first) < WINDOW && cleared.is_none_or(|cleared| *first >= cleared);
        let of_key = self.failures.iter().filter(|((_, of), _)| *of == key).map(|(_, failures)| failures);
        of_key.filter(|failures| failures.first().is_some_and(counts)).map(Vec::len).sum()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Fail(usize, u128),
    Clear(usize, u128),
    Wait(u16),
    /// A batch of a process that arrives at some of the others, maybe several times, or is lost and sent again later.
    Send {
        from: usize,
        arrives: [u8; 3],
        is_lost: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0usize..3, 0u128..4).prop_map(|(process, key)| Step::Fail(process, key)),
        1 => (0usize..3, 0u128..4).prop_map(|(process, key)| Step::Clear(process, key)),
        2 => (1u16..20_000).prop_map(Step::Wait),
        3 => (0usize..3, any::<[u8; 3]>(), any::<bool>())
            .prop_map(|(from, arrives, is_lost)| Step::Send { from, arrives, is_lost }),
    ];
    proptest::collection::vec(step, 0..120)
}

/// The last state of every share that a process ever sent, as a store has it.
type Sent = BTreeMap<(usize, u128), Share>;

fn send(processes: &mut [Windows; 3], sent: &mut Sent, from: usize, arrives: [u8; 3], now: Timestamp) {
    for changed in processes[from].take_changed(usize::MAX) {
        sent.insert((from, changed.key), changed.share);
    }
    deliver(processes, sent, from, arrives, now);
}

fn deliver(processes: &mut [Windows; 3], sent: &Sent, from: usize, arrives: [u8; 3], now: Timestamp) {
    for (to, process) in processes.iter_mut().enumerate().filter(|(to, _)| *to != from) {
        for _ in 0..arrives[to] % 3 {
            for (&(_, key), &share) in sent.iter().filter(|((of, _), _)| *of == from) {
                process.merge(key, [u8::try_from(from).unwrap(); 16], share, &BOUNDS, now);
            }
        }
    }
}

proptest! {
    // A case has a hundred steps, and delivers everything to everybody after each.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the order of batches, and however often one arrives or is sent in vain: when all have arrived, every
    /// process restrains by the same sum.
    #[test]
    fn batches_that_repeat_are_lost_or_change_their_order_count_once(steps in steps()) {
        let mut processes: [Windows; 3] = Default::default();
        let (mut model, mut sent, mut now) = (Model::default(), Sent::new(), at(0));
        let all = |processes: &mut [Windows; 3], sent: &mut Sent, now| {
            for from in 0..3 {
                send(processes, sent, from, [1; 3], now);
            }
        };
        for step in steps {
            // Two things that happen in the same millisecond have no order.
            now = now.plus(Duration::from_millis(1));
            match step {
                Step::Wait(millis) => now = now.plus(Duration::from_millis(millis.into())),
                Step::Fail(process, key) => {
                    // It counts anew where it has heard of a clearing.
                    all(&mut processes, &mut sent, now);
                    prop_assert!(processes[process].count(key, &BOUNDS, now, None));
                    model.fail(process, key, now);
                }
                Step::Clear(process, key) => {
                    processes[process].clear(key, &BOUNDS, now);
                    model.cleared.insert(key, now);
                }
                Step::Send { from, is_lost: true, .. } => {
                    for changed in processes[from].take_changed(usize::MAX) {
                        processes[from].give_back(changed.key);
                    }
                }
                Step::Send { from, arrives, is_lost: false } => {
                    send(&mut processes, &mut sent, from, arrives, now);
                }
            }
            // In another order, and twice.
            let (mut here, mut sent_here) = (clone(&processes), sent.clone());
            all(&mut here, &mut sent_here, now);
            for from in [2, 0, 1] {
                deliver(&mut here, &sent_here, from, [1; 3], now);
            }
            for key in 0..4 {
                let expected = model.count(key, now);
                for process in &here {
                    prop_assert_eq!(process.failures(key, WINDOW, now, None) as usize, expected);
                    prop_assert_eq!(process.wait(key, &BOUNDS, now, None).is_some(), expected >= 3);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn memory_is_bounded_and_slots_are_never_shared(
        failures in proptest::collection::vec((0u128..32, 0i64..5, 0u8..8), 0..300),
        entries_max in 0usize..8,
    ) {
        let mut windows = Windows::default();
        let bounds = Bounds { entries_max, ..BOUNDS };
        let mut secs = 0;
        for (key, wait_secs, what) in failures {
            secs += wait_secs;
            let restrained: Vec<_> = (0..32).filter(|&key| wait(&windows, key, secs).is_some()).collect();
            match what {
                0 => windows.merge(key, [1; 16], share(secs, 2), &bounds, at(secs)),
                1 => windows.clear(key, &bounds, at(secs)),
                _ => { windows.count(key, &bounds, at(secs), None); }
            }
            if what != 1 {
                prop_assert!(restrained.iter().all(|&key| wait(&windows, key, secs).is_some()), "a restraint is gone");
            }
            let entries = windows.by_key.len();
            prop_assert!(entries <= entries_max.max(1));
            prop_assert_eq!((windows.by_weight.len(), windows.by_end.len()), (entries, entries));
            let mut slots: Vec<_> = windows.by_key.values().map(|entry| entry.slot).collect();
            slots.sort_unstable();
            slots.dedup();
            prop_assert_eq!(slots.len(), entries);
            prop_assert!(slots.iter().all(|&slot| (slot as usize) < entries_max.max(1)));
            prop_assert!(windows.changed.iter().all(|key| windows.by_key.contains_key(key)));
        }
    }
}

fn clone(processes: &[Windows; 3]) -> [Windows; 3] {
    std::array::from_fn(|place| processes[place].clone())
}
