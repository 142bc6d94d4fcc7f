//! Waiting until every gateway knows of what was revoked.

use std::time::Duration;

use tokio::time::sleep;

use super::service::{AdminError, AdminService};
use crate::state::store::{Peer, StoreError};

/// Between two looks at how far the others are.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How much longer than its bound somebody may be waited for: a gateway writes itself down every second.
const MARGIN: Duration = Duration::from_secs(3);

/// Which gateways know of everything that was acknowledged before the question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Everywhere {
    /// Gateways that said so.
    pub confirmed: Vec<String>,
    /// Gateways that were silent for so long that they refuse checked requests by themselves.
    pub refusing: Vec<String>,
    /// Gateways that are silent and go on all the same (`store.stale = "serve"`): nobody knows when they will hear of
    /// it.
    pub unbounded: Vec<String>,
    /// Gateways that write themselves down and have not read as far.
    pub missing: Vec<String>,
}

impl Everywhere {
    /// Whether no gateway lets through what was revoked.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unbounded.is_empty()
    }

    fn of(peers: &[Peer], end: i64, bound: Duration) -> Self {
        let mut everywhere = Self::default();
        for peer in peers {
            let is_silent = Duration::from_millis(u64::try_from(peer.silent_millis).unwrap_or(0)) >= bound;
            let names = match (peer.seq >= end, is_silent, peer.serves) {
                (true, ..) => &mut everywhere.confirmed,
                (false, true, false) => &mut everywhere.refusing,
                (false, true, true) => &mut everywhere.unbounded,
                (false, false, _) => &mut everywhere.missing,
            };
            names.push(peer.name.clone());
        }
        everywhere
    }
}

impl AdminService {
    /// Waits until every gateway on a shared store knows of what was acknowledged until now, or was silent for `bound`
    /// (`store.max_staleness`) and so refuses by itself. Nobody is waited for longer than that and 3 seconds. A
    /// store that is a file names no gateway: each process that has it open sees a change within a second.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn wait_for_all(&self, bound: Duration) -> Result<Everywhere, AdminError> {
        let waiting = async {
            let Some(end) = self.store.feed_end().await? else { return Ok(Everywhere::default()) };
            let begun = self.clock.instant();
            loop {
                let everywhere = Everywhere::of(&self.store.peers().await?, end.seq, bound);
                if everywhere.missing.is_empty() || self.clock.instant().duration_since(begun) > bound + MARGIN {
                    return Ok::<_, StoreError>(everywhere);
                }
                sleep(LOOK_EVERY).await;
            }
        };
        Ok(waiting.await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_for_the_bound_refuses_by_itself_unless_it_serves() {
        let peer = |name: &str, seq, silent_millis, serves| Peer {
            name: name.to_owned(),
            seq,
            silent_millis,
            serves,
            offset_millis: None,
        };
        let peers = [
            peer("a", 7, 900, false),
            peer("b", 6, 5_000, false),
            peer("c", 6, 5_000, true),
            peer("d", 6, 4_999, true),
        ];
        let everywhere = Everywhere::of(&peers, 7, Duration::from_secs(5));
        assert_eq!(
            (&everywhere.confirmed[..], &everywhere.refusing[..]),
            (&["a".to_owned()][..], &["b".to_owned()][..])
        );
        assert_eq!(
            (&everywhere.unbounded[..], &everywhere.missing[..]),
            (&["c".to_owned()][..], &["d".to_owned()][..])
        );
        assert!(!everywhere.is_complete() && Everywhere::of(&peers, 6, Duration::ZERO).is_complete());
    }
}
