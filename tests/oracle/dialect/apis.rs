//! `apis-token-and-refresh.md`: opaque tokens for people, three a login, and their refresh.

use http::StatusCode;
use serde::Serialize;

use super::{
    Answer, Contract, DialectSettings, JSON, Login, Operation, Outcome, Rejection, TokenRequest,
    answer::{answer, denial_status, rejection_status},
    body, problem, spanish,
};
use portero::domain::{Grant, Reason, Secret, TokenKind};

/// The contract of `apis-token-and-refresh.md`.
pub(super) struct Apis;

/// Decided: the document has no errors.
const INVALID_CREDENTIALS: &str = "Credenciales inválidas";
/// Decided.
const INVALID_REFRESH_TOKEN: &str = "Token de refresco inválido";
/// Decided: a 401 on a route.
const INVALID_TOKEN: &str = "Token inválido o expirado";
/// Decided: a 403 on a route.
const FORBIDDEN: &str = "Acceso denegado";

/// «`LoginResponse`».
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginResponse<'a> {
    id: String,
    username: &'a str,
    role: &'a str,
    access_token: TokenResponse<'a>,
    content_token: TokenResponse<'a>,
    refresh_token: TokenResponse<'a>,
}

/// «`TokenRefreshResponse`»: no new refresh token, so there is no rotation.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenRefreshResponse<'a> {
    access_token: TokenResponse<'a>,
    content_token: TokenResponse<'a>,
}

/// «`TokenResponse`».
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenResponse<'a> {
    token: &'a str,
    /// Whole seconds from the issue to the end («int64, duracion del token»).
    expires_in: u64,
}

impl Contract for Apis {
    fn identifying_members(&self) -> &'static [&'static str] {
        &["username", "password"]
    }

    fn read(&self, request: &TokenRequest<'_>, _: &DialectSettings) -> Result<Operation, Rejection> {
        let members = body::unannounced(request)?;
        if request.refresh {
            let [refresh_token] = body::required(members, ["refreshToken"])?;
            return Ok(Operation::Refresh(Secret::from(refresh_token)));
        }
        let [username, password] = body::required(members, ["username", "password"])?;
        Ok(Operation::Login(Login::new(username, password)))
    }

    fn write(&self, outcome: &Outcome<'_>, _: &DialectSettings) -> Answer {
        let written = match outcome {
            Outcome::Granted(grant) => granted(grant),
            Outcome::Refreshed(grant) => refreshed(grant),
            Outcome::Verified(_) => None,
            Outcome::Rejected(rejection) => Some(rejected(rejection)),
        };
        written.unwrap_or_else(|| self.deny(Reason::Internal))
    }

    fn deny(&self, reason: Reason) -> Answer {
        denied(reason)
    }
}

/// `None` for a grant that lacks what the document shows.
fn granted(grant: &Grant) -> Option<Answer> {
    let body = LoginResponse {
        id: grant.holder.id.to_string(),
        username: &grant.holder.name.name,
        role: &grant.holder.role,
        access_token: token(grant, TokenKind::Access)?,
        content_token: token(grant, TokenKind::Content)?,
        refresh_token: token(grant, TokenKind::Refresh)?,
    };
    Some(answer(StatusCode::OK, JSON, &body))
}

fn refreshed(grant: &Grant) -> Option<Answer> {
    let body = TokenRefreshResponse {
        access_token: token(grant, TokenKind::Access)?,
        content_token: token(grant, TokenKind::Content)?,
    };
    Some(answer(StatusCode::OK, JSON, &body))
}

fn token(grant: &Grant, kind: TokenKind) -> Option<TokenResponse<'_>> {
    let issued = grant.token(kind)?;
    Some(TokenResponse {
        token: issued.token.expose(),
        expires_in: issued.expires_at?.since(grant.issued_at).as_secs(),
    })
}

/// The problem that a refusal is; `toc`'s are the same (decided).
pub(super) fn rejected(rejection: &Rejection) -> Answer {
    let status = rejection_status(rejection);
    match rejection {
        Rejection::NotJson => problem(status, spanish::NOT_JSON),
        Rejection::Missing(fields) => problem(status, &spanish::required_fields(fields)),
        Rejection::InvalidQuery(detail) => problem(status, detail),
        Rejection::InvalidRefreshToken => problem(status, INVALID_REFRESH_TOKEN),
        Rejection::InvalidCredentials | Rejection::Locked | Rejection::Inactive | Rejection::CompanyMissing => {
            problem(status, INVALID_CREDENTIALS)
        }
        Rejection::ThrottledName { .. }
        | Rejection::ThrottledAddress { .. }
        | Rejection::Unavailable { .. }
        | Rejection::MethodNotAllowed
        | Rejection::BodyTooLarge
        | Rejection::BodyTimeout => problem(status, spanish::phrase(status.as_u16())),
    }
}

/// The problem that a denial is; `toc`'s are the same (decided).
pub(super) fn denied(reason: Reason) -> Answer {
    let status = denial_status(reason);
    let detail = match status {
        StatusCode::UNAUTHORIZED => INVALID_TOKEN,
        StatusCode::FORBIDDEN => FORBIDDEN,
        other => spanish::phrase(other.as_u16()),
    };
    problem(status, detail)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::dialect::Validity;
    use crate::dialect::{
        PROBLEM_JSON,
        fixture::{self, login, read, read_as, text},
    };
    use portero::domain::json::parse_object;

    const KINDS: [TokenKind; 3] = [TokenKind::Access, TokenKind::Content, TokenKind::Refresh];

    fn refresh(body: &str) -> Result<Operation, Rejection> {
        let body = parse_object(body.as_bytes());
        let request =
            TokenRequest { method: &Method::POST, query: None, content_type: None, body: &body, refresh: true };
        Apis.read(&request, &DialectSettings::default())
    }

    #[test]
    fn the_documents_requests_are_read_whatever_their_type() {
        let body = r#"{"username":"admin","password":"abcd1234"}"#;
        assert_eq!(read(&Apis, body), Ok(login("", "admin", "abcd1234", Validity::Realm)));
        assert_eq!(read_as(&Apis, Some("text/plain"), body), read(&Apis, body));
        assert_eq!(refresh(r#"{"refreshToken":"3L3D"}"#), Ok(Operation::Refresh(Secret::from("3L3D"))));
        assert_eq!(refresh(body), Err(Rejection::Missing(vec!["refreshToken"])));
        assert_eq!(refresh("[]"), Err(Rejection::NotJson));
    }

    #[test]
    fn the_documents_answers_are_written() {
        let (grant, settings) = (fixture::grant(&KINDS), DialectSettings::default());
        let pair =
            r#""accessToken":{"token":"access","expiresIn":3600},"contentToken":{"token":"content","expiresIn":3600}"#;
        let login = format!(
            r#"{{"id":"b331336a-46f4-4fe4-a850-3208bfc2c398","username":"admin","role":"ADMIN",{pair},"refreshToken":{{"token":"refresh","expiresIn":3600}}}}"#
        );
        assert_eq!(text(&Apis.write(&Outcome::Granted(&grant), &settings)), (200, JSON, login.as_str()));
        let refreshed = Apis.write(&Outcome::Refreshed(&fixture::grant(&KINDS[..2])), &settings);
        assert_eq!(text(&refreshed), (200, JSON, format!("{{{pair}}}").as_str()));
        let lacking = Apis.write(&Outcome::Granted(&fixture::grant(&KINDS[..2])), &settings);
        assert_eq!(lacking.status.as_u16(), 500);
    }

    #[test]
    fn a_problem_names_all_that_is_missing() {
        let missing = Rejection::Missing(vec!["username", "password"]);
        let answer = Apis.write(&Outcome::Rejected(&missing), &DialectSettings::default());
        let expected = r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"Los campos 'username' y 'password' son requeridos"}"#;
        assert_eq!(text(&answer), (400, PROBLEM_JSON, expected));
    }

    #[test]
    fn each_rejection_has_its_status_and_detail() {
        let expected = [
            (400, spanish::NOT_JSON),
            (400, "Solicitud inválida"),
            (400, "q"),
            (401, INVALID_CREDENTIALS),
            (401, INVALID_REFRESH_TOKEN),
            (401, INVALID_CREDENTIALS),
            (401, INVALID_CREDENTIALS),
            (401, INVALID_CREDENTIALS),
            (429, "Demasiadas solicitudes"),
            (429, "Demasiadas solicitudes"),
            (503, "Servicio no disponible"),
            (405, "Método no permitido"),
            (413, "Solicitud demasiado grande"),
            (408, "Tiempo de espera agotado"),
        ];
        for (rejection, (status, detail)) in fixture::rejections().iter().zip(expected) {
            let expected = problem(StatusCode::from_u16(status).unwrap(), detail);
            assert_eq!(
                Apis.write(&Outcome::Rejected(rejection), &DialectSettings::default()),
                expected,
                "{}",
                rejection.name()
            );
        }
    }

    #[test]
    fn denials_are_problems() {
        assert_eq!(Apis.deny(Reason::Expired), problem(StatusCode::UNAUTHORIZED, INVALID_TOKEN));
        assert_eq!(Apis.deny(Reason::RoleMissing), problem(StatusCode::FORBIDDEN, FORBIDDEN));
        assert_eq!(Apis.deny(Reason::NoRoute), problem(StatusCode::NOT_FOUND, "No encontrado"));
        assert!(Reason::ALL.into_iter().all(|reason| Apis.deny(reason).status.as_u16() >= 400));
    }
}
