//! `toc-auth.md`: a project's token, its life in years chosen in the query, and its verification.

use std::borrow::Cow;

use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Answer, Contract, DialectSettings, JSON, Login, Operation, Outcome, Rejection, TokenRequest, Validity,
    answer::answer, apis, body, dates,
};
use portero::domain::{AccountName, Claims, Grant, Holder, Reason, Secret, Timestamp, TokenKind};

/// The contract of `toc-auth.md`.
pub(super) struct Toc;

/// The document: «si se envía `sin query` se crea por defecto un token con caducidad de 2 años».
const YEARS_DEFAULT: u8 = 2;
/// Decided: the most that any realm grants.
const YEARS_LIMIT: u8 = 100;
/// The document's only query parameter.
const PARAMETER: &str = "withoutExpiration";

/// «Respuesta de verificación», in its order; without `expiracion` where the token has no expiry.
#[derive(Serialize)]
struct Verified<'a> {
    business: Cow<'a, str>,
    creacion: Cow<'a, str>,
    proyecto: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiracion: Option<Cow<'a, str>>,
}

impl Contract for Toc {
    fn identifying_members(&self) -> &'static [&'static str] {
        &["business", "proyecto", "password"]
    }

    fn methods(&self) -> &'static [Method] {
        &[Method::GET, Method::HEAD, Method::POST]
    }

    fn read(&self, request: &TokenRequest<'_>, settings: &DialectSettings) -> Result<Operation, Rejection> {
        if matches!(*request.method, Method::GET | Method::HEAD) {
            return Ok(Operation::Verify);
        }
        let members = body::unannounced(request)?;
        let [business, proyecto, password] = body::required(members, ["business", "proyecto", "password"])?;
        Ok(Operation::Login(Login {
            name: AccountName { business: business.to_owned(), name: proyecto.to_owned() },
            secret: Secret::from(password),
            validity: validity(request.query, settings)?,
        }))
    }

    fn claims(&self, holder: &Holder, issued_at: Timestamp, expires_at: Option<Timestamp>) -> Map<String, Value> {
        let mut claims = Map::new();
        claims.insert("business".into(), holder.name.business.as_str().into());
        claims.insert("proyecto".into(), holder.name.name.as_str().into());
        claims.insert("creacion".into(), dates::iso_millis(issued_at).into());
        if let Some(expires_at) = expires_at {
            claims.insert("expiracion".into(), dates::iso_millis(expires_at).into());
        }
        claims
    }

    fn write(&self, outcome: &Outcome<'_>, _: &DialectSettings) -> Answer {
        let written = match outcome {
            Outcome::Granted(grant) => granted(grant),
            Outcome::Verified(claims) => Some(verified(claims)),
            Outcome::Refreshed(_) => None,
            Outcome::Rejected(rejection) => Some(apis::rejected(rejection)),
        };
        written.unwrap_or_else(|| self.deny(Reason::Internal))
    }

    fn deny(&self, reason: Reason) -> Answer {
        apis::denied(reason)
    }

    fn bare_authorization(&self) -> bool {
        true
    }
}

/// «Ejemplo de respuesta token»: the token as a bare JSON string.
fn granted(grant: &Grant) -> Option<Answer> {
    Some(answer(StatusCode::OK, JSON, &grant.token(TokenKind::Access)?.token.expose()))
}

/// Every token of this contract that Portero signed carries these claims. One of an imported key may lack
/// some: the common claims then say the same.
fn verified(claims: &Claims) -> Answer {
    let text = |claim| claims.extra.get(claim).and_then(Value::as_str).map(Cow::Borrowed);
    let body = Verified {
        business: text("business").unwrap_or_else(|| claims.organization.as_deref().unwrap_or_default().into()),
        creacion: text("creacion").unwrap_or_else(|| dates::iso_millis(claims.issued_at).into()),
        proyecto: text("proyecto").unwrap_or(Cow::Borrowed(&claims.name)),
        expiracion: text("expiracion").or_else(|| Some(dates::iso_millis(claims.expires_at?).into())),
    };
    answer(StatusCode::OK, JSON, &body)
}

/// The life that the query asks for (decided, after «Ejemplo de la query»), within what the realm grants.
fn validity(query: Option<&str>, settings: &DialectSettings) -> Result<Validity, Rejection> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut values = pairs.filter(|(name, _)| name == PARAMETER).map(|(_, value)| value);
    let value = values.next().unwrap_or_default();
    if values.next().is_some() {
        return Err(invalid("El parámetro 'withoutExpiration' está repetido"));
    }
    if value.is_empty() || value.eq_ignore_ascii_case("false") {
        return Ok(Validity::Years(YEARS_DEFAULT.min(settings.years_max)));
    }
    if value.eq_ignore_ascii_case("true") {
        return if settings.allow_non_expiring {
            Ok(Validity::Forever)
        } else {
            Err(invalid("No se permiten tokens sin caducidad"))
        };
    }
    match years(&value) {
        Some(years) if years <= settings.years_max => Ok(Validity::Years(years)),
        Some(_) => {
            let unit = if settings.years_max == 1 { "año" } else { "años" };
            Err(invalid(&format!("La caducidad máxima es de {} {unit}", settings.years_max)))
        }
        None => {
            Err(invalid("El parámetro 'withoutExpiration' debe ser 'true', 'false' o un número de años de 1 a 100"))
        }
    }
}

/// 1 to [`YEARS_LIMIT`] in digits, without sign or leading zero.
fn years(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|years| plain && (1..=YEARS_LIMIT).contains(years))
}

/// Decided: the document has no answer for a query that asks for what cannot be had.
fn invalid(detail: &str) -> Rejection {
    Rejection::InvalidQuery(detail.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{
        fixture::{self, ISSUED_AT, login, read, text},
        problem,
    };
    use portero::domain::{PrincipalKind, RevocationId, Roles, TokenSubject, json::parse_object};

    const BODY: &str = r#"{"business":"5a2a","proyecto":"upconta","password":"1234"}"#;

    fn asked(query: &str, settings: &DialectSettings) -> Result<Validity, Rejection> {
        let body = parse_object(BODY.as_bytes());
        let request =
            TokenRequest { method: &Method::POST, query: Some(query), content_type: None, body: &body, refresh: false };
        Toc.read(&request, settings).map(|operation| match operation {
            Operation::Login(login) => login.validity,
            other => panic!("{other:?}"),
        })
    }

    fn claims(expires_at: Option<Timestamp>) -> Claims {
        let realm = "toc".parse().unwrap();
        Claims {
            revocation_id: RevocationId::of_token_id(&realm, "1"),
            realm,
            kind: TokenKind::Access,
            subject: TokenSubject::Account(fixture::grant(&[]).holder.id),
            principal: Some(PrincipalKind::Project),
            session: None,
            epoch: 0,
            issued_at: ISSUED_AT,
            not_before: ISSUED_AT,
            expires_at,
            name: "admin".into(),
            legacy_id: None,
            roles: Roles::none(),
            scopes: vec![],
            organization: Some("5a2ac49cbbbce212f885529c".into()),
            extra: Map::new(),
        }
    }

    #[test]
    fn the_documents_request_is_read() {
        assert_eq!(read(&Toc, BODY), Ok(login("5a2a", "upconta", "1234", Validity::Years(2))));
        assert_eq!(read(&Toc, r#"{"proyecto":"x"}"#), Err(Rejection::Missing(vec!["business", "password"])));
        for method in [Method::GET, Method::HEAD] {
            let body = parse_object(b"");
            let asked = TokenRequest { method: &method, query: None, content_type: None, body: &body, refresh: false };
            assert_eq!(Toc.read(&asked, &DialectSettings::default()), Ok(Operation::Verify));
        }
    }

    #[test]
    fn the_query_chooses_the_years() {
        for (query, validity) in [
            ("", Validity::Years(2)),
            ("withoutExpiration", Validity::Years(2)),
            ("withoutExpiration=", Validity::Years(2)),
            ("withoutExpiration=false", Validity::Years(2)),
            ("a=1&withoutExpiration=FALSE&b", Validity::Years(2)),
            ("WithoutExpiration=true", Validity::Years(2)),
            ("withoutExpiration=true", Validity::Forever),
            ("withoutExpiration=True", Validity::Forever),
            ("withoutExpiration=%74rue", Validity::Forever),
            ("without%45xpiration=4", Validity::Years(4)),
            ("withoutExpiration=1", Validity::Years(1)),
            ("withoutExpiration=100", Validity::Years(100)),
        ] {
            assert_eq!(asked(query, &DialectSettings::default()), Ok(validity), "{query}");
        }
    }

    #[test]
    fn anything_else_in_the_query_is_refused() {
        for value in [
            "0",
            "04",
            "+4",
            "-1",
            "101",
            "256",
            "1000000",
            "4.0",
            "4 ",
            "+4",
            "%204",
            "1e1",
            "yes",
            "null",
            "٤",
            "true,",
            "%00",
            "4&withoutExpiration=4",
            "&withoutExpiration=",
        ] {
            let query = format!("withoutExpiration={value}");
            assert!(matches!(asked(&query, &DialectSettings::default()), Err(Rejection::InvalidQuery(_))), "{query}");
        }
    }

    #[test]
    fn a_realm_narrows_what_may_be_asked_for() {
        let narrow = |years_max| DialectSettings { years_max, allow_non_expiring: false, ..DialectSettings::default() };
        let refused = |text: &str| Err(Rejection::InvalidQuery(text.into()));
        assert_eq!(asked("withoutExpiration=4", &narrow(4)), Ok(Validity::Years(4)));
        assert_eq!(asked("withoutExpiration=5", &narrow(4)), refused("La caducidad máxima es de 4 años"));
        assert_eq!(asked("withoutExpiration=2", &narrow(1)), refused("La caducidad máxima es de 1 año"));
        assert_eq!(asked("withoutExpiration=TRUE", &narrow(4)), refused("No se permiten tokens sin caducidad"));
        assert_eq!(asked("", &narrow(1)), Ok(Validity::Years(1)));
        assert_eq!(asked("", &narrow(4)), Ok(Validity::Years(2)));
    }

    #[test]
    fn the_token_is_a_bare_string() {
        let answer = Toc.write(&Outcome::Granted(&fixture::grant(&[TokenKind::Access])), &DialectSettings::default());
        assert_eq!(text(&answer), (200, JSON, r#""access""#));
    }

    #[test]
    fn claims_and_verification_are_the_documents() {
        let holder = fixture::grant(&[]).holder;
        let end = Timestamp::from_millis(1_973_730_159_114);
        for (expires_at, tail) in [(None, "}"), (Some(end), r#","expiracion":"2032-07-18T02:22:39.114Z"}"#)] {
            let mut claims = claims(expires_at);
            let bare = Toc.write(&Outcome::Verified(&claims), &DialectSettings::default());
            claims.extra = Toc.claims(&holder, ISSUED_AT, expires_at);
            let head = r#"{"business":"5a2ac49cbbbce212f885529c","#;
            let (proyecto, creacion) = (r#""proyecto":"admin""#, r#""creacion":"2022-07-19T02:22:39.118Z""#);
            let extra = serde_json::to_string(&claims.extra).unwrap();
            assert_eq!(extra, format!("{head}{proyecto},{creacion}{tail}"));
            let answer = Toc.write(&Outcome::Verified(&claims), &DialectSettings::default());
            assert_eq!(text(&answer), (200, JSON, format!("{head}{creacion},{proyecto}{tail}").as_str()));
            assert_eq!(bare, answer, "an imported token without these claims");
        }
    }

    #[test]
    fn refusals_are_problems_as_those_of_apis() {
        let answer = Toc.write(&Outcome::Rejected(&Rejection::InvalidCredentials), &DialectSettings::default());
        assert_eq!(answer, problem(StatusCode::UNAUTHORIZED, "Credenciales inválidas"));
        assert_eq!(Toc.deny(Reason::TokenRevoked), problem(StatusCode::UNAUTHORIZED, "Token inválido o expirado"));
        assert!(Reason::ALL.into_iter().all(|reason| Toc.deny(reason).status.as_u16() >= 400));
    }
}
