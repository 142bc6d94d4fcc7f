//! Where somebody is asked about tokens, and whether what stands there is believed. An issuer's metadata may say where.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use http::Uri;
use tokio::sync::Mutex as TurnMutex;

use super::{availability::Trust, told::Asked};
use crate::{
    domain::Clock,
    issuer::EndpointLookup,
    trust::TrustError,
    verifier::{CheckEndpoint, VerifierSettings},
};

/// How long an address that metadata say is taken as it is.
const FRESH: Duration = Duration::from_hours(1);

/// From one look-up to the next where the one before failed, or where the address gives no plain answers.
const COOLDOWN: Duration = Duration::from_secs(30);

/// The same where there is no address yet.
const RETRY: Duration = Duration::from_secs(1);

/// An address, and whether its word counts: another one has to prove itself anew.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) url: Uri,
    trust: Mutex<Trust>,
}

/// Finds the address.
#[derive(Debug)]
pub(super) struct Endpoint {
    lookup: Option<EndpointLookup>,
    place: ArcSwapOption<Place>,
    /// Held during a look-up; a caller that has an address does not wait for it.
    looked_up: TurnMutex<Option<LookedUp>>,
    /// Whether the address gave no plain answer since the last look-up.
    troubled: AtomicBool,
}

/// The last look-up.
#[derive(Clone, Copy, Debug)]
struct LookedUp {
    at: Instant,
    failed: bool,
}

impl Place {
    fn at(url: Uri) -> Arc<Self> {
        Arc::new(Self { url, trust: Mutex::default() })
    }

    pub(super) fn trust(&self) -> Trust {
        *self.held_trust()
    }

    pub(super) fn proved(&self, believed: bool) {
        *self.held_trust() = if believed { Trust::Believed } else { Trust::Closed };
    }

    fn held_trust(&self) -> MutexGuard<'_, Trust> {
        // One word is never half written.
        self.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint {
    /// That of a system. Nothing is asked.
    pub(super) fn new(endpoint: &CheckEndpoint, system: &VerifierSettings) -> Result<Self, TrustError> {
        let (lookup, place) = match endpoint {
            CheckEndpoint::At(url) => (None, Some(Place::at(url.clone()))),
            CheckEndpoint::Discovered { url, issuer } => {
                (Some(EndpointLookup::new(url, issuer, system.ca.as_deref(), system.timeout)?), None)
            }
        };
        let (place, looked_up) = (ArcSwapOption::new(place), TurnMutex::default());
        Ok(Self { lookup, place, looked_up, troubled: AtomicBool::new(false) })
    }

    /// The address, looked up where that is due; the one before stands meanwhile, and where that fails.
    pub(super) async fn place(&self, told: Asked<'_>, clock: &dyn Clock) -> Option<Arc<Place>> {
        let known = self.place.load_full();
        let Some(lookup) = &self.lookup else { return known };
        let mut last = match (self.looked_up.try_lock(), &known) {
            (Ok(last), _) => last,
            (Err(_), Some(_)) => return known,
            (Err(_), None) => self.looked_up.lock().await,
        };
        let known = self.place.load_full();
        let troubled = self.troubled.load(Ordering::Relaxed);
        if last.is_some_and(|last| !last.is_over(known.is_some(), troubled, clock.instant())) {
            return known;
        }
        let failed_before = last.is_some_and(|last| last.failed);
        // A caller that leaves meanwhile drops this: it counts as one that failed.
        *last = Some(LookedUp { at: clock.instant(), failed: true });
        let found = lookup.look_up().await;
        *last = Some(LookedUp { at: clock.instant(), failed: found.is_err() });
        self.troubled.store(false, Ordering::Relaxed);
        match found {
            Ok(url) if known.as_ref().is_some_and(|known| known.url == url) => known,
            Ok(url) => {
                told.has_endpoint(&url);
                self.place.store(Some(Place::at(url)));
                self.place.load_full()
            }
            Err(error) => {
                if !failed_before {
                    told.has_no_endpoint(&error);
                }
                known
            }
        }
    }

    /// The address gave no plain answer: it may have moved.
    pub(super) fn note_trouble(&self) {
        self.troubled.store(true, Ordering::Relaxed);
    }
}

impl LookedUp {
    /// Whether it is time for another one.
    fn is_over(self, has_place: bool, troubled: bool, now: Instant) -> bool {
        let pause = match (self.failed || troubled, has_place) {
            (true, false) => RETRY,
            (true, true) => COOLDOWN,
            (false, _) => FRESH,
        };
        now.saturating_duration_since(self.at) >= pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemClock;

    #[test]
    fn an_address_is_looked_up_again_when_it_may_have_moved_and_not_at_each_question() {
        let at = SystemClock.instant();
        for (has_place, failed, troubled, pause) in [
            (true, false, false, FRESH),
            (true, false, true, COOLDOWN),
            (true, true, false, COOLDOWN),
            (false, true, false, RETRY),
        ] {
            let last = LookedUp { at, failed };
            let before = pause.saturating_sub(Duration::from_millis(1));
            assert!(!last.is_over(has_place, troubled, at + before), "{pause:?}");
            assert!(last.is_over(has_place, troubled, at + pause), "{pause:?}");
        }
    }
}
