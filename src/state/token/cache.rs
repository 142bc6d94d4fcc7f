//! The verified-token cache: the whole token is the key, so that no other token ever hits, and what
//! a hit gives is an identity, never a verdict.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderName, HeaderValue};
use quick_cache::{
    OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};

use serde_json::Value;

use crate::{
    domain::{Claims, PrincipalKind, RevocationId, Timestamp, text::fits_a_field},
    per_thread::PerThread,
    rules::issuer::Issuer,
    state::keys::Key,
};

/// Memory that an entry takes beside its token and claims: headers, counters, the map's own.
const ENTRY_OVERHEAD_BYTES: usize = 512;

/// The bounds of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Entries; default 100,000.
    pub entries_max: usize,
    /// Bytes of all entries together, about; default 128 MiB.
    pub bytes_max: u64,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { entries_max: 100_000, bytes_max: 128 << 20 }
    }
}

/// A token that was opened: who it speaks for, and what the upstream is told about that.
pub struct Verified {
    /// What the token says.
    pub claims: Claims,
    /// The key that signed it.
    pub key: Arc<Key>,
    /// Its issuer as it was when the token was opened.
    pub issuer: Issuer,
    /// The identity headers for the upstream, made once.
    pub identity: Vec<(HeaderName, HeaderValue)>,
    /// From when until when another system's word for it counts; `None` where nobody's is needed.
    believed: Option<Range<Timestamp>>,
    /// What revokes its text, where that is another id than its claims'.
    text_id: Option<RevocationId>,
    /// The generation of keys and revocations in which it was last found good.
    stamp: AtomicU64,
    /// The internal tokens that were minted for it, one an upstream.
    internal: Mutex<Vec<InternalToken>>,
}

/// Upstreams for which an entry remembers its internal token, at most; over it the oldest makes room.
const INTERNAL_TOKENS_MAX: usize = 4;

/// What an upstream receives instead of the client's token, minted for it.
#[derive(Clone, Debug)]
pub struct InternalToken {
    /// The upstream, its audience.
    pub upstream: Arc<str>,
    /// The key that signed it.
    pub key: Arc<Key>,
    /// From when on another one is minted.
    pub renew_at: Timestamp,
    /// `Authorization`, complete.
    pub authorization: HeaderValue,
}

impl Verified {
    /// A token that was just opened, and is not looked up against revocations yet.
    #[must_use]
    pub fn new(claims: Claims, key: Arc<Key>, issuer: Issuer) -> Self {
        let mut identity = identity_headers(&claims, issuer.issuer());
        if let Issuer::External(issuer) = &issuer {
            identity.extend(issuer.claims.headers.of(&claims.extra));
        }
        Self {
            claims,
            key,
            issuer,
            identity,
            believed: None,
            text_id: None,
            stamp: AtomicU64::new(0),
            internal: Mutex::default(),
        }
    }

    /// The same by the word of another system, which counts for so long.
    #[must_use]
    pub fn believed(self, during: Range<Timestamp>) -> Self {
        Self { believed: Some(during), ..self }
    }

    /// The same, whose text is revoked under this id too: who has the text alone may not know its `jti`.
    #[must_use]
    pub fn revoked_as_text_by(self, id: RevocationId) -> Self {
        Self { text_id: Some(id), ..self }
    }

    /// What revokes its text, where that is another id than its claims'.
    #[must_use]
    pub const fn text_id(&self) -> Option<RevocationId> {
        self.text_id
    }

    /// When the other system was asked, where its word is needed.
    #[must_use]
    pub fn asked_at(&self) -> Option<Timestamp> {
        self.believed.as_ref().map(|during| during.start)
    }

    /// Whether nobody has to be asked about it again at this time. A clock that was set back says nothing.
    #[must_use]
    pub fn is_believed(&self, now: Timestamp) -> bool {
        self.believed.as_ref().is_none_or(|during| during.contains(&now))
    }

    /// The last internal token for `upstream`.
    #[must_use]
    pub fn internal_token(&self, upstream: &str) -> Option<InternalToken> {
        self.internal_tokens().iter().find(|token| *token.upstream == *upstream).cloned()
    }

    /// Remembers an internal token in the place of its upstream's last one.
    pub fn remember_internal_token(&self, token: InternalToken) {
        let mut tokens = self.internal_tokens();
        tokens.retain(|known| known.upstream != token.upstream);
        if tokens.len() == INTERNAL_TOKENS_MAX {
            tokens.remove(0);
        }
        tokens.push(token);
    }

    fn internal_tokens(&self) -> MutexGuard<'_, Vec<InternalToken>> {
        // A panic between the two lines above loses a token that is minted anew.
        self.internal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was found good in `generation`.
    #[must_use]
    pub fn is_good_in(&self, generation: u64) -> bool {
        self.stamp.load(Ordering::Acquire) == generation
    }

    /// Whether it was never found good.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_good_in(0)
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
            .field("key", &self.key.id)
            .finish_non_exhaustive()
    }
}

/// Opened tokens by their text; bounded, shared, and read without waiting.
pub struct VerifiedTokens {
    entries: Cache<Box<[u8]>, Arc<Verified>, TokenWeighter>,
    hits: PerThread<AtomicU64>,
    misses: AtomicU64,
    insertions: AtomicU64,
}

impl VerifiedTokens {
    /// An empty cache.
    #[must_use]
    pub fn new(settings: CacheSettings) -> Self {
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
        Self { entries, hits: PerThread::made_ahead(), misses: AtomicU64::new(0), insertions: AtomicU64::new(0) }
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

    /// Notes that a token was looked for and was not one that can be remembered.
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
    fn weight(&self, token: &Box<[u8]>, verified: &Arc<Verified>) -> u64 {
        // The texts of the claims are about as long as the token they were read from.
        let values = verified.claims.extra.values().map(values_in).sum::<usize>();
        self.least.max((2 * token.len() + values * size_of::<Value>() + ENTRY_OVERHEAD_BYTES) as u64)
    }
}

/// The values that stand in `value`, itself among them. A token's depth is bounded, and so is this.
fn values_in(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(values_in).sum(),
        Value::Object(members) => members.values().map(values_in).sum(),
        _ => 0,
    }
}

/// What the upstream is told: DESIGN's `X-Auth-*`. A value that no header can carry (a line break
/// in a name, a space at its end) is left out rather than mangled.
fn identity_headers(claims: &Claims, issuer: &str) -> Vec<(HeaderName, HeaderValue)> {
    let subject = claims.subject.identity();
    let legacy_id = claims.legacy_id.map(|id| id.to_string());
    let (roles, scopes) = (claims.role_text(), claims.scope_text());
    let texts = [
        ("x-auth-issuer", Some(issuer)),
        ("x-auth-subject", subject.as_deref()),
        ("x-auth-name", Some(&*claims.name).filter(|name| !name.is_empty())),
        ("x-auth-legacy-id", legacy_id.as_deref()),
        ("x-auth-kind", claims.principal.map(PrincipalKind::name)),
        ("x-auth-role", roles.as_deref()),
        ("x-auth-scopes", scopes.as_deref()),
        ("x-auth-organization", claims.organization.as_deref()),
    ];
    let header = |(name, text): (&'static str, Option<&str>)| {
        let value = HeaderValue::from_bytes(text.filter(|text| fits_a_field(text))?.as_bytes()).ok()?;
        Some((HeaderName::from_static(name), value))
    };
    texts.into_iter().filter_map(header).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Map, Value, json};

    use super::*;
    use crate::{
        domain::{Algorithm, KeyId, RevocationId, Roles, TokenKind, TokenSubject},
        rules::{issuer::ExternalIssuer, profile::ClaimMapping},
        state::keys::{KeyState, MaterialBytes},
    };

    /// What a token of `corp` says.
    fn claims() -> Claims {
        let now = Timestamp::from_secs(1_768_564_800);
        Claims {
            realm: "corp".parse().unwrap(),
            kind: TokenKind::Access,
            subject: TokenSubject::External("x".into()),
            principal: None,
            session: None,
            revocation_id: RevocationId::from_bytes([0; 16]),
            epoch: 0,
            issued_at: now,
            not_before: now,
            expires_at: Some(now),
            name: "".into(),
            legacy_id: None,
            roles: Roles::none(),
            scopes: vec![],
            organization: None,
            extra: Map::new(),
        }
    }

    #[test]
    fn what_services_would_take_for_another_word_is_left_out() {
        let roles = [" ADMIN", "ADMIN\t", "AD\rMIN", "USER, ADMIN", "READER", "WRITER"];
        let claims = Claims {
            name: " root".into(),
            roles: roles.into_iter().collect(),
            scopes: ["read".into(), "a b".into(), "c\n".into(), "write".into()].into(),
            organization: Some("acme\u{a0}".into()),
            ..claims()
        };
        let named = |wanted: &str| {
            let headers = identity_headers(&claims, "https://corp.example.com");
            headers.into_iter().find(|(name, _)| name == wanted).map(|(_, value)| value)
        };
        assert_eq!(named("x-auth-subject").unwrap(), "x");
        assert_eq!(named("x-auth-role").unwrap(), "READER, WRITER");
        assert_eq!(named("x-auth-scopes").unwrap(), "read write");
        assert_eq!((named("x-auth-name"), named("x-auth-organization")), (None, None));
    }

    #[test]
    fn an_entry_weighs_what_its_claims_take() {
        const VALUES: usize = 2_800;
        let claims = Claims { extra: Map::from_iter([("x".to_owned(), json!(vec![1; VALUES]))]), ..claims() };
        let (name, now) = (claims.realm.clone(), claims.issued_at);
        let secret = MaterialBytes::Secret(&[7; 32]);
        let key = Key::new(KeyId::from_text("k"), name.clone(), Algorithm::Hs256, KeyState::Active, now, secret);
        let issuer = ExternalIssuer {
            name,
            issuer: "i".into(),
            audiences: vec!["a".into()],
            leeway: Duration::ZERO,
            claims: ClaimMapping::default(),
            is_asked: false,
        };
        let verified = Arc::new(Verified::new(claims, Arc::new(key.unwrap()), Issuer::External(issuer.into())));
        // `[1,1,…]` in base64url, and the rest of a token.
        let token: Box<[u8]> = "x".repeat(VALUES * 2 * 4 / 3 + 300).into_bytes().into();
        let least = (VALUES * size_of::<Value>()) as u64;
        let weight = TokenWeighter { least: 0 }.weight(&token, &verified);
        assert!(weight >= least, "it is taken for {weight} bytes and its values alone have {least}");
    }
}
