//! `become-auth.md`: tokens for clients of a company, after seven checks in a fixed order.
//!
//! «Proceso de validación»: 1 the body's format and 2 its parameters are checked here; 3 the client,
//! 4 its state, 5 its company and 6 its secret arrive as a [`Rejection`]; 7 is the grant.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Answer, Contract, DialectSettings, JSON, Login, Operation, Outcome, Rejection, TokenRequest,
    answer::{answer, denial_status, phrase, rejection_status},
    body,
};
use portero::domain::{Grant, Holder, Reason, Timestamp, TokenKind};

/// The contract of `become-auth.md`.
pub(super) struct Become;

/// «400 - Bad Request», «Solicitud no es JSON».
const NOT_JSON: &str = "Missing JSON in request";
/// «401 - Unauthorized», «Credenciales inválidas».
const INVALID_CREDENTIALS: &str = "Invalid login details";
/// «200 - Credenciales inactivas».
const INACTIVE: &str = "credential inactive";
/// «404 - Not Found», «Empresa no encontrada».
const COMPANY_MISSING: &str = "Not Found";
/// Decided, as are the other denials.
const MISSING_TOKEN: &str = "Missing Authorization Header";
/// Decided.
const EXPIRED: &str = "Token has expired";
/// Decided.
const REVOKED: &str = "Token has been revoked";
/// Decided.
const INVALID_TOKEN: &str = "Invalid token";

/// «200 - Autenticación exitosa».
#[derive(Serialize)]
struct Granted<'a> {
    access_token: &'a str,
    exp: i64,
    iat: i64,
}

/// Every error but one.
#[derive(Serialize)]
struct Message<'a> {
    msg: &'a str,
}

/// «404 - Not Found».
#[derive(Serialize)]
struct NotFound {
    error: &'static str,
}

impl Contract for Become {
    fn identifying_members(&self) -> &'static [&'static str] {
        &["client_id", "client_secret"]
    }

    fn read(&self, request: &TokenRequest<'_>, _: &DialectSettings) -> Result<Operation, Rejection> {
        // «Headers requeridos»: an absent Content-Type is no JSON either.
        if request.content_type.is_none() {
            return Err(Rejection::NotJson);
        }
        let [client_id, client_secret] = body::required(body::announced(request)?, ["client_id", "client_secret"])?;
        Ok(Operation::Login(Login::new(client_id, client_secret)))
    }

    /// «Información importante»: «información del cliente, empresa y permisos».
    fn claims(&self, holder: &Holder, _: Timestamp, _: Option<Timestamp>) -> Map<String, Value> {
        let mut claims = Map::new();
        claims.insert("client_id".into(), holder.name.name.as_str().into());
        claims.insert("company".into(), holder.company.as_deref().into());
        claims.insert("permissions".into(), holder.scopes.as_slice().into());
        claims
    }

    fn write(&self, outcome: &Outcome<'_>, _: &DialectSettings) -> Answer {
        let written = match outcome {
            Outcome::Granted(grant) => granted(grant),
            Outcome::Rejected(rejection) => Some(rejected(rejection)),
            Outcome::Refreshed(_) | Outcome::Verified(_) => None,
        };
        written.unwrap_or_else(|| self.deny(Reason::Internal))
    }

    fn deny(&self, reason: Reason) -> Answer {
        let status = denial_status(reason);
        let text = match reason {
            Reason::MissingToken => MISSING_TOKEN,
            Reason::Expired => EXPIRED,
            Reason::TokenRevoked | Reason::SessionRevoked | Reason::PrincipalRevoked | Reason::KeyRevoked => REVOKED,
            _ if status == StatusCode::UNAUTHORIZED => INVALID_TOKEN,
            _ => phrase(status).unwrap_or_default(),
        };
        message(status, text)
    }
}

/// `None` for a grant that lacks what the document shows.
fn granted(grant: &Grant) -> Option<Answer> {
    let access = grant.token(TokenKind::Access)?;
    let (exp, iat) = (access.expires_at?.as_secs(), grant.issued_at.as_secs());
    Some(answer(StatusCode::OK, JSON, &Granted { access_token: access.token.expose(), exp, iat }))
}

fn rejected(rejection: &Rejection) -> Answer {
    let status = rejection_status(rejection);
    match rejection {
        Rejection::NotJson => message(status, NOT_JSON),
        Rejection::Missing(fields) => match fields.first() {
            // «Falta client_id», «Falta client_secret».
            Some(field) => message(status, &format!("Missing {field} parameter")),
            None => message(status, phrase(status).unwrap_or_default()),
        },
        Rejection::InvalidCredentials | Rejection::InvalidRefreshToken | Rejection::Locked => {
            message(status, INVALID_CREDENTIALS)
        }
        Rejection::Inactive => message(StatusCode::OK, INACTIVE),
        Rejection::CompanyMissing => answer(StatusCode::NOT_FOUND, JSON, &NotFound { error: COMPANY_MISSING }),
        Rejection::InvalidQuery(_)
        | Rejection::ThrottledName { .. }
        | Rejection::ThrottledAddress { .. }
        | Rejection::Unavailable { .. }
        | Rejection::MethodNotAllowed
        | Rejection::BodyTooLarge
        | Rejection::BodyTimeout => message(status, phrase(status).unwrap_or_default()),
    }
}

fn message(status: StatusCode, msg: &str) -> Answer {
    answer(status, JSON, &Message { msg })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Validity;
    use crate::dialect::fixture::{self, ISSUED_AT, login, read, read_as, text};

    #[test]
    fn format_and_parameters_are_checked_in_the_documents_order() {
        let body = r#"{"client_id":"demo_client_123","client_secret":"s"}"#;
        assert_eq!(read(&Become, body), Ok(login("", "demo_client_123", "s", Validity::Realm)));
        assert_eq!(read_as(&Become, None, body), Err(Rejection::NotJson));
        assert_eq!(read_as(&Become, Some("text/plain"), body), Err(Rejection::NotJson));
        assert_eq!(read(&Become, "{"), Err(Rejection::NotJson));
        assert_eq!(read(&Become, "{}"), Err(Rejection::Missing(vec!["client_id", "client_secret"])));
        assert_eq!(read(&Become, r#"{"client_id":"a"}"#), Err(Rejection::Missing(vec!["client_secret"])));
    }

    #[test]
    fn the_documents_answer_is_written() {
        let answer =
            Become.write(&Outcome::Granted(&fixture::grant(&[TokenKind::Access])), &DialectSettings::default());
        assert_eq!(text(&answer), (200, JSON, r#"{"access_token":"access","exp":1658200959,"iat":1658197359}"#));
    }

    #[test]
    fn tokens_carry_client_company_and_permissions() {
        let mut holder = fixture::grant(&[]).holder;
        let claims = |holder: &Holder| Value::Object(Become.claims(holder, ISSUED_AT, None)).to_string();
        assert_eq!(claims(&holder), r#"{"client_id":"admin","company":"acme","permissions":["read","write"]}"#);
        (holder.company, holder.scopes) = (None, vec![]);
        assert_eq!(claims(&holder), r#"{"client_id":"admin","company":null,"permissions":[]}"#);
    }

    #[test]
    fn each_rejection_has_its_status_and_text() {
        let expected = [
            (400, r#"{"msg":"Missing JSON in request"}"#),
            (400, r#"{"msg":"Bad Request"}"#),
            (400, r#"{"msg":"Bad Request"}"#),
            (401, r#"{"msg":"Invalid login details"}"#),
            (401, r#"{"msg":"Invalid login details"}"#),
            (401, r#"{"msg":"Invalid login details"}"#),
            (200, r#"{"msg":"credential inactive"}"#),
            (404, r#"{"error":"Not Found"}"#),
            (429, r#"{"msg":"Too Many Requests"}"#),
            (429, r#"{"msg":"Too Many Requests"}"#),
            (503, r#"{"msg":"Service Unavailable"}"#),
            (405, r#"{"msg":"Method Not Allowed"}"#),
            (413, r#"{"msg":"Content Too Large"}"#),
            (408, r#"{"msg":"Request Timeout"}"#),
        ];
        for (rejection, (status, body)) in fixture::rejections().iter().zip(expected) {
            let answer = Become.write(&Outcome::Rejected(rejection), &DialectSettings::default());
            assert_eq!(text(&answer), (status, JSON, body), "{}", rejection.name());
        }
        let missing = Rejection::Missing(vec!["client_id", "client_secret"]);
        let answer = Become.write(&Outcome::Rejected(&missing), &DialectSettings::default());
        assert_eq!(text(&answer), (400, JSON, r#"{"msg":"Missing client_id parameter"}"#));
    }

    #[test]
    fn denials_say_what_is_wrong_with_the_token() {
        for (reason, status, msg) in [
            (Reason::MissingToken, 401, MISSING_TOKEN),
            (Reason::Expired, 401, EXPIRED),
            (Reason::TokenRevoked, 401, REVOKED),
            (Reason::SessionRevoked, 401, REVOKED),
            (Reason::PrincipalRevoked, 401, REVOKED),
            (Reason::KeyRevoked, 401, REVOKED),
            (Reason::InvalidSignature, 401, INVALID_TOKEN),
            (Reason::RealmNotAccepted, 401, INVALID_TOKEN),
            (Reason::ScopeMissing, 403, "Forbidden"),
            (Reason::NoRoute, 404, "Not Found"),
            (Reason::Public, 500, "Internal Server Error"),
        ] {
            assert_eq!(text(&Become.deny(reason)), (status, JSON, format!(r#"{{"msg":"{msg}"}}"#).as_str()));
        }
        assert!(Reason::ALL.into_iter().all(|reason| Become.deny(reason).status.as_u16() >= 400));
    }
}
