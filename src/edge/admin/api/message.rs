//! What the API's requests and responses have in common.

use std::{str::FromStr, sync::Arc};

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Query, rejection::JsonRejection},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::super::{access::failure, context::Admin};
use crate::{
    decision::AdminError,
    domain::{AccountName, RealmName, Secret},
    rules::{contract::names_with, realm::Realm},
    state::{
        account::{AccountError, HasherError},
        keys::VaultError,
        store::StoreError,
    },
};

/// Bytes of a request's body, at most.
pub(in crate::edge::admin) const BODY_BYTES_MAX: usize = 64 << 10;

/// A response, or what went wrong.
pub(super) type ApiResponse = Result<Json<Value>, ApiError>;

/// Whom a request is about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) realm: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) business: String,
}

impl Named {
    pub(super) fn account_name(&self) -> AccountName {
        AccountName { business: self.business.clone(), name: self.name.clone() }
    }
}

/// A secret in a request: it is wiped, and never shown.
#[derive(Deserialize)]
#[serde(from = "String")]
pub(super) struct Hidden(Secret);

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(Secret::new(text))
    }
}

impl Hidden {
    pub(super) fn expose(&self) -> &str {
        self.0.expose()
    }
    pub(super) fn into_inner(self) -> Secret {
        self.0
    }
}

impl Admin {
    /// The realm called `name`.
    pub(super) fn realm(&self, name: &str) -> Result<Arc<Realm>, ApiError> {
        let unknown = || ApiError(StatusCode::NOT_FOUND, format!("the config has no realm '{name}'"));
        let realm = RealmName::from_str(name).map_err(|_| unknown())?;
        self.live_state.snapshot().realms.get(&realm).cloned().ok_or_else(unknown)
    }
}

/// What went wrong, for the administrator's eyes.
#[derive(Debug)]
pub(super) struct ApiError(pub(super) StatusCode, pub(super) String);

impl ApiError {
    pub(super) fn bad(text: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, text.to_owned())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        failure(self.0, &self.1)
    }
}

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        let status = match &error {
            // Whatever the store is, and whether it answers: the request is wrong.
            AdminError::Account(AccountError::Store(StoreError::ZeroByte))
            | AdminError::Store(StoreError::ZeroByte) => StatusCode::BAD_REQUEST,
            AdminError::NotFound { .. }
            | AdminError::UnknownIssuer(_)
            | AdminError::Account(AccountError::NotFound(_)) => StatusCode::NOT_FOUND,
            AdminError::Account(AccountError::Store(_))
            | AdminError::Store(_)
            | AdminError::Vault(VaultError::Store(_))
            | AdminError::Secret(HasherError::Busy | HasherError::Failed) => StatusCode::SERVICE_UNAVAILABLE,
            AdminError::Account(AccountError::Exists(_)) => StatusCode::CONFLICT,
            AdminError::NoCompanies { .. } => {
                let dialect = names_with(|facts| facts.accounts.has_company);
                return Self::bad(&format!("only realms of the dialect {dialect} have companies"));
            }
            AdminError::NotOurs(_)
            | AdminError::Refused(_)
            | AdminError::AdminToken(_)
            | AdminError::Secret(HasherError::Refused(_))
            | AdminError::Account(_)
            | AdminError::Import(_) => StatusCode::BAD_REQUEST,
            AdminError::Vault(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

/// A JSON body. What is wrong with one is said without quoting it: it may hold a secret.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, ApiError> {
        let text = |rejection: &JsonRejection| match rejection {
            JsonRejection::MissingJsonContentType(_) => "send Content-Type: application/json",
            JsonRejection::JsonSyntaxError(_) => "the body is no JSON",
            JsonRejection::JsonDataError(_) => {
                "a member is missing, unknown or of the wrong type; see docs/admin-api.md"
            }
            _ => "the body could not be read",
        };
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(Self::refuse(rejection.status(), text(&rejection))),
        }
    }
}

impl<T> Body<T> {
    fn refuse(status: StatusCode, text: &str) -> ApiError {
        ApiError(status, text.to_owned())
    }
}

/// A query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(asked)| Self(asked))
            .map_err(|_| ApiError::bad("a parameter is missing, unknown or malformed; see docs/admin-api.md"))
    }
}
