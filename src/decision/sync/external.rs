//! External issuers at work: their keys are brought into the live state, and asked for when a token names one
//! that nobody knows.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use thiserror::Error;

use crate::{
    decision::decide::{authenticate::ExternalKey, live_state::LiveState},
    domain::{Algorithm, Clock, KeyId, RealmName, Timestamp, random},
    issuer::{
        FetcherError, IssuerKeys, IssuerSettings, KeyFile, Source,
        files::{self, FileKey, KeyFileError},
    },
    observe::metrics::Metrics,
    state::{
        clock::TrustedClock,
        keys::{Key, KeyError, KeyState, MaterialBytes, ValidUntil, jwk::PublicJwk},
    },
    verifier::Client,
};

/// Why an issuer's keys cannot be kept.
#[derive(Debug, Error)]
pub enum ExternalIssuerError {
    /// The certificates to trust cannot be read.
    #[error("issuers.{0}: {1}")]
    Fetcher(RealmName, FetcherError),
    /// A key's file cannot be used.
    #[error("issuers.{0}: {1}")]
    File(RealmName, KeyFileError),
    /// A key cannot be used.
    #[error("issuers.{0}: {1}")]
    Key(RealmName, KeyError),
}

/// Keeps the keys of every external issuer of the config.
pub struct ExternalIssuers {
    live_state: Arc<LiveState>,
    /// Where snapshots of fetched sets lie.
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    trusted: TrustedClock,
    metrics: Arc<Metrics>,
    /// What the word of issuers that are asked about their tokens is kept under. It never leaves the process, and signs
    /// nothing.
    nobodys_secret: [u8; 32],
    running: ArcSwap<HashMap<RealmName, Arc<Running>>>,
    /// Whose word counts for each issuer. An instance that was replaced still has a last word.
    speakers: Arc<Mutex<Speakers>>,
}

/// Instances are numbered, and no number comes twice: not either where an issuer leaves the config and comes back.
#[derive(Default)]
struct Speakers {
    last: u64,
    present: HashMap<RealmName, u64>,
}

struct Running {
    settings: Arc<IssuerSettings>,
    /// `None` for keys in files: there is nobody to ask.
    keys: Option<IssuerKeys>,
}

impl ExternalIssuers {
    /// Without any issuer yet.
    #[must_use]
    pub fn new(live_state: Arc<LiveState>, folder: PathBuf, trusted: TrustedClock, metrics: Arc<Metrics>) -> Self {
        let clock = Arc::clone(trusted.clock());
        Self {
            live_state,
            folder,
            clock,
            trusted,
            metrics,
            nobodys_secret: random::bytes(),
            running: ArcSwap::default(),
            speakers: Arc::default(),
        }
    }

    /// Keeps the keys of these issuers, and of no others. One whose settings are as they were goes on as it is.
    /// Call it within the runtime that is to do the work.
    ///
    /// # Errors
    /// When a file of one of them cannot be used: then nothing has changed.
    pub fn replace(&self, issuers: &[Arc<IssuerSettings>]) -> Result<(), ExternalIssuerError> {
        let present = self.running.load_full();
        let unchanged = |settings: &Arc<IssuerSettings>| {
            let running = present.get(&settings.name).filter(|running| *running.settings == **settings)?;
            // Files may hold other keys than before.
            running.keys.is_some().then(|| Arc::clone(running))
        };
        let mut prepared = vec![];
        for settings in issuers.iter().filter(|settings| unchanged(settings).is_none()) {
            prepared.push((Arc::clone(settings), prepare(settings, self.clock.now(), &self.nobodys_secret)?));
        }
        let mut running: HashMap<_, _> =
            issuers.iter().filter_map(unchanged).map(|it| (it.settings.name.clone(), it)).collect();
        for (settings, prepared) in prepared {
            let keys = self.start(&settings, prepared)?;
            running.insert(settings.name.clone(), Arc::new(Running { settings, keys }));
        }
        let names: Vec<_> = issuers.iter().map(|settings| &settings.name).collect();
        self.speakers().present.retain(|name, _| names.contains(&name));
        self.running.store(Arc::new(running));
        self.live_state.keep_external_keys(&names);
        Ok(())
    }

    /// Asks the issuer of `key` for its keys, if the key is missing and it was not asked just now; waits for the
    /// answer within bounds.
    pub async fn ask(&self, key: &ExternalKey) {
        let running = self.running.load().get(&key.issuer).cloned();
        if let Some(keys) = running.as_ref().and_then(|running| running.keys.as_ref()) {
            keys.ask(key.id.as_str()).await;
        }
    }

    fn start(
        &self,
        settings: &Arc<IssuerSettings>,
        files: Vec<Arc<Key>>,
    ) -> Result<Option<IssuerKeys>, ExternalIssuerError> {
        let name = settings.name.clone();
        let speaker = {
            let mut speakers = self.speakers();
            speakers.last += 1;
            let speaker = speakers.last;
            speakers.present.insert(name.clone(), speaker);
            speaker
        };
        let Source::Jwks(jwks) = &settings.source else {
            self.live_state.set_external_keys(&name, files);
            return Ok(None);
        };
        let (live_state, clock, speakers) =
            (Arc::clone(&self.live_state), Arc::clone(&self.clock), Arc::clone(&self.speakers));
        let sink = move |keys: &[PublicJwk], valid_until: &ValidUntil| {
            let speakers = speakers.lock().unwrap_or_else(PoisonError::into_inner);
            if speakers.present.get(&name) == Some(&speaker) {
                let keys = keys.iter().filter_map(|key| fetched_key(&name, key, valid_until, &*clock)).collect();
                live_state.set_external_keys(&name, keys);
            }
        };
        let keys = IssuerKeys::start(settings, jwks, &self.folder, self.trusted.clone(), &self.metrics, sink);
        keys.map(Some).map_err(|error| ExternalIssuerError::Fetcher(settings.name.clone(), error))
    }

    fn speakers(&self) -> std::sync::MutexGuard<'_, Speakers> {
        // Numbers that only grow are never half changed.
        self.speakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What keeps an issuer's keys from being kept, by the key of the config that it is about: `""` for the issuer itself.
#[derive(Debug)]
pub struct IssuerProblem {
    /// The issuer.
    pub issuer: RealmName,
    /// Below the issuer's table: `ca`, or `keys[0].file`.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

/// Everything that keeps [`ExternalIssuers::replace`] from keeping these issuers' keys. Changes nothing.
#[must_use]
pub fn examine_issuers(issuers: &[Arc<IssuerSettings>], now: Timestamp) -> Vec<IssuerProblem> {
    let mut problems = vec![];
    for settings in issuers {
        let issuer = &settings.name;
        let mut note = |key: String, message: String| {
            problems.push(IssuerProblem { issuer: issuer.clone(), key, message });
        };
        match &settings.source {
            Source::Jwks(jwks) => {
                if let Err(error) = IssuerKeys::check(jwks) {
                    note(if jwks.ca.is_some() { "ca" } else { "jwks_url" }.to_owned(), error.to_string());
                }
            }
            Source::Introspection(asked) => {
                if let Err(error) = Client::new(asked) {
                    note("introspection".to_owned(), error.to_string());
                }
            }
            Source::Files(files) => {
                for (at, file) in files.iter().enumerate() {
                    if let Err(error) = key_of(issuer, file, now) {
                        let message = match error {
                            ExternalIssuerError::Fetcher(_, error) => error.to_string(),
                            ExternalIssuerError::File(_, error) => error.to_string(),
                            ExternalIssuerError::Key(_, error) => error.to_string(),
                        };
                        note(format!("keys[{at}].file"), message);
                    }
                }
            }
        }
    }
    problems
}

/// What can fail of a start, without an effect.
fn prepare(
    settings: &IssuerSettings,
    now: Timestamp,
    nobodys_secret: &[u8],
) -> Result<Vec<Arc<Key>>, ExternalIssuerError> {
    match &settings.source {
        Source::Jwks(jwks) => {
            let checked = IssuerKeys::check(jwks).map(|()| vec![]);
            checked.map_err(|error| ExternalIssuerError::Fetcher(settings.name.clone(), error))
        }
        Source::Files(files) => files.iter().map(|file| key_of(&settings.name, file, now)).collect(),
        Source::Introspection(asked) => {
            let name = &settings.name;
            Client::new(asked).map_err(|error| ExternalIssuerError::Fetcher(name.clone(), error))?;
            let id = KeyId::from_text(&format!("introspection:{name}"));
            let secret = MaterialBytes::Secret(nobodys_secret);
            let key = Key::new(id, name.clone(), Algorithm::Sealed, KeyState::Active, now, secret);
            key.map(|key| vec![Arc::new(key)]).map_err(|error| ExternalIssuerError::Key(name.clone(), error))
        }
    }
}

/// The key of a file.
fn key_of(issuer: &RealmName, file: &KeyFile, now: Timestamp) -> Result<Arc<Key>, ExternalIssuerError> {
    let key = files::read(file).map_err(|error| ExternalIssuerError::File(issuer.clone(), error))?;
    let (id, algorithm, material) = match &key {
        FileKey::Public(jwk) => (jwk.id.clone(), jwk.algorithm, MaterialBytes::Public(&jwk.public)),
        FileKey::Secret { id, algorithm, secret } => {
            (Some(id.clone()), *algorithm, MaterialBytes::Secret(secret.expose()))
        }
    };
    let key = id.ok_or(KeyError::Rejected(algorithm));
    let key = key.and_then(|id| Key::new(id, issuer.clone(), algorithm, KeyState::Active, now, material));
    key.map(Arc::new).map_err(|error| ExternalIssuerError::Key(issuer.clone(), error))
}

impl std::fmt::Debug for ExternalIssuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExternalIssuers").field("running", &self.running.load().keys()).finish_non_exhaustive()
    }
}

/// A fetched key, ready to use. One without a name is of no use: a token could not name it.
fn fetched_key(issuer: &RealmName, jwk: &PublicJwk, valid_until: &ValidUntil, clock: &dyn Clock) -> Option<Arc<Key>> {
    let (id, material) = (jwk.id.clone()?, MaterialBytes::Public(&jwk.public));
    let key = Key::new(id, issuer.clone(), jwk.algorithm, KeyState::Active, clock.now(), material).ok()?;
    Some(Arc::new(key.with_valid_until(valid_until.clone())))
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::{
        decision::{Site, Snapshot},
        domain::{Algorithm, KeyId, SystemClock},
        issuer::Jwks,
        state::{
            keys::{Keyring, spki},
            limit::BadTokenSettings,
            token::CacheSettings,
        },
    };

    const ENOUGH: Duration = Duration::from_secs(30);

    fn corp(source: Source) -> Arc<IssuerSettings> {
        Arc::new(IssuerSettings {
            name: "corp".parse().unwrap(),
            issuer: "https://login.example.com".into(),
            audiences: vec!["api".into()],
            claims: crate::rules::profile::ClaimMapping::default(),
            leeway: Duration::ZERO,
            algorithms: vec![Algorithm::EdDsa],
            source,
        })
    }

    fn external(folder: PathBuf, clock: &Arc<dyn Clock>) -> (Arc<LiveState>, ExternalIssuers) {
        let metrics = Metrics::new().unwrap();
        let site = Site {
            realms: vec![],
            issuers: vec![],
            endpoints: vec![],
            routes: vec![],
            upstreams: vec![],
            verifiers: vec![],
            internal_issuer: None,
            oauth: None,
        };
        let snapshot = Snapshot::build(&site, Arc::new(Keyring::default()), &metrics).unwrap();
        let live_state = Arc::new(LiveState::new(snapshot, CacheSettings::default(), BadTokenSettings::default()));
        let trusted = TrustedClock::begin(None, Arc::clone(clock));
        let external = ExternalIssuers::new(Arc::clone(&live_state), folder, trusted, metrics);
        (live_state, external)
    }

    #[tokio::test]
    async fn the_last_word_of_an_issuer_that_left_is_not_that_of_one_that_came_back() {
        let folder = crate::memory::new_folder();
        let (id, name) = (KeyId::generate(), "corp".parse().unwrap());
        let material = Key::generate_material(Algorithm::EdDsa).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bytes = MaterialBytes::Secret(&material);
        let key = Key::new(id.clone(), name, Algorithm::EdDsa, KeyState::Active, clock.now(), bytes).unwrap();
        let file = folder.path().join("corp.pem");
        fs::write(&file, spki::pem(&key.public_der().unwrap())).unwrap();
        let in_file = corp(Source::Files(vec![KeyFile { file, algorithm: Algorithm::EdDsa, id }]));
        // Port 9 of this machine: nobody answers there.
        let fetched = corp(Source::Jwks(Jwks::new("http://127.0.0.1:9/jwks.json".parse().unwrap())));

        let (live_state, external) = external(folder.path().join("issuers"), &clock);
        let clocks = Arc::strong_count(&clock);
        external.replace(&[fetched]).unwrap();
        // A request that waits for a key holds the instance for a while.
        let waiting = external.running.load().get(&key.realm).cloned();
        external.replace(&[]).unwrap();
        external.replace(&[in_file]).unwrap();
        assert_eq!(live_state.snapshot().keys.external(&key.realm).len(), 1);
        drop(waiting);
        let gone = async {
            while Arc::strong_count(&clock) > clocks {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(ENOUGH, gone).await.expect("the instance ends");
        assert_eq!(live_state.snapshot().keys.external(&key.realm).len(), 1);
    }
}
