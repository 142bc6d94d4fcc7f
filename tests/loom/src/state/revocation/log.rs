//! What is revoked.

use crate::domain::{PrincipalId, RevocationId, SessionId, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedSubject {
    Token(RevocationId),
    Session(SessionId),
    Principal(PrincipalId, u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub(crate) subject: RevokedSubject,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
}
