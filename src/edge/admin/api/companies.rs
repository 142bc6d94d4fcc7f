//! Companies over the API: the verbs of the command line.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{context::Admin, operator::By},
    message::{ApiResponse, Asked, Body},
    operations::{About, Kind, Member, Operations, ResponseBody},
};
use crate::{
    decision::{AdminService, admin::companies::CompanyChange},
    domain::Timestamp,
    state::{account::company::Company, admin_token::AdminRole},
};

const REALM: Member = Member::required("realm", Kind::Text);
const NAME: Member = Member::required("name", Kind::Text);

/// A company in a response.
const COMPANY: &[Member] =
    &[REALM, NAME, Member::required("disabled", Kind::Boolean), Member::required("created_at", Kind::Integer)];

const LIST_COMPANIES: About = About {
    summary: "A page of a realm's companies in the order of their names",
    query: &[REALM, Member::optional("after", Kind::Text)],
    bodies: &[],
    response: ResponseBody::Many(COMPANY),
};
const ADD_COMPANY: About =
    About { summary: "Make a company", query: &[], bodies: &[&[REALM, NAME]], response: ResponseBody::One(COMPANY) };
const DISABLE_COMPANY: About = About { summary: "Refuse its clients' logins and end their tokens", ..ADD_COMPANY };
const ENABLE_COMPANY: About = About { summary: "Allow its clients' logins again", ..ADD_COMPANY };
const DELETE_COMPANY: About = About {
    summary: "Delete it and end its clients' tokens",
    response: ResponseBody::One(&[Member::required("deleted", Kind::Boolean)]),
    ..ADD_COMPANY
};

/// Adds the operations on companies.
pub(super) fn operations(operations: Operations) -> Operations {
    operations
        .get("/companies", AdminRole::Read, LIST_COMPANIES, list)
        .post("/companies", AdminRole::Admin, ADD_COMPANY, add)
        .post("/companies/disable", AdminRole::Operate, DISABLE_COMPANY, disable)
        .post("/companies/enable", AdminRole::Operate, ENABLE_COMPANY, enable)
        .post("/companies/delete", AdminRole::Admin, DELETE_COMPANY, delete)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedCompanies {
    realm: String,
    after: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedCompany {
    realm: String,
    name: String,
}

async fn list(State(admin): State<Arc<Admin>>, By(service): By, Asked(asked): Asked<ListedCompanies>) -> ApiResponse {
    let realm = admin.realm(&asked.realm)?;
    let page = service.companies(&realm, asked.after.as_deref()).await?;
    Ok(Json(page.iter().map(company_json).collect()))
}

async fn add(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<NamedCompany>) -> ApiResponse {
    let realm = admin.realm(&asked.realm)?;
    Ok(Json(company_json(&service.add_company(&realm, &asked.name).await?)))
}

async fn changed(admin: &Admin, service: &AdminService, asked: &NamedCompany, change: CompanyChange) -> ApiResponse {
    let realm = admin.realm(&asked.realm)?;
    Ok(Json(company_json(&service.change_company(&realm, &asked.name, change).await?)))
}

async fn disable(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<NamedCompany>) -> ApiResponse {
    changed(&admin, &service, &asked, CompanyChange::Disable).await
}

async fn enable(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<NamedCompany>) -> ApiResponse {
    changed(&admin, &service, &asked, CompanyChange::Enable).await
}

async fn delete(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<NamedCompany>) -> ApiResponse {
    let realm = admin.realm(&asked.realm)?;
    service.delete_company(&realm, &asked.name).await?;
    Ok(Json(json!({ "deleted": true })))
}

fn company_json(company: &Company) -> Value {
    json!({
        "realm": company.realm.as_str(),
        "name": company.name,
        "disabled": company.disabled,
        "created_at": Timestamp::as_secs(company.created_at),
    })
}
