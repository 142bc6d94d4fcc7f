//! As much of `src/domain` as revocations ask for.

use std::time::Duration;

use uuid::Uuid;

pub(crate) const EPOCH_DELETED: u32 = i32::MAX.unsigned_abs();

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    pub(crate) const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub(crate) const fn as_millis(self) -> i64 {
        self.0
    }

    /// No bucket has another end here.
    pub(crate) const fn plus(self, _duration: Duration) -> Self {
        self
    }
}

#[derive(Clone, Copy, Debug)]
pub struct TrustedNow(pub(crate) Timestamp);

impl TrustedNow {
    /// Nothing is kept here for longer than it lasts.
    pub(crate) const fn cutoff(self, _kept: Duration) -> Timestamp {
        self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevocationId(pub(crate) u128);

impl RevocationId {
    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    pub(crate) const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId(Uuid);

impl SessionId {
    pub(crate) const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    pub(crate) const fn uuid(self) -> Uuid {
        self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PrincipalId(pub(crate) u128);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    TokenRevoked,
    SessionRevoked,
    PrincipalRevoked,
    UnknownEpoch,
    Expired,
}

#[derive(Clone, Copy, Debug)]
pub struct TokenSubject(pub(crate) PrincipalId);

impl TokenSubject {
    pub(crate) fn accounts(self) -> impl Iterator<Item = PrincipalId> {
        [self.0].into_iter()
    }
}

#[derive(Clone, Debug)]
pub struct Claims {
    pub(crate) revocation_id: RevocationId,
    pub(crate) session: Option<SessionId>,
    pub(crate) subject: TokenSubject,
    pub(crate) epoch: u32,
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
}
