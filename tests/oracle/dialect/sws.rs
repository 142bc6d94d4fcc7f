//! `sws-get-token.md`: session tokens for people, errors as numbers.

use http::StatusCode;
use serde::Serialize;

use super::{
    Answer, Contract, DialectSettings, JSON, Login, Operation, Outcome, Rejection, TokenRequest,
    answer::{answer, denial_status, rejection_status},
    body, dates, spanish,
};
use portero::domain::{Grant, Reason, TokenKind};

/// The contract of `sws-get-token.md`.
pub(super) struct Sws;

/// «Códigos de Error», 1: credentials, and all else that is wrong with a request (decided).
const INVALID_CREDENTIALS: Error<'static> = Error { error: 1, message: "Credenciales inválidas" };
/// «Códigos de Error», 2: locked by an administrator, or throttled by name (decided).
const LOCKED: Error<'static> = Error { error: 2, message: "Usuario bloqueado" };
/// «Códigos de Error», 3.
const SERVER_ERROR: Error<'static> = Error { error: 3, message: "Error del servidor" };
/// Decided: the document has no text for a body that cannot be read.
const NOT_JSON: &str = "JSON inválido";
/// Seen in clients: the header that their calls bear.
const TOKEN_HEADER: &str = "CURRENTTOKENVALUE";

/// «Ejemplo de Respuesta Exitosa».
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Granted<'a> {
    token_valido: &'a str,
    vencimiento: String,
    usuario: Usuario<'a>,
}

#[derive(Serialize)]
struct Usuario<'a> {
    id: i64,
    username: &'a str,
    nombre: &'a str,
}

/// «Ejemplo de Respuesta con Error»; on routes the number is the HTTP status (decided).
#[derive(Serialize)]
struct Error<'a> {
    error: u16,
    message: &'a str,
}

impl Contract for Sws {
    fn identifying_members(&self) -> &'static [&'static str] {
        &["username", "password"]
    }

    fn read(&self, request: &TokenRequest<'_>, _: &DialectSettings) -> Result<Operation, Rejection> {
        let [username, password] = body::required(body::announced(request)?, ["username", "password"])?;
        Ok(Operation::Login(Login::new(username, password)))
    }

    fn write(&self, outcome: &Outcome<'_>, settings: &DialectSettings) -> Answer {
        let written = match outcome {
            Outcome::Granted(grant) => granted(grant, settings),
            Outcome::Rejected(rejection) => Some(rejected(rejection, settings)),
            Outcome::Refreshed(_) | Outcome::Verified(_) => None,
        };
        written.unwrap_or_else(|| answer(StatusCode::INTERNAL_SERVER_ERROR, JSON, &SERVER_ERROR))
    }

    fn deny(&self, reason: Reason) -> Answer {
        let status = denial_status(reason);
        answer(status, JSON, &Error { error: status.as_u16(), message: denial(status.as_u16()) })
    }

    fn token_header(&self) -> Option<&'static str> {
        Some(TOKEN_HEADER)
    }
}

/// `None` for a grant that lacks what the document shows.
fn granted(grant: &Grant, settings: &DialectSettings) -> Option<Answer> {
    let access = grant.token(TokenKind::Access)?;
    let holder = &grant.holder;
    let body = Granted {
        token_valido: access.token.expose(),
        vencimiento: dates::local(access.expires_at?, &settings.timezone),
        usuario: Usuario { id: holder.legacy_id?, username: &holder.name.name, nombre: &holder.display_name },
    };
    Some(answer(StatusCode::OK, JSON, &body))
}

fn rejected(rejection: &Rejection, settings: &DialectSettings) -> Answer {
    let of_document = |error: &Error<'_>| answer(settings.error_status, JSON, error);
    let of_status = |error| {
        let status = rejection_status(rejection);
        answer(status, JSON, &Error { error, message: spanish::phrase(status.as_u16()) })
    };
    let invalid = |message: &str| of_document(&Error { error: 1, message });
    match rejection {
        Rejection::NotJson => invalid(NOT_JSON),
        Rejection::Missing(fields) => match fields.first() {
            Some(field) => invalid(&spanish::required_field(field)),
            None => of_document(&INVALID_CREDENTIALS),
        },
        Rejection::InvalidQuery(detail) => invalid(detail),
        Rejection::InvalidCredentials
        | Rejection::InvalidRefreshToken
        | Rejection::Inactive
        | Rejection::CompanyMissing => of_document(&INVALID_CREDENTIALS),
        Rejection::Locked | Rejection::ThrottledName { .. } => of_document(&LOCKED),
        Rejection::MethodNotAllowed | Rejection::BodyTooLarge | Rejection::BodyTimeout => of_status(1),
        Rejection::ThrottledAddress { .. } => of_status(3),
        Rejection::Unavailable { .. } => answer(rejection_status(rejection), JSON, &SERVER_ERROR),
    }
}

/// Decided, in the document's language. Clients renew their token on the 401 (seen in clients).
const fn denial(status: u16) -> &'static str {
    match status {
        400 => "Solicitud inválida",
        401 => "No autorizado",
        403 => "Acceso denegado",
        404 => "No encontrado",
        429 => "Demasiadas solicitudes",
        other => spanish::phrase(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Validity;
    use crate::dialect::fixture::{self, RETRY_AFTER, login, read, read_as, text};

    fn rejected(rejection: &Rejection) -> (u16, String) {
        let answer = Sws.write(&Outcome::Rejected(rejection), &DialectSettings::default());
        assert_eq!(answer.content_type, JSON);
        (answer.status.as_u16(), text(&answer).2.to_owned())
    }

    #[test]
    fn the_documents_request_is_read() {
        let body = r#"{"username": "admin", "password": "demo2024", "otro": 1}"#;
        assert_eq!(read(&Sws, body), Ok(login("", "admin", "demo2024", Validity::Realm)));
        assert_eq!(read_as(&Sws, None, body), read(&Sws, body));
        assert_eq!(read_as(&Sws, Some("text/plain"), body), Err(Rejection::NotJson));
    }

    #[test]
    fn the_documents_answer_is_written() {
        let settings = DialectSettings {
            timezone: jiff::tz::TimeZone::get("America/Argentina/Buenos_Aires").unwrap(),
            ..DialectSettings::default()
        };
        let answer = Sws.write(&Outcome::Granted(&fixture::grant(&[TokenKind::Access])), &settings);
        let expected = r#"{"tokenValido":"access","vencimiento":"2022-07-19 00:22:39","usuario":{"id":1,"username":"admin","nombre":"Administrador"}}"#;
        assert_eq!(text(&answer), (200, JSON, expected));
    }

    #[test]
    fn a_grant_without_what_the_document_shows_is_error_3() {
        let mut grant = fixture::grant(&[TokenKind::Access]);
        grant.holder.legacy_id = None;
        let answer = Sws.write(&Outcome::Granted(&grant), &DialectSettings::default());
        assert_eq!(text(&answer), (500, JSON, r#"{"error":3,"message":"Error del servidor"}"#));
    }

    #[test]
    fn each_error_has_its_number_text_and_status() {
        let throttled = Rejection::ThrottledAddress { retry_after: RETRY_AFTER };
        for (rejection, status, body) in [
            (Rejection::NotJson, 200, r#"{"error":1,"message":"JSON inválido"}"#),
            (
                Rejection::Missing(vec!["username", "password"]),
                200,
                r#"{"error":1,"message":"El campo 'username' es requerido"}"#,
            ),
            (Rejection::InvalidCredentials, 200, r#"{"error":1,"message":"Credenciales inválidas"}"#),
            (Rejection::Locked, 200, r#"{"error":2,"message":"Usuario bloqueado"}"#),
            (
                Rejection::ThrottledName { retry_after: RETRY_AFTER },
                200,
                r#"{"error":2,"message":"Usuario bloqueado"}"#,
            ),
            (throttled, 429, r#"{"error":3,"message":"Demasiadas solicitudes"}"#),
            (Rejection::Unavailable { retry_after: RETRY_AFTER }, 503, r#"{"error":3,"message":"Error del servidor"}"#),
            (Rejection::MethodNotAllowed, 405, r#"{"error":1,"message":"Método no permitido"}"#),
            (Rejection::BodyTimeout, 408, r#"{"error":1,"message":"Tiempo de espera agotado"}"#),
            (Rejection::BodyTooLarge, 413, r#"{"error":1,"message":"Solicitud demasiado grande"}"#),
        ] {
            assert_eq!(rejected(&rejection), (status, body.to_owned()), "{}", rejection.name());
        }
    }

    #[test]
    fn a_realm_may_choose_the_status_of_errors_1_and_2_only() {
        let settings = DialectSettings { error_status: StatusCode::UNAUTHORIZED, ..DialectSettings::default() };
        for rejection in fixture::rejections() {
            let answer = Sws.write(&Outcome::Rejected(&rejection), &settings);
            let usual = rejected(&rejection).0;
            assert_eq!(answer.status.as_u16(), if usual == 200 { 401 } else { usual }, "{}", rejection.name());
        }
    }

    #[test]
    fn denials_bear_their_status_twice() {
        assert_eq!(text(&Sws.deny(Reason::MissingToken)), (401, JSON, r#"{"error":401,"message":"No autorizado"}"#));
        assert_eq!(
            text(&Sws.deny(Reason::ConflictingTokens)),
            (400, JSON, r#"{"error":400,"message":"Solicitud inválida"}"#)
        );
        for reason in Reason::ALL {
            let answer = Sws.deny(reason);
            assert!(text(&answer).2.starts_with(&format!(r#"{{"error":{},"message":""#, answer.status.as_u16())));
            assert!(answer.status.as_u16() >= 400, "{}", reason.name());
        }
    }
}
