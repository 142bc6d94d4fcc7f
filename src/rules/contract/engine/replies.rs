//! Writes what came of a token request, and denials.

use bytes::Bytes;
use http::StatusCode;

use crate::{
    domain::Reason,
    rules::contract::{
        ContractResponse, DialectSettings, Outcome, RejectionKind, Schemas,
        template::{Incomplete, Json, Known, Subject},
    },
};

/// Bytes that most answers fit in: a token and what stands around it.
const BODY_BYTES_USUAL: usize = 1024;

/// What a contract answers.
pub(in crate::rules::contract) struct Replies {
    pub(in crate::rules::contract) granted: Reply,
    pub(in crate::rules::contract) refreshed: Option<Reply>,
    pub(in crate::rules::contract) verified: Option<Reply>,
    /// Where a value is missing that an answer cannot do without; a denial for a defect of ours where it says none.
    pub(in crate::rules::contract) incomplete: Option<ContractResponse>,
    /// In the order of [`RejectionKind::ALL`].
    pub(in crate::rules::contract) rejections: [Reply; RejectionKind::ALL.len()],
    /// In the order of [`Reason::ALL`].
    pub(in crate::rules::contract) denials: [ContractResponse; Reason::ALL.len()],
    /// Of a login, and of a refresh.
    pub(in crate::rules::contract) schemas: (Schemas, Option<Schemas>),
}

/// An answer whose holes are filled when it is written.
pub(in crate::rules::contract) struct Reply {
    pub(in crate::rules::contract) status: Status,
    pub(in crate::rules::contract) media_type: &'static str,
    pub(in crate::rules::contract) body: Json,
}

/// The status of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) enum Status {
    Fixed(StatusCode),
    /// The realm's `error_status`.
    OfRealm,
}

impl Replies {
    pub(super) fn write(&self, outcome: &Outcome<'_>, settings: &DialectSettings) -> ContractResponse {
        let (reply, subject) = match outcome {
            Outcome::Granted(grant) => (Some(&self.granted), Subject::Grant(grant)),
            Outcome::Refreshed(grant) => (self.refreshed.as_ref(), Subject::Grant(grant)),
            Outcome::Verified(claims) => (self.verified.as_ref(), Subject::Verified(claims)),
            Outcome::Rejected(rejection) => {
                (Some(&self.rejections[rejection.kind() as usize]), Subject::Rejection(rejection))
            }
        };
        let written = reply.ok_or(Incomplete).and_then(|reply| reply.write(&Known::of(subject, settings)));
        written.unwrap_or_else(|Incomplete| self.incomplete.clone().unwrap_or_else(|| self.deny(Reason::Internal)))
    }

    pub(super) fn deny(&self, reason: Reason) -> ContractResponse {
        self.denials[reason as usize].clone()
    }

    pub(super) const fn schemas(&self, refresh: bool) -> Option<&Schemas> {
        if refresh { self.schemas.1.as_ref() } else { Some(&self.schemas.0) }
    }
}

impl Reply {
    fn write(&self, known: &Known<'_>) -> Result<ContractResponse, Incomplete> {
        let status = match self.status {
            Status::Fixed(status) => status,
            Status::OfRealm => known.settings.error_status,
        };
        let body = if let Some(bytes) = self.body.constant() {
            bytes.clone()
        } else {
            let mut body = Vec::with_capacity(BODY_BYTES_USUAL);
            self.body.write(known, &mut body)?;
            Bytes::from(body)
        };
        Ok(ContractResponse { status, content_type: self.media_type, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stand_where_their_number_says() {
        assert!(Reason::ALL.into_iter().enumerate().all(|(at, reason)| reason as usize == at));
        assert!(RejectionKind::ALL.into_iter().enumerate().all(|(at, kind)| kind as usize == at));
    }
}
