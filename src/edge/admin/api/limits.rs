//! `/api/v1/limits`: what restrains logins, and an end to it.

use std::{net::IpAddr, sync::Arc};

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{context::Admin, operator::By},
    message::{ApiError, ApiResponse, Asked, Body},
    operations::{About, Kind, Member, Operations, ResponseBody},
};
use crate::{
    domain::{AccountName, RealmName},
    edge::respond::whole_seconds,
    state::{
        admin_token::AdminRole,
        limit::{Restrained, Table, ThrottleStatus, Whom},
    },
};

const WHOM: &[Member] = &[
    Member::optional("realm", Kind::Text),
    Member::optional("name", Kind::Text),
    Member::optional("business", Kind::Text),
    Member::optional("address", Kind::Text),
];
const LIST: About = About {
    summary: "What restrains logins now; with a name or an address, how that stands",
    query: WHOM,
    bodies: &[],
    response: ResponseBody::One(&[
        Member::required("restraints", Kind::Objects),
        Member::required("shared", Kind::Boolean),
        Member::optional("standing", Kind::Objects),
    ]),
};
const CLEAR: About = About {
    summary: "End what restrains logins for a name, or from an address",
    query: &[],
    bodies: &[WHOM],
    response: ResponseBody::One(&[Member::required("cleared", Kind::Boolean)]),
};

/// Adds what only looks into memory: it is answered while the store is away.
pub(super) fn looking(operations: Operations) -> Operations {
    operations.get("/limits", AdminRole::Read, LIST, list)
}

/// Adds what writes to the store.
pub(super) fn clearing(operations: Operations) -> Operations {
    operations.post("/limits/clear", AdminRole::Operate, CLEAR, clear)
}

/// A name of a realm, an address, or both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedWhom {
    realm: Option<String>,
    name: Option<String>,
    #[serde(default)]
    business: String,
    address: Option<IpAddr>,
}

/// The same, checked.
struct CheckedWhom {
    name: Option<(RealmName, AccountName)>,
    address: Option<IpAddr>,
}

impl AskedWhom {
    fn check(self, admin: &Admin) -> Result<CheckedWhom, ApiError> {
        let Self { realm, name, business, address } = self;
        let name = match (realm, name) {
            (Some(realm), Some(name)) => Some((admin.realm(&realm)?.name.clone(), AccountName { business, name })),
            (None, None) if business.is_empty() => None,
            _ => return Err(ApiError::bad("realm and name go together, and business with them")),
        };
        Ok(CheckedWhom { name, address })
    }
}

impl CheckedWhom {
    fn whom(&self) -> Whom<'_> {
        Whom { name: self.name.as_ref().map(|(realm, name)| (realm, name)), address: self.address }
    }
}

async fn list(State(admin): State<Arc<Admin>>, By(service): By, Asked(asked): Asked<AskedWhom>) -> ApiResponse {
    let whom = asked.check(&admin)?;
    let limits = service.limits(whom.whom())?;
    let mut body = json!({
        "restraints": limits.restrained.iter().map(restraint_json).collect::<Value>(),
        "shared": limits.shared,
    });
    if !limits.statuses.is_empty() {
        body["standing"] = limits.statuses.iter().map(status_json).collect();
    }
    Ok(Json(body))
}

async fn clear(State(admin): State<Arc<Admin>>, By(service): By, Body(asked): Body<AskedWhom>) -> ApiResponse {
    let whom = asked.check(&admin)?;
    if whom.name.is_none() && whom.address.is_none() {
        return Err(ApiError::bad("say whose restraints end: realm and name, or address"));
    }
    service.clear_limits(whom.whom()).await?;
    Ok(Json(json!({ "cleared": true })))
}

fn restraint_json(restrained: &Restrained) -> Value {
    json!({
        "kind": kind(restrained.table),
        "count": restrained.count,
        "longest_seconds": whole_seconds(restrained.longest),
    })
}

fn status_json(status: &ThrottleStatus) -> Value {
    json!({
        "kind": kind(status.table),
        "failures": status.failures,
        "failures_max": status.failures_max,
        "restrained_seconds": status.left.map(whole_seconds),
    })
}

const fn kind(table: Table) -> &'static str {
    match table {
        Table::Pair | Table::Spent => "name_and_address",
        Table::Address => "address",
        Table::Name => "name",
    }
}
