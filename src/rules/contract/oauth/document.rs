//! Documents of JSON.

use http::StatusCode;
use serde_json::{Map, Value};

use crate::rules::contract::{ContractResponse, JSON, response::json_response};

/// A document of JSON: keys, or metadata.
#[must_use]
pub fn document(body: &Map<String, Value>) -> ContractResponse {
    json_response(StatusCode::OK, JSON, body)
}
