//! Whatever is done to the lines of a file is found.

use proptest::prelude::*;

use super::*;
use crate::{
    domain::Timestamp,
    observe::audit::{
        event::{Account, Act, Event},
        line::{Draft, Place, Record, write},
    },
};

const CHAIN: ChainId = ChainId::of([7; 16]);

fn key() -> Arc<ChainKey> {
    Arc::new(ChainKey::derive("k".to_owned(), b"master"))
}

fn event(n: i64) -> Record {
    Record::Event(Event {
        at: Timestamp::from_secs(n),
        act: Act::Login,
        observed: n % 3 == 0,
        refused: (n % 2 == 0).then_some("invalid_credentials"),
        realm: "sws".parse().unwrap(),
        account: Account::Unknown(None),
        client: [127, 0, 0, 1].into(),
        request: format!("{n:032x}"),
    })
}

fn begin(after: Option<Place>) -> Record {
    Record::Begin { gateway: "host".to_owned(), key: "k".to_owned(), after, torn: 0 }
}

/// The lines of a chain, each with its newline, and where it ends.
fn lines_of(chain: ChainId, records: Vec<(Record, i64)>) -> (Vec<Vec<u8>>, Place, i64) {
    let (key, mut mac, mut count, mut lines) = (key(), Mac::BEGINNING, 0, vec![]);
    for (n, (record, events)) in records.into_iter().enumerate() {
        count += events;
        let line = i64::try_from(n).unwrap() + 1;
        let mut text = vec![];
        mac = write(&mut text, &key, chain, &mac, &Draft { at: Timestamp::from_secs(line), line, count, record });
        lines.push(text);
    }
    let place = Place { chain, line: i64::try_from(lines.len()).unwrap(), mac };
    (lines, place, count)
}

fn chain(events: i64) -> (Vec<Vec<u8>>, Expected) {
    let records = std::iter::once((begin(None), 0)).chain((1..=events).map(|n| (event(n), 1))).collect();
    let (lines, place, events) = lines_of(CHAIN, records);
    (lines, Expected { line: place.line, mac: place.mac, events, is_needed: true })
}

fn verify(text: &[u8], expected: &[(ChainId, Expected)]) -> Summary {
    let keys = |id: &str| matches!(id, "" | "k").then(key);
    let mut chains = Chains::new(&keys, expected.to_vec());
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    for (n, line) in text.split(|byte| *byte == b'\n').enumerate() {
        chains.take(&format!("audit.log:{}", n + 1), line);
    }
    chains.finish()
}

#[test]
fn a_whole_chain_is_clean() {
    let (lines, expected) = chain(20);
    let summary = verify(&lines.concat(), &[(CHAIN, expected)]);
    assert_eq!((summary.chains, summary.lines), (1, 21));
    assert_eq!((summary.findings, summary.gaps), (vec![], vec![]));
}

#[test]
fn what_the_gateway_could_not_write_is_a_gap_and_no_finding() {
    let records = vec![(begin(None), 0), (event(1), 1), (event(5), 4), (Record::End, 0)];
    let (lines, place, events) = lines_of(CHAIN, records);
    let expected = Expected { line: place.line, mac: place.mac, events: events + 2, is_needed: true };
    let summary = verify(&lines.concat(), &[(CHAIN, expected)]);
    assert_eq!(summary.findings, []);
    let gaps: Vec<_> = summary.gaps.iter().map(|gap| (gap.before_line, gap.events)).collect();
    assert_eq!(gaps, [(Some(3), 3), (None, 2)]);
}

#[test]
fn two_processes_write_beside_each_other_and_one_after_the_other() {
    let (first, end, _) = lines_of(CHAIN, vec![(begin(None), 0), (event(1), 1), (event(2), 1)]);
    let after = Place { line: 2, mac: ReadLine::read(first[1].strip_suffix(b"\n").unwrap()).unwrap().mac, ..end };
    let second = ChainId::of([8; 16]);
    let (lines, ..) = lines_of(second, vec![(begin(Some(after)), 0), (event(3), 1)]);
    // The predecessor writes its last line when the successor has begun.
    let text = [&first[0][..], &first[1], &lines[0], &first[2], &lines[1]].concat();
    assert_eq!(verify(&text, &[]).findings, []);
    // A line that stood there when the successor began is gone, and no anchor had it yet.
    let text = [&first[0][..], &lines[0], &lines[1]].concat();
    let findings = verify(&text, &[]).findings;
    assert!(findings.len() == 1 && findings[0].what.contains("its end was cut"), "{findings:?}");
}

#[test]
fn a_file_that_goes_on_from_one_that_is_not_here_is_read_and_said() {
    let (lines, place, _) = lines_of(CHAIN, vec![(begin(None), 0), (event(1), 1)]);
    let draft = Draft {
        at: Timestamp::from_secs(9),
        line: 3,
        count: 1,
        record: Record::Continue(place.mac, Timestamp::from_secs(2)),
    };
    let mut next = vec![];
    write(&mut next, &key(), CHAIN, &place.mac, &draft);
    assert_eq!(verify(&[lines.concat(), next.clone()].concat(), &[]).findings, []);
    let findings = verify(&next, &[]).findings;
    assert!(findings.len() == 1 && findings[0].what.contains("the lines 1 to 2"), "{findings:?}");
    // The file before it ended at second 2.
    let keys = |id: &str| matches!(id, "" | "k").then(key);
    for (since, found) in [(2, 1), (3, 0)] {
        let mut chains = Chains::new(&keys, []).since(Timestamp::from_secs(since));
        chains.take("next", next.strip_suffix(b"\n").unwrap());
        assert_eq!(chains.finish().findings.len(), found, "since {since}");
    }
}

#[test]
fn a_chain_that_is_read_after_the_one_that_followed_it_is_judged_as_well() {
    let (first, end, _) = lines_of(CHAIN, vec![(begin(None), 0), (event(1), 1)]);
    let (second, ..) = lines_of(ChainId::of([8; 16]), vec![(begin(Some(end)), 0)]);
    assert_eq!(verify(&[second.concat(), first.concat()].concat(), &[]).findings, []);
    let findings = verify(&[second.concat(), first[0].clone()].concat(), &[]).findings;
    assert!(findings.len() == 1 && findings[0].what.contains("its end was cut"), "{findings:?}");
}

#[test]
fn a_swapped_file_is_found_by_what_is_missing() {
    let (_, expected) = chain(3);
    let (other, ..) = lines_of(ChainId::of([9; 16]), vec![(begin(None), 0), (event(1), 1)]);
    let findings = verify(&other.concat(), &[(CHAIN, expected)]).findings;
    assert!(findings.len() == 1 && findings[0].what.contains("removed or swapped"), "{findings:?}");
}

#[test]
fn a_rewritten_end_is_found_even_by_who_had_the_key() {
    let (lines, expected) = chain(3);
    let (other, ..) = lines_of(CHAIN, vec![(begin(None), 0), (event(1), 1), (event(2), 1), (event(30), 1)]);
    assert_eq!(lines[..3], other[..3]);
    let findings = verify(&other.concat(), &[(CHAIN, expected)]).findings;
    assert!(findings.len() == 1 && findings[0].what.contains("the store has the code of"), "{findings:?}");
}

proptest! {
    #[test]
    fn any_change_of_any_byte_is_found(events in 1..12_i64, at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let (lines, expected) = chain(events);
        let mut text = lines.concat();
        let at = at.index(text.len() - 1);
        text[at] ^= flip;
        prop_assert!(!verify(&text, &[(CHAIN, expected)]).findings.is_empty(), "byte {at}");
    }

    #[test]
    fn any_cut_is_found(events in 1..12_i64, from in any::<prop::sample::Index>(), cut in 1..6_usize) {
        let (mut lines, expected) = chain(events);
        let from = from.index(lines.len());
        lines.drain(from..lines.len().min(from + cut));
        prop_assert!(!verify(&lines.concat(), &[(CHAIN, expected)]).findings.is_empty(), "from {from}");
    }

    #[test]
    fn any_swap_is_found(events in 2..12_i64, one in any::<prop::sample::Index>(), two in any::<prop::sample::Index>()) {
        let (mut lines, expected) = chain(events);
        let (one, two) = (one.index(lines.len()), two.index(lines.len()));
        prop_assume!(one != two);
        lines.swap(one, two);
        prop_assert!(!verify(&lines.concat(), &[(CHAIN, expected)]).findings.is_empty());
    }

    #[test]
    fn any_insertion_is_found(events in 1..12_i64, at in any::<prop::sample::Index>(), which in any::<prop::sample::Index>()) {
        let (mut lines, expected) = chain(events);
        let line = lines[which.index(lines.len())].clone();
        let at = at.index(lines.len() + 1);
        lines.insert(at, line);
        prop_assert!(!verify(&lines.concat(), &[(CHAIN, expected)]).findings.is_empty());
    }
}
