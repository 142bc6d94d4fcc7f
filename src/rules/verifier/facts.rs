//! What an old system's yes tells of the account: from its answer where the contract has it, else from the config.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    domain::{AccountName, PrincipalId, json},
    rules::contract::Family,
};

/// What an answer says. Each part is there only where the answer has it, in the type that the contract prescribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whom the answer is about: whom it names, else whom it was asked about.
    pub name: AccountName,
    /// The account's identity (`apis`).
    pub id: Option<PrincipalId>,
    /// Its integer id (`sws`).
    pub legacy_id: Option<i64>,
    /// The name that people read (`sws`).
    pub display_name: Option<String>,
    /// Its role (`apis`).
    pub role: Option<String>,
    /// Its scopes (`become`'s permissions).
    pub scopes: Option<Vec<String>>,
    /// Its company (`become`).
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
    /// What becomes of an `sws` account whose answer has no number; default that it is not made.
    pub legacy_id: NewLegacyId,
}

/// What becomes of an `sws` account whose answer has no number.
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
    /// The number of an `sws` user.
    LegacyId,
    /// The company of a `become` client.
    Company,
}

impl Missing {
    /// What to do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::LegacyId => {
                "the answer has no number (usuario.id or usuario_id); set new_accounts = { legacy_id = \"next\" } on the token endpoint, or import the accounts first"
            }
            Self::Company => {
                "neither the answer's token nor the config names a company; set new_accounts = { company = \"…\" } on the token endpoint"
            }
        }
    }
}

impl Facts {
    /// What a yes says of the account that was asked about.
    pub(super) fn of(family: Family, asked: &AccountName, body: &Map<String, Value>, token: &str) -> Self {
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let mut facts = Self {
            name: asked.clone(),
            id: None,
            legacy_id: None,
            display_name: None,
            role: None,
            scopes: None,
            company: None,
        };
        match family {
            Family::Sws => {
                let user = body.get("usuario");
                let of_user = |member| user.and_then(|user| user.get(member));
                facts.legacy_id = of_user("id").or_else(|| body.get("usuario_id")).and_then(Value::as_i64);
                facts.display_name = text(of_user("nombre"));
                facts.name.name = text(of_user("username")).unwrap_or(facts.name.name);
            }
            Family::Apis => {
                let id = body.get("id").and_then(Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
                facts.id = id.filter(|id| !id.is_nil()).map(PrincipalId::from_uuid);
                facts.role = text(body.get("role"));
                facts.name.name = text(body.get("username")).unwrap_or(facts.name.name);
            }
            Family::Become => {
                let claims = claims(token);
                facts.company = text(claims.get("company"));
                let listed = claims.get("permissions").and_then(Value::as_array);
                facts.scopes = listed.map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect());
                facts.name.name = text(claims.get("client_id")).unwrap_or(facts.name.name);
            }
            Family::Toc => {
                let claims = claims(token);
                if let (Some(business), Some(name)) = (text(claims.get("business")), text(claims.get("proyecto"))) {
                    facts.name = AccountName { business, name };
                }
            }
            Family::Maxpoint | Family::Other => {}
        }
        facts
    }

    /// The account that these facts make in a realm of `family`.
    ///
    /// # Errors
    /// What the contract requires and nobody said.
    pub fn profile(&self, family: Family, defaults: &Defaults) -> Result<Profile, Missing> {
        let mut profile = Profile {
            name: self.name.clone(),
            id: self.id,
            legacy_id: None,
            display_name: self.display_name.clone(),
            role: self.role.clone().or_else(|| defaults.role.clone()),
            scopes: self.scopes.clone().unwrap_or_else(|| defaults.scopes.clone()),
            company: None,
        };
        match family {
            Family::Sws => {
                profile.legacy_id = self.legacy_id;
                if profile.legacy_id.is_none() && defaults.legacy_id == NewLegacyId::Answer {
                    return Err(Missing::LegacyId);
                }
            }
            Family::Become => {
                profile.company = self.company.clone().or_else(|| defaults.company.clone());
                if profile.company.is_none() {
                    return Err(Missing::Company);
                }
            }
            _ => {}
        }
        Ok(profile)
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

    fn asked() -> AccountName {
        AccountName { business: "b".into(), name: "ADMIN".into() }
    }

    fn facts(family: Family, body: &Value, token: &str) -> Facts {
        Facts::of(family, &asked(), body.as_object().unwrap(), token)
    }

    fn jwt(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn the_answer_says_who_it_is_about() {
        let sws = facts(Family::Sws, &json!({"usuario": {"id": 7, "username": "admin", "nombre": "Ana"}}), "x");
        assert_eq!(
            (sws.name.name.as_str(), sws.legacy_id, sws.display_name.as_deref()),
            ("admin", Some(7), Some("Ana"))
        );
        let classic = facts(Family::Sws, &json!({"usuario_id": 12}), "x");
        assert_eq!((classic.name, classic.legacy_id), (asked(), Some(12)));
        let id = "b331336a-46f4-4fe4-a850-3208bfc2c398";
        let apis = facts(Family::Apis, &json!({"id": id, "username": "admin", "role": "ADMIN"}), "x");
        assert_eq!((apis.id, apis.role.as_deref()), (Some(id.parse().unwrap()), Some("ADMIN")));
        let token = jwt(&json!({"client_id": "c", "company": "acme", "permissions": ["read", 1]}));
        let client = facts(Family::Become, &json!({}), &token);
        assert_eq!((client.company.as_deref(), client.scopes), (Some("acme"), Some(vec!["read".to_owned()])));
        let project = facts(Family::Toc, &json!({}), &jwt(&json!({"business": "x", "proyecto": "y"})));
        assert_eq!(project.name, AccountName { business: "x".into(), name: "y".into() });
    }

    #[test]
    fn what_is_of_the_wrong_type_is_not_there() {
        let sws = facts(Family::Sws, &json!({"usuario": {"id": "7", "username": 1, "nombre": ""}}), "x");
        assert_eq!((sws.name, sws.legacy_id, sws.display_name), (asked(), None, None));
        let nil = "00000000-0000-0000-0000-000000000000";
        assert_eq!(facts(Family::Apis, &json!({"id": nil}), "x").id, None);
        assert_eq!(facts(Family::Become, &json!({}), "opaque").company, None);
        assert_eq!(facts(Family::Toc, &json!({}), &jwt(&json!({"proyecto": "y"}))).name, asked());
    }

    #[test]
    fn the_config_fills_in_and_what_is_missing_is_said() {
        let none = Defaults::default();
        let sws = facts(Family::Sws, &json!({}), "x");
        assert_eq!(sws.profile(Family::Sws, &none), Err(Missing::LegacyId));
        let next = Defaults { legacy_id: NewLegacyId::Next, role: Some("USER".into()), ..Defaults::default() };
        let profile = sws.profile(Family::Sws, &next).unwrap();
        assert_eq!((profile.legacy_id, profile.role.as_deref()), (None, Some("USER")));
        let client = facts(Family::Become, &json!({}), "opaque");
        assert_eq!(client.profile(Family::Become, &none), Err(Missing::Company));
        let acme = Defaults { company: Some("acme".into()), scopes: vec!["read".into()], ..Defaults::default() };
        let profile = client.profile(Family::Become, &acme).unwrap();
        assert_eq!((profile.company.as_deref(), profile.scopes), (Some("acme"), vec!["read".to_owned()]));
    }
}
