//! `/openapi.json`: what this listener's API and the token endpoints of the present config take and answer, as
//! `OpenAPI` 3.1 has it (<https://spec.openapis.org/oas/v3.1.1>). It is made of the table that the router is made of.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Json, extract::State, response::IntoResponse};
use serde_json::{Map, Value, json};

use super::{
    super::context::Admin,
    operations::{About, Kind, Member, Operation, Operations, ResponseBody},
};
use crate::{
    decision::{Endpoint, Service, Snapshot},
    rules::contract::{Dialect, Forms, oauth::FORM},
    state::admin_token::AdminRole,
};

/// Below which the API's operations are.
pub(in crate::edge::admin) const API: &str = "/api/v1";

/// Where the document is.
const PATH: &str = "/openapi.json";

const DOCUMENT: About = About {
    summary: "This document",
    query: &[],
    bodies: &[],
    response: ResponseBody::One(&[Member::required("openapi", Kind::Text)]),
};

/// What the API may answer beside 200.
const REFUSALS: [(&str, &str); 8] = [
    ("400", "The request is not one that this operation takes"),
    ("401", "No token that opens"),
    ("403", "The token's role is too low"),
    ("404", "There is no such thing"),
    ("409", "It exists already, or cannot be done now"),
    ("421", "The listener does not answer under this Host"),
    ("500", "The request failed"),
    ("503", "The store is out of reach"),
];

/// What one that takes a body may answer too.
const REFUSED_BODIES: [(&str, &str); 3] = [
    ("413", "The body is larger than 64 KiB"),
    ("415", "The body is no JSON"),
    ("422", "A member is missing, unknown or of the wrong type"),
];

/// Every operation of the listener that asks for a role, with what stands before its path.
type Listed = fn(&Arc<Admin>) -> Vec<(&'static str, Operation)>;

/// Adds the document itself, of all that is `listed`.
pub(super) fn operations(operations: Operations, listed: Listed) -> Operations {
    let serve = move |State(admin): State<Arc<Admin>>| async move {
        Json(document(&listed(&admin), &admin.live_state.snapshot())).into_response()
    };
    operations.get(PATH, AdminRole::Read, DOCUMENT, serve)
}

fn document(operations: &[(&'static str, Operation)], snapshot: &Snapshot) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut put = |path: String, method: String, operation: Value| {
        paths.entry(path).or_insert_with(|| json!({}))[method] = operation;
    };
    for (prefix, operation) in operations {
        put(format!("{prefix}{}", operation.path), operation.method.to_lowercase(), described(operation));
    }
    for endpoint in snapshot.endpoints.routes() {
        for (method, operation) in of_endpoint(endpoint) {
            put(endpoint.metrics.route.name().to_owned(), method.to_owned(), operation);
        }
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Portero",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The admin API, on this listener; and the token endpoints, on the front listener.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "admin": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Error": schema(&[Member::required("error", Kind::Text)]) },
        },
    })
}

fn described(operation: &Operation) -> Value {
    let About { summary, query, bodies, response } = operation.about;
    let mut responses = Map::new();
    let response = match response {
        ResponseBody::One(members) => schema(members),
        ResponseBody::Many(members) => json!({ "type": "array", "items": schema(members) }),
    };
    let request_id = json!({ "X-Request-Id": { "schema": { "type": "string" } } });
    let mut put = |status: &str, text: &str, schema: Value| {
        let content = json!({ "application/json": { "schema": schema } });
        responses.insert(status.to_owned(), json!({ "description": text, "headers": request_id, "content": content }));
    };
    put("200", "Done", response.clone());
    if query.iter().any(|member| member.name == "wait") {
        put("202", "Durable, and not yet known to every gateway", response);
    }
    let of_bodies = REFUSED_BODIES.iter().filter(|_| !bodies.is_empty());
    for &(status, text) in REFUSALS.iter().chain(of_bodies) {
        put(status, text, json!({ "$ref": "#/components/schemas/Error" }));
    }
    let parameters: Vec<_> = query
        .iter()
        .map(|member| {
            json!({ "name": member.name, "in": "query", "required": member.is_required, "schema": kind(*member) })
        })
        .collect();
    let mut members = json!({
        "summary": summary,
        "description": format!("Asks for the role {}.", operation.role),
        "tags": ["admin"],
        "security": [{ "admin": [] }],
        "x-portero-role": operation.role.name(),
        "parameters": parameters,
        "responses": responses,
    });
    let bodies: Vec<_> = bodies.iter().map(|members| schema(members)).collect();
    if let Some(body) = one_of(bodies) {
        members["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": body } } });
    }
    members
}

fn schema(members: &[Member]) -> Value {
    let properties: Map<_, _> = members.iter().map(|member| (member.name.to_owned(), kind(*member))).collect();
    let required: Vec<_> = members.iter().filter(|member| member.is_required).map(|member| member.name).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn kind(member: Member) -> Value {
    let strings = || json!({ "type": "string" });
    let mut schema = match member.kind {
        Kind::Text => strings(),
        Kind::Integer => json!({ "type": "integer" }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Texts => json!({ "type": "array", "items": strings() }),
        Kind::Pairs => {
            json!({ "type": "array", "items": { "type": "array", "items": strings(), "minItems": 2, "maxItems": 2 } })
        }
        Kind::Objects => json!({ "type": "array", "items": { "type": "object" } }),
    };
    if member.is_nullable {
        schema["type"] = json!([schema["type"], "null"]);
    }
    schema
}

/// One of several schemas; none of none.
fn one_of(mut schemas: Vec<Value>) -> Option<Value> {
    match schemas.len() {
        0 => None,
        1 => schemas.pop(),
        _ => Some(json!({ "oneOf": schemas })),
    }
}

/// The operations of a token endpoint, by their methods.
fn of_endpoint(endpoint: &Endpoint) -> Vec<(&'static str, Value)> {
    let realms: Vec<_> = endpoint.realms.iter().map(|realm| realm.name.as_str()).collect();
    match endpoint.serves {
        Service::Login | Service::Refresh => contracts(endpoint, &realms),
        Service::OauthToken => vec![("post", form("Tokens (RFC 6749)", &realms, "grant_type"))],
        Service::OauthRevocation => vec![("post", form("Revocation (RFC 7009)", &realms, "token"))],
        Service::OauthIntrospection => vec![("post", form("Introspection (RFC 7662)", &realms, "token"))],
        Service::Jwks | Service::InternalJwks => vec![("get", read("Public keys (RFC 7517)"))],
        Service::Metadata => vec![("get", read("The authorization server's metadata (RFC 8414)"))],
        Service::ResourceMetadata => vec![("get", read("A protected resource's metadata (RFC 9728)"))],
    }
}

fn contracts(endpoint: &Endpoint, realms: &[&str]) -> Vec<(&'static str, Value)> {
    let refresh = endpoint.serves == Service::Refresh;
    let schemas: Vec<_> = endpoint.dialects.iter().filter_map(|dialect| dialect.contract().schemas(refresh)).collect();
    let refusals: BTreeSet<u16> = schemas.iter().flat_map(|schemas| &schemas.refusals).copied().collect();
    let granted = schemas.iter().map(|schemas| schemas.response.clone()).collect();
    let mut responses = Map::new();
    let content = json!({ "application/json": { "schema": any_of(granted) } });
    responses.insert("200".to_owned(), json!({ "description": "Tokens", "content": content }));
    for status in refusals {
        responses.insert(status.to_string(), json!({ "description": "Refused, in the contract's own shape" }));
    }
    let requests = |reads: fn(Forms) -> bool| -> Vec<Value> {
        let reading = endpoint.dialects.iter().map(Dialect::contract).filter(|c| reads(c.facts().forms));
        reading.filter_map(|contract| contract.schemas(refresh)?.request.clone()).collect()
    };
    let in_json = requests(|forms| forms != Forms::Only);
    let in_forms = requests(|forms| forms != Forms::Refused);
    let names: Vec<_> = endpoint.dialects.iter().map(ToString::to_string).collect();
    let mut post = json!({
        "summary": if refresh { "Exchange a refresh token" } else { "Log in" },
        "description": format!("Contracts: {}. Realms: {}.", names.join(", "), realms.join(", ")),
        "tags": names,
        "responses": responses,
    });
    let kinds = [("application/json", in_json), (FORM, in_forms)];
    let content: Map<_, _> = kinds
        .into_iter()
        .filter(|(_, requests)| !requests.is_empty())
        .map(|(kind, requests)| (kind.to_owned(), json!({ "schema": any_of(requests) })))
        .collect();
    if !content.is_empty() {
        let is_required = schemas.iter().all(|schemas| schemas.request.is_some());
        post["requestBody"] = json!({ "required": is_required, "content": content });
    }
    let mut operations = vec![("post", post)];
    let verifies = endpoint.dialects.iter().any(|dialect| dialect.contract().methods().contains(&http::Method::GET));
    if verifies && !refresh {
        operations.push(("get", read("What a token says, if it holds")));
    }
    operations
}

/// Any of several schemas: contracts on one path are told apart by their members.
fn any_of(schemas: Vec<Value>) -> Value {
    one_of(schemas).map_or_else(
        || json!({}),
        |mut schema| match schema.get_mut("oneOf") {
            Some(several) => json!({ "anyOf": several.take() }),
            None => schema,
        },
    )
}

fn form(summary: &str, realms: &[&str], required: &str) -> Value {
    let schema = json!({ "type": "object", "required": [required], "properties": { required: { "type": "string" } } });
    json!({
        "summary": summary,
        "description": format!("Realms: {}.", realms.join(", ")),
        "tags": ["oauth"],
        "requestBody": { "required": true, "content": { FORM: { "schema": schema } } },
        "responses": {
            "200": { "description": "Done", "content": { "application/json": { "schema": { "type": "object" } } } },
            "400": { "description": "Refused (RFC 6749 section 5.2)" },
            "401": { "description": "The client did not prove itself" },
            "503": { "description": "The store is out of reach" },
        },
    })
}

fn read(summary: &str) -> Value {
    json!({
        "summary": summary,
        "responses": {
            "200": { "description": "Done", "content": { "application/json": { "schema": { "type": "object" } } } },
        },
    })
}
