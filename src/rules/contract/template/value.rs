//! What may stand in a hole. The vocabulary is closed: a name that is not here means nothing.

use std::borrow::Cow;

use super::kind::Kind;
use crate::{
    domain::{Claims, Grant, Holder, Timestamp, TokenKind},
    rules::contract::{DialectSettings, Lack, MissingMember, Rejection, RejectionKind},
};

/// A name of the vocabulary.
#[derive(Debug)]
pub(super) struct Value {
    /// As it stands in a hole.
    pub(super) name: &'static str,
    /// What kind of value it is.
    pub(super) kind: Kind,
    /// What it is, for the author of a contract.
    pub(super) about: &'static str,
    source: Source,
}

/// The names that are the same in every contract and depend on the request.
pub(super) static VALUES: [Value; 27] = [
    token("access.token", TokenKind::Access),
    token_end("access.expires_at", TokenKind::Access),
    token_life("access.lifetime_seconds", TokenKind::Access),
    token("content.token", TokenKind::Content),
    token_end("content.expires_at", TokenKind::Content),
    token_life("content.lifetime_seconds", TokenKind::Content),
    token("refresh.token", TokenKind::Refresh),
    token_end("refresh.expires_at", TokenKind::Refresh),
    token_life("refresh.lifetime_seconds", TokenKind::Refresh),
    value("issued_at", Kind::Instant, Source::IssuedAt, "when the token was issued"),
    value("expires_at", Kind::Instant, Source::ExpiresAt, "when the token ends"),
    value("account.id", Kind::Text, Source::Id, "the account's uuid"),
    value("account.name", Kind::Text, Source::Name, "the name that the account logs in with"),
    value("account.business", Kind::Text, Source::Business, "the business that is a part of the account's name"),
    value("account.display_name", Kind::Text, Source::DisplayName, "the name that people read"),
    value("account.legacy_id", Kind::Integer, Source::LegacyId, "the account's integer id in its realm"),
    value("account.role", Kind::Text, Source::Role, "the account's role; empty where it has none"),
    value("account.scopes", Kind::List, Source::Scopes, "the account's scopes or permissions"),
    value("account.company", Kind::Text, Source::Company, "the account's company"),
    value("missing", Kind::List, Source::Missing, "the members that are missing, in the order of the contract"),
    value("missing.first", Kind::Text, Source::MissingFirst, "the first of them"),
    value(
        MISSING_EACH,
        Kind::Text,
        Source::MissingEach,
        "one of them: the element of a list that it stands in, or the member that it names, is repeated for each",
    ),
    value(
        "missing.why",
        Kind::Lack,
        Source::MissingWhy,
        "what stands in the place of that one, or of the first: nothing, an empty text, null, or no text",
    ),
    value("request.method", Kind::Text, Source::Method, "the method of a request that has another than the contract's"),
    value("detail", Kind::Text, Source::Detail, "what is wrong with the query, in the words of [validity]"),
    value("retry_after", Kind::Integer, Source::RetryAfter, "how many seconds the client should wait"),
    value("settings.max_years", Kind::Integer, Source::MaxYears, "the realm's max_years"),
];

/// The name of what repeats the element or the member that it stands in.
pub(super) const MISSING_EACH: &str = "missing.each";

/// The names that are the contract's own, or an error's.
pub(super) const FURTHER: [(&str, &str); 7] = [
    ("claim.NAME", "a claim of a verified token, where it is text"),
    ("texts.NAME", "a text of the contract's own, from [texts]"),
    ("status", "the error's HTTP status, a number"),
    ("title", "the phrase that RFC 9110 has for the status"),
    ("phrase", "the contract's phrase for the status: of [phrases], else of its language"),
    ("code", "the error's code; its status where it has none"),
    ("message", "the error's message"),
];

const fn value(name: &'static str, kind: Kind, source: Source, about: &'static str) -> Value {
    Value { name, kind, about, source }
}

const fn token(name: &'static str, kind: TokenKind) -> Value {
    value(name, Kind::Text, Source::Token(kind), "the token")
}

const fn token_end(name: &'static str, kind: TokenKind) -> Value {
    value(name, Kind::Instant, Source::TokenEnd(kind), "when the token ends")
}

const fn token_life(name: &'static str, kind: TokenKind) -> Value {
    value(name, Kind::Integer, Source::TokenLife(kind), "whole seconds from the token's issue to its end")
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Token(TokenKind),
    TokenEnd(TokenKind),
    TokenLife(TokenKind),
    IssuedAt,
    ExpiresAt,
    Id,
    Name,
    Business,
    DisplayName,
    LegacyId,
    Role,
    Scopes,
    Company,
    /// A claim of a verified token that is text.
    Claim(Box<str>),
    Missing,
    MissingFirst,
    MissingEach,
    MissingWhy,
    Method,
    Detail,
    RetryAfter,
    MaxYears,
    /// The status of an error whose status is the realm's setting.
    ErrorStatus,
}

/// Where a template stands: what is known there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) enum Place {
    /// The answer to a login.
    Granted,
    /// The answer to a refresh.
    Refreshed,
    /// The answer to a verification.
    Verified,
    /// A claim of a new token.
    Claim,
    /// The answer to a refused token request.
    Rejection(RejectionKind),
    /// The answer to a denied request of a route.
    Denial,
    /// The answer where a needed value is missing.
    Incomplete,
    /// A text about the query.
    Query,
}

impl Place {
    /// How messages call it.
    const fn name(self) -> &'static str {
        match self {
            Self::Granted => "in the answer to a login",
            Self::Refreshed => "in the answer to a refresh",
            Self::Verified => "in the answer to a verification",
            Self::Claim => "in a claim",
            Self::Rejection(_) => "in the answer to a refused request",
            Self::Denial | Self::Incomplete => "in an error",
            Self::Query => "in a text about the query",
        }
    }
}

/// A template's surroundings.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of the contract that stands alone")]
pub(in crate::rules::contract) struct Scene<'c> {
    pub(in crate::rules::contract) place: Place,
    /// The tokens that the operation gives.
    pub(in crate::rules::contract) gives: &'c [TokenKind],
    /// Whether tokens may have no end.
    pub(in crate::rules::contract) may_not_end: bool,
    /// Whether realms have a time zone.
    pub(in crate::rules::contract) has_timezone: bool,
    /// Whether the contract has a response for a value that is missing.
    pub(in crate::rules::contract) has_incomplete: bool,
    /// The member of a login that is the secret.
    pub(in crate::rules::contract) secret_member: &'c str,
    /// Whether it stands in what is repeated for each missing member.
    pub(in crate::rules::contract) is_repeated: bool,
    /// What is known when the contract is read.
    pub(in crate::rules::contract) constants: &'c Constants<'c>,
}

/// The contract's own texts in one language, unread.
#[derive(Clone)]
pub(in crate::rules::contract) struct Texts {
    /// The language's tag.
    pub(in crate::rules::contract) language: String,
    /// By name.
    pub(in crate::rules::contract) named: Vec<(String, String)>,
}

impl Texts {
    /// None at all.
    pub(in crate::rules::contract) const NONE: &'static Self = &Self { language: String::new(), named: vec![] };
}

/// Values that are known when the contract is read.
pub(in crate::rules::contract) struct Constants<'c> {
    /// The contract's own texts.
    pub(in crate::rules::contract) texts: &'c Texts,
    /// The words of an error.
    pub(in crate::rules::contract) error: Option<ErrorWords>,
}

impl Constants<'static> {
    /// None at all.
    pub(in crate::rules::contract) const NONE: &'static Self = &Self { texts: Texts::NONE, error: None };
}

/// What an error's template may say.
#[derive(Clone)]
pub(in crate::rules::contract) struct ErrorWords {
    /// `None` where it is a setting.
    pub(in crate::rules::contract) status: Option<u16>,
    /// RFC 9110's phrase of it.
    pub(in crate::rules::contract) title: &'static str,
    /// Its phrase in the contract's language.
    pub(in crate::rules::contract) phrase: String,
    /// The number or word of the error; its status where the contract has none.
    pub(in crate::rules::contract) code: Option<serde_json::Value>,
    /// What the contract says about it, unread.
    pub(in crate::rules::contract) message: Option<String>,
}

/// Whether a value is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Never,
    Maybe,
    Always,
}

/// What is known when a hole is filled.
pub(in crate::rules::contract) struct Known<'a> {
    pub(in crate::rules::contract) subject: Subject<'a>,
    pub(in crate::rules::contract) settings: &'a DialectSettings,
    /// The missing member for which something is repeated.
    pub(in crate::rules::contract) each: Option<&'a MissingMember>,
}

impl<'a> Known<'a> {
    /// What is known outside of what is repeated.
    pub(in crate::rules::contract) const fn of(subject: Subject<'a>, settings: &'a DialectSettings) -> Self {
        Self { subject, settings, each: None }
    }

    /// The members that are missing.
    pub(super) fn missing(&self) -> &'a [MissingMember] {
        match self.subject {
            Subject::Rejection(Rejection::Missing(missing)) => missing.members(),
            _ => &[],
        }
    }

    /// The same for one of them.
    pub(super) const fn for_each(&self, each: &'a MissingMember) -> Self {
        Self { each: Some(each), ..*self }
    }
}

/// What is spoken of.
#[derive(Clone, Copy)]
pub(in crate::rules::contract) enum Subject<'a> {
    Grant(&'a Grant),
    NewToken { holder: &'a Holder, issued_at: Timestamp, expires_at: Option<Timestamp> },
    Verified(&'a Claims),
    Rejection(&'a Rejection),
    Nothing,
}

/// A value, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    Instant(Timestamp),
    Lack(Lack),
    List(Vec<Cow<'a, str>>),
}

impl<'a> Fact<'a> {
    fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

/// The names that would reveal a secret, whatever stands before them.
const SECRETS: [&str; 4] = ["secret", "password", "client_secret", "passphrase"];

impl Source {
    /// The value that `path` names.
    ///
    /// # Errors
    /// Why it names none, or why it must not stand here.
    pub(super) fn named(path: &str, scene: &Scene<'_>) -> Result<(Self, Kind), String> {
        if path == "status" && scene.constants.error.is_some() {
            return Ok((Self::ErrorStatus, Kind::Integer));
        }
        let last = path.rsplit('.').next().unwrap_or_default();
        let (source, kind) = match (path.strip_prefix("claim."), VALUES.iter().find(|value| value.name == path)) {
            (Some(claim), _) if !claim.is_empty() => (Self::Claim(claim.into()), Kind::Text),
            (_, Some(value)) => (value.source.clone(), value.kind),
            _ if SECRETS.contains(&last) || last == scene.secret_member => {
                return Err(format!("'{path}' is a secret, and a contract never repeats one"));
            }
            _ => {
                let text = path.strip_prefix("texts.").map(|name| unknown_text(name, scene));
                return Err(text.unwrap_or_else(|| format!("no value is called '{path}'; {}", instead(path, scene))));
            }
        };
        if source.presence(scene) == Presence::Never {
            return Err(source.refused(path, scene));
        }
        Ok((source, kind))
    }

    fn refused(&self, path: &str, scene: &Scene<'_>) -> String {
        match (self, scene.place) {
            (Self::Token(_), Place::Rejection(_) | Place::Denial | Place::Incomplete) => {
                format!("'{path}' is a token, and an error never carries one")
            }
            (Self::Token(kind) | Self::TokenEnd(kind) | Self::TokenLife(kind), Place::Granted | Place::Refreshed) => {
                format!("'{path}' is not there: the request gives no {} token ([tokens] says which)", kind.name())
            }
            (Self::MissingEach, Place::Rejection(RejectionKind::Missing)) => format!(
                "'{path}' stands in an element of a list, or is the name of a member: it repeats what it stands in"
            ),
            (_, place) => format!("'{path}' is not known {}; {}", place.name(), instead(path, scene)),
        }
    }

    /// Whether it is there.
    pub(super) fn presence(&self, scene: &Scene<'_>) -> Presence {
        use Presence::{Always, Maybe, Never};
        let end = if scene.may_not_end { Maybe } else { Always };
        match scene.place {
            Place::Granted | Place::Refreshed => match self {
                Self::Token(kind) if scene.gives.contains(kind) => Always,
                Self::TokenEnd(kind) | Self::TokenLife(kind) if scene.gives.contains(kind) => end,
                Self::IssuedAt => Always,
                _ => self.of_every_account(),
            },
            Place::Claim => match self {
                Self::IssuedAt => Always,
                Self::ExpiresAt => end,
                _ => self.of_every_account(),
            },
            Place::Verified => match self {
                Self::IssuedAt | Self::Name | Self::Scopes => Always,
                Self::ExpiresAt => end,
                Self::Id | Self::Business | Self::Company | Self::Role | Self::LegacyId | Self::Claim(_) => Maybe,
                _ => Never,
            },
            Place::Rejection(kind) => {
                let is_there = match self {
                    Self::ErrorStatus => true,
                    Self::Detail => kind == RejectionKind::InvalidQuery,
                    Self::Missing | Self::MissingFirst | Self::MissingWhy => kind == RejectionKind::Missing,
                    Self::Method => kind == RejectionKind::MethodNotAllowed,
                    Self::MissingEach => kind == RejectionKind::Missing && scene.is_repeated,
                    Self::RetryAfter => matches!(
                        kind,
                        RejectionKind::ThrottledName | RejectionKind::ThrottledAddress | RejectionKind::Unavailable
                    ),
                    _ => false,
                };
                if is_there { Always } else { Never }
            }
            Place::Query if *self == Self::MaxYears => Always,
            Place::Query | Place::Denial | Place::Incomplete => Never,
        }
    }

    /// Whether an account of ours has it.
    const fn of_every_account(&self) -> Presence {
        match self {
            Self::Id | Self::Name | Self::Business | Self::DisplayName | Self::Role | Self::Scopes => Presence::Always,
            Self::LegacyId | Self::Company => Presence::Maybe,
            _ => Presence::Never,
        }
    }

    /// The value, where it is there.
    pub(super) fn find<'a>(&self, known: &Known<'a>) -> Option<Fact<'a>> {
        match (self, &known.subject) {
            (Self::MaxYears, _) => Some(Fact::Integer(known.settings.years_max.into())),
            (Self::ErrorStatus, _) => Some(Fact::Integer(known.settings.error_status.as_u16().into())),
            (_, Subject::Grant(grant)) => self.of_grant(grant),
            (_, Subject::NewToken { holder, issued_at, expires_at }) => match self {
                Self::IssuedAt => Some(Fact::Instant(*issued_at)),
                Self::ExpiresAt => expires_at.map(Fact::Instant),
                _ => self.of_holder(holder),
            },
            (_, Subject::Verified(claims)) => self.of_claims(claims),
            (Self::Missing, Subject::Rejection(Rejection::Missing(names))) => {
                Some(Fact::List(names.names().map(|name| Cow::Borrowed(&**name)).collect()))
            }
            (Self::MissingFirst, Subject::Rejection(Rejection::Missing(names))) => {
                names.names().next().map(|name| Fact::text(name))
            }
            (Self::MissingEach, _) => known.each.map(|member| Fact::text(&member.name)),
            (Self::MissingWhy, _) => {
                known.each.or_else(|| known.missing().first()).map(|member| Fact::Lack(member.lack))
            }
            (Self::Method, Subject::Rejection(Rejection::MethodNotAllowed { method })) => {
                Some(Fact::Text(method.as_str().into()))
            }
            (Self::Detail, Subject::Rejection(Rejection::InvalidQuery(detail))) => Some(Fact::text(detail)),
            (Self::RetryAfter, Subject::Rejection(rejection)) => {
                let wait = rejection.retry_after()?;
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Some(Fact::Integer(i64::try_from(seconds.max(1)).unwrap_or(i64::MAX)))
            }
            _ => None,
        }
    }

    fn of_grant<'a>(&self, grant: &'a Grant) -> Option<Fact<'a>> {
        match self {
            Self::Token(kind) => Some(Fact::text(grant.token(*kind)?.token.expose())),
            Self::TokenEnd(kind) => grant.token(*kind)?.expires_at.map(Fact::Instant),
            Self::TokenLife(kind) => {
                let life = grant.token(*kind)?.expires_at?.since(grant.issued_at).as_secs();
                Some(Fact::Integer(i64::try_from(life).unwrap_or(i64::MAX)))
            }
            Self::IssuedAt => Some(Fact::Instant(grant.issued_at)),
            _ => self.of_holder(&grant.holder),
        }
    }

    fn of_holder<'a>(&self, holder: &'a Holder) -> Option<Fact<'a>> {
        Some(match self {
            Self::Id => Fact::Text(holder.id.to_string().into()),
            Self::Name => Fact::text(&holder.name.name),
            Self::Business => Fact::text(&holder.name.business),
            Self::DisplayName => Fact::text(&holder.display_name),
            Self::LegacyId => Fact::Integer(holder.legacy_id?),
            Self::Role => Fact::text(&holder.role),
            Self::Scopes => Fact::List(holder.scopes.iter().map(|scope| Cow::Borrowed(&**scope)).collect()),
            Self::Company => Fact::text(holder.company.as_deref()?),
            _ => return None,
        })
    }

    fn of_claims<'a>(&self, claims: &'a Claims) -> Option<Fact<'a>> {
        Some(match self {
            Self::IssuedAt => Fact::Instant(claims.issued_at),
            Self::ExpiresAt => Fact::Instant(claims.expires_at?),
            Self::Id => Fact::Text(claims.subject.identity()?.into()),
            Self::Name => Fact::text(&claims.name),
            Self::Business | Self::Company => Fact::text(claims.organization.as_deref()?),
            Self::LegacyId => Fact::Integer(claims.legacy_id?),
            Self::Role => Fact::text(claims.roles.only()?),
            Self::Scopes => Fact::List(claims.scopes.iter().map(|scope| Cow::Borrowed(&**scope)).collect()),
            Self::Claim(name) => Fact::text(claims.extra.get(&**name)?.as_str()?),
            _ => return None,
        })
    }
}

/// Why a text is not there.
fn unknown_text(name: &str, scene: &Scene<'_>) -> String {
    let texts = scene.constants.texts;
    if texts.named.is_empty() {
        return format!(
            "no text can be named here: a text stands in its language's table, [texts.en] with {name} = \"…\", and names \
             no other"
        );
    }
    let instead = crate::domain::text::suggestion(name, texts.named.iter().map(|(name, _)| name.as_str()));
    format!("[texts.{}] has no '{name}'; {instead}", texts.language)
}

/// What could stand in a hole instead of `path`.
fn instead(path: &str, scene: &Scene<'_>) -> String {
    let here = VALUES.iter().filter(|value| value.source.presence(scene) != Presence::Never).map(|value| value.name);
    let error =
        if scene.constants.error.is_some() { &["status", "title", "phrase", "code", "message"][..] } else { &[] };
    let texts = scene.constants.texts.named.iter().map(|(name, _)| format!("texts.{name}")).collect::<Vec<_>>();
    crate::domain::text::suggestion(path, here.chain(error.iter().copied()).chain(texts.iter().map(String::as_str)))
}
