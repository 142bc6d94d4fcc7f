//! How a contract's requests are read, from its file.

use std::sync::Arc;

use toml::Spanned;

use super::{
    checker::{Checker, outside},
    languages::Language,
    raw::{RawContract, RawLogin, RawValidity},
};
use crate::rules::contract::{
    Facts, Forms, Meaning, SecretPlace, Zone,
    body::Announced,
    engine::{Claim, LoginReader, Requests, ValidityReader},
    template::{Constants, Place, Read, Scene},
};

/// Members of a login, at most: a name, its business and a secret.
const MEANINGS: [(&str, Meaning); 3] =
    [("name", Meaning::Name), ("business", Meaning::Business), ("secret", Meaning::Secret)];

/// Claims that every token of ours has: a contract's own have other names.
const COMMON_CLAIMS: [&str; 15] = [
    "iss",
    "aud",
    "sub",
    "jti",
    "iat",
    "nbf",
    "exp",
    "sid",
    "epoch",
    "token_use",
    "name",
    "legacy_id",
    "role",
    "scope",
    "org",
];

impl Checker<'_> {
    pub(super) fn requests(&mut self, raw: &RawContract, facts: &Facts, language: &Language) -> Requests {
        let login = self.login(&raw.login, facts.place, facts.forms);
        let validity = raw.validity.as_ref().and_then(|validity| self.validity(validity.get_ref(), facts, language));
        let login = LoginReader { validity, ..login };
        let refresh = raw.refresh.as_ref().map(|refresh| Arc::<str>::from(refresh.member.get_ref().as_str()));
        if let Some(refresh) = &raw.refresh
            && facts.tokens.refresh.is_empty()
        {
            self.wrong(&refresh.member.span(), "tokens.refresh does not say which tokens a refresh gives");
        }
        let identified_by = match &raw.login.identified_by {
            // A body says nothing about who is meant.
            None if facts.place == SecretPlace::Basic => vec![],
            None => login.members.iter().map(|(member, _)| Arc::clone(member)).collect(),
            Some(members) => members.iter().map(|member| Arc::from(member.get_ref().as_str())).collect(),
        };
        Requests { login, refresh: refresh.into_iter().collect(), identified_by, verifies: raw.verify }
    }

    fn login(&mut self, raw: &RawLogin, place: SecretPlace, forms: Forms) -> LoginReader {
        let words =
            [("any", Announced::Any), ("json-if-sent", Announced::IfSent), ("json-required", Announced::Required)];
        let announced = match (&raw.content_type, place) {
            (Some(written), _) => self.word(written, &words),
            (None, SecretPlace::Basic) => Some(Announced::Any),
            (None, SecretPlace::Body) if forms == Forms::Only => Some(Announced::Any),
            (None, SecretPlace::Body) => {
                self.wrong(&raw.members.span(), "login.content_type is missing; add it, for example \"json-if-sent\"");
                None
            }
        };
        let mut members: Vec<(Arc<str>, Meaning)> = vec![];
        for (member, meaning) in &raw.members.get_ref().0 {
            let Some(known) = self.word(meaning, &MEANINGS) else { continue };
            if member.get_ref().is_empty() {
                self.wrong(&member.span(), "a member has a name");
            }
            if known == Meaning::Business && place == SecretPlace::Basic {
                self.wrong(&meaning.span(), "Basic carries a name and a secret alone");
            }
            if members.iter().any(|(_, taken)| *taken == known) {
                self.wrong(&meaning.span(), &format!("another member is the {} already", meaning.get_ref()));
            }
            members.push((member.get_ref().as_str().into(), known));
        }
        for (word, meaning) in [("name", Meaning::Name), ("secret", Meaning::Secret)] {
            if !members.iter().any(|(_, known)| *known == meaning) {
                let message = format!("no member is the {word}; add one, for example username = \"{word}\"");
                self.wrong(&raw.members.span(), &message);
            }
        }
        LoginReader { place, announced: announced.unwrap_or(Announced::Any), forms, members, validity: None }
    }

    fn validity(&mut self, raw: &RawValidity, facts: &Facts, language: &Language) -> Option<ValidityReader> {
        let years_limit = facts.settings.max_years.as_ref().map_or(1, |years| *years.range.end());
        if !(1..=years_limit).contains(raw.years.get_ref()) {
            self.wrong(&raw.years.span(), &format!("the years of a login that asks for none are 1 to {years_limit}"));
        }
        let constants = Constants { texts: &language.texts, error: None };
        let scene = outside(&constants, &scene(facts, raw.parameter.get_ref()), Place::Query);
        let texts =
            [&raw.repeated, &raw.never_ends, &raw.too_long, &raw.unreadable].map(|text| self.text(text, &scene));
        let [repeated, never_ends, too_long, unreadable] = texts;
        let words = |words: &[Spanned<String>]| words.iter().map(|word| word.get_ref().as_str().into()).collect();
        Some(ValidityReader {
            parameter: raw.parameter.get_ref().as_str().into(),
            years_default: *raw.years.get_ref(),
            years_limit,
            default_words: words(&raw.default_words),
            forever_words: words(&raw.forever_words),
            repeated: repeated?,
            never_ends: never_ends?,
            too_long: too_long?,
            unreadable: unreadable?,
        })
    }

    pub(super) fn claims(&mut self, raw: &RawContract, facts: &Facts) -> Vec<Claim> {
        // A token says the same in every language.
        let scene = outside(Constants::NONE, &scene(facts, secret_member(raw)), Place::Claim);
        let mut claims = vec![];
        for (name, written) in &raw.claims.0 {
            let word = name.get_ref().as_str();
            if COMMON_CLAIMS.contains(&word) {
                self.wrong(&name.span(), &format!("'{word}' is a claim that every token has; call it otherwise"));
            }
            if !facts.tokens.algorithm.is_jwt() {
                self.wrong(&name.span(), "sealed tokens carry no claims of their own");
            }
            let Some(value) = self.value(written, &scene) else { continue };
            claims.push(match value {
                Read::Constant(value) => Claim::Constant(word.into(), value),
                Read::Text(text) => Claim::Text(word.into(), text),
                Read::Hole(hole) => Claim::Hole(word.into(), hole),
            });
        }
        claims
    }
}

/// The member of a login that is the secret.
pub(super) fn secret_member(raw: &RawContract) -> &str {
    let members = &raw.login.members.get_ref().0;
    let secret = members.iter().find(|(_, meaning)| meaning.get_ref() == "secret");
    secret.map_or("", |(member, _)| member.get_ref())
}

/// What holds wherever a template of the contract stands.
pub(super) fn scene<'c>(facts: &'c Facts, secret_member: &'c str) -> Scene<'c> {
    Scene {
        place: Place::Claim,
        gives: &facts.tokens.login,
        may_not_end: facts.settings.max_years.is_some(),
        has_timezone: facts.settings.timezone != Zone::Unused,
        has_incomplete: false,
        is_repeated: false,
        secret_member,
        constants: Constants::NONE,
    }
}
