//! What the contracts' tests share: a grant, rejections, and answers as text.

use std::time::Duration;

use super::{ContractResponse, MissingMembers, Rejection};
use crate::domain::{AccountName, Grant, Holder, IssuedToken, Secret, Timestamp, TokenKind};

/// 2022-07-19T02:22:39.118Z, the `creacion` of toc-auth.md.
pub(super) const ISSUED_AT: Timestamp = Timestamp::from_millis(1_658_197_359_118);

/// How long to wait, where a rejection says so.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(7);

/// Tokens of an hour of each kind, named after it, for an account that has everything.
pub(super) fn grant(kinds: &[TokenKind]) -> Grant {
    let token = |&kind: &TokenKind| IssuedToken {
        kind,
        token: Secret::from(kind.name()),
        expires_at: Some(ISSUED_AT.plus(Duration::from_hours(1))),
    };
    Grant {
        holder: Holder {
            id: "b331336a-46f4-4fe4-a850-3208bfc2c398".parse().unwrap(),
            name: AccountName { business: "5a2ac49cbbbce212f885529c".into(), name: "admin".into() },
            display_name: "Administrador".into(),
            legacy_id: Some(1),
            role: "ADMIN".into(),
            scopes: vec!["read".into(), "write".into()],
            company: Some("acme".into()),
        },
        issued_at: ISSUED_AT,
        tokens: kinds.iter().map(token).collect(),
    }
}

/// A response's status, media type and body.
pub(super) fn text(response: &ContractResponse) -> (u16, &'static str, &str) {
    (response.status.as_u16(), response.content_type, std::str::from_utf8(&response.body).unwrap())
}

/// Every rejection, with what it bears.
pub(super) fn rejections() -> [Rejection; 14] {
    [
        Rejection::NotJson,
        Rejection::Missing(MissingMembers::of(vec!["member".into()]).unwrap()),
        Rejection::InvalidQuery("q".into()),
        Rejection::InvalidCredentials,
        Rejection::InvalidRefreshToken,
        Rejection::Locked,
        Rejection::Inactive,
        Rejection::CompanyMissing,
        Rejection::ThrottledName { retry_after: RETRY_AFTER },
        Rejection::ThrottledAddress { retry_after: RETRY_AFTER },
        Rejection::Unavailable { retry_after: RETRY_AFTER },
        Rejection::MethodNotAllowed { method: http::Method::PUT },
        Rejection::BodyTooLarge,
        Rejection::BodyTimeout,
    ]
}
