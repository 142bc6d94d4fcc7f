//! What all contracts share in writing a response.

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use super::ContractResponse;
use crate::domain::Reason;

/// A response whose body is `body`, its members in the order of the struct.
pub(super) fn json_response(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> ContractResponse {
    let body =
        serde_json::to_vec(body).expect("the contracts' answers are structs of strings, integers and lists of these");
    ContractResponse { status, content_type, body: Bytes::from(body) }
}

/// The status of a denial. A reason that denies nothing has no business here: it is answered as a
/// defect of ours, never as a success.
pub(super) fn denial_status(reason: Reason) -> StatusCode {
    let status = StatusCode::from_u16(reason.status()).ok().filter(|_| !reason.allows());
    status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The status's phrase, as RFC 9110 section 15 has it. The library's phrases are older for two statuses.
pub(super) fn phrase(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Some("Content Too Large"),
        StatusCode::UNPROCESSABLE_ENTITY => Some("Unprocessable Content"),
        _ => status.canonical_reason(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_those_of_rfc_9110() {
        assert_eq!(phrase(StatusCode::PAYLOAD_TOO_LARGE), Some("Content Too Large"));
        assert_eq!(phrase(StatusCode::NOT_FOUND), Some("Not Found"));
    }

    #[test]
    fn no_denial_is_a_success() {
        for reason in Reason::ALL {
            let expected = if reason.allows() { 500 } else { reason.status() };
            assert_eq!(denial_status(reason).as_u16(), expected, "{}", reason.name());
        }
    }
}
