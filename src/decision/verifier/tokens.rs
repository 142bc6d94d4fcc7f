//! Asking an old system, or an external issuer, about its own tokens, under the bounds that its logins have too, but
//! apart from them: strangers who send garbage keep nobody from logging in.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt, future::Shared};
use http::Uri;
use serde_json::{Map, Value};

use super::{
    answer::old_answer,
    availability::{Admission, Availability, Trust},
    endpoint::{Endpoint, Place},
    flights::{Flight, Flights, Joined},
    pace::Pace,
    told::Asked,
};
use crate::{
    domain::{Clock, Secret, Timestamp, random},
    observe::metrics::TokenCheckMetrics,
    rules::{
        limit::ClientKey,
        verifier::{TokenFacts, TokenRules, TokenVerdict},
    },
    trust::TrustError,
    upstream::request_slot::{RequestSlots, Share},
    verifier::{Client, ExchangeError, Relayed, TokenCheckSettings, VerifierSettings},
};

/// An old system's check of tokens.
pub struct TokenCheck {
    /// What the config says of it.
    pub settings: TokenCheckSettings,
    /// What it says of the system: how it is reached, too.
    system: VerifierSettings,
    endpoint: Endpoint,
    metrics: TokenCheckMetrics,
    client: Client,
    places: Arc<RequestSlots>,
    pace: Mutex<Pace>,
    availability: Mutex<Availability>,
    flights: Flights<TokenAnswered, ()>,
    /// One probe at a time.
    probing: tokio::sync::Mutex<()>,
}

/// What came of a question about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenAnswered {
    /// It holds.
    Yes {
        /// What that tells.
        facts: TokenFacts,
        /// When the system was asked.
        asked_at: Timestamp,
    },
    /// It does, and an authorization server says this of it.
    Active {
        /// That.
        said: Map<String, Value>,
        /// When the server was asked.
        asked_at: Timestamp,
    },
    /// It does not.
    No,
    /// Nobody can say now: too many wait, the system is away, is not believed, or gave an answer that says nothing.
    Unknown,
}

/// A question about a token. While it is held, everyone with the same token gets its answer, also after it
/// came: a holder first remembers what the token says, then lets go.
#[derive(Debug)]
pub enum AboutToken {
    /// It is under way, or answered.
    UnderWay {
        /// What gives its answer.
        flight: Shared<Flight<TokenAnswered>>,
        /// Whether it is put for this caller, and not for one before.
        began: bool,
    },
    /// Nobody needs to be asked.
    Answered(TokenAnswered),
}

impl AboutToken {
    /// Its answer.
    pub async fn answer(&self) -> TokenAnswered {
        match self {
            Self::UnderWay { flight, .. } => flight.clone().await,
            Self::Answered(answered) => answered.clone(),
        }
    }

    /// Whether this caller's token is what cost a question.
    #[must_use]
    pub const fn was_put(&self) -> bool {
        matches!(self, Self::UnderWay { began: true, .. })
    }
}

impl TokenCheck {
    /// That of a system, where it has one. Nothing is known of it.
    ///
    /// # Errors
    /// When the certificates to trust cannot be read.
    pub(in crate::decision) fn new(
        settings: &VerifierSettings,
        metrics: TokenCheckMetrics,
    ) -> Result<Option<Arc<Self>>, TrustError> {
        let Some(check) = settings.tokens.clone() else { return Ok(None) };
        let bounds = check.bounds;
        let target = VerifierSettings { url: check.endpoint.url().clone(), bounds, ..settings.clone() };
        Ok(Some(Arc::new(Self {
            client: Client::new(&target)?,
            system: settings.clone(),
            endpoint: Endpoint::new(&check.endpoint, settings)?,
            metrics,
            places: RequestSlots::new(bounds.concurrency, bounds.queue, Share::HALF),
            pace: Mutex::new(Pace::new(bounds.rate)),
            availability: Mutex::default(),
            flights: Flights::new(),
            probing: tokio::sync::Mutex::new(()),
            settings: check,
        })))
    }

    /// The system's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.system.name
    }

    /// Whether it is one that was made for this: what was found out about it holds as long as it is reached in the same
    /// way.
    #[must_use]
    pub fn is_of(&self, system: &VerifierSettings) -> bool {
        self.system == *system
    }

    /// Whether its answers name accounts of ours, as an old system's do.
    #[must_use]
    pub fn asks_about_accounts(&self) -> bool {
        matches!(self.settings.evidence, TokenRules::Account(_))
    }

    /// For what the log says of it.
    fn told(&self) -> Asked<'_> {
        if self.asks_about_accounts() { Asked::OldSystem(self.name()) } else { Asked::Issuer(self.name()) }
    }

    /// Whether a text may be one of its tokens.
    #[must_use]
    pub fn admits(&self, token: &str) -> bool {
        self.settings.question.syntax.admits(token)
    }

    /// A question about a token; callers with the same one share it. Nothing is asked before somebody waits for the
    /// answer, and when all of them have left, it is not asked any more.
    pub fn question(self: &Arc<Self>, token: &Secret, client: IpAddr, clock: &Arc<dyn Clock>) -> AboutToken {
        if !self.admits(token.expose()) {
            self.metrics.asked("filtered");
            return AboutToken::Answered(TokenAnswered::No);
        }
        let key = self.flights.key(&[], token);
        let mut began = false;
        let joined = self.flights.join(key, clock.instant(), || {
            began = true;
            let (check, clock, token) = (Arc::clone(self), Arc::clone(clock), token.clone());
            async move { check.fly(key, &token, client, &*clock).await }.boxed()
        });
        match joined {
            Joined::Flight(flight) => AboutToken::UnderWay { flight, began },
            Joined::Refused(()) => {
                self.metrics.asked("remembered");
                AboutToken::Answered(TokenAnswered::No)
            }
            Joined::Full => {
                self.metrics.asked("busy");
                AboutToken::Answered(TokenAnswered::Unknown)
            }
        }
    }

    async fn fly(&self, key: u128, token: &Secret, client: IpAddr, clock: &dyn Clock) -> TokenAnswered {
        if let Admission::Away { .. } = self.availability().admit(clock.instant()) {
            self.metrics.asked("away");
            return TokenAnswered::Unknown;
        }
        let Some(_place) = self.places.take(ClientKey::of(client), self.settings.bounds.wait).await else {
            self.metrics.asked("busy");
            return TokenAnswered::Unknown;
        };
        let Some(place) = self.endpoint.place(self.told(), clock).await else {
            self.metrics.asked("discovery");
            return TokenAnswered::Unknown;
        };
        if !self.prove(&place, client, clock).await {
            return TokenAnswered::Unknown;
        }
        let asked_at = clock.now();
        match self.put(&place.url, token, client, clock).await {
            Some(TokenVerdict::Yes(facts)) => TokenAnswered::Yes { facts, asked_at },
            Some(TokenVerdict::Active(said)) => TokenAnswered::Active { said, asked_at },
            Some(TokenVerdict::No) => {
                self.flights.remember(key, (), clock.instant());
                TokenAnswered::No
            }
            Some(TokenVerdict::Unclear(why)) => {
                self.told().says_nothing(why);
                TokenAnswered::Unknown
            }
            None => TokenAnswered::Unknown,
        }
    }

    /// Asks once about a token that nobody has, unless that was done: a system that says yes to it says yes to
    /// everything.
    async fn prove(&self, place: &Place, client: IpAddr, clock: &dyn Clock) -> bool {
        let known = |trust| match trust {
            Trust::Believed => Some(true),
            Trust::Closed => Some(false),
            Trust::Unproved => None,
        };
        if let Some(believed) = known(place.trust()) {
            return believed;
        }
        let _probing = self.probing.lock().await;
        if let Some(believed) = known(place.trust()) {
            return believed;
        }
        let nobodys = Secret::new(self.settings.question.syntax.sample(&random::bytes::<32>()));
        let believed = match self.put(&place.url, &nobodys, client, clock).await {
            Some(TokenVerdict::No) => {
                self.told().is_believed();
                true
            }
            Some(TokenVerdict::Yes(_) | TokenVerdict::Active(_)) => {
                self.told().says_yes_to_all();
                false
            }
            Some(TokenVerdict::Unclear(why)) => {
                self.told().says_nothing_to_nobodys(why);
                return false;
            }
            None => return false,
        };
        place.proved(believed);
        believed
    }

    /// One question, at the pace that the config allows; `None` where there is no answer.
    async fn put(&self, url: &Uri, token: &Secret, client: IpAddr, clock: &dyn Clock) -> Option<TokenVerdict> {
        let turn = self.pace().turn(clock.instant());
        tokio::time::sleep(turn).await;
        let (headers, body) = self.settings.question.put(token)?;
        let request = Relayed { method: self.settings.question.method.clone(), query: None, headers, body };
        let started = clock.instant();
        let answer = self.client.put_to(url, request, client).await;
        self.metrics.seconds.observe(clock.instant().saturating_duration_since(started).as_secs_f64());
        match answer {
            Ok(answer) => {
                self.availability().reached();
                let verdict = self.settings.evidence.judge(&old_answer(&answer), clock.now());
                if matches!(verdict, TokenVerdict::Unclear(_)) {
                    self.endpoint.note_trouble();
                }
                self.metrics.asked(match &verdict {
                    TokenVerdict::Yes(_) | TokenVerdict::Active(_) => "yes",
                    TokenVerdict::No => "no",
                    TokenVerdict::Unclear(_) => "unclear",
                });
                Some(verdict)
            }
            Err(error) => {
                self.metrics.asked(error.name());
                self.endpoint.note_trouble();
                let missed = error != ExchangeError::TooLarge;
                if missed && self.availability().missed(clock.instant()) {
                    self.told().is_away(error);
                }
                None
            }
        }
    }

    fn availability(&self) -> MutexGuard<'_, Availability> {
        // Nothing under the lock panics half way.
        self.availability.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for TokenCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCheck").field("name", &self.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::*;
    use crate::{
        observe::metrics::Metrics,
        rules::verifier::{Syntax, TokenEvidence, TokenPlace, TokenQuestion, TokenRules},
        verifier::CheckEndpoint,
    };

    #[test]
    fn what_is_known_of_a_system_holds_while_it_is_reached_in_the_same_way() {
        let url = Uri::from_static("http://127.0.0.1:9/introspect");
        let check = TokenCheckSettings {
            endpoint: CheckEndpoint::At(url.clone()),
            question: TokenQuestion {
                method: Method::POST,
                place: TokenPlace::Form("token".to_owned()),
                syntax: Syntax::default(),
                authorization: None,
            },
            evidence: TokenRules::Account(TokenEvidence {
                status: http::StatusCode::OK,
                name: "name".parse().unwrap(),
                business: None,
                active: None,
                expires: None,
                refusals: vec![],
            }),
            max_age: Duration::from_secs(30),
            bounds: crate::verifier::Bounds::default(),
        };
        let system = VerifierSettings { tokens: Some(check), ..VerifierSettings::new("corp", url) };
        let made = TokenCheck::new(&system, Metrics::new().unwrap().introspection("corp")).unwrap().unwrap();
        assert!(made.is_of(&system));
        assert!(!made.is_of(&VerifierSettings { timeout: Duration::from_millis(100), ..system.clone() }));
        assert!(!made.is_of(&VerifierSettings { ca: Some("other.pem".into()), ..system }));
    }
}
