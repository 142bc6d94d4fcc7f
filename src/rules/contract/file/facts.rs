//! What the house asks of a contract, from its file.

use std::time::Duration;

use jiff::tz::TimeZone;
use toml::Spanned;

use super::{
    checker::Checker,
    raw::{RawContract, RawLogin, RawNumber, RawTimezone},
};
use crate::{
    domain::{Algorithm, PrincipalKind, TokenKind, duration},
    rules::contract::{
        AccountFacts, Bounded, Facts, Forms, Lifetime, SecretPlace, SettingFacts, Tells, TokenFacts, Told, Zone,
    },
};

const KINDS: [(&str, TokenKind); 3] =
    [("access", TokenKind::Access), ("content", TokenKind::Content), ("refresh", TokenKind::Refresh)];

/// Where a contract says no other: one hour, and twelve for refresh tokens.
const LIFETIME_DEFAULT: Duration = Duration::from_hours(1);
const REFRESH_LIFETIME_DEFAULT: Duration = Duration::from_hours(12);

/// The longest expiry, in calendar years, that any realm grants.
const YEARS_MAX: i64 = 100;

/// What `typ` of a JWT may be: routes take no other.
const HEADER_TYPES: [&str; 2] = ["JWT", "at+jwt"];

impl Checker<'_> {
    pub(super) fn facts(&mut self, raw: &RawContract, extends: Option<String>) -> Facts {
        let tokens = self.tokens(raw);
        let has_member = |what: &str| raw.login.members.get_ref().0.iter().any(|(_, member)| member.get_ref() == what);
        let accounts = AccountFacts {
            kind: self
                .word(
                    &raw.account.kind,
                    &[
                        ("user", PrincipalKind::User),
                        ("client", PrincipalKind::Client),
                        ("project", PrincipalKind::Project),
                    ],
                )
                .unwrap_or(PrincipalKind::User),
            has_business: has_member("business"),
            has_legacy_id: self.presence(raw.account.legacy_id.as_ref(), "made"),
            has_company: self.presence(raw.account.company.as_ref(), "required"),
        };
        let settings = self.settings(raw, &tokens);
        let tells = self.tells(raw, &settings, &accounts);
        let header = raw.usage.header.as_ref();
        let token_header: Option<http::HeaderName> = header.and_then(|name| name.get_ref().parse().ok());
        if let Some(name) = header
            && token_header
                .as_ref()
                .is_none_or(|name| matches!(*name, http::header::AUTHORIZATION | http::header::COOKIE))
        {
            let why = match token_header {
                None => "this is no name of a header",
                Some(http::header::COOKIE) => "a cookie is no header of the contract's own: routes say it in sources",
                Some(_) => "Authorization is always read",
            };
            self.wrong(&name.span(), &format!("{why}; name a header of the contract's own, such as \"X-Token\""));
        }
        let old_system = self.old_system(raw.old_system.as_ref(), &accounts);
        let place = self.secret_place(&raw.login);
        if let Some(written) = raw.old_system.as_ref().filter(|_| place == SecretPlace::Basic) {
            self.wrong(
                &written.span(),
                "an old system is asked with a JSON body, and logins of this contract are in Basic",
            );
        }
        let forms = self.forms(&raw.login, place);
        if let Some(written) = raw.old_system.as_ref().filter(|_| forms == Forms::Only) {
            self.wrong(
                &written.span(),
                "an old system is asked with a JSON body, and requests of this contract are forms alone",
            );
        }
        let earlier_tokens = self.earlier_tokens(raw.earlier_tokens.as_ref());
        Facts {
            name: raw.name.get_ref().as_str().into(),
            extends: extends.map(String::into_boxed_str),
            accounts,
            tokens,
            settings,
            tells,
            token_header,
            bare_authorization: raw.usage.bare_authorization,
            token_scheme: self.token_scheme(raw.usage.scheme.as_ref()),
            place,
            forms,
            old_system,
            earlier_tokens,
        }
    }

    /// A scheme of the contract's own.
    fn token_scheme(&mut self, written: Option<&Spanned<String>>) -> Option<Box<str>> {
        let scheme = written?;
        let word = scheme.get_ref();
        let why = match word.to_ascii_lowercase().as_str() {
            "bearer" => Some("Bearer is always read: leave the key out".to_owned()),
            "basic" => Some(
                "Basic carries a name and a secret, and no token; say login.place = \"basic\" for those".to_owned(),
            ),
            "digest" | "negotiate" => Some(format!("{word} carries no token of Portero's")),
            _ if http::HeaderName::from_bytes(word.as_bytes()).is_err() => {
                Some(format!("'{word}' is no scheme: letters, digits and hyphens"))
            }
            _ => None,
        };
        if let Some(why) = why {
            self.wrong(
                &scheme.span(),
                &format!("{why}. A scheme of the contract's own is another word, such as \"Token\""),
            );
        }
        Some(scheme.get_ref().as_str().into())
    }

    /// Where the secret stands. A place or a method that would put it into logs is refused.
    fn secret_place(&mut self, raw: &RawLogin) -> SecretPlace {
        if let Some(method) = raw.method.as_ref().filter(|method| *method.get_ref() != "POST") {
            let message = "a secret is sent by POST alone: what a GET asks for is logged, cached and sent again";
            self.wrong(&method.span(), message);
        }
        let Some(place) = &raw.place else { return SecretPlace::Body };
        if let "query" | "path" | "cookie" = place.get_ref().as_str() {
            let message = format!(
                "a secret never stands in a {}: it would be logged, or sent to others; say \"body\" or \"basic\"",
                place.get_ref()
            );
            self.wrong(&place.span(), &message);
            return SecretPlace::Body;
        }
        let places = [("body", SecretPlace::Body), ("basic", SecretPlace::Basic)];
        self.word(place, &places).unwrap_or_default()
    }

    /// Whether requests may be forms.
    fn forms(&mut self, raw: &RawLogin, place: SecretPlace) -> Forms {
        let Some(written) = &raw.form else { return Forms::Refused };
        let forms = self.word(written, &[("also", Forms::Also), ("only", Forms::Only)]).unwrap_or_default();
        if place == SecretPlace::Basic {
            self.wrong(&written.span(), "name and secret stand in Basic, and no body is read: leave the key out");
        }
        if let Some(content_type) = raw.content_type.as_ref().filter(|_| forms == Forms::Only) {
            self.wrong(&content_type.span(), "forms alone have one type, and it is required: leave the key out");
        }
        forms
    }

    fn presence(&mut self, written: Option<&Spanned<String>>, word: &'static str) -> bool {
        written.is_some_and(|written| self.word(written, &[(word, true), ("refused", false)]).unwrap_or_default())
    }

    fn tokens(&mut self, raw: &RawContract) -> TokenFacts {
        let algorithms = Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
        let algorithm = self.word(&raw.tokens.algorithm, &algorithms).unwrap_or(Algorithm::Hs256);
        let header_type = raw.tokens.header_type.as_ref();
        if let Some(written) = header_type {
            self.word(written, &HEADER_TYPES.map(|known| (known, ())));
            if !algorithm.is_jwt() {
                self.wrong(&written.span(), "sealed tokens have no type");
            }
        }
        let login = self.kinds(&raw.tokens.login);
        let refresh = raw.tokens.refresh.as_ref().map(|kinds| self.kinds(kinds)).unwrap_or_default();
        if !login.contains(&TokenKind::Access) {
            self.wrong(&raw.tokens.login.span(), "a login gives an access token");
        }
        if let Some(kinds) = raw.tokens.refresh.as_ref() {
            if kinds.get_ref().is_empty() {
                self.wrong(
                    &kinds.span(),
                    "a refresh gives a token at least; leave the key out where there is no refresh",
                );
            }
            if refresh.contains(&TokenKind::Refresh) {
                self.wrong(&kinds.span(), "a refresh gives no refresh token: a contract's is not rotated");
            }
            if !login.contains(&TokenKind::Refresh) {
                self.wrong(&kinds.span(), "a login must give the refresh token that a refresh takes");
            }
        }
        if login.contains(&TokenKind::Refresh) && raw.refresh.is_none() {
            self.wrong(
                &raw.tokens.login.span(),
                "a login gives a refresh token, and [refresh] does not say who takes it",
            );
        }
        let header_type = header_type.map_or("JWT", |written| written.get_ref());
        TokenFacts { algorithm, header_type: header_type.into(), login, refresh }
    }

    fn kinds(&mut self, written: &Spanned<Vec<Spanned<String>>>) -> Vec<TokenKind> {
        let mut kinds = vec![];
        for word in written.get_ref() {
            match self.word(word, &KINDS) {
                Some(kind) if kinds.contains(&kind) => self.wrong(&word.span(), "it stands here twice"),
                Some(kind) => kinds.push(kind),
                None => {}
            }
        }
        kinds
    }

    fn settings(&mut self, raw: &RawContract, tokens: &TokenFacts) -> SettingFacts {
        let written = &raw.settings;
        let timezone = self.timezone(written.timezone.as_ref());
        let gives = |kind| tokens.login.contains(&kind);
        let lifetime = match (&raw.validity, &written.lifetime) {
            (Some(_), Some(key)) => {
                self.wrong(
                    &key.span(),
                    "each login says how long its token lives: [validity] takes the place of this key",
                );
                None
            }
            (Some(_), None) => None,
            (None, None) => Some(Lifetime::Fixed(LIFETIME_DEFAULT)),
            (None, Some(key)) if key.get_ref() == "end-of-day" => {
                if timezone == Zone::Unused {
                    self.wrong(&key.span(), "\"end-of-day\" needs settings.timezone");
                }
                Some(Lifetime::EndOfDay)
            }
            (None, Some(key)) => self.seconds(key).map(Lifetime::Fixed),
        };
        let mut of_kind = |kind, key: Option<&Spanned<String>>, default| match (gives(kind), key) {
            (false, Some(key)) => {
                self.wrong(&key.span(), &format!("a login gives no {} token", kind.name()));
                None
            }
            (false, None) => None,
            (true, None) => Some(default),
            (true, Some(key)) => self.seconds(key),
        };
        let content_lifetime = of_kind(TokenKind::Content, written.content_lifetime.as_ref(), LIFETIME_DEFAULT);
        let refresh_lifetime = of_kind(TokenKind::Refresh, written.refresh_lifetime.as_ref(), REFRESH_LIFETIME_DEFAULT);
        self.validity_settings(raw);
        SettingFacts {
            lifetime,
            content_lifetime,
            refresh_lifetime,
            timezone,
            error_status: self.number(written.error_status.as_ref(), 200, 599, u16::try_from),
            max_years: self.number(written.max_years.as_ref(), 1, YEARS_MAX, u8::try_from),
            allow_non_expiring: written.allow_non_expiring.as_ref().map(|flag| flag.get_ref().default),
            uniform_errors: written.uniform_errors.as_ref().map(|flag| flag.get_ref().default),
        }
    }

    /// The years that a login asks for, and the settings that bound them, go together.
    fn validity_settings(&mut self, raw: &RawContract) {
        let settings = &raw.settings;
        let spans =
            [settings.max_years.as_ref().map(Spanned::span), settings.allow_non_expiring.as_ref().map(Spanned::span)];
        match &raw.validity {
            Some(validity) if spans.contains(&None) => {
                let message =
                    "[validity] needs settings.max_years and settings.allow_non_expiring: they bound what is asked for";
                self.wrong(&validity.span(), message);
            }
            None => {
                for span in spans.into_iter().flatten() {
                    self.wrong(&span, "it bounds what a login asks for, and there is no [validity]");
                }
            }
            Some(_) => {}
        }
    }

    fn timezone(&mut self, written: Option<&RawTimezone>) -> Zone {
        match written {
            None => Zone::Unused,
            Some(RawTimezone { default: Some(name), required: false }) => {
                let zone = TimeZone::get(name.get_ref());
                if zone.is_err() {
                    self.wrong(&name.span(), "this is no time zone of the IANA database, such as \"UTC\"");
                }
                Zone::Default(zone.unwrap_or(TimeZone::UTC))
            }
            Some(RawTimezone { default: None, .. }) => Zone::Required,
            Some(RawTimezone { default: Some(name), .. }) => {
                self.wrong(&name.span(), "what is required has no default");
                Zone::Required
            }
        }
    }

    fn seconds(&mut self, written: &Spanned<String>) -> Option<Duration> {
        let found = duration::parse(written.get_ref()).filter(|life| life.subsec_nanos() == 0 && !life.is_zero());
        if found.is_none() {
            self.wrong(&written.span(), "a lifetime is a whole number of seconds, such as \"30m\", \"12h\" or \"1d\"");
        }
        found
    }

    fn number<N, E>(
        &mut self,
        written: Option<&Spanned<RawNumber>>,
        least: i64,
        most: i64,
        narrow: impl Fn(i64) -> Result<N, E>,
    ) -> Option<Bounded<N>> {
        let number = written?.get_ref();
        let range = number.least.unwrap_or(least)..=number.most.unwrap_or(most);
        if *range.start() < least || *range.end() > most || !range.contains(&number.default) {
            let message = format!("the bounds are within {least} and {most}, and the default is within the bounds");
            self.wrong(&written?.span(), &message);
            return None;
        }
        let narrow = |number| narrow(number).ok();
        Some(Bounded { default: narrow(number.default)?, range: narrow(*range.start())?..=narrow(*range.end())? })
    }

    fn tells(&mut self, raw: &RawContract, settings: &SettingFacts, accounts: &AccountFacts) -> Tells {
        let mut tells = Tells::default();
        let lists = [(&raw.tells.before_secret, Told::BeforeSecret), (&raw.tells.after_secret, Told::AfterSecret)];
        for (words, told) in lists {
            for word in words {
                let span = word.span();
                let place = match word.get_ref().as_str() {
                    "inactive" => &mut tells.inactive,
                    "company_missing" if accounts.has_company => &mut tells.company_missing,
                    "company_missing" => {
                        self.wrong(&span, "accounts have no company: say account.company = \"required\"");
                        continue;
                    }
                    "locked" if told == Told::AfterSecret => &mut tells.locked,
                    "locked" => {
                        self.wrong(&span, "a stranger never hears that an account is locked: say it in after_secret");
                        continue;
                    }
                    other => {
                        let message = format!("'{other}' is not known here; known: inactive, company_missing, locked");
                        self.wrong(&span, &message);
                        continue;
                    }
                };
                if *place == Told::Never {
                    *place = told;
                } else {
                    self.wrong(&span, "it stands here twice");
                }
            }
        }
        if raw.tells.before_secret.is_empty()
            && settings.uniform_errors.is_some()
            && let Some(flag) = &raw.settings.uniform_errors
        {
            self.wrong(&flag.span(), "nothing is told before the secret, so there is nothing to make uniform");
        }
        tells
    }
}
