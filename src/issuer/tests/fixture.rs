//! An issuer's keys with all that they need: a server, a clock that the test moves, and a sink that remembers.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use tempfile::TempDir;

use super::server::{Reply, Server};
use crate::{
    domain::{HandClock, Timestamp},
    issuer::{IssuerKeys, IssuerSettings, Jwks, Source},
    observe::metrics::Metrics,
    state::{
        clock::TrustedClock,
        keys::{ValidUntil, jwk::PublicJwk},
    },
};

/// How long anything may take: far more than it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a fetch may take that is to take too long.
const SHORT: Duration = Duration::from_millis(300);

/// Longer than any pause between two tries, in seconds.
pub(super) const PAUSE_SECS: u64 = 300;

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(5);

/// What the sink was told, as key ids.
type Told = Arc<Mutex<Vec<Vec<String>>>>;

pub(super) struct Bench {
    pub(super) server: Server,
    pub(super) clock: Arc<HandClock>,
    pub(super) folder: TempDir,
    pub(super) jwks: Jwks,
    metrics: Arc<Metrics>,
    told: Told,
}

/// A set of Ed25519 keys with these ids.
pub(super) fn set(ids: &[&str]) -> String {
    let key = |id: &&str| {
        let mut public = [0; 32];
        public[..id.len()].copy_from_slice(id.as_bytes());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": URL_SAFE_NO_PAD.encode(public) })
    };
    json!({ "keys": ids.iter().map(key).collect::<Vec<_>>() }).to_string()
}

/// The external issuer `corp` at `jwks`.
pub(super) fn corp(jwks: &Jwks) -> IssuerSettings {
    IssuerSettings {
        name: "corp".parse().unwrap(),
        issuer: "https://login.example.com".to_owned(),
        audiences: vec!["api".to_owned()],
        claims: crate::rules::profile::ClaimMapping::default(),
        leeway: Duration::from_secs(30),
        algorithms: IssuerSettings::ALGORITHMS_DEFAULT.to_vec(),
        source: Source::Jwks(jwks.clone()),
    }
}

/// Looks at the condition until it holds.
pub(super) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let mut looks = tokio::time::interval(POLL);
    let holds = async {
        while !condition() {
            looks.tick().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, holds).await.is_ok(), "not within {PATIENCE:?}: {what}");
}

impl Bench {
    pub(super) async fn new(reply: Reply) -> Self {
        let server = Server::start(reply).await;
        let jwks = Jwks::new(format!("http://{}/jwks", server.address).parse().unwrap());
        Self::with(server, jwks)
    }

    pub(super) fn with(server: Server, jwks: Jwks) -> Self {
        let jwks = Jwks { timeout: PATIENCE, ..jwks };
        Self {
            server,
            clock: Arc::new(HandClock::new(Timestamp::from_millis(1_789_000_000_000))),
            folder: crate::memory::new_folder(),
            jwks,
            metrics: Metrics::new().unwrap(),
            told: Told::default(),
        }
    }

    pub(super) fn start(&self) -> IssuerKeys {
        self.start_with(|_| {})
    }

    /// Starts with little time for a fetch, and answers how many took longer than that until these were there: a
    /// machine may be busy.
    pub(super) async fn start_with_little_time(&mut self, ids: &[&str]) -> (IssuerKeys, u64) {
        self.jwks.timeout = SHORT;
        let keys = self.start();
        let mut late = 0;
        until(&format!("{ids:?} hold"), || {
            if self.outcomes("timeout") > late {
                late += 1;
                self.clock.pass(Duration::from_secs(PAUSE_SECS));
            }
            self.present().is_some_and(|present| present == ids)
        })
        .await;
        (keys, late)
    }

    /// As [`Bench::start`], with a sink that does something more.
    pub(super) fn start_with(&self, more: impl Fn(&[String]) + Send + 'static) -> IssuerKeys {
        let told = Arc::clone(&self.told);
        let sink = move |keys: &[PublicJwk], _: &ValidUntil| {
            let ids: Vec<_> = keys.iter().filter_map(|key| key.id.as_ref()).map(ToString::to_string).collect();
            told.lock().unwrap().push(ids.clone());
            more(&ids);
        };
        let trusted = TrustedClock::begin(None, self.clock.clone());
        IssuerKeys::start(&corp(&self.jwks), &self.jwks, self.folder.path(), trusted, &self.metrics, sink).unwrap()
    }

    /// Everything that the sink was told.
    pub(super) fn told(&self) -> Vec<Vec<String>> {
        self.told.lock().unwrap().clone()
    }

    /// What holds.
    pub(super) fn present(&self) -> Option<Vec<String>> {
        self.told.lock().unwrap().last().cloned()
    }

    pub(super) async fn until_present(&self, ids: &[&str]) {
        until(&format!("{ids:?} hold"), || self.present().is_some_and(|present| present == ids)).await;
    }

    /// How often a fetch had this outcome.
    pub(super) fn outcomes(&self, outcome: &str) -> u64 {
        let series = format!("portero_jwks_refresh_total{{issuer=\"corp\",outcome=\"{outcome}\"}} ");
        self.metric(&series).unwrap().parse().unwrap()
    }

    pub(super) async fn until_outcomes(&self, outcome: &str, count: u64) {
        until(&format!("{count} × {outcome}"), || self.outcomes(outcome) >= count).await;
        assert_eq!(self.outcomes(outcome), count);
    }

    /// The age that is shown, in seconds.
    pub(super) fn age(&self) -> Option<String> {
        self.metric("portero_jwks_age_seconds{issuer=\"corp\"} ")
    }

    fn metric(&self, series: &str) -> Option<String> {
        let text = String::from_utf8(self.metrics.render().unwrap()).unwrap();
        text.lines().find_map(|line| line.strip_prefix(series)).map(str::to_owned)
    }

    pub(super) fn snapshot(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("corp.json")
    }
}
