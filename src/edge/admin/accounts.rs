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
    decision::{StewardError, admin::accounts},
    domain::{PrincipalId, PrincipalKind, Secret, Timestamp, random},
    rules::{
        dialect::{AccountName, Dialect, oauth::UnknownGrantType},
        limit::ClientKey,
        realm::Realm,
    },
    state::account::{
        self, Account, AccountError, HasherError, LegacyId, NewAccount, OldTokens, PasswordHash,
        company::{self, Company},
    },
};

/// Accounts or companies in one page of a list.
const PAGE_ROWS: u32 = 500;

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
    let kind = realm.dialect.principal_kind();
    let page = account::list(admin.steward.store(), &realm.name, kind, after.as_ref(), PAGE_ROWS).await;
    Ok(Json(page.map_err(StewardError::from)?.iter().map(account_json).collect()))
}

async fn add(State(admin): State<Arc<Admin>>, Body(asked): Body<New>) -> Answer {
    let realm = admin.realm(&asked.realm)?;
    let id = asked.id.as_deref().map(PrincipalId::from_str).transpose();
    let grants =
        asked.grants.map(|grants| grants.iter().map(|grant| grant.parse()).collect::<Result<_, UnknownGrantType>>());
    let next = if realm.dialect == Dialect::Sws { LegacyId::Next } else { LegacyId::None };
    let new = NewAccount {
        id: id.map_err(|_| ApiError::bad("id is no UUID"))?.unwrap_or_else(PrincipalId::generate),
        realm: realm.name.clone(),
        kind: realm.dialect.principal_kind(),
        name: AccountName { business: asked.business, name: asked.name },
        display_name: asked.display_name,
        legacy_id: asked.legacy_id.map_or(next, LegacyId::Given),
        role: asked.role,
        scopes: asked.scopes,
        company: asked.company,
        grants: grants.transpose().map_err(|error| ApiError::bad(&error.to_string()))?,
    };
    let store = admin.steward.store();
    accounts::judge_new(store, &realm, &new).await?;
    let (hash, generated) = admin.hash_secret(asked.secret).await?;
    let account = account::insert(store, &new, &hash, admin.steward.now()).await?;
    Ok(Json(with_secret(account_json(&account), generated)))
}

async fn change(State(admin): State<Arc<Admin>>, Path(verb): Path<String>, Body(asked): Body<Change>) -> Answer {
    let realm = admin.realm(&asked.realm)?;
    let name = &AccountName { business: asked.business, name: asked.name };
    let (store, now) = (admin.steward.store(), admin.steward.now());
    let mut shown = None;
    let raised = match verb.as_str() {
        "disable" => account::set_disabled(store, &realm.name, name, true, now).await?,
        "enable" => account::set_disabled(store, &realm.name, name, false, now).await?,
        "lock" | "unlock" => {
            account::set_locked(store, &realm.name, name, verb == "lock").await?;
            vec![]
        }
        "set-role" => {
            let missing = || ApiError::bad("set-role asks for the member role, null for none");
            let NewRole(role) = asked.role.ok_or_else(missing)?;
            admin.set_role(&realm, name, role.as_deref()).await?
        }
        "set-password" | "rotate-secret" => {
            let old_tokens = old_tokens(&verb, realm.dialect.principal_kind(), asked.revoke);
            if verb == "set-password" && asked.secret.is_none() {
                return Err(ApiError::bad("set-password asks for the member secret"));
            }
            admin.existing(&realm, name).await?;
            let (hash, generated) = admin.hash_secret(asked.secret).await?;
            shown = generated;
            account::set_password_hash(store, &realm.name, name, &hash, old_tokens, now).await?
        }
        "delete" => {
            let raised = account::delete(store, &realm.name, name, now).await?;
            admin.steward.apply_raised(&raised);
            return Ok(Json(json!({ "deleted": true })));
        }
        _ => return Err(ApiError(StatusCode::NOT_FOUND, "no such verb; see docs/admin-api.md".to_owned())),
    };
    admin.steward.apply_raised(&raised);
    let account = admin.existing(&realm, name).await?;
    Ok(Json(with_secret(account_json(&account), shown)))
}

/// A role, or `null` for none: not the same as no member at all.
#[derive(Deserialize)]
#[serde(transparent)]
struct NewRole(Option<String>);

fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<NewRole>, D::Error> {
    NewRole::deserialize(value).map(Some)
}

/// A new password ends a person's tokens; a rotated client secret only where that is asked for,
/// because the `maxpoint` contract says that tokens live on until they expire.
fn old_tokens(verb: &str, kind: PrincipalKind, revoke: bool) -> OldTokens {
    if revoke || verb == "set-password" || kind == PrincipalKind::User { OldTokens::End } else { OldTokens::Keep }
}

impl Admin {
    async fn existing(&self, realm: &Realm, name: &AccountName) -> Result<Account, ApiError> {
        let found = account::find(self.steward.store(), &realm.name, name).await.map_err(StewardError::from)?;
        Ok(found.ok_or_else(|| AccountError::not_found(&realm.name, name))?)
    }

    async fn set_role(
        &self,
        realm: &Realm,
        name: &AccountName,
        role: Option<&str>,
    ) -> Result<account::Raised, ApiError> {
        let account = self.existing(realm, name).await?;
        let changed = NewAccount { role: role.map(str::to_owned), ..NewAccount::from(&account) };
        accounts::judge(realm, &changed)?;
        Ok(account::set_role(self.steward.store(), &realm.name, name, role, self.steward.now()).await?)
    }

    /// The hash of the secret given, or of one made here, which is then shown once.
    async fn hash_secret(&self, given: Option<Hidden>) -> Result<(PasswordHash, Option<Secret>), ApiError> {
        let generated = given.is_none().then(random::secret);
        let secret = given.map(Hidden::into_inner).or_else(|| generated.clone());
        let hashed = self.hasher.hash(ClientKey::OPERATOR, secret.unwrap_or_else(random::secret)).await;
        let hash = hashed.map_err(|error| match error {
            HasherError::Busy | HasherError::Failed => ApiError(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            HasherError::Refused(why) => ApiError::bad(&why.to_string()),
        })?;
        Ok((hash, generated))
    }

    fn become_realm(&self, name: &str) -> Result<Arc<Realm>, ApiError> {
        let realm = self.realm(name)?;
        if realm.dialect == Dialect::Become {
            return Ok(realm);
        }
        Err(ApiError::bad("only realms of the dialect become have companies"))
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

fn with_secret(mut account: Value, secret: Option<Secret>) -> Value {
    if let Some(secret) = secret {
        account["secret"] = secret.expose().into();
    }
    account
}

async fn list_companies(State(admin): State<Arc<Admin>>, Asked(asked): Asked<Listed>) -> Answer {
    let realm = admin.become_realm(&asked.realm)?;
    let page = company::list(admin.steward.store(), &realm.name, asked.after.as_deref(), PAGE_ROWS).await;
    Ok(Json(page.map_err(StewardError::from)?.iter().map(company_json).collect()))
}

async fn add_company(State(admin): State<Arc<Admin>>, Body(asked): Body<NamedCompany>) -> Answer {
    let realm = admin.become_realm(&asked.realm)?;
    let made = company::insert(admin.steward.store(), &realm.name, &asked.name, admin.steward.now()).await?;
    Ok(Json(company_json(&made)))
}

async fn change_company(
    State(admin): State<Arc<Admin>>,
    Path(verb): Path<String>,
    Body(asked): Body<NamedCompany>,
) -> Answer {
    let realm = admin.become_realm(&asked.realm)?;
    let (store, now, name) = (admin.steward.store(), admin.steward.now(), &asked.name);
    let raised = match verb.as_str() {
        "disable" => company::set_disabled(store, &realm.name, name, true, now).await?,
        "enable" => company::set_disabled(store, &realm.name, name, false, now).await?,
        "delete" => company::delete(store, &realm.name, name, now).await?,
        _ => return Err(ApiError(StatusCode::NOT_FOUND, "no such verb; see docs/admin-api.md".to_owned())),
    };
    admin.steward.apply_raised(&raised);
    let found = company::find(store, &realm.name, name).await.map_err(StewardError::from)?;
    Ok(Json(found.as_ref().map_or_else(|| json!({ "deleted": true }), company_json)))
}

fn company_json(company: &Company) -> Value {
    json!({
        "realm": company.realm.as_str(),
        "name": company.name,
        "disabled": company.disabled,
        "created_at": Timestamp::as_secs(company.created_at),
    })
}
