//! Accounts and companies over the API: the verbs of the command line.

use std::{str::FromStr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Admin,
    api::{Answer, ApiError, Asked, Body, Hidden},
};
use crate::{
    decision::admin::{
        accounts::{self, AccountChange, Changed, NewSecret, SecretChange},
        companies::{self, CompanyChange},
    },
    domain::{AccountName, PrincipalId, Timestamp, UnknownGrantType},
    rules::realm::Realm,
    state::account::{Account, LegacyId, NewAccount, company::Company},
};

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/accounts", get(list).post(add))
        .route("/accounts/{verb}", post(change))
        .route("/companies", get(list_companies).post(add_company))
        .route("/companies/{verb}", post(change_company))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    realm: String,
    after: Option<String>,
    #[serde(default)]
    after_business: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    realm: String,
    name: String,
    #[serde(default)]
    business: String,
    display_name: Option<String>,
    role: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    company: Option<String>,
    grants: Option<Vec<String>>,
    legacy_id: Option<i64>,
    id: Option<String>,
    secret: Option<Hidden>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    realm: String,
    name: String,
    #[serde(default)]
    business: String,
    /// What `set-role` asks for; `null` takes the role away.
    #[serde(default, deserialize_with = "present")]
    role: Option<NewRole>,
    secret: Option<Hidden>,
    #[serde(default)]
    revoke: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedCompany {
    realm: String,
    name: String,
}

async fn list(State(admin): State<Arc<Admin>>, Asked(asked): Asked<Listed>) -> Answer {
    let realm = admin.realm(&asked.realm)?;
    let after = asked.after.map(|name| AccountName { business: asked.after_business, name });
    let page = admin.service.accounts(&realm, after.as_ref()).await?;
    Ok(Json(page.iter().map(account_json).collect()))
}

async fn add(State(admin): State<Arc<Admin>>, Body(asked): Body<New>) -> Answer {
    let realm = admin.realm(&asked.realm)?;
    let described = accounts::describe(&realm, AccountName { business: asked.business, name: asked.name });
    let id = asked.id.as_deref().map(PrincipalId::from_str).transpose();
    let grants =
        asked.grants.map(|grants| grants.iter().map(|grant| grant.parse()).collect::<Result<_, UnknownGrantType>>());
    let new = NewAccount {
        id: id.map_err(|_| ApiError::bad("id is no UUID"))?.unwrap_or(described.id),
        display_name: asked.display_name,
        legacy_id: asked.legacy_id.map_or(described.legacy_id, LegacyId::Given),
        role: asked.role,
        scopes: asked.scopes,
        company: asked.company,
        grants: grants.transpose().map_err(|error| ApiError::bad(&error.to_string()))?,
        ..described
    };
    let acceptable = admin.service.check_new(&realm, new).await?;
    let made = admin.service.add_account(acceptable, new_secret(asked.secret)).await?;
    Ok(Json(changed_json(&made)))
}

async fn change(State(admin): State<Arc<Admin>>, Path(verb): Path<String>, Body(asked): Body<Change>) -> Answer {
    let realm = admin.realm(&asked.realm)?;
    let name = &AccountName { business: asked.business, name: asked.name };
    let change = match verb.as_str() {
        "disable" => AccountChange::Disable,
        "enable" => AccountChange::Enable,
        "lock" => AccountChange::Lock,
        "unlock" => AccountChange::Unlock,
        "set-role" => {
            let missing = || ApiError::bad("set-role asks for the member role, null for none");
            let NewRole(role) = asked.role.as_ref().ok_or_else(missing)?;
            AccountChange::SetRole(role.as_deref())
        }
        "set-password" => {
            if asked.secret.is_none() {
                return Err(ApiError::bad("set-password asks for the member secret"));
            }
            return admin.set_secret(&realm, name, asked.secret, SecretChange::Password).await;
        }
        "rotate-secret" => {
            let rotation = SecretChange::Rotation { revoke: asked.revoke };
            return admin.set_secret(&realm, name, asked.secret, rotation).await;
        }
        "delete" => {
            admin.service.delete_account(&realm, name).await?;
            return Ok(Json(json!({ "deleted": true })));
        }
        _ => return Err(no_such_verb()),
    };
    Ok(Json(changed_json(&admin.service.change_account(&realm, name, change).await?)))
}

fn no_such_verb() -> ApiError {
    ApiError(StatusCode::NOT_FOUND, "no such verb; see docs/admin-api.md".to_owned())
}

/// A role, or `null` for none: not the same as no member at all.
#[derive(Deserialize)]
#[serde(transparent)]
struct NewRole(Option<String>);

fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<NewRole>, D::Error> {
    NewRole::deserialize(value).map(Some)
}

/// The secret given, or one that is made and shown once.
fn new_secret(given: Option<Hidden>) -> NewSecret {
    given.map_or(NewSecret::Generated, |secret| NewSecret::Given(secret.into_inner()))
}

impl Admin {
    async fn set_secret(
        &self,
        realm: &Realm,
        name: &AccountName,
        given: Option<Hidden>,
        change: SecretChange,
    ) -> Answer {
        // Before a secret is made for nothing.
        let account = self.service.account(realm, name).await?;
        Ok(Json(changed_json(&self.service.set_secret(realm, &account, new_secret(given), change).await?)))
    }
}

fn account_json(account: &Account) -> Value {
    let mut members = json!({
        "id": account.id.to_string(),
        "realm": account.realm.as_str(),
        "kind": account.kind.name(),
        "business": (!account.name.business.is_empty()).then_some(&account.name.business),
        "name": account.name.name,
        "display_name": account.display_name,
        "legacy_id": account.legacy_id,
        "role": account.role,
        "scopes": account.scopes,
        "company": account.company,
        "disabled": account.disabled,
        "locked": account.locked,
        "created_at": account.created_at.as_secs(),
    });
    if let Some(grants) = &account.grants {
        members["grants"] = grants.iter().map(|grant| grant.name()).collect();
    }
    members
}

/// An account after a change, with the secret that was made for it.
fn changed_json(changed: &Changed) -> Value {
    let mut members = account_json(&changed.account);
    if let Some(secret) = &changed.secret {
        members["secret"] = secret.expose().into();
    }
    members
}

async fn list_companies(State(admin): State<Arc<Admin>>, Asked(asked): Asked<Listed>) -> Answer {
    let realm = admin.realm(&asked.realm)?;
    let page = admin.service.companies(&realm, asked.after.as_deref()).await?;
    Ok(Json(page.iter().map(company_json).collect()))
}

async fn add_company(State(admin): State<Arc<Admin>>, Body(asked): Body<NamedCompany>) -> Answer {
    let realm = admin.realm(&asked.realm)?;
    Ok(Json(company_json(&admin.service.add_company(&realm, &asked.name).await?)))
}

async fn change_company(
    State(admin): State<Arc<Admin>>,
    Path(verb): Path<String>,
    Body(asked): Body<NamedCompany>,
) -> Answer {
    let (realm, name) = (admin.realm(&asked.realm)?, &asked.name);
    companies::check_realm(&realm)?;
    let change = match verb.as_str() {
        "disable" => CompanyChange::Disable,
        "enable" => CompanyChange::Enable,
        "delete" => {
            admin.service.delete_company(&realm, name).await?;
            return Ok(Json(json!({ "deleted": true })));
        }
        _ => return Err(no_such_verb()),
    };
    Ok(Json(company_json(&admin.service.change_company(&realm, name, change).await?)))
}

fn company_json(company: &Company) -> Value {
    json!({
        "realm": company.realm.as_str(),
        "name": company.name,
        "disabled": company.disabled,
        "created_at": Timestamp::as_secs(company.created_at),
    })
}
