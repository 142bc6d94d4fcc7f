//! A seeded simulation of the feed: one server with its replica, three gateways, and everything that can go wrong
//! between them, in thousands of schedules. What must hold: a revocation that was acknowledged longer ago than the
//! bound is refused by every gateway that decides, and a gateway that has seen one never lets it through again.

use std::collections::BTreeSet;

use super::*;
use crate::state::store::RevocationRow;

/// Schedules that are tried.
const SCHEDULES: u64 = 4_000;

/// Events of one.
const EVENTS: usize = 300;

/// From which age on a gateway refuses by itself, in ticks.
const BOUND: u64 = 20;

/// Rows of a page, at most: less than is appended at once.
const LIMIT: usize = 3;

/// A small generator with a good spread (`SplitMix64`): the same schedule for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % below
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.roll(chances) == 0
    }
}

/// A revocation, and its row in the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    position: Position,
    subject: u64,
}

/// A server's tables.
#[derive(Clone, Debug)]
struct Server {
    state: BTreeSet<u64>,
    feed: Vec<Row>,
    next: i64,
    /// Whether it takes changes.
    is_primary: bool,
}

impl Server {
    fn append(&mut self, subject: u64, dice: &mut Dice) {
        self.state.insert(subject);
        let position = Position { seq: self.next, bits: u128::from(dice.roll(u64::MAX)) };
        self.next += 1;
        self.feed.push(Row { position, subject });
    }

    fn end(&self) -> Position {
        self.feed.last().expect("its newest row is always there").position
    }

    fn after(&self, position: Position) -> Page {
        let mut rows = self.feed.iter().skip_while(|row| row.position.seq < position.seq);
        match rows.next() {
            Some(row) if row.position == position => {}
            _ => return Page::OtherHistory,
        }
        let rows: Vec<_> = rows.take(LIMIT).collect();
        let last = rows.last().map_or(position, |row| row.position);
        Page::Next(rows.iter().map(|row| change(row.subject)).collect(), last)
    }

    /// Drops old rows, and never the newest.
    fn prune(&mut self, keep: usize) {
        let surplus = self.feed.len().saturating_sub(keep.max(1));
        self.feed.drain(..surplus);
    }
}

fn change(subject: u64) -> Change {
    Change::Revocation(RevocationRow {
        kind: "token".to_owned(),
        subject: subject.to_be_bytes().to_vec(),
        epoch: None,
        expires_at: None,
        created_at: 0,
    })
}

fn subject(change: &Change) -> u64 {
    let Change::Revocation(row) = change else { panic!("the feed tells of revocations alone here") };
    u64::from_be_bytes(row.subject.as_slice().try_into().expect("8 bytes"))
}

/// A call of a gateway: what the server answered, which may arrive much later, or never.
enum Answer {
    State(BTreeSet<u64>, Position),
    Page(Page),
}

#[derive(Default)]
struct Gateway {
    cursor: Cursor,
    held: BTreeSet<u64>,
    /// When the round began in which the server took its row.
    round: Option<u64>,
    fresh: Option<u64>,
    unrestored: bool,
    answer: Option<Answer>,
}

impl Gateway {
    fn decides(&self, now: u64) -> bool {
        self.fresh.is_some_and(|fresh| now - fresh < BOUND)
    }

    /// Begins a round where none is under way, and asks for what comes next.
    fn ask(&mut self, server: &Server, now: u64) {
        if self.round.is_none() {
            if !server.is_primary {
                return;
            }
            self.round = Some(now);
        }
        self.answer = Some(match self.cursor.position() {
            None => Answer::State(server.state.clone(), server.end()),
            Some(position) => Answer::Page(server.after(position)),
        });
    }

    /// An answer arrives, once or twice.
    fn hear(&mut self, server: &mut Server, dice: &mut Dice) {
        match self.answer.take() {
            None => {}
            Some(Answer::State(state, end)) => {
                self.held.extend(state);
                self.cursor.took_state(end);
            }
            Some(Answer::Page(page)) => match self.cursor.take(page) {
                Taken::Changes(changes) => self.held.extend(changes.iter().map(subject)),
                Taken::Resync => {}
                Taken::End { is_another } => {
                    self.unrestored |= is_another;
                    if self.unrestored {
                        // What the store lacks is written again; that may fail half-way.
                        let missing: Vec<_> = self.held.difference(&server.state).copied().collect();
                        for subject in missing {
                            if !server.is_primary || dice.one_in(20) {
                                return;
                            }
                            server.append(subject, dice);
                        }
                        self.unrestored = false;
                    }
                    self.fresh = self.round.take();
                }
            },
        }
    }

    fn fail(&mut self) {
        self.answer = None;
        self.round = None;
    }
}

/// One schedule. With `synchronous` a replica has what was acknowledged.
fn run(seed: u64, synchronous: bool) {
    let mut dice = Dice(seed);
    let genesis = Row { position: Position { seq: 1, bits: 1 }, subject: 0 };
    let mut server = Server { state: BTreeSet::new(), feed: vec![genesis], next: 2, is_primary: true };
    let mut replica = server.clone();
    let mut backup = server.clone();
    let mut gateways: Vec<Gateway> = (0..3).map(|_| Gateway::default()).collect();
    // Each revocation with the time of its acknowledgement.
    let mut acknowledged: Vec<(u64, u64)> = vec![];
    let mut now = 0;
    for event in 0..EVENTS {
        now += dice.roll(3);
        if synchronous {
            // Whatever a gateway wrote was waited for.
            replica = server.clone();
        }
        match dice.roll(20) {
            0..=4 => {
                for _ in 0..=dice.roll(5) {
                    let subject = seed * 1_000_000 + event as u64 * 10 + dice.roll(10) + 1;
                    server.append(subject, &mut dice);
                    acknowledged.push((subject, now));
                }
            }
            5 => replica = server.clone(),
            6 if dice.one_in(4) => backup = server.clone(),
            7 => server.prune(usize::try_from(dice.roll(6)).expect("a small number")),
            8 if dice.one_in(3) => {
                // The primary is lost, and the replica is promoted: what only the primary had goes with it, unless a
                // gateway that lives has seen it.
                let lost = std::mem::replace(&mut server, replica.clone());
                let survives = |subject: &u64| {
                    server.state.contains(subject) || gateways.iter().any(|it| it.held.contains(subject))
                };
                if synchronous {
                    assert!(lost.state.is_subset(&server.state), "seed {seed}: nothing acknowledged is lost");
                }
                acknowledged.retain(|(subject, _)| survives(subject));
            }
            9 if dice.one_in(6) => {
                server = backup.clone();
                replica = backup.clone();
                let survives = |subject: &u64| {
                    server.state.contains(subject) || gateways.iter().any(|it| it.held.contains(subject))
                };
                acknowledged.retain(|(subject, _)| survives(subject));
            }
            10 if dice.one_in(8) => {
                // A gateway dies with what it alone knew.
                let which = usize::try_from(dice.roll(3)).expect("a small number");
                gateways[which] = Gateway::default();
                acknowledged.retain(|(subject, _)| {
                    server.state.contains(subject) || gateways.iter().any(|it| it.held.contains(subject))
                });
            }
            11 => now += dice.roll(2 * BOUND),
            12 => gateways[usize::try_from(dice.roll(3)).expect("a small number")].fail(),
            _ => {
                let gateway = &mut gateways[usize::try_from(dice.roll(3)).expect("a small number")];
                // An answer that is under way may be of long ago.
                if gateway.answer.is_some() {
                    gateway.hear(&mut server, &mut dice);
                } else {
                    gateway.ask(&server, now);
                }
            }
        }
        check(seed, event, now, &gateways, &acknowledged, &server);
    }
}

/// What was acknowledged longer ago than the bound is refused by who decides. After another history it takes one round
/// of a gateway that knows it until the store, and all others, know it too: until then only that one has to.
fn check(seed: u64, event: usize, now: u64, gateways: &[Gateway], acknowledged: &[(u64, u64)], server: &Server) {
    for (number, gateway) in gateways.iter().enumerate().filter(|(_, gateway)| gateway.decides(now)) {
        let fresh = gateway.fresh.unwrap_or(0);
        for (subject, at) in acknowledged.iter().filter(|(_, at)| now - at > BOUND && *at < fresh) {
            let is_lost = !server.state.contains(subject);
            assert!(
                is_lost || gateway.held.contains(subject) || appended_later(server, *subject, gateway),
                "seed {seed}, event {event}: gateway {number} decides at {now}, fresh at {fresh}, and does not know \
                 {subject}, which was acknowledged at {at}"
            );
        }
    }
}

/// Whether a subject came back into the feed behind what the gateway has read: it was lost, and is written again.
fn appended_later(server: &Server, subject: u64, gateway: &Gateway) -> bool {
    let Some(position) = gateway.cursor.position() else { return true };
    server.feed.iter().any(|row| row.subject == subject && row.position.seq > position.seq)
        || server.feed.iter().all(|row| row.position != position)
}

#[test]
fn whatever_is_lost_or_late_nothing_acknowledged_passes_after_the_bound() {
    for seed in 0..SCHEDULES {
        run(seed, seed % 2 == 0);
    }
}
