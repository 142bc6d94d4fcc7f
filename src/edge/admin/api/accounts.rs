//! Accounts over the API: the verbs of the command line.

use std::{str::FromStr, sync::Arc, time::Duration};

use axum::{Json, extract::State};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{
    super::{context::Admin, operator::By},
    message::{ApiError, ApiResponse, Asked, Body, Hidden, Named},
    operations::{About, Kind, Member, Operations, ResponseBody},
};
use crate::{
    decision::{
        AdminService,
        admin::{
            PAGE_ROWS,
            accounts::{self, AccountChange, Wanted},
            changed::Changed,
            secrets::{NewSecret, Overlap, SecretChange},
        },
    },
    domain::{AccountName, GrantType, PrincipalId, Timestamp, UnknownGrantType},
    state::{
        account::{Account, Filter, LegacyId, NewAccount, Revised, Revision, Sort, Status},
        admin_token::AdminRole,
    },
};

const REALM: Member = Member::required("realm", Kind::Text);
const NAME: Member = Member::required("name", Kind::Text);
const BUSINESS: Member = Member::optional("business", Kind::Text);
const SECRET: Member = Member::optional("secret", Kind::Text);

/// An account in a response.
const ACCOUNT: &[Member] = &[
    Member::required("id", Kind::Text),
    REALM,
    Member::required("kind", Kind::Text),
    BUSINESS.nullable(),
    NAME,
    Member::optional("display_name", Kind::Text).nullable(),
    Member::optional("legacy_id", Kind::Integer).nullable(),
    Member::optional("role", Kind::Text).nullable(),
    Member::required("scopes", Kind::Texts),
    Member::optional("company", Kind::Text).nullable(),
    Member::required("disabled", Kind::Boolean),
    Member::required("locked", Kind::Boolean),
    Member::required("secret_made", Kind::Boolean),
    Member::required("previous_secret_ends_at", Kind::Integer).nullable(),
    Member::required("last_login_at", Kind::Integer).nullable(),
    Member::required("failed_logins", Kind::Integer),
    Member::required("created_at", Kind::Integer),
    Member::optional("grants", Kind::Texts),
    SECRET,
];

const DELETED: ResponseBody = ResponseBody::One(&[Member::required("deleted", Kind::Boolean)]);
const LIST: About = About {
    summary: "A page of a realm's accounts",
    query: &[
        REALM,
        Member::optional("status", Kind::Text),
        Member::optional("role", Kind::Text),
        Member::optional("company", Kind::Text),
        Member::optional("name_prefix", Kind::Text),
        Member::optional("never_logged_in", Kind::Boolean),
        Member::optional("last_login_before", Kind::Integer),
        Member::optional("sort", Kind::Text),
        Member::optional("descending", Kind::Boolean),
        Member::optional("limit", Kind::Integer),
        Member::optional("after", Kind::Text),
        Member::optional("after_business", Kind::Text),
    ],
    bodies: &[],
    response: ResponseBody::Many(ACCOUNT),
};
const ADD: About = About {
    summary: "Make an account",
    query: &[],
    bodies: &[&[
        REALM,
        NAME,
        BUSINESS,
        Member::optional("display_name", Kind::Text).nullable(),
        Member::optional("role", Kind::Text).nullable(),
        Member::optional("scopes", Kind::Texts),
        Member::optional("company", Kind::Text).nullable(),
        Member::optional("grants", Kind::Texts).nullable(),
        Member::optional("legacy_id", Kind::Integer).nullable(),
        Member::optional("id", Kind::Text).nullable(),
        SECRET.nullable(),
    ]],
    response: ResponseBody::One(ACCOUNT),
};
/// A change that asks for nothing but whose account it is.
const CHANGE: About =
    About { summary: "", query: &[], bodies: &[&[REALM, NAME, BUSINESS]], response: ResponseBody::One(ACCOUNT) };
const REVISE: About = About {
    summary: "Change what an account is; its tokens end where they carry what changed",
    bodies: &[&[
        REALM,
        NAME,
        BUSINESS,
        Member::optional("display_name", Kind::Text).nullable(),
        Member::optional("role", Kind::Text).nullable(),
        Member::optional("scopes", Kind::Texts),
        Member::optional("company", Kind::Text).nullable(),
        Member::optional("legacy_id", Kind::Integer).nullable(),
        Member::optional("grants", Kind::Texts).nullable(),
    ]],
    ..CHANGE
};
const SET_ROLE: About = About {
    summary: "Give it another role, which ends its tokens",
    bodies: &[&[REALM, NAME, BUSINESS, Member::required("role", Kind::Text).nullable()]],
    ..CHANGE
};
const SET_PASSWORD: About = About {
    summary: "Give it another password, which ends its tokens",
    bodies: &[&[REALM, NAME, BUSINESS, Member::required("secret", Kind::Text)]],
    ..CHANGE
};
const ROTATE_SECRET: About = About {
    summary: "Give it a new secret, made here unless it is given",
    bodies: &[&[
        REALM,
        NAME,
        BUSINESS,
        SECRET.nullable(),
        Member::optional("revoke", Kind::Boolean),
        Member::optional("overlap_seconds", Kind::Integer).nullable(),
    ]],
    ..CHANGE
};
const END_OVERLAP: About = About { summary: "Take the secret before this one no more", ..CHANGE };
const DELETE: About = About { summary: "Delete it for ever and end its tokens", response: DELETED, ..CHANGE };
/// Adds the operations on accounts.
pub(super) fn operations(operations: Operations) -> Operations {
    let change = |about: &'static str| About { summary: about, ..CHANGE };
    operations
        .get("/accounts", AdminRole::Read, LIST, list)
        .post("/accounts", AdminRole::Admin, ADD, add)
        .patch("/accounts", AdminRole::Admin, REVISE, revise)
        .post("/accounts/disable", AdminRole::Operate, change("Refuse its logins and end its tokens"), disable)
        .post("/accounts/enable", AdminRole::Operate, change("Allow its logins again"), enable)
        .post("/accounts/lock", AdminRole::Operate, change("Refuse its logins, and let its tokens live on"), lock)
        .post("/accounts/unlock", AdminRole::Operate, change("Allow its logins again"), unlock)
        .post("/accounts/set-role", AdminRole::Admin, SET_ROLE, set_role)
        .post("/accounts/set-password", AdminRole::Admin, SET_PASSWORD, set_password)
        .post("/accounts/rotate-secret", AdminRole::Admin, ROTATE_SECRET, rotate_secret)
        .post("/accounts/end-overlap", AdminRole::Admin, END_OVERLAP, end_overlap)
        .post("/accounts/delete", AdminRole::Admin, DELETE, delete)
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

/// What `set-role` asks for; `null` takes the role away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetRole {
    realm: String,
    name: String,
    #[serde(default)]
    business: String,
    #[serde(default, deserialize_with = "to")]
    role: Revised<Option<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetPassword {
    realm: String,
    name: String,
    #[serde(default)]
    business: String,
    secret: Option<Hidden>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateSecret {
    realm: String,
    name: String,
    #[serde(default)]
    business: String,
    secret: Option<Hidden>,
    #[serde(default)]
    revoke: bool,
    /// For how long the old secret is taken too.
    overlap_seconds: Option<u64>,
}

async fn list(State(admin): State<Arc<Admin>>, By(service): By, Asked(asked): Asked<Listed>) -> ApiResponse {
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
    let page = service.accounts(&realm, &wanted, limit).await?;
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

async fn revise(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<Revise>) -> ApiResponse {
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
    Ok(Json(changed_json(&service.revise_account(&realm, &name, revision).await?)))
}

fn grants(words: &[String]) -> Result<Vec<GrantType>, ApiError> {
    let grants: Result<_, UnknownGrantType> = words.iter().map(|grant| grant.parse()).collect();
    grants.map_err(|error| ApiError::bad(&error.to_string()))
}

async fn add(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<New>) -> ApiResponse {
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
    let acceptable = service.check_new(&realm, new).await?;
    let made = service.add_account(acceptable, new_secret(asked.secret)).await?;
    Ok(Json(changed_json(&made)))
}

/// A change that asks for nothing but whose account it is.
async fn changed(admin: &Admin, service: &AdminService, asked: &Named, change: AccountChange) -> ApiResponse {
    let realm = admin.realm(&asked.realm)?;
    Ok(Json(changed_json(&service.change_account(&realm, &asked.account_name(), change).await?)))
}

async fn disable(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<Named>) -> ApiResponse {
    changed(&admin, &service, &asked, AccountChange::Disable).await
}

async fn enable(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<Named>) -> ApiResponse {
    changed(&admin, &service, &asked, AccountChange::Enable).await
}

async fn lock(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<Named>) -> ApiResponse {
    changed(&admin, &service, &asked, AccountChange::Lock).await
}

async fn unlock(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<Named>) -> ApiResponse {
    changed(&admin, &service, &asked, AccountChange::Unlock).await
}

async fn set_role(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<SetRole>) -> ApiResponse {
    if asked.role.is_kept() {
        return Err(ApiError::bad("set-role asks for the member role, null for none"));
    }
    let realm = admin.realm(&asked.realm)?;
    let name = AccountName { business: asked.business, name: asked.name };
    let revision = Revision { role: asked.role, ..Revision::default() };
    Ok(Json(changed_json(&service.revise_account(&realm, &name, revision).await?)))
}

async fn set_password(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<SetPassword>) -> ApiResponse {
    let SetPassword { realm, name, business, secret } = asked;
    let secret = secret.ok_or_else(|| ApiError::bad("set-password asks for the member secret"))?;
    set_secret(&admin, &service, &Named { realm, name, business }, Some(secret), SecretChange::Password).await
}

async fn rotate_secret(
    State(admin): State<Arc<Admin>>,
    By(service): By,
    Body(asked): Body<RotateSecret>,
) -> ApiResponse {
    let RotateSecret { realm, name, business, secret, revoke, overlap_seconds } = asked;
    let rotation = rotation(revoke, overlap_seconds)?;
    set_secret(&admin, &service, &Named { realm, name, business }, secret, rotation).await
}

async fn end_overlap(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<Named>) -> ApiResponse {
    let realm = admin.realm(&asked.realm)?;
    let account = service.account(&realm, &asked.account_name()).await?;
    let (changed, ended) = service.end_overlap(&realm, &account).await?;
    let mut members = changed_json(&changed);
    members["ended"] = ended.into();
    Ok(Json(members))
}

async fn delete(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<Named>) -> ApiResponse {
    let realm = admin.realm(&asked.realm)?;
    service.delete_account(&realm, &asked.account_name()).await?;
    Ok(Json(json!({ "deleted": true })))
}

async fn set_secret(
    admin: &Admin,
    service: &AdminService,
    named: &Named,
    secret: Option<Hidden>,
    change: SecretChange,
) -> ApiResponse {
    let realm = admin.realm(&named.realm)?;
    // Before a secret is made for nothing.
    let account = service.account(&realm, &named.account_name()).await?;
    Ok(Json(changed_json(&service.set_secret(&realm, &account, new_secret(secret), change).await?)))
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
