//! Accounts and companies over the API: the verbs of the command line.

use std::{str::FromStr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{
    Admin,
    api::{Answer, ApiError, Asked, Body, Hidden},
};
use crate::{
    decision::admin::{
        PAGE_ROWS,
        accounts::{self, AccountChange, Wanted},
        changed::Changed,
        companies::{self, CompanyChange},
        secrets::{NewSecret, Overlap, SecretChange},
    },
    domain::{AccountName, GrantType, PrincipalId, Timestamp, UnknownGrantType},
    rules::realm::Realm,
    state::account::{Account, Filter, LegacyId, NewAccount, Revised, Revision, Sort, Status, company::Company},
};

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/accounts", get(list).post(add).patch(revise))
        .route("/accounts/{verb}", post(change))
        .route("/companies", get(list_companies).post(add_company))
        .route("/companies/{verb}", post(change_company))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    realm: String,
    status: Option<String>,
    role: Option<String>,
    company: Option<String>,
    name_prefix: Option<String>,
    #[serde(default)]
    never_logged_in: bool,
    last_login_before: Option<i64>,
    sort: Option<String>,
    #[serde(default)]
    descending: bool,
    limit: Option<u32>,
    after: Option<String>,
    #[serde(default)]
    after_business: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedCompanies {
    realm: String,
    after: Option<String>,
}

/// What changes of an account: what is not named stays, and `null` takes away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revise {
    realm: String,
    name: String,
    #[serde(default)]
    business: String,
    #[serde(default, deserialize_with = "to")]
    display_name: Revised<Option<String>>,
    #[serde(default, deserialize_with = "to")]
    role: Revised<Option<String>>,
    #[serde(default, deserialize_with = "to")]
    scopes: Revised<Vec<String>>,
    #[serde(default, deserialize_with = "to")]
    company: Revised<Option<String>>,
    #[serde(default, deserialize_with = "to")]
    legacy_id: Revised<Option<i64>>,
    #[serde(default, deserialize_with = "to")]
    grants: Revised<Option<Vec<String>>>,
}

fn to<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Revised<T>, D::Error> {
    T::deserialize(value).map(Revised::To)
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
    #[serde(default, deserialize_with = "to")]
    role: Revised<Option<String>>,
    secret: Option<Hidden>,
    #[serde(default)]
    revoke: bool,
    /// For how long `rotate-secret` lets the old secret be taken too.
    overlap_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedCompany {
    realm: String,
    name: String,
}

async fn list(State(admin): State<Arc<Admin>>, Asked(asked): Asked<Listed>) -> Answer {
    let realm = admin.realm(&asked.realm)?;
    let limit = asked.limit.unwrap_or(PAGE_ROWS);
    if !(1..=PAGE_ROWS).contains(&limit) {
        return Err(ApiError::bad("limit is 1 to 500"));
    }
    let status = word(asked.status.as_deref(), &Status::ALL.map(|status| (status.name(), status)), "status")?;
    let sort = word(asked.sort.as_deref(), &Sort::ALL.map(|sort| (sort.name(), sort)), "sort")?;
    let filter = Filter {
        status,
        role: asked.role,
        company: asked.company,
        name_prefix: asked.name_prefix,
        never_logged_in: asked.never_logged_in,
        last_login_before: asked.last_login_before.map(Timestamp::from_secs),
    };
    let after = asked.after.map(|name| AccountName { business: asked.after_business, name });
    let wanted = Wanted { filter, sort: sort.unwrap_or_default(), descending: asked.descending, after };
    let page = admin.service.accounts(&realm, &wanted, limit).await?;
    Ok(Json(page.iter().map(account_json).collect()))
}

/// What one of these words stands for.
fn word<T: Copy>(given: Option<&str>, words: &[(&str, T)], parameter: &str) -> Result<Option<T>, ApiError> {
    let Some(given) = given else { return Ok(None) };
    let found = words.iter().find(|(word, _)| *word == given).map(|(_, value)| *value);
    found.map(Some).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        ApiError::bad(&format!("{parameter} is one of {}", words.join(", ")))
    })
}

async fn revise(State(admin): State<Arc<Admin>>, Body(asked): Body<Revise>) -> Answer {
    let realm = admin.realm(&asked.realm)?;
    let name = AccountName { business: asked.business, name: asked.name };
    let revision = Revision {
        display_name: asked.display_name,
        role: asked.role,
        scopes: asked.scopes,
        company: asked.company,
        legacy_id: asked.legacy_id,
        grants: match asked.grants {
            Revised::To(Some(words)) => Revised::To(Some(grants(&words)?)),
            Revised::To(None) => Revised::To(None),
            Revised::Kept => Revised::Kept,
        },
    };
    if revision.is_empty() {
        return Err(ApiError::bad("name what shall change; see docs/admin-api.md"));
    }
    Ok(Json(changed_json(&admin.service.revise_account(&realm, &name, revision).await?)))
}

fn grants(words: &[String]) -> Result<Vec<GrantType>, ApiError> {
    let grants: Result<_, UnknownGrantType> = words.iter().map(|grant| grant.parse()).collect();
    grants.map_err(|error| ApiError::bad(&error.to_string()))
}

async fn add(State(admin): State<Arc<Admin>>, Body(asked): Body<New>) -> Answer {
    let realm = admin.realm(&asked.realm)?;
    let described = accounts::describe(&realm, AccountName { business: asked.business, name: asked.name });
    let id = asked.id.as_deref().map(PrincipalId::from_str).transpose();
    let new = NewAccount {
        id: id.map_err(|_| ApiError::bad("id is no UUID"))?.unwrap_or(described.id),
        display_name: asked.display_name,
        legacy_id: asked.legacy_id.map_or(described.legacy_id, LegacyId::Given),
        role: asked.role,
        scopes: asked.scopes,
        company: asked.company,
        grants: asked.grants.as_deref().map(grants).transpose()?,
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
            if asked.role.is_kept() {
                return Err(ApiError::bad("set-role asks for the member role, null for none"));
            }
            let revision = Revision { role: asked.role, ..Revision::default() };
            return Ok(Json(changed_json(&admin.service.revise_account(&realm, name, revision).await?)));
        }
        "set-password" => {
            if asked.secret.is_none() {
                return Err(ApiError::bad("set-password asks for the member secret"));
            }
            return admin.set_secret(&realm, name, asked.secret, SecretChange::Password).await;
        }
        "rotate-secret" => {
            let rotation = rotation(asked.revoke, asked.overlap_seconds)?;
            return admin.set_secret(&realm, name, asked.secret, rotation).await;
        }
        "end-overlap" => {
            let account = admin.service.account(&realm, name).await?;
            let (changed, ended) = admin.service.end_overlap(&realm, &account).await?;
            let mut members = changed_json(&changed);
            members["ended"] = ended.into();
            return Ok(Json(members));
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

/// What becomes of the old secret and of the tokens.
fn rotation(revoke: bool, overlap_seconds: Option<u64>) -> Result<SecretChange, ApiError> {
    let Some(seconds) = overlap_seconds else { return Ok(SecretChange::Rotation { revoke }) };
    if revoke {
        return Err(ApiError::bad(
            "revoke ends what the old secret gave, and overlap_seconds goes on taking it: choose one",
        ));
    }
    let overlap = Overlap::of(Duration::from_secs(seconds));
    Ok(SecretChange::Overlap(
        overlap.ok_or_else(|| ApiError::bad("overlap_seconds is 1 to 7776000, which is 90 days"))?,
    ))
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
        "secret_made": account.is_secret_made(),
        "previous_secret_ends_at": account.previous_secret.as_ref().map(|previous| previous.ends_at.as_secs()),
        "last_login_at": account.last_login_at.map(Timestamp::as_secs),
        "failed_logins": account.failed_logins,
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

async fn list_companies(State(admin): State<Arc<Admin>>, Asked(asked): Asked<ListedCompanies>) -> Answer {
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
