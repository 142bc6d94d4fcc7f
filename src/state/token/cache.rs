//! The verified-token cache: the whole token is the key, so that no other token ever hits, and what
//! a hit gives is an identity, never a verdict.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderName, HeaderValue};
use quick_cache::{
    OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};

use super::tally::Tally;
use crate::{
    domain::{Claims, KeyId},
    rules::realm::Realm,
};

/// Memory that an entry takes beside its token and claims: headers, counters, the map's own.
const ENTRY_OVERHEAD_BYTES: usize = 512;

/// The bounds of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Entries; default 100,000.
    pub entries_max: usize,
    /// Bytes of all entries together, about; default 128 MiB.
    pub bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { entries_max: 100_000, bytes_max: 128 << 20 }
    }
}

/// A token that was opened: who it speaks for, and what the upstream is told about that.
pub struct Verified {
    /// What the token says.
    pub claims: Claims,
    /// The key that signed it.
    pub key: KeyId,
    /// The realm as it was when the token was opened.
    realm: Arc<Realm>,
    /// The identity headers for the upstream, made once.
    pub identity: Vec<(HeaderName, HeaderValue)>,
    /// The generation of keys and revocations in which it was last found good.
    stamp: AtomicU64,
}

impl Verified {
    /// A token that was just opened, and is not looked up against revocations yet.
    #[must_use]
    pub fn new(claims: Claims, key: KeyId, realm: Arc<Realm>) -> Self {
        let identity = identity_headers(&claims, &realm);
        Self { claims, key, realm, identity, stamp: AtomicU64::new(0) }
    }

    /// Whether the realm still reads tokens as it did when this one was opened. After a reload that
    /// changed its issuer or audience, the token must be opened again.
    #[must_use]
    pub fn was_opened_like(&self, present: &Arc<Realm>) -> bool {
        Arc::ptr_eq(&self.realm, present)
            || (self.realm.issuer == present.issuer
                && self.realm.audience == present.audience
                && self.realm.dialect == present.dialect
                && self.realm.wire.allow_non_expiring == present.wire.allow_non_expiring)
    }

    /// Whether it was found good in `generation`.
    #[must_use]
    pub fn is_good_in(&self, generation: u64) -> bool {
        self.stamp.load(Ordering::Acquire) == generation
    }

    /// Notes that it was found good in `generation`, which must have been read *before* looking.
    pub fn mark_good_in(&self, generation: u64) {
        self.stamp.store(generation, Ordering::Release);
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("subject", &self.claims.subject)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Opened tokens by their text; bounded, shared, and read without waiting.
pub struct VerifiedTokens {
    entries: Cache<Box<[u8]>, Arc<Verified>, TokenWeighter>,
    hits: Tally,
    misses: AtomicU64,
    insertions: AtomicU64,
}

impl VerifiedTokens {
    /// An empty cache.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(settings.entries_max)
            .weight_capacity(settings.bytes_max)
            .build()
            .expect("both capacities are given");
        let entries = Cache::with_options(
            options,
            TokenWeighter { least: settings.bytes_max.div_ceil(settings.entries_max.max(1) as u64) },
            quick_cache::DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        );
        Self { entries, hits: Tally::new(), misses: AtomicU64::new(0), insertions: AtomicU64::new(0) }
    }

    /// The entry of exactly this token.
    #[must_use]
    pub fn get(&self, token: &[u8]) -> Option<Arc<Verified>> {
        self.entries.get(token)
    }

    /// Notes that a token was found and was as good as opened.
    pub fn note_hit(&self) {
        self.hits.raise();
    }

    /// Look-ups that found their token since the start.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.sum()
    }

    /// Remembers an opened token.
    pub fn insert(&self, token: &str, verified: Arc<Verified>) {
        self.misses.fetch_add(1, Ordering::Relaxed);
        self.insertions.fetch_add(1, Ordering::Relaxed);
        self.entries.insert(token.as_bytes().into(), verified);
    }

    /// Notes that a token was looked for and was none that can be remembered.
    pub fn note_refused(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// Look-ups that ended in the miss path since the start.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Entries that had to make room for others since the start.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.insertions.load(Ordering::Relaxed).saturating_sub(self.len() as u64)
    }

    /// Entries at present.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedTokens").field("entries", &self.len()).finish_non_exhaustive()
    }
}

/// Weighs an entry by its bytes, but never below its share of all: so one capacity bounds the bytes
/// and the entries.
#[derive(Clone)]
struct TokenWeighter {
    least: u64,
}

impl Weighter<Box<[u8]>, Arc<Verified>> for TokenWeighter {
    fn weight(&self, token: &Box<[u8]>, _: &Arc<Verified>) -> u64 {
        // The claims are about as long as the token they were read from.
        self.least.max((2 * token.len() + ENTRY_OVERHEAD_BYTES) as u64)
    }
}

/// What the upstream is told: DESIGN's `X-Auth-*`. A value that no header can carry (a line break
/// in a name) is left out rather than mangled.
fn identity_headers(claims: &Claims, realm: &Realm) -> Vec<(HeaderName, HeaderValue)> {
    let subject = claims.subject.to_string();
    let legacy_id = claims.legacy_id.map(|id| id.to_string());
    let scopes = (!claims.scopes.is_empty()).then(|| claims.scopes.join(" "));
    let texts = [
        ("x-auth-issuer", Some(realm.issuer.as_str())),
        ("x-auth-subject", Some(subject.as_str())),
        ("x-auth-name", Some(&*claims.name)),
        ("x-auth-legacy-id", legacy_id.as_deref()),
        ("x-auth-kind", Some(claims.principal.name())),
        ("x-auth-role", claims.role.as_deref()),
        ("x-auth-scopes", scopes.as_deref()),
        ("x-auth-organization", claims.organization.as_deref()),
    ];
    let header = |(name, text): (&'static str, Option<&str>)| {
        let value = HeaderValue::from_bytes(text?.as_bytes()).ok()?;
        Some((HeaderName::from_static(name), value))
    };
    texts.into_iter().filter_map(header).collect()
}
