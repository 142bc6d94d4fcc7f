//! Where somebody is asked about tokens, and whether what stands there is believed. An issuer's metadata may say where.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::Uri;
use tokio::sync::Mutex as TurnMutex;

use super::{standing::Trust, told::Asked};
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
    /// Who looks it up holds this.
    known: TurnMutex<Known>,
    /// Whether the address gave no plain answer since the last look-up.
    troubled: AtomicBool,
}

/// What is known of the address.
#[derive(Debug, Default)]
struct Known {
    place: Option<Arc<Place>>,
    /// When it was looked up last, and whether that failed.
    looked_up: Option<(Instant, bool)>,
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
        let known = TurnMutex::new(Known { place, looked_up: None });
        Ok(Self { lookup, known, troubled: AtomicBool::new(false) })
    }

    /// The address, looked up where that is due; the one before stands where that fails.
    pub(super) async fn place(&self, told: Asked<'_>, clock: &dyn Clock) -> Option<Arc<Place>> {
        let mut known = self.known.lock().await;
        if let Some(lookup) = &self.lookup
            && known.is_due(self.troubled.load(Ordering::Relaxed), clock.instant())
        {
            let found = lookup.look_up().await;
            let failed_before = known.looked_up.is_some_and(|(_, failed)| failed);
            known.looked_up = Some((clock.instant(), found.is_err()));
            self.troubled.store(false, Ordering::Relaxed);
            match found {
                Ok(url) if known.place.as_ref().is_some_and(|place| place.url == url) => {}
                Ok(url) => {
                    told.has_endpoint(&url);
                    known.place = Some(Place::at(url));
                }
                Err(error) if !failed_before => told.has_no_endpoint(&error),
                Err(_) => {}
            }
        }
        known.place.clone()
    }

    /// The address gave no plain answer: it may have moved.
    pub(super) fn note_trouble(&self) {
        self.troubled.store(true, Ordering::Relaxed);
    }
}

impl Known {
    fn is_due(&self, troubled: bool, now: Instant) -> bool {
        let Some((at, failed)) = self.looked_up else { return true };
        let pause = match (failed || troubled, &self.place) {
            (true, None) => RETRY,
            (true, Some(_)) => COOLDOWN,
            (false, _) => FRESH,
        };
        now.saturating_duration_since(at) >= pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemClock;

    #[test]
    fn an_address_is_looked_up_again_when_it_may_have_moved_and_not_at_each_question() {
        let now = SystemClock.instant();
        let known = |place: bool, failed| Known {
            place: place.then(|| Place::at(Uri::from_static("https://i/introspect"))),
            looked_up: Some((now, failed)),
        };
        assert!(Known::default().is_due(false, now));
        for (place, failed, troubled, pause) in [
            (true, false, false, FRESH),
            (true, false, true, COOLDOWN),
            (true, true, false, COOLDOWN),
            (false, true, false, RETRY),
        ] {
            let known = known(place, failed);
            assert!(!known.is_due(troubled, now + pause.saturating_sub(Duration::from_millis(1))), "{pause:?}");
            assert!(known.is_due(troubled, now + pause), "{pause:?}");
        }
    }
}
