//! What an old system's yes tells of the account: from its answer where the contract has it, else from the config.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    domain::{AccountName, PrincipalId, json},
    rules::contract::{AccountFact, AccountFacts, OldSystem},
};

/// What an answer says. Each part is there only where the answer has it, in the type that the contract prescribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whom the answer is about: whom it names, else whom it was asked about.
    pub name: AccountName,
    /// The account's identity.
    pub id: Option<PrincipalId>,
    /// Its integer id.
    pub legacy_id: Option<i64>,
    /// The name that people read.
    pub display_name: Option<String>,
    /// Its role.
    pub role: Option<String>,
    /// Its scopes.
    pub scopes: Option<Vec<String>>,
    /// Its company.
    pub company: Option<String>,
}

/// What a token endpoint says of accounts that an old system's yes makes (`new_accounts`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The role, where the answer has none; default none.
    pub role: Option<String>,
    /// The scopes, where the answer has none; default none.
    pub scopes: Vec<String>,
    /// The company, where the answer has none; default none.
    pub company: Option<String>,
    /// What becomes of an account that needs a number, and whose answer has none; default that it is not made.
    pub legacy_id: NewLegacyId,
}

/// What becomes of an account that needs a number, and whose answer has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewLegacyId {
    /// It is not made, and the log says why.
    #[default]
    Answer,
    /// It gets the realm's next one.
    Next,
}

/// An account that can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: AccountName,
    /// Its identity, where the answer has one.
    pub id: Option<PrincipalId>,
    /// Its integer id; `None` for the realm's next one, or none at all.
    pub legacy_id: Option<i64>,
    /// The name that people read.
    pub display_name: Option<String>,
    /// Its role.
    pub role: Option<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Its company.
    pub company: Option<String>,
}

/// What the realm's contract requires and nobody said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The account's number.
    LegacyId,
    /// The account's company.
    Company,
}

impl Missing {
    /// What to do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::LegacyId => {
                "the answer has no number where the contract's [old_system] says that it stands; set new_accounts = { legacy_id = \"next\" } on the token endpoint, or import the accounts first"
            }
            Self::Company => {
                "neither the answer nor the config names a company; set new_accounts = { company = \"…\" } on the token endpoint"
            }
        }
    }
}

impl Facts {
    /// What a yes says of the account that was asked about.
    pub(super) fn of(old: Option<&OldSystem>, asked: &AccountName, body: &Map<String, Value>, token: &str) -> Self {
        let told = Told { old, body, claims: claims(token) };
        let text = |fact| told.first(fact, |value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned));
        let id = |value: &Value| value.as_str().and_then(|id| Uuid::parse_str(id).ok()).filter(|id| !id.is_nil());
        let texts = |value: &Value| {
            let listed = value.as_array()?;
            Some(listed.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>())
        };
        let name = match (text(AccountFact::Business), text(AccountFact::Name)) {
            (Some(business), Some(name)) => AccountName { business, name },
            // A business is a part of the name: one without the other names somebody else.
            (None, Some(name)) if !told.has(AccountFact::Business) => {
                AccountName { business: asked.business.clone(), name }
            }
            _ => asked.clone(),
        };
        Self {
            name,
            id: told.first(AccountFact::Id, id).map(PrincipalId::from_uuid),
            legacy_id: told.first(AccountFact::LegacyId, Value::as_i64),
            display_name: text(AccountFact::DisplayName),
            role: text(AccountFact::Role),
            scopes: told.first(AccountFact::Scopes, texts),
            company: text(AccountFact::Company),
        }
    }

    /// The account that these facts make in a realm with such accounts.
    ///
    /// # Errors
    /// What the contract requires and nobody said.
    pub fn profile(&self, accounts: &AccountFacts, defaults: &Defaults) -> Result<Profile, Missing> {
        let legacy_id = self.legacy_id.filter(|_| accounts.has_legacy_id);
        if accounts.has_legacy_id && legacy_id.is_none() && defaults.legacy_id == NewLegacyId::Answer {
            return Err(Missing::LegacyId);
        }
        let company = self.company.clone().or_else(|| defaults.company.clone()).filter(|_| accounts.has_company);
        if accounts.has_company && company.is_none() {
            return Err(Missing::Company);
        }
        Ok(Profile {
            name: self.name.clone(),
            id: self.id,
            legacy_id,
            display_name: self.display_name.clone(),
            role: self.role.clone().or_else(|| defaults.role.clone()),
            scopes: self.scopes.clone().unwrap_or_else(|| defaults.scopes.clone()),
            company,
        })
    }
}

/// What an answer and its token tell, where the contract says.
struct Told<'a> {
    old: Option<&'a OldSystem>,
    body: &'a Map<String, Value>,
    claims: Map<String, Value>,
}

impl Told<'_> {
    /// The first of a fact's places that has a value of its type.
    fn first<T>(&self, fact: AccountFact, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let places = self.old?.account.iter().filter(|place| place.fact == fact);
        let mut found = places.map(|place| place.path.find(if place.is_claim { &self.claims } else { self.body }));
        found.find_map(|value| read(value?))
    }

    /// Whether the contract says where a fact stands.
    fn has(&self, fact: AccountFact) -> bool {
        self.old.is_some_and(|old| old.account.iter().any(|place| place.fact == fact))
    }
}

/// The claims of a JWT, not verified: the old system itself sent it, over the connection that was asked on.
fn claims(token: &str) -> Map<String, Value> {
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    payload.and_then(|payload| json::parse_object(&payload).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::contract::Dialect;

    fn dialect(name: &str) -> Dialect {
        name.parse().unwrap()
    }

    fn asked() -> AccountName {
        AccountName { business: "b".into(), name: "ADMIN".into() }
    }

    fn facts(name: &str, body: &Value, token: &str) -> Facts {
        Facts::of(dialect(name).facts().old_system.as_ref(), &asked(), body.as_object().unwrap(), token)
    }

    fn made_of(facts: &Facts, name: &str, defaults: &Defaults) -> Result<Profile, Missing> {
        facts.profile(&dialect(name).facts().accounts, defaults)
    }

    fn jwt(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn the_answer_says_who_it_is_about() {
        let sws = facts("sws", &json!({"usuario": {"id": 7, "username": "admin", "nombre": "Ana"}}), "x");
        assert_eq!(
            (sws.name.name.as_str(), sws.legacy_id, sws.display_name.as_deref()),
            ("admin", Some(7), Some("Ana"))
        );
        let classic = facts("sws", &json!({"usuario_id": 12}), "x");
        assert_eq!((classic.name, classic.legacy_id), (asked(), Some(12)));
        let id = "b331336a-46f4-4fe4-a850-3208bfc2c398";
        let apis = facts("apis", &json!({"id": id, "username": "admin", "role": "ADMIN"}), "x");
        assert_eq!((apis.id, apis.role.as_deref()), (Some(id.parse().unwrap()), Some("ADMIN")));
        let token = jwt(&json!({"client_id": "c", "company": "acme", "permissions": ["read", 1]}));
        let client = facts("become", &json!({}), &token);
        assert_eq!((client.company.as_deref(), client.scopes), (Some("acme"), Some(vec!["read".to_owned()])));
        let project = facts("toc", &json!({}), &jwt(&json!({"business": "x", "proyecto": "y"})));
        assert_eq!(project.name, AccountName { business: "x".into(), name: "y".into() });
    }

    #[test]
    fn what_is_of_the_wrong_type_is_not_there() {
        let sws = facts("sws", &json!({"usuario": {"id": "7", "username": 1, "nombre": ""}}), "x");
        assert_eq!((sws.name, sws.legacy_id, sws.display_name), (asked(), None, None));
        let nil = "00000000-0000-0000-0000-000000000000";
        assert_eq!(facts("apis", &json!({"id": nil}), "x").id, None);
        assert_eq!(facts("become", &json!({}), "opaque").company, None);
        assert_eq!(facts("toc", &json!({}), &jwt(&json!({"proyecto": "y"}))).name, asked());
    }

    #[test]
    fn the_config_fills_in_and_what_is_missing_is_said() {
        let none = Defaults::default();
        let sws = facts("sws", &json!({}), "x");
        assert_eq!(made_of(&sws, "sws", &none), Err(Missing::LegacyId));
        let next = Defaults { legacy_id: NewLegacyId::Next, role: Some("USER".into()), ..Defaults::default() };
        let profile = made_of(&sws, "sws", &next).unwrap();
        assert_eq!((profile.legacy_id, profile.role.as_deref()), (None, Some("USER")));
        let client = facts("become", &json!({}), "opaque");
        assert_eq!(made_of(&client, "become", &none), Err(Missing::Company));
        let acme = Defaults { company: Some("acme".into()), scopes: vec!["read".into()], ..Defaults::default() };
        let profile = made_of(&client, "become", &acme).unwrap();
        assert_eq!((profile.company.as_deref(), profile.scopes), (Some("acme"), vec!["read".to_owned()]));
    }
}
