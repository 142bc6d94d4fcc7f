//! Problem details (RFC 9457): the errors of contracts whose documents have none, and of no contract at all.

use http::StatusCode;
use serde::Serialize;

use super::{
    ContractResponse, PROBLEM_JSON,
    response::{json_response, phrase},
};

/// A problem of type «about:blank» (RFC 9457 section 4.2.1), whose title is therefore the status's phrase.
/// `detail` is for the client to read.
#[must_use]
pub fn problem(status: StatusCode, detail: &str) -> ContractResponse {
    let title = phrase(status).unwrap_or_default();
    json_response(status, PROBLEM_JSON, &Problem { kind: "about:blank", title, status: status.as_u16(), detail })
}

/// The members in the order of RFC 9457 section 3.1.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_the_order_of_the_rfc() {
        let response = problem(StatusCode::NOT_FOUND, "No \"hay\"");
        assert_eq!((response.status, response.content_type), (StatusCode::NOT_FOUND, "application/problem+json"));
        assert_eq!(
            &response.body[..],
            r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"No \"hay\""}"#.as_bytes()
        );
    }
}
