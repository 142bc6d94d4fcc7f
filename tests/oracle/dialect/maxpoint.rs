//! `maxpoint-auth-token.md`: tokens for external clients, every answer in one envelope.

use http::StatusCode;
use serde::Serialize;

use super::{
    Answer, Contract, DialectSettings, JSON, Login, Operation, Outcome, Rejection, TokenRequest,
    answer::{answer, denial_status, rejection_status},
    body, dates, spanish,
};
use portero::domain::{Grant, Reason, TokenKind};

/// The contract of `maxpoint-auth-token.md`.
pub(super) struct Maxpoint;

/// «Respuesta Exitosa (200)».
const GRANTED: &str = "Token generado exitosamente";
/// «Respuesta con Error (400)».
const INVALID_REQUEST: &str = "Error en la validación de datos";
/// «Respuesta con Error (401)».
const INVALID_CREDENTIALS: &str = "Credenciales inválidas";
/// Decided: a 401 on a route.
const INVALID_TOKEN: &str = "Token inválido o expirado";
/// Decided: a 403 on a route.
const FORBIDDEN: &str = "Acceso denegado";

/// «Respuesta Exitosa (200)».
#[derive(Serialize)]
struct Granted<'a> {
    code: u16,
    status: &'static str,
    message: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    token: &'a str,
    expire_in: String,
}

/// «Respuesta con Error (400)» and «(401)»; only the former has `errors`.
#[derive(Serialize)]
struct Failed<'a> {
    code: u16,
    status: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [String]>,
}

impl Contract for Maxpoint {
    fn identifying_members(&self) -> &'static [&'static str] {
        &["clientId", "clientSecret"]
    }

    fn read(&self, request: &TokenRequest<'_>, _: &DialectSettings) -> Result<Operation, Rejection> {
        let [client_id, client_secret] = body::required(body::announced(request)?, ["clientId", "clientSecret"])?;
        Ok(Operation::Login(Login::new(client_id, client_secret)))
    }

    fn write(&self, outcome: &Outcome<'_>, settings: &DialectSettings) -> Answer {
        let written = match outcome {
            Outcome::Granted(grant) => granted(grant, settings),
            Outcome::Rejected(rejection) => Some(rejected(rejection)),
            Outcome::Refreshed(_) | Outcome::Verified(_) => None,
        };
        written.unwrap_or_else(|| self.deny(Reason::Internal))
    }

    fn deny(&self, reason: Reason) -> Answer {
        let status = denial_status(reason);
        let message = match status {
            StatusCode::UNAUTHORIZED => INVALID_TOKEN,
            StatusCode::FORBIDDEN => FORBIDDEN,
            other => spanish::phrase(other.as_u16()),
        };
        failed(status, message, None)
    }
}

/// `None` for a grant that lacks what the document shows.
fn granted(grant: &Grant, settings: &DialectSettings) -> Option<Answer> {
    let access = grant.token(TokenKind::Access)?;
    let data = Data { token: access.token.expose(), expire_in: dates::local(access.expires_at?, &settings.timezone) };
    let body = Granted { code: StatusCode::OK.as_u16(), status: "success", message: GRANTED, data };
    Some(answer(StatusCode::OK, JSON, &body))
}

fn rejected(rejection: &Rejection) -> Answer {
    let status = rejection_status(rejection);
    let invalid = |errors: &[String]| failed(status, INVALID_REQUEST, Some(errors));
    match rejection {
        Rejection::NotJson => invalid(&[spanish::NOT_JSON.to_owned()]),
        Rejection::Missing(fields) => {
            invalid(&fields.iter().map(|field| spanish::required_field(field)).collect::<Vec<_>>())
        }
        Rejection::InvalidQuery(detail) => invalid(std::slice::from_ref(detail)),
        Rejection::InvalidCredentials
        | Rejection::InvalidRefreshToken
        | Rejection::Locked
        | Rejection::Inactive
        | Rejection::CompanyMissing => failed(status, INVALID_CREDENTIALS, None),
        Rejection::ThrottledName { .. }
        | Rejection::ThrottledAddress { .. }
        | Rejection::Unavailable { .. }
        | Rejection::MethodNotAllowed
        | Rejection::BodyTooLarge
        | Rejection::BodyTimeout => failed(status, spanish::phrase(status.as_u16()), None),
    }
}

fn failed(status: StatusCode, message: &str, errors: Option<&[String]>) -> Answer {
    answer(status, JSON, &Failed { code: status.as_u16(), status: "error", message, errors })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Validity;
    use crate::dialect::fixture::{self, login, read, read_as, text};

    fn rejected(rejection: &Rejection) -> (u16, String) {
        let answer = Maxpoint.write(&Outcome::Rejected(rejection), &DialectSettings::default());
        assert_eq!(answer.content_type, JSON);
        (answer.status.as_u16(), text(&answer).2.to_owned())
    }

    #[test]
    fn the_documents_request_is_read() {
        let body = r#"{"clientId":"f2ff","clientSecret":"c0f2"}"#;
        assert_eq!(read(&Maxpoint, body), Ok(login("", "f2ff", "c0f2", Validity::Realm)));
        assert_eq!(read_as(&Maxpoint, None, body), read(&Maxpoint, body));
        assert_eq!(read_as(&Maxpoint, Some("text/plain"), body), Err(Rejection::NotJson));
    }

    #[test]
    fn the_documents_answer_is_written() {
        let answer =
            Maxpoint.write(&Outcome::Granted(&fixture::grant(&[TokenKind::Access])), &DialectSettings::default());
        let expected = r#"{"code":200,"status":"success","message":"Token generado exitosamente","data":{"token":"access","expire_in":"2022-07-19 03:22:39"}}"#;
        assert_eq!(text(&answer), (200, JSON, expected));
    }

    #[test]
    fn the_documents_errors_are_written() {
        let head = r#"{"code":400,"status":"error","message":"Error en la validación de datos","errors":["#;
        let missing = read(&Maxpoint, r#"{"clientSecret":1}"#).unwrap_err();
        let both = r#""El campo 'clientId' es requerido","El campo 'clientSecret' es requerido"]}"#;
        assert_eq!(rejected(&missing), (400, format!("{head}{both}")));
        let not_json = r#""El cuerpo de la solicitud no es JSON válido"]}"#;
        assert_eq!(rejected(&Rejection::NotJson), (400, format!("{head}{not_json}")));
        let unauthorized = r#"{"code":401,"status":"error","message":"Credenciales inválidas"}"#;
        for rejection in [Rejection::InvalidCredentials, Rejection::Locked, Rejection::Inactive] {
            assert_eq!(rejected(&rejection), (401, unauthorized.to_owned()));
        }
    }

    #[test]
    fn every_answer_has_its_status_in_the_envelope() {
        for rejection in fixture::rejections() {
            let (status, body) = rejected(&rejection);
            assert!(
                status >= 400 && body.starts_with(&format!(r#"{{"code":{status},"status":"error","message":""#)),
                "{body}"
            );
        }
        for reason in Reason::ALL {
            let answer = Maxpoint.deny(reason);
            let head = format!(r#"{{"code":{},"status":"error","message":""#, answer.status.as_u16());
            assert!(answer.status.as_u16() >= 400 && text(&answer).2.starts_with(&head), "{}", reason.name());
        }
        let denied = r#"{"code":401,"status":"error","message":"Token inválido o expirado"}"#;
        assert_eq!(text(&Maxpoint.deny(Reason::MissingToken)), (401, JSON, denied));
    }
}
