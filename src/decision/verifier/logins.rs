//! Asks an old system about logins.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::Response;

use super::{
    answer::{Answered, old_answer},
    availability::{Admission, Availability, Trust},
    flights::{Flights, Joined},
    pace::Pace,
    tokens::TokenCheck,
};
use crate::{
    domain::{AccountName, Clock, RealmName, Secret, random},
    observe::metrics::VerifierMetrics,
    rules::{
        contract::{Dialect, Refusal},
        limit::ClientKey,
        verifier::{Verdict, question},
    },
    trust::TrustError,
    upstream::request_slot::{RequestSlots, Share},
    verifier::{Client, ExchangeError, Relayed, VerifierSettings},
};

/// What a client should wait when the queue is full, or the old system is away.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// An old system that can be asked.
pub struct Verifier {
    /// What the config says of it.
    pub settings: Arc<VerifierSettings>,
    /// Its metric handles.
    pub metrics: VerifierMetrics,
    client: Client,
    places: Arc<RequestSlots>,
    pace: Mutex<Pace>,
    availability: Mutex<Availability>,
    /// Whether its yes counts, in the words of each contract that it is asked in.
    proofs: Mutex<Vec<(Dialect, Trust)>>,
    flights: Flights<Answered, Refusal>,
    /// Its check of tokens, if it has one.
    pub tokens: Option<Arc<TokenCheck>>,
    /// One probe at a time.
    probing: tokio::sync::Mutex<()>,
}

/// A login that is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The realm whose contract it is.
    pub realm: &'a RealmName,
    /// The contract.
    pub dialect: &'a Dialect,
    /// Whose login.
    pub name: &'a AccountName,
    /// With which secret.
    pub secret: &'a Secret,
    /// From where.
    pub client: IpAddr,
}

impl Verifier {
    /// One that nothing is known of, which is asked in the words of these contracts.
    ///
    /// # Errors
    /// When the certificates to trust cannot be read.
    pub fn new(
        settings: &Arc<VerifierSettings>,
        dialects: Vec<Dialect>,
        metrics: VerifierMetrics,
    ) -> Result<Self, TrustError> {
        let bounds = settings.bounds;
        metrics.set_believed(false);
        let tokens = TokenCheck::new(settings, metrics.tokens.clone())?;
        Ok(Self {
            client: Client::new(settings)?,
            settings: Arc::clone(settings),
            metrics,
            places: RequestSlots::new(bounds.concurrency, bounds.queue, Share::HALF),
            pace: Mutex::new(Pace::new(bounds.rate)),
            availability: Mutex::default(),
            proofs: Mutex::new(dialects.into_iter().map(|dialect| (dialect, Trust::Unproved)).collect()),
            flights: Flights::new(),
            tokens,
            probing: tokio::sync::Mutex::new(()),
        })
    }

    /// Whether it is one that was made for these: what was found out about it holds for its config, and for what the
    /// contracts say of its answers.
    #[must_use]
    pub fn is_of(&self, settings: &VerifierSettings, dialects: &[Dialect]) -> bool {
        *self.settings == *settings && self.proofs().iter().map(|(dialect, _)| dialect).eq(dialects)
    }

    /// Whether its yes counts in the words of this contract.
    #[must_use]
    pub fn trust(&self, dialect: &Dialect) -> Trust {
        self.proofs().iter().find(|(known, _)| known == dialect).map(|(_, trust)| *trust).unwrap_or_default()
    }

    /// Asks about a login. Callers with the same question share its answer; when all of them have left, it is not asked
    /// any more.
    pub async fn ask(self: &Arc<Self>, question: Question<'_>, clock: &Arc<dyn Clock>) -> Answered {
        let Question { realm, dialect, name, secret, client } = question;
        let settings = &self.settings;
        let business =
            name.business.is_empty() || settings.names.admits(&name.business) || dialect.facts().accounts.has_business;
        if !business || !settings.names.admits(&name.name) || !settings.secrets.admits(secret.expose()) {
            self.metrics.asked("filtered");
            return Answered::Said { verdict: Verdict::No(Refusal::Credentials), now: false };
        }
        let key = self.flights.key(&[realm.as_str(), &name.business, &name.name], secret);
        let now = clock.instant();
        let joined = self.flights.join(key, now, || {
            let (verifier, clock) = (Arc::clone(self), Arc::clone(clock));
            let login = Asked { dialect: dialect.clone(), name: name.clone(), secret: secret.clone(), client };
            async move { verifier.fly(key, &login, &*clock).await }.boxed()
        });
        match joined {
            Joined::Refused(refusal) => {
                self.metrics.asked("remembered");
                Answered::Said { verdict: Verdict::No(refusal), now: false }
            }
            Joined::Full => {
                self.metrics.asked("busy");
                Answered::Busy { retry_after: RETRY_AFTER }
            }
            Joined::Flight(flight) => flight.await,
        }
    }

    /// Passes a client's request on as it is, for `observe`. It has no bounds of ours: the old system is asked as often
    /// as it was before.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn relay(&self, request: Relayed, client: IpAddr) -> Result<Response<Bytes>, ExchangeError> {
        let answer = self.client.relay(request, client).await;
        self.metrics.asked(answer.as_ref().map_or_else(|error| error.name(), |_| "relayed"));
        answer
    }

    /// What an answer of this system says.
    #[must_use]
    pub fn judge(&self, dialect: &Dialect, asked: &AccountName, answer: &Response<Bytes>) -> Verdict {
        self.settings.evidence.judge(dialect.facts().old_system.as_ref(), asked, &old_answer(answer))
    }

    /// Asks once in the words of a contract with a name and a password that nobody has, unless that was done: a system
    /// that says yes to them says yes to everything, and is not believed. Answers whether it is believed now.
    pub async fn prove(&self, dialect: &Dialect, client: IpAddr, clock: &dyn Clock) -> bool {
        match self.trust(dialect) {
            Trust::Believed => return true,
            Trust::Closed => return false,
            Trust::Unproved => {}
        }
        let _probing = self.probing.lock().await;
        if self.trust(dialect) != Trust::Unproved {
            return self.trust(dialect) == Trust::Believed;
        }
        let noise = random::bytes::<32>();
        let has_business = dialect.facts().accounts.has_business;
        let business = if has_business { self.settings.names.sample(&noise[8..]) } else { String::new() };
        let name = AccountName { business, name: self.settings.names.sample(&noise) };
        let secret = Secret::new(self.settings.secrets.sample(&random::bytes::<32>()));
        let nobody = Asked { dialect: dialect.clone(), name, secret, client };
        let Some(verdict) = self.put(&nobody, clock).await else { return false };
        let believed = match verdict {
            Verdict::Yes(_) => {
                let hint = "the token member or the url is not that of a login; its yes counts for nothing until the config is right and the gateway reloads";
                tracing::error!(
                    verifier = &*self.settings.name,
                    hint,
                    "an old system says yes to a name and a password that nobody has; it is closed"
                );
                false
            }
            Verdict::No(_) => {
                tracing::info!(
                    verifier = &*self.settings.name,
                    "an old system refuses a name and a password that nobody has; it is believed"
                );
                true
            }
            Verdict::Unclear(why) => {
                let hint = "check the url and what the old system answers to a wrong password";
                tracing::warn!(
                    verifier = &*self.settings.name,
                    why = why.name(),
                    hint,
                    "an old system's answer says nothing"
                );
                return false;
            }
        };
        self.proved(dialect, believed);
        believed
    }

    fn proved(&self, dialect: &Dialect, believed: bool) {
        let trust = if believed { Trust::Believed } else { Trust::Closed };
        let mut proofs = self.proofs();
        for (_, known) in proofs.iter_mut().filter(|(known, _)| known == dialect) {
            *known = trust;
        }
        let closed = proofs.iter().any(|(_, trust)| *trust == Trust::Closed);
        self.metrics.set_believed(believed && !closed);
    }

    async fn fly(&self, key: u128, login: &Asked, clock: &dyn Clock) -> Answered {
        let away = |retry_after| Answered::Away { retry_after };
        match self.availability().admit(clock.instant()) {
            Admission::Ask => {}
            Admission::Away { retry_after } => {
                self.metrics.asked("away");
                return away(retry_after);
            }
        }
        let Some(_place) = self.places.take(ClientKey::of(login.client), self.settings.bounds.wait).await else {
            self.metrics.asked("busy");
            return Answered::Busy { retry_after: RETRY_AFTER };
        };
        if !self.prove(&login.dialect, login.client, clock).await {
            return away(RETRY_AFTER);
        }
        let Some(verdict) = self.put(login, clock).await else { return away(RETRY_AFTER) };
        match &verdict {
            Verdict::No(refusal) => self.flights.remember(key, *refusal, clock.instant()),
            Verdict::Yes(_) => {}
            Verdict::Unclear(why) => {
                tracing::warn!(
                    verifier = &*self.settings.name,
                    why = why.name(),
                    "an old system's answer says nothing"
                );
                return away(RETRY_AFTER);
            }
        }
        Answered::Said { verdict, now: true }
    }

    /// One question, at the pace that the config allows; `None` where there is no answer.
    async fn put(&self, login: &Asked, clock: &dyn Clock) -> Option<Verdict> {
        let turn = self.pace().turn(clock.instant());
        tokio::time::sleep(turn).await;
        let body = question(login.dialect.contract(), &login.name, &login.secret)?;
        let started = clock.instant();
        let answer = self.client.ask(body, login.client).await;
        self.metrics.seconds.observe(clock.instant().saturating_duration_since(started).as_secs_f64());
        match answer {
            Ok(answer) => {
                self.availability().reached();
                let verdict = self.judge(&login.dialect, &login.name, &answer);
                self.metrics.asked(match &verdict {
                    Verdict::Yes(_) => "yes",
                    Verdict::No(_) => "no",
                    Verdict::Unclear(_) => "unclear",
                });
                Some(verdict)
            }
            Err(error) => {
                self.metrics.asked(error.name());
                // What is too large is an answer: clients that send names must not make the system count as away.
                let missed = error != ExchangeError::TooLarge;
                if missed && self.availability().missed(clock.instant()) {
                    tracing::warn!(
                        verifier = &*self.settings.name,
                        reason = error.name(),
                        "an old system is out of reach"
                    );
                }
                None
            }
        }
    }

    fn proofs(&self) -> MutexGuard<'_, Vec<(Dialect, Trust)>> {
        // Nothing under the lock panics half way.
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn availability(&self) -> MutexGuard<'_, Availability> {
        // Nothing under the lock panics half way.
        self.availability.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A login that is asked about, for as long as it takes.
struct Asked {
    dialect: Dialect,
    name: AccountName,
    secret: Secret,
    client: IpAddr,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("name", &self.settings.name).finish_non_exhaustive()
    }
}
