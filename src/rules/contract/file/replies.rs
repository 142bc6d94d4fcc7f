//! What a contract answers, from its file: one response for every rejection and every denial.

use std::ops::Range;

use http::StatusCode;
use serde_json::{Map, Value, json};
use toml::Spanned;

use super::{
    checker::{Checker, outside},
    languages::{Language, status_named},
    loaded::FellBack,
    raw::{Entries, RawCode, RawContract, RawOwn, RawReply, RawResponse, RawStatus},
    requests::{scene, secret_member},
};
use crate::{
    domain::{Reason, TokenKind, text::suggestion},
    rules::contract::{
        ContractResponse, Facts, JSON, RejectionKind, Schemas, SecretPlace,
        engine::{Replies, Reply, Status},
        language::House,
        outcome::MEDIA_TYPES,
        response::denial_status,
        template::{Body, Constants, ErrorWords, Place, Scene},
    },
};

/// The errors that have no response of their own are answered by this one.
const OTHER: &str = "other";

/// How often one error may be the same as another, which is the same as another.
const SAME_MAX: usize = 4;

/// What the errors of a contract are made with.
struct Errors<'r> {
    raw: &'r RawContract,
    language: &'r Language,
    facts: &'r Facts,
    base: Scene<'r>,
}

/// One error, as far as it is the same for all places where it stands.
#[derive(Clone, Copy)]
struct Error<'r> {
    own: &'r RawOwn,
    span: &'r Range<usize>,
    place: Place,
    /// Where the file says none.
    status: StatusCode,
}

/// The response of an error, as it is written.
struct Found<'r> {
    own: &'r RawOwn,
    span: Range<usize>,
    /// Whether it is that of all errors without one of their own.
    is_other: bool,
}

impl Checker<'_> {
    /// The responses, and the errors that `other` answers.
    pub(super) fn replies(
        &mut self,
        raw: &RawContract,
        facts: &Facts,
        language: &Language,
    ) -> Option<(Replies, FellBack)> {
        let base = Scene { has_incomplete: raw.responses.incomplete.is_some(), ..scene(facts, secret_member(raw)) };
        let errors = Errors { raw, language, facts, base };
        let granted = self.success(&errors, &raw.responses.login, Place::Granted, facts);
        let refreshed = self.optional(&errors, raw.responses.refresh.as_ref(), Place::Refreshed, facts);
        let verified = self.optional(&errors, raw.responses.verify.as_ref(), Place::Verified, facts);
        let incomplete = raw.responses.incomplete.as_ref().and_then(|reply| {
            let span = reply.span();
            let RawReply::Own(own) = reply.get_ref() else {
                self.wrong(&span, "this response is one of its own, such as { status = 500, message = \"…\" }");
                return None;
            };
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let reply = self.error(&errors, Error { own, span: &span, place: Place::Incomplete, status })?;
            self.fixed(&reply, &span)
        });
        let mut fell_back = FellBack::default();
        let rejections = self.rejections(&errors, &mut fell_back.rejections);
        let denials = self.denials(&errors, &mut fell_back.denials);
        let (granted, login_schema) = granted?;
        let rejections: [Reply; RejectionKind::ALL.len()] = rejections.try_into().ok()?;
        let denials: [ContractResponse; Reason::ALL.len()] = denials.try_into().ok()?;
        let refusals = refusals(&rejections);
        let request = |members: Vec<&str>| {
            let properties: Map<_, _> =
                members.iter().map(|&name| (name.to_owned(), json!({ "type": "string" }))).collect();
            json!({ "type": "object", "required": members, "properties": properties })
        };
        let login = raw.login.members.get_ref().0.iter().map(|(name, _)| name.get_ref().as_str()).collect();
        let login = (facts.place == SecretPlace::Body).then(|| request(login));
        let login = Schemas { request: login, response: login_schema, refusals: refusals.clone() };
        let of_refresh = raw.refresh.as_ref().zip(refreshed.as_ref());
        let refresh = of_refresh.map(|(refresh, (_, response))| Schemas {
            request: Some(request(vec![refresh.member.get_ref()])),
            response: response.clone(),
            refusals,
        });
        let replies = Replies {
            granted,
            refreshed: refreshed.map(|(reply, _)| reply),
            verified: verified.map(|(reply, _)| reply),
            incomplete,
            rejections,
            denials,
            schemas: (login, refresh),
        };
        Some((replies, fell_back))
    }

    /// A response that only some contracts have: where the operation is there, and only there.
    fn optional(
        &mut self,
        errors: &Errors<'_>,
        written: Option<&Spanned<RawResponse>>,
        place: Place,
        facts: &Facts,
    ) -> Option<(Reply, Value)> {
        let (is_there, name, key) = match place {
            Place::Refreshed => (errors.raw.refresh.is_some(), "refresh", "[refresh]"),
            _ => (errors.raw.verify, "verify", "verify = true"),
        };
        match (written, is_there) {
            (Some(written), true) => self.success(errors, written.get_ref(), place, facts),
            (Some(written), false) => {
                self.wrong(&written.span(), &format!("there is nothing to answer: the contract has no {key}"));
                None
            }
            (None, true) => {
                let span = errors.raw.responses.login.body.span();
                self.wrong(&span, &format!("responses.{name} is missing: the contract has {key}"));
                None
            }
            (None, false) => None,
        }
    }

    fn success(
        &mut self,
        errors: &Errors<'_>,
        raw: &RawResponse,
        place: Place,
        facts: &Facts,
    ) -> Option<(Reply, Value)> {
        let constants = Constants { texts: &errors.language.texts, error: None };
        let gives = if place == Place::Refreshed { &facts.tokens.refresh } else { &facts.tokens.login };
        let scene = Scene { gives, ..outside(&constants, &errors.base, place) };
        let status = match &raw.status {
            None => StatusCode::OK,
            Some(status) => {
                let good = StatusCode::from_u16(*status.get_ref()).ok().filter(StatusCode::is_success);
                if good.is_none_or(|status| status == StatusCode::NO_CONTENT) {
                    self.wrong(&status.span(), "the status of a success is one from 200 to 299, and not 204");
                }
                good?
            }
        };
        let media_type = self.media_type(raw.media_type.as_ref());
        let Body { json, schema } = self.body(&raw.body, &scene)?;
        if place == Place::Granted && !has_token_hole(raw.body.get_ref()) {
            self.wrong(&raw.body.span(), "the answer to a login carries no token: \"{access.token}\" stands nowhere");
        }
        Some((Reply { status: Status::Fixed(status), media_type, body: json }, schema))
    }

    fn media_type(&mut self, written: Option<&Spanned<String>>) -> &'static str {
        let words = MEDIA_TYPES.map(|known| (known, known));
        written.and_then(|written| self.word(written, &words)).unwrap_or(JSON)
    }

    fn rejections(&mut self, errors: &Errors<'_>, fell_back: &mut Vec<&'static str>) -> Vec<Reply> {
        let Entries(entries) = &errors.raw.rejections;
        let names: Vec<_> = RejectionKind::ALL.map(RejectionKind::name).into_iter().chain([OTHER]).collect();
        self.known_names(entries, &names, |_| false);
        let (mut replies, mut unanswered) = (vec![], vec![]);
        for kind in RejectionKind::ALL {
            let Some(Found { own, span, is_other }) = self.find(entries, &[kind.name()], "rejections", &mut unanswered)
            else {
                continue;
            };
            fell_back.extend((is_other && errors.facts.can_end_in(kind)).then_some(kind.name()));
            // A client that sends no credentials is asked for them (RFC 9110 section 15.5.2).
            let is_asked = kind == RejectionKind::Missing && errors.facts.place == SecretPlace::Basic;
            let status = if is_asked { StatusCode::UNAUTHORIZED } else { kind.status() };
            let error = Error { own, span: &span, place: Place::Rejection(kind), status };
            replies.extend(self.error(errors, error));
        }
        self.answered(entries, &unanswered, "rejections");
        replies
    }

    fn denials(&mut self, errors: &Errors<'_>, fell_back: &mut Vec<&'static str>) -> Vec<ContractResponse> {
        let Entries(entries) = &errors.raw.denials;
        let names: Vec<_> =
            Reason::ALL.into_iter().filter(|reason| !reason.allows()).map(Reason::name).chain([OTHER]).collect();
        self.known_names(entries, &names, |name| status_named(name).is_some());
        let (mut answers, mut unanswered) = (vec![], vec![]);
        for reason in Reason::ALL {
            let status = denial_status(reason);
            let names = [reason.name(), status.as_str()];
            let found = self.find(entries, &names, "denials", &mut unanswered);
            let Some(Found { own, span, is_other }) = found else { continue };
            fell_back.extend((is_other && !reason.allows()).then_some(reason.name()));
            let reply = self.error(errors, Error { own, span: &span, place: Place::Denial, status });
            answers.extend(reply.and_then(|reply| self.fixed(&reply, &span)));
        }
        self.answered(entries, &unanswered, "denials");
        answers
    }

    fn known_names(
        &mut self,
        entries: &[(Spanned<String>, Spanned<RawReply>)],
        names: &[&str],
        also: impl Fn(&str) -> bool,
    ) {
        for (name, _) in entries {
            let word = name.get_ref();
            if !names.contains(&word.as_str()) && !also(word) {
                self.wrong(
                    &name.span(),
                    &format!("no error is called '{word}'; {}", suggestion(word, names.iter().copied())),
                );
            }
        }
    }

    /// The response of the first of `names` that has one, else that of `other`.
    fn find<'r>(
        &mut self,
        entries: &'r [(Spanned<String>, Spanned<RawReply>)],
        names: &[&str],
        table: &str,
        unanswered: &mut Vec<String>,
    ) -> Option<Found<'r>> {
        let entry = |name: &str| entries.iter().find(|(known, _)| known.get_ref() == name);
        let first = names.iter().find_map(|name| entry(name));
        let Some(mut reply) = first.or_else(|| entry(OTHER)).map(|(_, reply)| reply) else {
            unanswered.extend(names.first().map(|&name| name.to_owned()));
            return None;
        };
        for _ in 0..SAME_MAX {
            let name = match reply.get_ref() {
                RawReply::Own(own) => return Some(Found { own, span: reply.span(), is_other: first.is_none() }),
                RawReply::Same(name) => name,
            };
            let Some((_, same)) = entry(name) else {
                let instead = suggestion(name, entries.iter().map(|(known, _)| known.get_ref().as_str()));
                let message = format!(
                    "[{table}] has no '{name}'; {instead}. A text is the name of another error: one of its own is a table, \
                     such as {{ message = \"…\" }}"
                );
                self.wrong(&reply.span(), &message);
                return None;
            };
            reply = same;
        }
        self.wrong(&reply.span(), "it is the same as another, which is the same as another: write it out");
        None
    }

    /// What no entry answers.
    fn answered(&mut self, entries: &[(Spanned<String>, Spanned<RawReply>)], unanswered: &[String], table: &str) {
        if !unanswered.is_empty() {
            let span = entries.first().map_or(0..0, |(name, _)| name.span());
            let names = unanswered.join(", ");
            let message =
                format!("[{table}] answers all errors, and has nothing for {names}: add them, or other = {{ … }}");
            self.wrong(&span, &message);
        }
    }

    fn error(&mut self, errors: &Errors<'_>, error: Error<'_>) -> Option<Reply> {
        let Error { own, span, place, status: own_status } = error;
        let status = match &own.status {
            None => Status::Fixed(own_status),
            Some(written) => self.status(written, errors, place)?,
        };
        let fixed = if let Status::Fixed(status) = status { Some(status) } else { None };
        let phrase = fixed.map(|status| errors.language.phrase(status)).unwrap_or_default();
        let words = |message| ErrorWords {
            status: fixed.map(|status| status.as_u16()),
            title: fixed.map_or("", |status| House::English.phrase(status)),
            phrase: phrase.clone(),
            code: own.code.as_ref().map(|code| match code {
                RawCode::Number(number) => (*number).into(),
                RawCode::Word(word) => word.as_str().into(),
            }),
            message,
        };
        let constants = Constants { texts: &errors.language.texts, error: Some(words(None)) };
        let scene = outside(&constants, &errors.base, place);
        if let Some(written) = &own.message {
            self.text(written, &scene)?;
        }
        let message = own.message.as_ref().map(|written| written.get_ref().clone());
        let constants = Constants { texts: &errors.language.texts, error: Some(words(message)) };
        let scene = outside(&constants, &errors.base, place);
        let shared = errors.raw.errors.as_ref();
        let body = own.body.as_ref().or_else(|| shared?.body.as_ref());
        let Some(body) = body else {
            self.wrong(span, "it has no body: say one here, or one for all errors in [errors]");
            return None;
        };
        if own.body.is_none() && own.message.is_none() && body.get_ref().contains("{message}") {
            self.wrong(span, "it has no message, and the body of [errors] says one: add message = \"…\", or a body");
            return None;
        }
        let media_type = self.media_type(own.media_type.as_ref().or_else(|| shared?.media_type.as_ref()));
        let Body { json, .. } = self.body(body, &scene)?;
        Some(Reply { status, media_type, body: json })
    }

    fn status(&mut self, written: &Spanned<RawStatus>, errors: &Errors<'_>, place: Place) -> Option<Status> {
        let is_rejection = matches!(place, Place::Rejection(_));
        let least = if is_rejection { 200 } else { 400 };
        match written.get_ref() {
            RawStatus::Fixed(status) if (least..=599).contains(status) => {
                StatusCode::from_u16(*status).ok().map(Status::Fixed)
            }
            RawStatus::Fixed(_) => {
                self.wrong(&written.span(), &format!("the status of this error is one from {least} to 599"));
                None
            }
            RawStatus::Setting(name) if name == "error_status" && is_rejection => {
                if errors.raw.settings.error_status.is_none() {
                    self.wrong(&written.span(), "realms have no such key: declare settings.error_status");
                }
                Some(Status::OfRealm)
            }
            RawStatus::Setting(_) => {
                self.wrong(&written.span(), "a status is a number, or for a refused login \"error_status\"");
                None
            }
        }
    }

    /// An answer that is the same each time.
    fn fixed(&mut self, reply: &Reply, span: &Range<usize>) -> Option<ContractResponse> {
        let (Status::Fixed(status), Some(body)) = (reply.status, reply.body.constant()) else {
            self.wrong(span, "this response is the same each time: it has no status of the realm and no value");
            return None;
        };
        Some(ContractResponse { status, content_type: reply.media_type, body: body.clone() })
    }
}

/// The statuses of refusals, where they are refusals and no realm chooses them.
fn refusals(rejections: &[Reply]) -> Vec<u16> {
    let fixed = |reply: &Reply| match reply.status {
        Status::Fixed(status) => Some(status.as_u16()),
        Status::OfRealm => None,
    };
    let mut statuses: Vec<_> = rejections.iter().filter_map(fixed).filter(|status| *status >= 400).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

/// Whether a token stands in a body: in a hole, and not between doubled braces, which are letters.
fn has_token_hole(body: &str) -> bool {
    let holes = body.replace("{{", "").replace(' ', "");
    [TokenKind::Access, TokenKind::Content, TokenKind::Refresh]
        .iter()
        .any(|kind| holes.contains(&format!("{{{}.token", kind.name())))
}
