//! What the answers of the API mean that a contract was, from its file.

use std::ops::{Range, RangeInclusive};

use http::{Method, StatusCode};
use serde_json::Value;
use toml::Spanned;

use super::{
    checker::Checker,
    raw::{Entries, RawErrorRule, RawOldSystem, RawPaths, RawScalar, RawTokenCheck},
};
use crate::rules::{
    contract::{
        AccountFact, AccountFacts, ErrorRule, FactPlace, Meant, MemberPath, OldSystem, OldToken, OldTokenCheck,
        Refusal, TokenPlace, is_json,
    },
    profile::ClaimProfile,
};

const FACTS: [(&str, AccountFact); 8] = [
    ("name", AccountFact::Name),
    ("business", AccountFact::Business),
    ("id", AccountFact::Id),
    ("legacy_id", AccountFact::LegacyId),
    ("display_name", AccountFact::DisplayName),
    ("role", AccountFact::Role),
    ("scopes", AccountFact::Scopes),
    ("company", AccountFact::Company),
];

/// As the rejections of a login are called.
const MEANINGS: [(&str, Meant); 6] = [
    ("invalid_credentials", Meant::No(Refusal::Credentials)),
    ("locked", Meant::No(Refusal::Locked)),
    ("inactive", Meant::No(Refusal::Inactive)),
    ("company_missing", Meant::No(Refusal::CompanyMissing)),
    ("unclear", Meant::Unclear),
    ("no_error", Meant::NoError),
];

/// Rules for errors, at most.
const ERRORS_MAX: usize = 64;

impl Checker<'_> {
    pub(super) fn old_system(
        &mut self,
        written: Option<&Spanned<RawOldSystem>>,
        accounts: &AccountFacts,
    ) -> Option<OldSystem> {
        let written = written?;
        let (raw, span) = (written.get_ref(), written.span());
        let token = match (&raw.token, raw.body_is_token) {
            (Some(path), false) => self.path(path).map(OldToken::Member),
            (None, true) => Some(OldToken::Body),
            (Some(path), true) => {
                self.wrong(&path.span(), "the token stands in a member or is the body: leave out one of the two keys");
                None
            }
            (None, false) => {
                let message = "a status alone is no yes: some systems answer errors with it too; add token = \
                               \"…\", the member that holds the token, or body_is_token = true";
                self.wrong(&span, message);
                None
            }
        };
        let status = self.status_of_yes(raw.status.as_ref());
        if let Some(written) = &raw.media_type
            && !is_json(written.get_ref().as_bytes())
        {
            self.wrong(&written.span(), "the answer is read as JSON: its media type is one of JSON's");
        }
        let refusals = match &raw.refusal_status {
            None => vec![StatusCode::UNAUTHORIZED],
            Some(written) => written.iter().filter_map(|status| self.known_status(status, 400..=499)).collect(),
        };
        if raw.errors.len() > ERRORS_MAX {
            self.wrong(&span, &format!("there are more than {ERRORS_MAX} rules for errors"));
        }
        let errors = raw.errors.iter().filter_map(|rule| self.error_rule(rule, accounts)).collect();
        let mut account = self.fact_places(&raw.answer, false, accounts);
        account.extend(self.fact_places(&raw.claims, true, accounts));
        let token_check = raw.token_check.as_ref().and_then(|check| self.token_check(check, accounts));
        Some(OldSystem {
            token: token?,
            status,
            media_type: raw.media_type.as_ref().map(|written| written.get_ref().to_ascii_lowercase().into()),
            refusals,
            errors,
            account,
            token_check,
        })
    }

    /// How the tokens look that the API gave before Portero.
    pub(super) fn earlier_tokens(&mut self, written: Option<&Spanned<ClaimProfile>>) -> Option<ClaimProfile> {
        let profile = written?.get_ref();
        if profile.unknown_accounts {
            let message = "whether tokens of unknown accounts are taken is an operator's word: say it with key import";
            self.wrong(&written?.span(), message);
        }
        Some(profile.clone())
    }

    fn error_rule(&mut self, written: &Spanned<RawErrorRule>, accounts: &AccountFacts) -> Option<ErrorRule> {
        let raw = written.get_ref();
        let when: Vec<_> = raw
            .when
            .0
            .iter()
            .filter_map(|(path, value)| {
                let value = match value {
                    RawScalar::Flag(flag) => Value::from(*flag),
                    RawScalar::Number(number) => Value::from(*number),
                    RawScalar::Text(text) => Value::from(text.as_str()),
                };
                Some((self.path(path)?, value))
            })
            .collect();
        let has = raw.has.as_ref().and_then(|path| self.path(path));
        if raw.when.0.is_empty() && raw.has.is_none() {
            let message = "a status alone is no rule: say which member has which value, when = { error = 1 }, or \
                           which one is there, has = \"error\"";
            self.wrong(&written.span(), message);
        }
        let status = raw.status.as_ref().and_then(|status| self.known_status(status, 200..=599));
        if let (Some(status), Some(written)) = (status, &raw.status)
            && status.is_redirection()
        {
            self.wrong(&written.span(), "an answer that leads elsewhere says nothing");
        }
        let means = self.word(&raw.means, &MEANINGS)?;
        if means == Meant::No(Refusal::CompanyMissing) && !accounts.has_company {
            self.wrong(&raw.means.span(), "accounts have no company: say account.company = \"required\"");
        }
        Some(ErrorRule { status, when, has, means })
    }

    fn fact_places(
        &mut self,
        paths: &Entries<Spanned<RawPaths>>,
        is_claim: bool,
        accounts: &AccountFacts,
    ) -> Vec<FactPlace> {
        let mut places = vec![];
        for (word, paths) in &paths.0 {
            let Some(fact) = self.word(word, &FACTS) else { continue };
            let missing = match fact {
                AccountFact::Business if !accounts.has_business => {
                    "accounts have no business: no member of a login is it"
                }
                AccountFact::LegacyId if !accounts.has_legacy_id => {
                    "accounts have no number: say account.legacy_id = \"made\""
                }
                AccountFact::Company if !accounts.has_company => {
                    "accounts have no company: say account.company = \"required\""
                }
                _ => "",
            };
            if !missing.is_empty() {
                self.wrong(&word.span(), missing);
            }
            let span = paths.span();
            let paths = match paths.get_ref() {
                RawPaths::One(path) => std::slice::from_ref(path),
                RawPaths::Several(paths) => paths,
            };
            let place = |path: &String| Some(FactPlace { fact, is_claim, path: self.path_at(&span, path)? });
            places.extend(paths.iter().filter_map(place));
        }
        places
    }

    fn token_check(&mut self, written: &Spanned<RawTokenCheck>, accounts: &AccountFacts) -> Option<OldTokenCheck> {
        let raw = written.get_ref();
        let place = self.place(&raw.send);
        let in_body = place.as_ref().is_some_and(TokenPlace::is_in_body);
        let method = match &raw.method {
            None => Some(if in_body { Method::POST } else { Method::GET }),
            Some(method) => self.word(method, &[("GET", false), ("POST", true)]).map(|posts| {
                if in_body && !posts {
                    self.wrong(&method.span(), "a GET has no body: send the token in a field, or ask by POST");
                }
                if posts { Method::POST } else { Method::GET }
            }),
        };
        let name = self.path(&raw.name);
        match (&raw.business, accounts.has_business) {
            (None, true) => {
                self.wrong(
                    &written.span(),
                    "a business is a part of each account's name: add business = \"…\", the member that holds it",
                );
            }
            (Some(business), false) => {
                self.wrong(&business.span(), "accounts have no business: no member of a login is it");
            }
            _ => {}
        }
        let [business, active, expires] =
            [&raw.business, &raw.active, &raw.expires].map(|path| path.as_ref().and_then(|path| self.path(path)));
        Some(OldTokenCheck { method: method?, place: place?, name: name?, business, active, expires })
    }

    fn place(&mut self, written: &Spanned<String>) -> Option<TokenPlace> {
        let place = written.get_ref().parse::<TokenPlace>();
        if let Err(error) = &place {
            self.wrong(&written.span(), &format!("'{}' is {error}", written.get_ref()));
        }
        place.ok()
    }

    fn status_of_yes(&mut self, written: Option<&Spanned<u16>>) -> StatusCode {
        written.and_then(|status| self.known_status(status, 200..=299)).unwrap_or(StatusCode::OK)
    }

    fn known_status(&mut self, written: &Spanned<u16>, range: RangeInclusive<u16>) -> Option<StatusCode> {
        if !range.contains(written.get_ref()) {
            self.wrong(&written.span(), &format!("a status from {} to {}", range.start(), range.end()));
            return None;
        }
        StatusCode::from_u16(*written.get_ref()).ok()
    }

    fn path(&mut self, written: &Spanned<String>) -> Option<MemberPath> {
        self.path_at(&written.span(), written.get_ref())
    }

    fn path_at(&mut self, span: &Range<usize>, text: &str) -> Option<MemberPath> {
        let path = text.parse::<MemberPath>();
        if let Err(error) = &path {
            self.wrong(span, &format!("'{text}' is {error}"));
        }
        path.ok()
    }
}
