//! Recorded exchanges, held against a contract: would it have answered so?

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::{FileContract, Reply, Status};
use crate::{
    domain::{
        Reason,
        form::is_form,
        json::{NotJson, parse_form, parse_object},
    },
    rules::contract::{
        Contract, DialectSettings, Operation, Outcome, Rejection, RequestBody, TokenRequest,
        template::{Expected, Mismatch},
    },
};

/// Bytes of a body that token endpoints read, at most.
pub(in crate::rules::contract) const BODY_BYTES_MAX: usize = 16 << 10;

/// An exchange, as it was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The request's method.
    pub method: Method,
    /// Its query, without `?`.
    pub query: Option<String>,
    /// Its `Content-Type`.
    pub content_type: Option<Vec<u8>>,
    /// Its `Authorization`, where there was one.
    pub authorization: Option<String>,
    /// Its body.
    pub request: Vec<u8>,
    /// Where it went.
    pub to: Endpoint,
    /// The answer's status.
    pub status: u16,
    /// The answer's `Content-Type`, where it was recorded.
    pub answer_type: Option<String>,
    /// The answer's body.
    pub answer: Vec<u8>,
}

impl Recorded {
    /// Its body as a form, where it says that it is one.
    pub(in crate::rules::contract) fn form(&self) -> Option<Result<Map<String, Value>, NotJson>> {
        self.content_type.as_deref().is_some_and(is_form).then(|| parse_form(&self.request))
    }

    /// The request as a contract reads it; `body` is its body, parsed.
    pub(in crate::rules::contract) fn token_request<'r>(
        &'r self,
        body: RequestBody<'r>,
        refresh: bool,
    ) -> TokenRequest<'r> {
        TokenRequest {
            method: &self.method,
            query: self.query.as_deref(),
            content_type: self.content_type.as_deref(),
            authorization: self.authorization.as_deref().map(str::as_bytes),
            body,
            refresh,
        }
    }
}

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Logins, and verification.
    Login,
    /// Refreshes.
    Refresh,
    /// A route: its denials have the contract's shape.
    Route,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The contract answers so, for this.
    Same(&'static str),
    /// The contract has no part in the answer: a service's own.
    NotOurs,
    /// The contract answers otherwise.
    Different(Box<Difference>),
}

/// How a recorded answer and the contract's nearest one differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What the contract answers that is nearest to it.
    pub nearest: &'static str,
    /// The recorded status, and the contract's.
    pub status: (u16, u16),
    /// The recorded media type and the contract's, where they differ.
    pub media_type: Option<(String, &'static str)>,
    /// The octet of the recorded body at which they part, and what the contract writes there.
    pub body: Option<(usize, Expected)>,
}

/// An answer that the contract could give.
enum Candidate<'c> {
    /// With anything in its holes.
    Reply(&'static str, &'c Reply),
    /// These bytes.
    Answer(&'static str, crate::rules::contract::ContractResponse),
}

impl FileContract {
    /// Holds an exchange against the contract. Nobody's account is known, so every answer that a good request can get
    /// is held against the recorded one; a bad request gets one answer only.
    #[must_use]
    pub fn replay(&self, recorded: &Recorded) -> Verdict {
        let settings = DialectSettings {
            error_status: StatusCode::from_u16(recorded.status).unwrap_or(StatusCode::OK),
            ..DialectSettings::default()
        };
        if recorded.to == Endpoint::Route {
            return if recorded.status < 400 {
                Verdict::NotOurs
            } else {
                best(recorded, self.denials(recorded.status))
            };
        }
        best(recorded, self.candidates(recorded, &settings))
    }

    fn denials(&self, status: u16) -> Vec<Candidate<'_>> {
        let denying = Reason::ALL.into_iter().filter(|reason| !reason.allows());
        let mut denials: Vec<_> = denying.map(|reason| (reason, self.deny(reason))).collect();
        if denials.iter().any(|(_, answer)| answer.status.as_u16() == status) {
            denials.retain(|(_, answer)| answer.status.as_u16() == status);
        }
        denials.into_iter().map(|(reason, answer)| Candidate::Answer(reason.name(), answer)).collect()
    }

    fn candidates(&self, recorded: &Recorded, settings: &DialectSettings) -> Vec<Candidate<'_>> {
        let refresh = recorded.to == Endpoint::Refresh;
        let has_method =
            if refresh { recorded.method == Method::POST } else { self.methods().contains(&recorded.method) };
        let rejected = |rejection: &Rejection| {
            Candidate::Answer(rejection.name(), self.write(&Outcome::Rejected(rejection), settings))
        };
        if !has_method {
            return vec![rejected(&Rejection::MethodNotAllowed { method: recorded.method.clone() })];
        }
        if recorded.request.len() > BODY_BYTES_MAX {
            return vec![rejected(&Rejection::BodyTooLarge)];
        }
        let (json, form) = (parse_object(&recorded.request), recorded.form());
        let request = recorded.token_request(RequestBody { json: &json, form: form.as_ref() }, refresh);
        let retry_after = Duration::from_secs(1);
        let later = [
            Rejection::ThrottledName { retry_after },
            Rejection::ThrottledAddress { retry_after },
            Rejection::Unavailable { retry_after },
        ];
        let (success, refusals) = match self.requests.read(&request, settings) {
            Err(rejection) => return vec![rejected(&rejection)],
            Ok(Operation::Login(_)) => {
                let told =
                    [Rejection::InvalidCredentials, Rejection::Locked, Rejection::Inactive, Rejection::CompanyMissing];
                (Some(Candidate::Reply("a login", &self.replies.granted)), told.into_iter().chain(later).collect())
            }
            Ok(Operation::Refresh(_)) => {
                let refreshed = self.replies.refreshed.as_ref().map(|reply| Candidate::Reply("a refresh", reply));
                (refreshed, [Rejection::InvalidRefreshToken].into_iter().chain(later).collect::<Vec<_>>())
            }
            Ok(Operation::Verify) => {
                let verified = self.replies.verified.as_ref().map(|reply| Candidate::Reply("a verification", reply));
                return verified.into_iter().chain(self.denials(recorded.status)).collect();
            }
        };
        success.into_iter().chain(refusals.iter().map(rejected)).collect()
    }

    /// The members that say that a body is for a login, and for a refresh.
    #[must_use]
    pub fn members(&self, refresh: bool) -> &[Arc<str>] {
        self.identifying_members(refresh)
    }
}

fn best(recorded: &Recorded, candidates: Vec<Candidate<'_>>) -> Verdict {
    let mut nearest: Option<(usize, Difference)> = None;
    for candidate in candidates {
        let Err((distance, difference)) = candidate.hold(recorded) else { return Verdict::Same(candidate.name()) };
        if nearest.as_ref().is_none_or(|(nearer, _)| distance < *nearer) {
            nearest = Some((distance, difference));
        }
    }
    nearest.map_or(Verdict::NotOurs, |(_, difference)| Verdict::Different(Box::new(difference)))
}

impl Candidate<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Reply(name, _) | Self::Answer(name, _) => name,
        }
    }

    /// How far the recorded answer is from this one, and how they differ.
    fn hold(&self, recorded: &Recorded) -> Result<(), (usize, Difference)> {
        let (status, media_type, body) = match self {
            Self::Reply(_, reply) => {
                let status = match reply.status {
                    Status::Fixed(status) => status.as_u16(),
                    Status::OfRealm => recorded.status,
                };
                let body = reply.body.accepts(&recorded.answer);
                (status, reply.media_type, body.map_err(|Mismatch { at, expected }| (at, expected)))
            }
            Self::Answer(_, answer) => {
                let body = parted(&answer.body, &recorded.answer);
                (answer.status.as_u16(), answer.content_type, body.map_or(Ok(()), Err))
            }
        };
        // The answer to a HEAD has no body (RFC 9110 section 9.3.2).
        let body = if recorded.method == Method::HEAD { Ok(()) } else { body };
        let said = recorded.answer_type.as_ref().filter(|said| *said != media_type);
        let media_type = said.map(|said| (said.clone(), media_type));
        let body = body.err();
        if status == recorded.status && body.is_none() && media_type.is_none() {
            return Ok(());
        }
        // Nearest is the right status, then the longest common beginning.
        let left = body.as_ref().map_or(0, |(at, _)| recorded.answer.len() + 1 - (*at).min(recorded.answer.len()));
        let distance =
            usize::from(status != recorded.status) * (1 << 24) + left * 2 + usize::from(media_type.is_some());
        Err((distance, Difference { nearest: self.name(), status: (recorded.status, status), media_type, body }))
    }
}

/// Where two bodies part, and what the first one has there.
fn parted(ours: &[u8], recorded: &[u8]) -> Option<(usize, Expected)> {
    if ours == recorded {
        return None;
    }
    let at = ours.iter().zip(recorded).take_while(|(one, other)| one == other).count();
    let rest = String::from_utf8_lossy(&ours[at..]).into_owned();
    Some((at, if rest.is_empty() { Expected::End } else { Expected::Letters(rest) }))
}
