//! A bounded queue that is fair between clients: a client that floods it waits behind all others.
//!
//! Clients take turns. The next turn goes to the network that was served longest ago, and in it to the client that was
//! served longest ago; a newcomer goes before both. While others wait, one network and one client have at most a
//! quarter of the queue. A client that fills all of it makes room when another comes: its newest items are displaced.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::client::ClientKey;

/// What is above one part in this many of the queue is more than a client's share while others wait.
const SHARE: usize = 4;

/// Turns after which it no longer counts that a client was served. Nobody waits for longer than this many turns because
/// of newcomers, and this many clients are remembered at most.
const TURNS_REMEMBERED: u64 = 512;

/// Items that wait, by client.
#[derive(Debug)]
pub struct FairQueue<T> {
    items_max: usize,
    waiting: usize,
    networks: Turns<Turns<VecDeque<Item<T>>>>,
    served: Served,
    numbers: u64,
}

#[derive(Debug)]
struct Item<T> {
    number: u64,
    value: T,
}

/// Where an item waits.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    client: ClientKey,
    number: u64,
}

/// What came of joining the queue.
#[derive(Debug)]
pub struct Joined<T> {
    /// Where the new item waits.
    pub ticket: Ticket,
    /// What had to leave for it: of a client that has more than its share.
    pub displaced: Option<T>,
}

impl<T> FairQueue<T> {
    /// An empty queue for this many items.
    #[must_use]
    pub fn new(items_max: usize) -> Self {
        Self { items_max, waiting: 0, networks: Turns::default(), served: Served::default(), numbers: 0 }
    }

    /// Changes for how many items it is. More that wait already go on waiting.
    pub const fn set_items_max(&mut self, items_max: usize) {
        self.items_max = items_max;
    }

    /// Items that wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Adds an item; `idle` items are about to be taken, and do not count as waiting.
    ///
    /// # Errors
    /// The item, when the queue is full, or the client has its share and others wait.
    pub fn push(&mut self, client: ClientKey, value: T, idle: usize) -> Result<Joined<T>, T> {
        let mut displaced = None;
        if self.waiting >= idle {
            match self.room(client, idle) {
                Room::Free => {}
                Room::None => return Err(value),
                Room::Of(network, crowding) => displaced = self.displace(network, crowding),
            }
        }
        self.numbers += 1;
        let number = self.numbers;
        let (network_rank, client_rank) = (self.served.rank(client.network), self.served.rank(client.address));
        let network = self.networks.join(client.network, (network_rank, number));
        network.weight += 1;
        let own = network.inner.join(client.address, (client_rank, number));
        own.weight += 1;
        own.inner.push_back(Item { number, value });
        self.waiting += 1;
        Ok(Joined { ticket: Ticket { client, number }, displaced })
    }

    /// The item whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        self.pop_client(|_| true).map(|(_, value)| value)
    }

    /// The item whose turn it is among those of clients that `may` have one, and its client.
    pub fn pop_client(&mut self, may: impl Fn(ClientKey) -> bool) -> Option<(ClientKey, T)> {
        let client = self.networks.in_turn().find_map(|(network, waiting)| {
            let clients = waiting.inner.in_turn();
            clients.map(|(address, _)| ClientKey { network, address }).find(|&client| may(client))
        })?;
        let ClientKey { network: network_key, address: client_key } = client;
        let network = self.networks.by_key.get_mut(&network_key)?;
        let item = network.inner.by_key.get_mut(&client_key)?.inner.pop_front()?;
        self.left(ClientKey { network: network_key, address: client_key });
        let turn = self.served.note(network_key, client_key);
        let rank = (turn, item.number);
        if let Some(network) = self.networks.by_key.get_mut(&network_key) {
            network.inner.move_to(client_key, rank);
        }
        self.networks.move_to(network_key, rank);
        Some((client, item.value))
    }

    /// Takes an item out that is no longer wanted; `None` when it does not wait any more.
    pub fn remove(&mut self, ticket: &Ticket) -> Option<T> {
        let Ticket { client, number } = *ticket;
        let items = &mut self.networks.by_key.get_mut(&client.network)?.inner.by_key.get_mut(&client.address)?.inner;
        let at = items.binary_search_by_key(&number, |item| item.number).ok()?;
        let item = items.remove(at)?;
        self.left(client);
        Some(item.value)
    }

    /// Everything that waits, in no order.
    pub fn drain(&mut self) -> Vec<T> {
        self.waiting = 0;
        let networks = std::mem::take(&mut self.networks).by_key.into_values();
        let clients = networks.flat_map(|network| network.inner.by_key.into_values());
        clients.flat_map(|client| client.inner).map(|item| item.value).collect()
    }

    /// Whether one more of a client's has a place.
    fn room(&self, client: ClientKey, idle: usize) -> Room {
        let share = (self.items_max / SHARE).max(1);
        let network = self.networks.by_key.get(&client.network);
        let of_network = network.map_or(0, |network| network.weight);
        let own = network.and_then(|network| network.inner.by_key.get(&client.address));
        let of_client = own.map_or(0, |own| own.weight);
        let others_wait = |own: usize| self.waiting > own;
        if of_client >= share && others_wait(of_client) {
            return Room::None;
        }
        let is_full = self.waiting >= self.items_max.saturating_add(idle);
        if of_network >= share && (others_wait(of_network) || is_full) {
            let heaviest = network.and_then(|network| network.inner.heaviest());
            // It changes places with a neighbour only where both have no more than before.
            return match heaviest {
                Some((key, weight)) if weight > of_client + 1 => Room::Of(client.network, key),
                _ => Room::None,
            };
        }
        if !is_full {
            return Room::Free;
        }
        match self.networks.heaviest() {
            Some((key, weight)) if weight > share => {
                let heaviest = self.networks.by_key.get(&key).and_then(|network| network.inner.heaviest());
                heaviest.map_or(Room::None, |(client, _)| Room::Of(key, client))
            }
            _ => Room::None,
        }
    }

    fn displace(&mut self, network: u128, address: u128) -> Option<T> {
        let items = &mut self.networks.by_key.get_mut(&network)?.inner.by_key.get_mut(&address)?.inner;
        let item = items.pop_back()?;
        self.left(ClientKey { network, address });
        Some(item.value)
    }

    /// One item of a client has gone.
    fn left(&mut self, client: ClientKey) {
        self.waiting -= 1;
        if let Some(network) = self.networks.by_key.get_mut(&client.network) {
            network.weight -= 1;
            network.inner.lighten(client.address);
            if network.weight == 0 {
                self.networks.forget(client.network);
            }
        }
    }
}

/// Whether there is a place in the queue.
enum Room {
    Free,
    None,
    /// That of the newest item of this client in this network.
    Of(u128, u128),
}

/// Those who wait, in the order of their turns.
#[derive(Debug)]
struct Turns<I> {
    by_key: HashMap<u128, Waiting<I>>,
    order: BTreeMap<Rank, u128>,
}

/// The turn in which it was served last, then the number of an item: no two are the same.
type Rank = (u64, u64);

#[derive(Debug)]
struct Waiting<I> {
    rank: Rank,
    /// Items that wait.
    weight: usize,
    inner: I,
}

impl<I> Default for Turns<I> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), order: BTreeMap::new() }
    }
}

impl<I: Default> Turns<I> {
    fn join(&mut self, key: u128, rank: Rank) -> &mut Waiting<I> {
        self.by_key.entry(key).or_insert_with(|| {
            self.order.insert(rank, key);
            Waiting { rank, weight: 0, inner: I::default() }
        })
    }
}

impl<I> Turns<I> {
    /// Those who wait, whose turn is next first.
    fn in_turn(&self) -> impl Iterator<Item = (u128, &Waiting<I>)> {
        self.order.values().filter_map(|key| self.by_key.get_key_value(key)).map(|(&key, waiting)| (key, waiting))
    }

    fn move_to(&mut self, key: u128, rank: Rank) {
        if let Some(waiting) = self.by_key.get_mut(&key) {
            self.order.remove(&waiting.rank);
            waiting.rank = rank;
            self.order.insert(rank, key);
        }
    }

    fn lighten(&mut self, key: u128) {
        let Some(waiting) = self.by_key.get_mut(&key) else { return };
        waiting.weight -= 1;
        if waiting.weight == 0 {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: u128) {
        if let Some(waiting) = self.by_key.remove(&key) {
            self.order.remove(&waiting.rank);
        }
    }

    /// The client with the most items. It is asked only where a client has no place.
    fn heaviest(&self) -> Option<(u128, usize)> {
        self.by_key.iter().map(|(&key, waiting)| (key, waiting.weight)).max_by_key(|&(_, weight)| weight)
    }
}

/// The clients that were served in the last turns.
#[derive(Debug, Default)]
struct Served {
    turn: u64,
    by_key: HashMap<u128, u64>,
    history: VecDeque<(u64, u128)>,
}

impl Served {
    /// In which turn a key was served last: newcomers count as those who were served long ago.
    fn rank(&self, key: u128) -> u64 {
        let long_ago = self.turn.saturating_sub(TURNS_REMEMBERED);
        self.by_key.get(&key).copied().unwrap_or(0).max(long_ago)
    }

    fn note(&mut self, network: u128, address: u128) -> u64 {
        self.turn += 1;
        let turn = self.turn;
        for key in [network, address] {
            self.by_key.insert(key, turn);
            self.history.push_back((turn, key));
        }
        while let Some(&(then, key)) = self.history.front().filter(|(then, _)| then + TURNS_REMEMBERED <= turn) {
            self.history.pop_front();
            if self.by_key.get(&key) == Some(&then) {
                self.by_key.remove(&key);
            }
        }
        turn
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(text: &str) -> ClientKey {
        ClientKey::of(text.parse().unwrap())
    }

    fn fill(queue: &mut FairQueue<&'static str>, address: &str, name: &'static str, items: usize) -> usize {
        (0..items).filter(|_| queue.push(client(address), name, 0).is_ok()).count()
    }

    fn popped<T>(queue: &mut FairQueue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn clients_take_turns_and_a_newcomer_goes_first() {
        let mut queue = FairQueue::new(64);
        assert_eq!(fill(&mut queue, "192.0.2.1", "flood", 3), 3);
        assert_eq!(fill(&mut queue, "192.0.2.2", "other", 2), 2);
        assert_eq!(queue.pop(), Some("flood"));
        assert_eq!(fill(&mut queue, "192.0.2.3", "new", 1), 1);
        assert_eq!(popped(&mut queue), ["other", "new", "flood", "other", "flood"]);
        // A client that was served comes after those that were not, even if it asks first.
        assert_eq!(fill(&mut queue, "192.0.2.1", "flood", 2), 2);
        assert_eq!(fill(&mut queue, "192.0.2.4", "new", 1), 1);
        assert_eq!(popped(&mut queue), ["new", "flood", "flood"]);
    }

    #[test]
    fn one_alone_has_all_and_makes_room_when_another_comes() {
        let mut queue = FairQueue::new(8);
        assert_eq!(fill(&mut queue, "192.0.2.1", "flood", 20), 8);
        let joined = queue.push(client("192.0.2.2"), "other", 0).unwrap();
        assert_eq!((joined.displaced, queue.len()), (Some("flood"), 8));
        assert_eq!(fill(&mut queue, "192.0.2.1", "flood", 1), 0, "it has more than its share, and another waits");
        assert_eq!(fill(&mut queue, "192.0.2.2", "other", 5), 1, "a quarter");
        let more = [3, 4, 5].map(|last| fill(&mut queue, &format!("192.0.2.{last}"), "more", 2));
        assert_eq!(more, [2, 2, 0], "nobody who has no more than a share is displaced");
        assert_eq!(popped(&mut queue).iter().filter(|&&name| name == "flood").count(), 2);
    }

    #[test]
    fn a_network_of_many_subscribers_has_one_share_and_one_turn() {
        let mut queue = FairQueue::new(8);
        for subscriber in 0..8 {
            assert_eq!(fill(&mut queue, &format!("2001:db8:0:{subscriber}::1"), "site", 1), 1);
        }
        assert_eq!(fill(&mut queue, "192.0.2.1", "other", 2), 2);
        assert_eq!(fill(&mut queue, "2001:db8:0:9::1", "site", 1), 0);
        queue.pop().unwrap();
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some("other"), Some("site"), Some("other")]);
    }

    #[test]
    fn neighbours_in_a_network_share_what_it_has() {
        let mut queue = FairQueue::new(16);
        assert_eq!(fill(&mut queue, "192.0.2.1", "other", 1), 1);
        assert_eq!(fill(&mut queue, "2001:db8:0:1::1", "greedy", 9), 4);
        let joined = queue.push(client("2001:db8:0:2::1"), "modest", 0).unwrap();
        assert_eq!(joined.displaced, Some("greedy"));
        assert_eq!(popped(&mut queue)[..3], ["other", "greedy", "modest"]);
    }

    #[test]
    fn what_is_taken_out_leaves_its_place() {
        let mut queue = FairQueue::new(2);
        let first = queue.push(client("192.0.2.1"), 1, 0).unwrap().ticket;
        queue.push(client("192.0.2.1"), 2, 0).unwrap();
        assert_eq!(queue.push(client("192.0.2.1"), 3, 0).unwrap_err(), 3);
        assert_eq!(queue.remove(&first), Some(1));
        assert_eq!(queue.remove(&first), None);
        assert!(queue.push(client("192.0.2.1"), 3, 0).is_ok());
        assert_eq!(popped(&mut queue), [2, 3]);
        assert!(queue.networks.by_key.is_empty() && queue.networks.order.is_empty());
    }

    #[test]
    fn what_is_about_to_be_taken_does_not_count() {
        let mut queue = FairQueue::new(1);
        assert!(queue.push(client("192.0.2.1"), 1, 1).is_ok());
        assert!(queue.push(client("192.0.2.1"), 2, 1).is_ok());
        assert!(queue.push(client("192.0.2.1"), 3, 1).is_err());
    }

    #[test]
    fn newcomers_do_not_keep_somebody_waiting_for_ever() {
        let mut queue = FairQueue::new(64);
        fill(&mut queue, "192.0.2.1", "known", 1);
        queue.pop();
        fill(&mut queue, "192.0.2.1", "known", 1);
        for turn in 0.. {
            assert!(turn <= 2 * TURNS_REMEMBERED, "it waits for ever");
            fill(&mut queue, &format!("10.0.{}.{}", turn >> 8, turn & 255), "new", 1);
            if queue.pop() == Some("known") {
                break;
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_memory_is_bounded(steps in proptest::collection::vec((0u8..8, 0u8..4), 0..300), items_max in 1usize..20) {
            let mut queue = FairQueue::new(items_max);
            let (mut tickets, mut inside) = (vec![], std::collections::BTreeSet::new());
            for (number, (who, step)) in steps.into_iter().enumerate() {
                let address = format!("2001:db8:{}:{}::1", who / 4, who % 4);
                match step {
                    0 | 1 => if let Ok(joined) = queue.push(client(&address), number, 0) {
                        inside.insert(number);
                        tickets.push((joined.ticket, number));
                        if let Some(gone) = joined.displaced {
                            prop_assert!(inside.remove(&gone));
                        }
                    },
                    2 => {
                        let popped = queue.pop();
                        prop_assert_eq!(popped.is_some(), !inside.is_empty());
                        if let Some(popped) = popped {
                            prop_assert!(inside.remove(&popped));
                        }
                    }
                    _ => if let Some((ticket, number)) = tickets.pop() {
                        prop_assert_eq!(queue.remove(&ticket).is_some(), inside.remove(&number));
                    },
                }
                prop_assert_eq!(queue.len(), inside.len());
                prop_assert!(queue.len() <= items_max);
                prop_assert_eq!(queue.networks.by_key.len(), queue.networks.order.len());
                prop_assert!(queue.networks.by_key.values().all(|network| network.weight > 0));
                let clients: usize = queue.networks.by_key.values().map(|network| network.weight).sum();
                prop_assert_eq!(clients, inside.len());
            }
            let mut left = queue.drain();
            left.sort_unstable();
            prop_assert_eq!(left, inside.into_iter().collect::<Vec<_>>());
        }
    }
}
