//! Revocations, and an account's sessions.

use std::{str::FromStr, sync::Arc};

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{context::Admin, operator::By},
    message::{ApiError, ApiResponse, Asked, Body, Hidden, Named},
    operations::{About, Kind, Member, Operations, ResponseBody},
};
use crate::{
    decision::{AdminService, Elsewhere, Revoked, SESSIONS_LISTED_MAX},
    domain::{AccountName, KeyId, SessionId, Timestamp, id::hex},
    state::{admin_token::AdminRole, session::Listed},
};

const REALM: Member = Member::required("realm", Kind::Text);
const NAME: Member = Member::required("name", Kind::Text);
const BUSINESS: Member = Member::optional("business", Kind::Text);
const ID: Member = Member::required("id", Kind::Text);

/// What a revocation answers.
const REVOKED: ResponseBody = ResponseBody::One(&[
    Member::required("revoked", Kind::Text),
    ID,
    Member::optional("same_material", Kind::Texts),
    Member::optional("confirmed", Kind::Texts),
    Member::optional("refusing", Kind::Texts),
    Member::optional("missing", Kind::Texts),
    Member::optional("unbounded", Kind::Texts),
]);
const REVOKE_TOKEN: About = About {
    summary: "Revoke a token, by itself or by its jti",
    query: &[Member::optional("wait", Kind::Text)],
    bodies: &[
        &[
            Member::required("token", Kind::Text),
            Member::optional("realm", Kind::Text).nullable(),
            Member::optional("expires", Kind::Integer).nullable(),
        ],
        &[Member::required("jti", Kind::Text), REALM, Member::optional("expires", Kind::Integer).nullable()],
    ],
    response: REVOKED,
};
const REVOKE_SESSION: About =
    About { summary: "Revoke all tokens that one login gave", bodies: &[&[ID]], ..REVOKE_TOKEN };
const REVOKE_PRINCIPAL: About =
    About { summary: "End all tokens of an account", bodies: &[&[REALM, NAME, BUSINESS]], ..REVOKE_TOKEN };
const REVOKE_KEY: About =
    About { summary: "End all tokens that a key signed; one that signs is replaced", bodies: &[&[ID]], ..REVOKE_TOKEN };
const SESSIONS: About = About {
    summary: "A page of an account's sessions, the youngest first",
    query: &[REALM, NAME, BUSINESS, Member::optional("after", Kind::Text), Member::optional("limit", Kind::Integer)],
    bodies: &[],
    response: ResponseBody::Many(&[
        ID,
        Member::required("created_at", Kind::Integer),
        Member::required("expires_at", Kind::Integer).nullable(),
        Member::required("revoked", Kind::Boolean),
        Member::required("state", Kind::Text),
    ]),
};

/// Adds revoking and sessions.
pub(super) fn operations(operations: Operations) -> Operations {
    operations
        .post("/revocations/token", AdminRole::Operate, REVOKE_TOKEN, revoke_token)
        .post("/revocations/session", AdminRole::Operate, REVOKE_SESSION, revoke_session)
        .post("/revocations/principal", AdminRole::Operate, REVOKE_PRINCIPAL, revoke_principal)
        .post("/revocations/key", AdminRole::Operate, REVOKE_KEY, revoke_key)
        .get("/sessions", AdminRole::Read, SESSIONS, sessions)
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum TokenToRevoke {
    Itself { token: Hidden, realm: Option<String>, expires: Option<i64> },
    ById { jti: String, realm: String, expires: Option<i64> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ById {
    id: String,
}

/// Whom a revocation waits for.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Who {
    All,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    wait: Option<Who>,
}

/// A response about a revocation: 202 where it is durable, and not yet known everywhere.
type RevocationResponse = Result<(StatusCode, Json<Value>), ApiError>;

impl Admin {
    async fn told(&self, service: &AdminService, waiting: Waiting, mut body: Value) -> RevocationResponse {
        let (Some(Who::All), Some(bound)) = (waiting.wait, self.live_state.freshness().max()) else {
            return Ok((StatusCode::OK, Json(body)));
        };
        let everywhere = service.wait_for_all(bound).await?;
        body["confirmed"] = json!(everywhere.confirmed);
        body["refusing"] = json!(everywhere.refusing);
        if everywhere.is_complete() {
            return Ok((StatusCode::OK, Json(body)));
        }
        body["missing"] = json!(everywhere.missing);
        body["unbounded"] = json!(everywhere.unbounded);
        Ok((StatusCode::ACCEPTED, Json(body)))
    }
}

async fn revoke_token(
    State(admin): State<Arc<Admin>>,
    By(service): By,
    Asked(waiting): Asked<Waiting>,
    Body(asked): Body<TokenToRevoke>,
) -> RevocationResponse {
    let snapshot = admin.live_state.snapshot();
    let revoked = match asked {
        TokenToRevoke::Itself { realm: None, expires: Some(_), .. } => {
            return Err(ApiError::bad("expires is of a token that an old system gave out: say its realm too"));
        }
        TokenToRevoke::Itself { token, realm, expires } => {
            let expires_at = expires.map(Timestamp::from_secs);
            let elsewhere = realm.as_deref().map(|realm| Elsewhere { realm, expires_at });
            service.revoke_token(token.expose(), &snapshot.issuers, elsewhere).await?
        }
        TokenToRevoke::ById { jti, realm, expires } => {
            let expires = expires.map(Timestamp::from_secs);
            service.revoke_token_id(&snapshot.issuers, &realm, &jti, expires).await?
        }
    };
    admin.told(&service, waiting, revoked_json(revoked)).await
}

async fn revoke_session(
    State(admin): State<Arc<Admin>>,
    By(service): By,
    Asked(waiting): Asked<Waiting>,
    Body(ById { id }): Body<ById>,
) -> RevocationResponse {
    let id = SessionId::from_str(&id).map_err(|_| ApiError::bad("a session's id is a UUID"))?;
    let revoked = service.revoke_session(id).await?;
    admin.told(&service, waiting, revoked_json(revoked)).await
}

async fn revoke_principal(
    State(admin): State<Arc<Admin>>,
    By(service): By,
    Asked(waiting): Asked<Waiting>,
    Body(named): Body<Named>,
) -> RevocationResponse {
    let realm = admin.realm(&named.realm)?;
    let account = service.revoke_principal(&realm.name, &named.account_name()).await?;
    admin.told(&service, waiting, json!({ "revoked": "principal", "id": account.id.to_string() })).await
}

async fn revoke_key(
    State(admin): State<Arc<Admin>>,
    By(service): By,
    Asked(waiting): Asked<Waiting>,
    Body(ById { id }): Body<ById>,
) -> RevocationResponse {
    let others = service.revoke_key(&KeyId::from_text(&id)).await?;
    let mut body = json!({ "revoked": "key", "id": id });
    if !others.is_empty() {
        body["same_material"] = others.iter().map(KeyId::as_str).collect();
    }
    admin.told(&service, waiting, body).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionPage {
    realm: String,
    name: String,
    #[serde(default)]
    business: String,
    /// The last session of the page before.
    after: Option<String>,
    limit: Option<u32>,
}

async fn sessions(State(admin): State<Arc<Admin>>, By(service): By, Asked(asked): Asked<SessionPage>) -> ApiResponse {
    let realm = admin.realm(&asked.realm)?;
    let name = AccountName { business: asked.business, name: asked.name };
    let after = asked.after.as_deref().map(SessionId::from_str).transpose();
    let after = after.map_err(|_| ApiError::bad("after is the id of a session, a UUID"))?;
    let limit = asked.limit.unwrap_or(SESSIONS_LISTED_MAX);
    if !(1..=SESSIONS_LISTED_MAX).contains(&limit) {
        return Err(ApiError::bad("limit is 1 to 1000"));
    }
    let sessions = service.sessions(&realm.name, &name, after, limit).await?;
    let now = service.now();
    Ok(Json(sessions.iter().map(|listed| session_json(listed, now)).collect()))
}

fn revoked_json(revoked: Revoked) -> Value {
    match revoked {
        Revoked::Token(id) => json!({ "revoked": "token", "id": hex(&id.to_bytes()) }),
        Revoked::Session(id) => json!({ "revoked": "session", "id": id.to_string() }),
    }
}

fn session_json(listed: &Listed, now: Timestamp) -> Value {
    let session = &listed.session;
    json!({
        "id": session.id.to_string(),
        "created_at": session.created_at.as_secs(),
        "expires_at": session.expires_at.map(Timestamp::as_secs),
        "revoked": listed.has_ended(),
        "state": listed.state(now).name(),
    })
}
