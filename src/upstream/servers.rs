//! The servers of a pool at one time, and whose turn it is among them.

use super::{balance, server::Server, settings::Balance};
use crate::per_thread::Spread;

/// The servers at one time.
#[derive(Debug, Default)]
pub(super) struct Servers {
    pub(super) all: Box<[Spread<Server>]>,
    /// Whose turn it is, as indices into `all`.
    round: Box<[u16]>,
}

impl Servers {
    pub(super) fn new(all: Vec<Spread<Server>>) -> Self {
        let weights: Vec<u32> = all.iter().map(|server| server.weight).collect();
        Self { round: balance::round(&weights), all: all.into() }
    }

    /// Which of those that `may` take it a request goes to. `turn` says whose turn it is, or is the key of the request.
    pub(super) fn choose(
        &self,
        balance: &Balance,
        turn: u64,
        may: impl Fn(&Server) -> bool,
    ) -> Option<&Spread<Server>> {
        match balance {
            // A turn of one that may not goes to no neighbour, which would have twice its share, but to all others.
            Balance::RoundRobin => self.at(turn).filter(|server| may(server)).or_else(|| self.drawn(turn, may)),
            Balance::LeastConnections => {
                let start = index(turn, self.all.len());
                let order = |at: usize, server: &Server| if at == start { 0 } else { balance::mix(turn ^ server.id) };
                let load = |server: &Server, other: &Server| server.in_flight() as u64 * u64::from(other.weight);
                let may = self.all.iter().enumerate().filter(|(_, server)| may(server));
                // Of those that have as little to do it is each one's turn, and no neighbour's where one may not.
                let least = may.min_by(|(at, one), (place, other)| {
                    let order = || order(*at, one).cmp(&order(*place, other));
                    load(one, other).cmp(&load(other, one)).then_with(order)
                });
                least.map(|(_, server)| server)
            }
            Balance::Hash(_) => self.drawn(turn, may),
        }
    }

    /// The server whose turn it is.
    fn at(&self, turn: u64) -> Option<&Spread<Server>> {
        self.all.get(usize::from(*self.round.get(index(turn, self.round.len()))?))
    }

    /// The servers, beginning anywhere.
    pub(super) fn from(&self, turn: u64) -> impl Iterator<Item = &Spread<Server>> {
        let start = index(turn, self.all.len());
        self.all[start..].iter().chain(&self.all[..start])
    }

    /// The server that a number leads to, of those that `may` be asked: each has its share by weight, and with one that
    /// goes only its own numbers move.
    fn drawn(&self, number: u64, may: impl Fn(&Server) -> bool) -> Option<&Spread<Server>> {
        // Each is drawn once, and not anew for each comparison.
        let drawn = self.all.iter().filter(|server| may(server));
        let drawn = drawn.map(|server| (balance::draw(number, server.id, server.weight), server));
        drawn.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, server)| server)
    }
}

/// Where a turn stands in a round of so many; 0 for none.
fn index(turn: u64, length: usize) -> usize {
    turn.checked_rem(length as u64).and_then(|index| usize::try_from(index).ok()).unwrap_or(0)
}
