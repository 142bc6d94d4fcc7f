//! A contract's file as it is written: what every key is called, and of what type its value is. What the values mean
//! together is checked in `check`.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use toml::Spanned;

use crate::rules::profile::ClaimProfile;

/// A contract.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawContract {
    /// What it is called in messages.
    pub(super) name: Spanned<String>,
    /// One sentence about it, for `portero contract show`.
    #[serde(rename = "summary")]
    pub(super) _summary: Option<String>,
    /// The language of its texts where neither realm nor client chooses another.
    pub(super) language: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) settings: RawSettings,
    pub(super) account: RawAccount,
    pub(super) tokens: RawTokens,
    #[serde(default)]
    pub(super) claims: Entries<Spanned<String>>,
    pub(super) login: RawLogin,
    pub(super) validity: Option<Spanned<RawValidity>>,
    pub(super) refresh: Option<RawRefresh>,
    #[serde(default)]
    pub(super) verify: bool,
    #[serde(default, rename = "use")]
    pub(super) usage: RawUsage,
    #[serde(default)]
    pub(super) tells: RawTells,
    #[serde(default)]
    pub(super) phrases: Entries<Entries<Spanned<String>>>,
    #[serde(default)]
    pub(super) texts: Entries<Entries<Spanned<String>>>,
    pub(super) responses: RawResponses,
    pub(super) errors: Option<RawErrors>,
    #[serde(default)]
    pub(super) rejections: Entries<Spanned<RawReply>>,
    #[serde(default)]
    pub(super) denials: Entries<Spanned<RawReply>>,
    pub(super) old_system: Option<Spanned<RawOldSystem>>,
    pub(super) earlier_tokens: Option<Spanned<ClaimProfile>>,
}

/// The keys of a realm.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSettings {
    pub(super) timezone: Option<RawTimezone>,
    pub(super) error_status: Option<Spanned<RawNumber>>,
    pub(super) max_years: Option<Spanned<RawNumber>>,
    pub(super) allow_non_expiring: Option<Spanned<RawFlag>>,
    pub(super) uniform_errors: Option<Spanned<RawFlag>>,
    pub(super) lifetime: Option<Spanned<String>>,
    pub(super) content_lifetime: Option<Spanned<String>>,
    pub(super) refresh_lifetime: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTimezone {
    #[serde(default)]
    pub(super) required: bool,
    pub(super) default: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNumber {
    pub(super) default: i64,
    pub(super) least: Option<i64>,
    pub(super) most: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFlag {
    pub(super) default: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAccount {
    pub(super) kind: Spanned<String>,
    pub(super) legacy_id: Option<Spanned<String>>,
    pub(super) company: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTokens {
    pub(super) algorithm: Spanned<String>,
    #[serde(rename = "type")]
    pub(super) header_type: Option<Spanned<String>>,
    pub(super) login: Spanned<Vec<Spanned<String>>>,
    pub(super) refresh: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLogin {
    /// `body`, or `basic`.
    pub(super) place: Option<Spanned<String>>,
    /// `POST`, and no other.
    pub(super) method: Option<Spanned<String>>,
    pub(super) content_type: Option<Spanned<String>>,
    /// `also`, or `only`.
    pub(super) form: Option<Spanned<String>>,
    /// Each required member and what it is: name, business or secret; in the order in which they are named when
    /// missing.
    pub(super) members: Spanned<Entries<Spanned<String>>>,
    /// Those that say that a body is meant for this contract; all required ones where it says none.
    pub(super) identified_by: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawValidity {
    pub(super) parameter: Spanned<String>,
    pub(super) years: Spanned<u8>,
    pub(super) default_words: Vec<Spanned<String>>,
    pub(super) forever_words: Vec<Spanned<String>>,
    pub(super) repeated: Spanned<String>,
    pub(super) never_ends: Spanned<String>,
    pub(super) too_long: Spanned<String>,
    pub(super) unreadable: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRefresh {
    pub(super) member: Spanned<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUsage {
    pub(super) header: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) bare_authorization: bool,
    pub(super) scheme: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTells {
    #[serde(default)]
    pub(super) before_secret: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) after_secret: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawResponses {
    pub(super) login: RawResponse,
    pub(super) refresh: Option<Spanned<RawResponse>>,
    pub(super) verify: Option<Spanned<RawResponse>>,
    pub(super) incomplete: Option<Spanned<RawReply>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawResponse {
    pub(super) status: Option<Spanned<u16>>,
    pub(super) media_type: Option<Spanned<String>>,
    pub(super) body: Spanned<String>,
}

/// What the errors share.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawErrors {
    pub(super) media_type: Option<Spanned<String>>,
    pub(super) body: Option<Spanned<String>>,
}

/// An error: one of its own, or the same as another.
pub(super) enum RawReply {
    Same(String),
    Own(Box<RawOwn>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOwn {
    pub(super) status: Option<Spanned<RawStatus>>,
    pub(super) code: Option<RawCode>,
    pub(super) message: Option<Spanned<String>>,
    pub(super) media_type: Option<Spanned<String>>,
    pub(super) body: Option<Spanned<String>>,
}

/// A number, or the name of a setting.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawStatus {
    Fixed(u16),
    Setting(String),
}

/// The number or word of an error.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawCode {
    Number(i64),
    Word(String),
}

/// What the answers of the API mean that the contract was.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOldSystem {
    pub(super) token: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) body_is_token: bool,
    pub(super) status: Option<Spanned<u16>>,
    pub(super) media_type: Option<Spanned<String>>,
    pub(super) refusal_status: Option<Vec<Spanned<u16>>>,
    #[serde(default)]
    pub(super) errors: Vec<Spanned<RawErrorRule>>,
    #[serde(default)]
    pub(super) answer: Entries<Spanned<RawPaths>>,
    #[serde(default)]
    pub(super) claims: Entries<Spanned<RawPaths>>,
    pub(super) token_check: Option<Spanned<RawTokenCheck>>,
}

/// What an error of that API means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawErrorRule {
    pub(super) status: Option<Spanned<u16>>,
    #[serde(default)]
    pub(super) when: Entries<RawScalar>,
    pub(super) has: Option<Spanned<String>>,
    pub(super) means: Spanned<String>,
}

/// A value of a member.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawScalar {
    Flag(bool),
    Number(i64),
    Text(String),
}

/// One place, or several of which the first that is there counts.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawPaths {
    One(String),
    Several(Vec<String>),
}

/// How that API is asked about its tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTokenCheck {
    pub(super) send: Spanned<String>,
    pub(super) method: Option<Spanned<String>>,
    pub(super) name: Spanned<String>,
    pub(super) business: Option<Spanned<String>>,
    pub(super) active: Option<Spanned<String>>,
    pub(super) expires: Option<Spanned<String>>,
}

/// A table whose keys are free, in the order of the file.
pub(super) struct Entries<T>(pub(super) Vec<(Spanned<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(vec![])
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
    type Value = Entries<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut entries = vec![];
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

impl<'de> Deserialize<'de> for RawReply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReplyVisitor)
    }
}

struct ReplyVisitor;

impl<'de> Visitor<'de> for ReplyVisitor {
    type Value = RawReply;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table such as { message = \"…\" }, or the name of another error")
    }

    fn visit_str<E>(self, name: &str) -> Result<RawReply, E> {
        Ok(RawReply::Same(name.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<RawReply, A::Error> {
        RawOwn::deserialize(MapAccessDeserializer::new(access)).map(|own| RawReply::Own(Box::new(own)))
    }
}
