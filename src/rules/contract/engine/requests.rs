//! Reads token requests.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value};

use crate::{
    domain::{AccountName, Secret},
    rules::contract::{
        DialectSettings, Forms, Lack, Login, Meaning, MissingMember, MissingMembers, Operation, Rejection, SecretPlace,
        TokenRequest, Validity,
        basic::Pair,
        body::{self, Announced},
        template::{Known, Subject, Text},
    },
};

/// How the requests of a contract are read.
pub(in crate::rules::contract) struct Requests {
    pub(in crate::rules::contract) login: LoginReader,
    /// The member with the refresh token; empty where there is no refresh.
    pub(in crate::rules::contract) refresh: Vec<Arc<str>>,
    /// The members that say that a body is meant for this contract.
    pub(in crate::rules::contract) identified_by: Vec<Arc<str>>,
    /// Whether a `GET` asks what a token says.
    pub(in crate::rules::contract) verifies: bool,
}

/// How a login is read.
pub(in crate::rules::contract) struct LoginReader {
    pub(in crate::rules::contract) place: SecretPlace,
    pub(in crate::rules::contract) announced: Announced,
    pub(in crate::rules::contract) forms: Forms,
    /// The required members and what they are, in the order in which they are named when missing.
    pub(in crate::rules::contract) members: Vec<(Arc<str>, Meaning)>,
    pub(in crate::rules::contract) validity: Option<ValidityReader>,
}

/// The query parameter that chooses a token's life, in calendar years.
pub(in crate::rules::contract) struct ValidityReader {
    pub(in crate::rules::contract) parameter: Box<str>,
    /// Where the parameter is absent or empty; never more than the realm's `max_years`.
    pub(in crate::rules::contract) years_default: u8,
    /// The most that any realm grants.
    pub(in crate::rules::contract) years_limit: u8,
    /// Words that mean the same as absent, in any case.
    pub(in crate::rules::contract) default_words: Vec<Box<str>>,
    /// Words that ask for a token without expiry, in any case.
    pub(in crate::rules::contract) forever_words: Vec<Box<str>>,
    pub(in crate::rules::contract) repeated: Text,
    pub(in crate::rules::contract) never_ends: Text,
    pub(in crate::rules::contract) too_long: Text,
    pub(in crate::rules::contract) unreadable: Text,
}

impl Requests {
    /// Reads a request whose method the contract has.
    pub(super) fn read(&self, request: &TokenRequest<'_>, settings: &DialectSettings) -> Result<Operation, Rejection> {
        if self.verifies && matches!(*request.method, Method::GET | Method::HEAD) {
            return Ok(Operation::Verify);
        }
        if self.login.place == SecretPlace::Basic && !request.refresh {
            return self.login.read_basic(request, settings).map(Operation::Login);
        }
        let body = body::announced(request, self.login.announced, self.login.forms)?;
        match (request.refresh, self.refresh.first()) {
            (true, Some(member)) => Ok(Operation::Refresh(Secret::from(body::required(body, [member])?[0]))),
            _ => self.login.read(body, request.query, settings).map(Operation::Login),
        }
    }
}

impl LoginReader {
    /// The credentials of `Authorization: Basic`. What is no such field has neither part.
    fn read_basic(&self, request: &TokenRequest<'_>, settings: &DialectSettings) -> Result<Login, Rejection> {
        let field = request.authorization.and_then(|field| std::str::from_utf8(field).ok());
        let pair = field.and_then(Pair::of);
        let (name, secret) = pair.as_ref().map(Pair::parts).unwrap_or_default();
        let is_missing = |meaning| if meaning == Meaning::Secret { secret.is_empty() } else { name.is_empty() };
        let lack = if pair.is_some() { Lack::Blank } else { Lack::Absent };
        let missing = self.members.iter().filter(|(_, meaning)| is_missing(*meaning));
        let missing = missing.map(|(member, _)| MissingMember { name: Arc::clone(member), lack });
        if let Some(missing) = MissingMembers::lacking(missing.collect()) {
            return Err(Rejection::Missing(missing));
        }
        Ok(Login { validity: self.validity(request.query, settings)?, ..Login::new(name, secret) })
    }
}

impl LoginReader {
    fn read(
        &self,
        body: &Map<String, Value>,
        query: Option<&str>,
        settings: &DialectSettings,
    ) -> Result<Login, Rejection> {
        let values = body::required(body, self.members.iter().map(|(member, _)| member))?;
        let value = |meaning| {
            let at = self.members.iter().position(|(_, known)| *known == meaning);
            at.and_then(|at| values.get(at).copied()).unwrap_or_default()
        };
        let name = AccountName { business: value(Meaning::Business).to_owned(), name: value(Meaning::Name).to_owned() };
        let validity = self.validity(query, settings)?;
        Ok(Login { name, secret: Secret::from(value(Meaning::Secret)), validity })
    }

    /// The life that the login asks for.
    fn validity(&self, query: Option<&str>, settings: &DialectSettings) -> Result<Validity, Rejection> {
        self.validity.as_ref().map_or(Ok(Validity::Realm), |validity| validity.read(query, settings))
    }
}

impl ValidityReader {
    /// The life that a query asks for, within what the realm grants.
    fn read(&self, query: Option<&str>, settings: &DialectSettings) -> Result<Validity, Rejection> {
        let refused = |text: &Text| {
            let known = Known::of(Subject::Nothing, settings);
            // Every value of these texts is always there.
            Err(Rejection::InvalidQuery(text.fill(&known).unwrap_or_default()))
        };
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let mut values = pairs.filter(|(name, _)| *name == *self.parameter).map(|(_, value)| value);
        let value = values.next().unwrap_or_default();
        if values.next().is_some() {
            return refused(&self.repeated);
        }
        let is_one_of = |words: &[Box<str>]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
        if value.is_empty() || is_one_of(&self.default_words) {
            return Ok(Validity::Years(self.years_default.min(settings.years_max)));
        }
        if is_one_of(&self.forever_words) {
            return if settings.allow_non_expiring { Ok(Validity::Forever) } else { refused(&self.never_ends) };
        }
        match self.years(&value) {
            Some(years) if years <= settings.years_max => Ok(Validity::Years(years)),
            Some(_) => refused(&self.too_long),
            None => refused(&self.unreadable),
        }
    }

    /// 1 to the limit in digits, without sign or leading zero.
    fn years(&self, text: &str) -> Option<u8> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        text.parse().ok().filter(|years| plain && (1..=self.years_limit).contains(years))
    }
}
