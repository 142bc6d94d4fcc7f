//! The rounds of a gateway on a shared store. Every second it writes itself down on the server and reads the feed to
//! its end: what it knows is fresh then ([`Freshness`]). By the same row others see how far it has come, both clocks
//! are held against each other, and once a minute a canary is revoked by which everybody measures how long a revocation
//! takes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    decision::decide::{
        freshness::{Freshness, Moment},
        live_state::LiveState,
    },
    domain::{Clock, RevocationId, Timestamp, random},
    observe::metrics::Metrics,
    state::store::{Beat, Canary, Peer, Store, StoreError},
};

/// How often a gateway writes itself down.
const EVERY: Duration = Duration::from_secs(1);

/// How often a gateway revokes a canary.
const CANARY_EVERY: Duration = Duration::from_secs(60);

/// The grain of the server's clock, as it is told.
const GRAIN: Duration = Duration::from_millis(1);

/// Gateways that must have measured before most of them can say that the server's clock is wrong.
const WITNESSES_MIN: usize = 3;

/// A gateway's rounds.
#[derive(Debug)]
pub(super) struct Rounds {
    beat: Beat,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    began: Option<Instant>,
    /// The server's time when it was asked last, and when that was here, at the earliest.
    server: Option<(Timestamp, Instant)>,
    /// The canary of this gateway that it has not seen come back, and when it was revoked.
    missing: Option<(RevocationId, Instant)>,
    released: Option<Instant>,
    said_half: bool,
    said_clock: bool,
}

impl Rounds {
    /// Those of a gateway that begins.
    pub(super) fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let beat = Beat { id: random::bytes(), name: gateway_name(), seq: 0, serves: false, offset_millis: None };
        Self {
            beat,
            clock,
            metrics,
            began: None,
            server: None,
            missing: None,
            released: None,
            said_half: false,
            said_clock: false,
        }
    }

    /// Where it is time for one, begins a round: a server that is no replica, and not cut off from its own, took the
    /// row. Answers when the round began; it is over when the feed was read to its end after that.
    pub(super) async fn begin(
        &mut self,
        store: &Store,
        freshness: &Freshness,
        seq: i64,
        serves: bool,
    ) -> Result<Option<Moment>, StoreError> {
        let now = self.clock.instant();
        if self.began.is_some_and(|began| now.duration_since(began) < EVERY) {
            return Ok(None);
        }
        let moment = freshness.moment();
        let civil = self.clock.now();
        (self.beat.seq, self.beat.serves) = (seq, serves);
        if let Some(server) = store.beat(&self.beat).await? {
            self.compare_clocks(server, civil, now, freshness.clock_leeway());
            self.warn_of_clock(store, freshness.clock_leeway()).await?;
            let apart = self.is_clock_apart(freshness.clock_leeway());
            // One that runs goes on: its clients have tokens by its clock.
            if self.began.is_none() || !apart {
                freshness.set_clock_apart(apart);
            }
        }
        self.began = Some(now);
        if self.released.is_none_or(|released| now.duration_since(released) >= CANARY_EVERY) {
            let id = RevocationId::from_bytes(random::bytes());
            self.missing.get_or_insert((id, self.clock.instant()));
            self.released = Some(now);
            store.release_canary(id).await?;
        }
        Ok(Some(moment))
    }

    /// Measures how long canaries took. One of this gateway's own that does not come back is not left out.
    pub(super) fn see(&mut self, canaries: &[Canary], live_state: &LiveState) {
        for canary in canaries {
            let refused = live_state.refuses_canary(canary.id, self.clock.now());
            if self.missing.is_some_and(|(id, _)| id == canary.id) && refused {
                self.missing = None;
            }
            if let Some((server, at)) = self.server.filter(|_| refused) {
                // By whole milliseconds of two clocks, so that no time at all may come out.
                let took = server.plus(self.clock.instant().duration_since(at)).since(canary.appended_at).max(GRAIN);
                self.metrics.revocations.propagation_seconds.set(took.as_secs_f64());
            }
        }
        if let Some((_, released)) = self.missing {
            let waited = self.clock.instant().duration_since(released).as_secs_f64();
            let shown = &self.metrics.revocations.propagation_seconds;
            shown.set(shown.get().max(waited));
        }
    }

    /// Says once that half of the bound has passed, while there is time to do something.
    pub(super) fn warn_of_age(&mut self, freshness: &Freshness) {
        let (Some(max), Some(age)) = (freshness.max(), freshness.age()) else { return };
        let is_half = age >= max / 2;
        if is_half && !self.said_half {
            let (age_seconds, bound_seconds) = (age.as_secs(), max.as_secs());
            let hint = "portero stale serve --for 30m lets them go on by what was known last";
            tracing::warn!(
                age_seconds,
                bound_seconds,
                hint,
                "the store was not heard of for half of store.max_staleness; checked requests are refused after all of it"
            );
        }
        self.said_half = is_half;
    }

    /// Takes this gateway's row away: nobody waits for one that has ended. Where that fails it is silent, and waited
    /// for.
    pub(super) async fn end(&self, store: &Store) {
        let _ = store.leave(self.beat.id).await;
    }

    /// Holds the server's clock against this gateway's, at the middle of the call; a long call says nothing.
    fn compare_clocks(&mut self, server: Timestamp, civil: Timestamp, sent: Instant, leeway: Duration) {
        let answered = self.clock.instant();
        let took = answered.duration_since(sent);
        // As if the question had taken no time on its way: what is measured by it is rather too long.
        self.server = Some((server, sent));
        if took <= leeway {
            let offset = server.as_millis() - civil.plus(took / 2).as_millis();
            self.beat.offset_millis = Some(offset);
            self.metrics
                .store
                .clock_offset_seconds
                .set(Duration::from_millis(offset.unsigned_abs()).as_secs_f64() * if offset < 0 { -1.0 } else { 1.0 });
        }
    }

    /// Whether this gateway's clock is apart from the server's.
    fn is_clock_apart(&self, leeway: Duration) -> bool {
        self.beat.offset_millis.is_some_and(|offset| is_apart(offset, leeway))
    }

    async fn warn_of_clock(&mut self, store: &Store, leeway: Duration) -> Result<(), StoreError> {
        let apart = self.is_clock_apart(leeway);
        if apart && !self.said_clock {
            let offset_seconds = self.beat.offset_millis.map_or(0, |offset| offset / 1000);
            let suspect = suspect(&store.peers().await?, leeway);
            tracing::error!(
                offset_seconds,
                suspect,
                "the civil clock and that of the store's server are apart; expiry is judged by this gateway's own"
            );
        }
        self.said_clock = apart;
        Ok(())
    }
}

/// Whose clock is wrong, as far as the gateways can tell together.
fn suspect(peers: &[Peer], leeway: Duration) -> &'static str {
    let measured: Vec<_> = peers.iter().filter_map(|peer| peer.offset_millis).collect();
    let apart = measured.iter().filter(|offset| is_apart(**offset, leeway)).count();
    if measured.len() >= WITNESSES_MIN && 2 * apart > measured.len() { "the store's server" } else { "this gateway" }
}

const fn is_apart(offset_millis: i64, leeway: Duration) -> bool {
    offset_millis.unsigned_abs() as u128 > leeway.as_millis()
}

/// What an operator knows this gateway by: its machine and its process.
fn gateway_name() -> String {
    format!("{}/{}", host_name(), std::process::id())
}

/// What this machine is called.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(offset_millis: Option<i64>) -> Peer {
        Peer { name: "a".to_owned(), seq: 1, silent_millis: 0, serves: false, offset_millis }
    }

    #[test]
    fn most_gateways_together_can_tell_that_the_servers_clock_is_wrong() {
        let leeway = Duration::from_secs(30);
        let of =
            |offsets: &[i64]| suspect(&offsets.iter().map(|offset| peer(Some(*offset))).collect::<Vec<_>>(), leeway);
        assert_eq!(of(&[600_000]), "this gateway", "one against one");
        assert_eq!(of(&[600_000, 599_000, 0]), "the store's server");
        assert_eq!(of(&[600_000, 0, -1_000]), "this gateway");
        assert_eq!(of(&[-600_000, -600_000, -600_000, 0]), "the store's server");
    }
}
