//! `[verifiers.NAME.tokens]`: how an old system is asked about its tokens.

use std::{ops::RangeInclusive, time::Duration};

use http::{Method, StatusCode, Uri};

use super::{bounds, statuses, syntax, url};
use crate::{
    config::reader::{Context, Item, Section, Spot},
    domain::RealmName,
    rules::{
        contract::{Dialect, OldTokenCheck},
        verifier::{MemberPath, Syntax, TokenEvidence, TokenPlace, TokenQuestion, TokenRules},
    },
    verifier::{Bounds, CheckEndpoint, MAX_AGE_DEFAULT, TokenCheckSettings},
};

pub(in crate::config) const MAX_AGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);

/// The check as it stands in the file. What it leaves out, the contracts may say.
pub(super) struct WrittenCheck {
    url: Option<Uri>,
    place: Option<TokenPlace>,
    posts: Option<bool>,
    name: Option<MemberPath>,
    business: Option<MemberPath>,
    active: Option<MemberPath>,
    expires: Option<MemberPath>,
    status: Option<StatusCode>,
    refusals: Option<Vec<StatusCode>>,
    max_age: Duration,
    bounds: Bounds,
    syntax: Syntax,
    places: Places,
}

/// Where the keys stand that the contracts have a say in, and whether they are there.
struct Places {
    place: (bool, Spot),
    method: Spot,
    name: (bool, Spot),
    business: (bool, Spot),
}

pub(super) fn read(mut section: Section<'_>) -> WrittenCheck {
    let example = "https://old.example.com/api/auth/check";
    let place_of = |key: &str| (section.has(key), section.spot_of(key));
    let places = Places {
        place: place_of("send"),
        method: section.spot_of("method"),
        name: place_of("name"),
        business: place_of("business"),
    };
    let url = section.required("url", &format!("\"{example}\""), |item| url(item, example));
    let place = section.optional("send", |item| {
        let text = item.word()?;
        text.parse().ok().or_else(|| item.no(TokenPlace::FORMS))
    });
    let posts = section.optional("method", |item| item.one_of(&[("GET", false), ("POST", true)]));
    let path = |item: &Item<'_>| item.parse::<MemberPath>("the member, such as \"username\" or \"user.name\"");
    let [name, business, active, expires] =
        ["name", "business", "active", "expires"].map(|key| section.optional(key, path));
    let (status, refusals) = statuses(&mut section);
    let max_age = section.or("max_age", MAX_AGE_DEFAULT, |item| item.duration(&MAX_AGE));
    let bounds = bounds(&mut section);
    let syntax = syntax(section, Syntax { chars: 1..=1024, ..Syntax::default() });
    WrittenCheck {
        url,
        place,
        posts,
        name,
        business,
        active,
        expires,
        status,
        refusals,
        max_age,
        bounds,
        syntax,
        places,
    }
}

impl WrittenCheck {
    /// With what the contracts of its realms say. `None` where something is missing, which is reported.
    pub(super) fn settled(
        self,
        context: &Context<'_>,
        behind: &[(&RealmName, &Dialect)],
    ) -> Option<TokenCheckSettings> {
        let declared = declared(behind);
        let missing = |(is_there, spot): &(bool, Spot), key: &str, example: &str| {
            if !is_there {
                context.report(spot, &format!("missing; add it, for example {key} = \"{example}\""));
            }
        };
        let method_default = match (&self.place, declared) {
            (None, Some(declared)) => Some(declared.method == Method::POST),
            (place, _) => place.as_ref().map(TokenPlace::is_in_body),
        };
        let place = self.place.or_else(|| declared.map(|declared| declared.place.clone()));
        if place.is_none() {
            missing(&self.places.place, "send", "bearer");
        }
        let posts = self.posts.or(method_default).unwrap_or_default();
        if place.as_ref().is_some_and(TokenPlace::is_in_body) && !posts {
            context.report(&self.places.method, "a GET has no body: send the token in a field, or ask by POST");
        }
        let name = self.name.or_else(|| declared.map(|declared| declared.name.clone()));
        if name.is_none() {
            missing(&self.places.name, "name", "username");
        }
        let business = self.business.or_else(|| declared.and_then(|declared| declared.business.clone()));
        business_fits(context, &self.places.business, business.is_some(), behind);
        let active = self.active.or_else(|| declared.and_then(|declared| declared.active.clone()));
        let expires = self.expires.or_else(|| declared.and_then(|declared| declared.expires.clone()));
        let method = if posts { Method::POST } else { Method::GET };
        Some(TokenCheckSettings {
            endpoint: CheckEndpoint::At(self.url?),
            question: TokenQuestion { method, place: place?, syntax: self.syntax, authorization: None },
            evidence: TokenRules::Account(TokenEvidence {
                status: self.status.unwrap_or(StatusCode::OK),
                name: name?,
                business,
                active,
                expires,
                refusals: self.refusals.unwrap_or_else(|| vec![StatusCode::UNAUTHORIZED]),
            }),
            max_age: self.max_age,
            bounds: self.bounds,
        })
    }
}

/// What the contracts say, where all of them say the same.
fn declared<'d>(behind: &[(&RealmName, &'d Dialect)]) -> Option<&'d OldTokenCheck> {
    let of = |dialect: &'d Dialect| dialect.facts().old_system.as_ref()?.token_check.as_ref();
    let ((_, first), others) = behind.split_first()?;
    others.iter().all(|(_, other)| of(other) == of(first)).then(|| of(first)).flatten()
}

/// Where a business is a part of the accounts' names, the answer has to name it, and nowhere else.
fn business_fits(
    context: &Context<'_>,
    (is_there, spot): &(bool, Spot),
    is_known: bool,
    behind: &[(&RealmName, &Dialect)],
) {
    let has_business = |(_, dialect): &&(&RealmName, &Dialect)| dialect.facts().accounts.has_business;
    if let Some((realm, _)) = behind.iter().find(has_business)
        && !is_known
        && !is_there
    {
        let message = format!(
            "missing; a business is a part of the names of realm '{realm}': add the member that holds it, for example \
             business = \"business\""
        );
        context.report(spot, &message);
    }
    if let Some((realm, _)) = behind.iter().find(|one| !has_business(one))
        && *is_there
    {
        context
            .report(spot, &format!("accounts of realm '{realm}' have no business: none would be found by such a name"));
    }
}
