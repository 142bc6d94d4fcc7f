//! What a reader may never see, whatever a writer is about.

use std::sync::Arc;

use loom::{model::Builder, thread::spawn};

use super::{
    bucket::Tag,
    filter::Filter,
    log::{Record, RevokedSubject},
    memory::Revocations,
    set::Set,
    table::{Key, Table},
};
use crate::domain::{self, Claims, PrincipalId, Reason, RevocationId, Timestamp, TrustedNow};

/// How often one thread may be interrupted where it could have gone on, in tests of many steps: more than that finds
/// hardly anything, and takes hours.
const INTERRUPTIONS_MAX: usize = 2;

/// An end, and a time after it.
const END: Timestamp = Timestamp::from_millis(3_600_000);
const AFTER: Timestamp = Timestamp::from_millis(3_600_001);

/// Keys that a table takes before it grows from its smallest size.
const SMALLEST_TABLE: u128 = 7;

/// Every interleaving.
fn try_all(test: impl Fn() + Sync + Send + 'static) {
    try_with(None, test);
}

/// Every one with few interruptions.
fn try_many(test: impl Fn() + Sync + Send + 'static) {
    try_with(Some(INTERRUPTIONS_MAX), test);
}

fn try_with(preemption_bound: Option<usize>, test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = preemption_bound;
    builder.max_branches = 20_000;
    builder.check(test);
}

/// The id `n` of the table `table`: all of a table begin their search in its first slot.
const fn id(table: u128, n: u128) -> u128 {
    (table << 126) | (0x0001_0000 * n) | n
}

fn record(id: u128, expires_at: Option<Timestamp>) -> Record {
    Record { subject: RevokedSubject::Token(RevocationId(id)), expires_at, created_at: Timestamp::default() }
}

fn claims(id: u128, expires_at: Option<Timestamp>) -> Claims {
    Claims {
        revocation_id: RevocationId(id),
        session: None,
        subject: domain::TokenSubject(PrincipalId(1)),
        epoch: 0,
        issued_at: Timestamp::from_millis(0),
        expires_at,
    }
}

fn shared<T>(value: T) -> (Arc<T>, Arc<T>) {
    let value = Arc::new(value);
    (Arc::clone(&value), value)
}

#[test]
fn a_key_is_seen_whole_or_not_at_all() {
    try_all(|| {
        let key = Key::new(id(0, 5) | 1 << 64);
        let (table, of_writer) = shared(Table::for_keys(1));
        let writer = spawn(move || of_writer.insert(key, Tag::NEVER));
        for seen in table.iter() {
            assert_eq!(seen, (key, Tag::NEVER));
        }
        writer.join().unwrap();
        assert!(table.find(key).is_some());
    });
}

#[test]
fn a_key_is_found_while_it_changes_its_bucket_and_another_comes() {
    try_all(|| {
        let (key, other) = (Key::new(id(0, 1)), Key::new(id(0, 2)));
        let later = Tag::from_bits(2);
        let (table, of_writer) = shared(Table::for_keys(2));
        table.insert(key, Tag::NEVER);
        let writer = spawn(move || {
            of_writer.set_tag(of_writer.find(key).unwrap(), later);
            of_writer.insert(other, later);
        });
        let tag = table.tag(table.find(key).expect("it was there before"));
        assert!([Tag::NEVER, later].contains(&tag), "{tag:?}");
        writer.join().unwrap();
        assert_eq!(table.tag(table.find(key).unwrap()), later);
    });
}

#[test]
fn nothing_in_the_filter_is_excluded_while_its_part_is_made_anew() {
    try_all(|| {
        let held = id(1, 7);
        let (filter, of_writer) = shared(Filter::default());
        filter.add(held);
        let writer = spawn(move || of_writer.refill(1, [held].into_iter()));
        assert!(!filter.excludes(held));
        writer.join().unwrap();
        assert!(!filter.excludes(held) && filter.excludes(id(1, 8)));
    });
}

#[test]
fn nothing_in_the_filter_is_excluded_while_its_part_is_made_anew_twice() {
    try_many(|| {
        let held = id(1, 7);
        let (filter, of_writer) = shared(Filter::default());
        filter.add(held);
        let writer = spawn(move || (0..2).for_each(|_| of_writer.refill(1, [held].into_iter())));
        assert!(!filter.excludes(held));
        writer.join().unwrap();
    });
}

#[test]
fn who_sees_the_generation_of_a_revocation_sees_the_revocation() {
    try_many(|| {
        let (revocations, of_writer) = shared(Revocations::default());
        let before = revocations.generation();
        let writer = spawn(move || of_writer.apply(&[record(id(2, 1), None)]));
        if revocations.generation() > before {
            assert_eq!(revocations.check(&claims(id(2, 1), None)), Err(Reason::TokenRevoked));
        }
        writer.join().unwrap();
    });
}

#[test]
fn who_sees_the_generation_of_revocations_that_bring_the_filter_sees_them() {
    try_many(|| {
        let (revocations, of_writer) = shared(Revocations::default());
        let before = revocations.generation();
        let writer = spawn(move || of_writer.apply(&[record(id(2, 1), None), record(id(3, 1), Some(END))]));
        if revocations.generation() > before {
            assert_eq!(revocations.check(&claims(id(2, 1), None)), Err(Reason::TokenRevoked));
            assert_eq!(revocations.check(&claims(id(3, 1), Some(END))), Err(Reason::TokenRevoked));
        }
        writer.join().unwrap();
    });
}

#[test]
fn what_is_held_is_found_while_its_table_grows() {
    try_many(|| {
        let (set, of_writer) = shared(Set::default());
        set.extend((0..SMALLEST_TABLE).map(|n| (id(0, n), None)));
        let writer = spawn(move || of_writer.extend([(id(0, SMALLEST_TABLE), None)]));
        assert!(set.contains(id(0, SMALLEST_TABLE - 1)));
        writer.join().unwrap();
        assert!((0..=SMALLEST_TABLE).all(|n| set.contains(id(0, n))));
    });
}

#[test]
fn what_is_held_is_found_while_the_filter_comes() {
    try_many(|| {
        let (set, of_writer) = shared(Set::default());
        set.extend([(id(3, 0), None)]);
        let writer = spawn(move || of_writer.extend([(id(3, 1), None)]));
        assert!(set.contains(id(3, 0)));
        writer.join().unwrap();
        assert!(set.contains(id(3, 0)) && set.contains(id(3, 1)) && !set.contains(id(3, 2)));
    });
}

#[test]
fn what_lasts_is_found_while_the_rest_of_its_table_is_pruned() {
    try_many(|| {
        let (set, of_writer) = shared(Set::default());
        set.extend([(id(0, 1), Some(END)), (id(0, 2), None)]);
        let writer = spawn(move || of_writer.prune(AFTER, |_| ()));
        assert!(set.contains(id(0, 2)));
        writer.join().unwrap();
        assert!(set.contains(id(0, 2)) && !set.contains(id(0, 1)));
        assert_eq!(set.len(), 1);
    });
}

#[test]
fn a_revoked_token_is_refused_before_while_and_after_its_revocation_is_pruned() {
    try_many(|| {
        let (revocations, of_writer) = shared(Revocations::default());
        revocations.apply(&[record(id(1, 1), Some(END)), record(id(1, 2), None)]);
        let writer = spawn(move || of_writer.prune(TrustedNow(AFTER)));
        assert!(revocations.check(&claims(id(1, 1), Some(END))).is_err());
        writer.join().unwrap();
        assert_eq!(revocations.check(&claims(id(1, 1), Some(END))), Err(Reason::Expired));
    });
}

#[test]
fn writers_lose_nothing_of_each_other() {
    try_many(|| {
        let (set, of_writer) = shared(Set::default());
        set.extend([(id(0, 1), Some(END)), (id(0, 2), Some(END))]);
        let writer = spawn(move || of_writer.prune(AFTER, |_| ()));
        // The one lasts now, wherever the other writer is; the other is new.
        set.extend([(id(0, 1), None), (id(0, 3), None)]);
        writer.join().unwrap();
        assert!(set.contains(id(0, 1)) && set.contains(id(0, 3)) && !set.contains(id(0, 2)));
        assert_eq!(set.len(), 2);
    });
}

#[test]
fn a_reader_finds_what_two_writers_leave() {
    try_many(|| {
        let set = Arc::new(Set::default());
        set.extend([(id(0, 1), None), (id(0, 2), Some(END))]);
        let (pruned, extended) = (Arc::clone(&set), Arc::clone(&set));
        let writers = [spawn(move || pruned.prune(AFTER, |_| ())), spawn(move || extended.extend([(id(0, 3), None)]))];
        assert!(set.contains(id(0, 1)));
        for writer in writers {
            writer.join().unwrap();
        }
        assert!(set.contains(id(0, 1)) && set.contains(id(0, 3)));
    });
}
