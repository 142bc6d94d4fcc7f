//! Whatever is asked, the file and the Rust say the same.

use http::Method;
use portero::{
    domain::{Reason, json::parse_object},
    rules::contract::{
        ContractResponse, Dialect, DialectSettings, Login, MissingMembers, Operation, Outcome, Rejection, TokenRequest,
        Validity, allow, select,
    },
};
use proptest::prelude::*;

use crate::{dialect as old, samples};

/// Each contract as a file and as Rust.
fn pairs() -> Vec<(Dialect, old::Dialect)> {
    old::Dialect::ALL.into_iter().map(|dialect| (dialect.name().parse().unwrap(), dialect)).collect()
}

fn old_settings(settings: &DialectSettings) -> old::DialectSettings {
    let DialectSettings { timezone, error_status, years_max, allow_non_expiring } = settings.clone();
    old::DialectSettings { timezone, error_status, years_max, allow_non_expiring }
}

fn new_operation(operation: old::Operation) -> Operation {
    match operation {
        old::Operation::Login(old::Login { name, secret, validity }) => {
            let validity = match validity {
                old::Validity::Realm => Validity::Realm,
                old::Validity::Years(years) => Validity::Years(years),
                old::Validity::Forever => Validity::Forever,
            };
            Operation::Login(Login { name, secret, validity })
        }
        old::Operation::Refresh(token) => Operation::Refresh(token),
        old::Operation::Verify => Operation::Verify,
    }
}

/// The only two with something to say arise where requests are read.
fn new_rejection(rejection: old::Rejection) -> Rejection {
    match rejection {
        old::Rejection::NotJson => Rejection::NotJson,
        old::Rejection::Missing(names) => {
            Rejection::Missing(MissingMembers::of(names.into_iter().map(Into::into).collect()).unwrap())
        }
        old::Rejection::InvalidQuery(detail) => Rejection::InvalidQuery(detail),
        other => panic!("no reading ends so: {other:?}"),
    }
}

/// What the old ones do not say: why a member is missing.
fn without_lacks(rejection: Rejection) -> Rejection {
    match rejection {
        Rejection::Missing(members) => {
            Rejection::Missing(MissingMembers::of(members.names().cloned().collect()).unwrap())
        }
        other => other,
    }
}

fn old_rejection(rejection: &Rejection) -> old::Rejection {
    match rejection.clone() {
        Rejection::NotJson => old::Rejection::NotJson,
        Rejection::Missing(names) => {
            let names = names.names().map(|name| &*Box::leak(name.to_string().into_boxed_str()));
            old::Rejection::Missing(names.collect())
        }
        Rejection::InvalidQuery(detail) => old::Rejection::InvalidQuery(detail),
        Rejection::InvalidCredentials => old::Rejection::InvalidCredentials,
        Rejection::InvalidRefreshToken => old::Rejection::InvalidRefreshToken,
        Rejection::Locked => old::Rejection::Locked,
        Rejection::Inactive => old::Rejection::Inactive,
        Rejection::CompanyMissing => old::Rejection::CompanyMissing,
        Rejection::ThrottledName { retry_after } => old::Rejection::ThrottledName { retry_after },
        Rejection::ThrottledAddress { retry_after } => old::Rejection::ThrottledAddress { retry_after },
        Rejection::Unavailable { retry_after } => old::Rejection::Unavailable { retry_after },
        Rejection::MethodNotAllowed { .. } => old::Rejection::MethodNotAllowed,
        Rejection::BodyTooLarge => old::Rejection::BodyTooLarge,
        Rejection::BodyTimeout => old::Rejection::BodyTimeout,
    }
}

fn shown(answer: &ContractResponse) -> (u16, &'static str, String) {
    (answer.status.as_u16(), answer.content_type, String::from_utf8(answer.body.to_vec()).unwrap())
}

fn old_shown(answer: &old::Answer) -> (u16, &'static str, String) {
    (answer.status.as_u16(), answer.content_type, String::from_utf8(answer.body.to_vec()).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_read_alike(request in samples::requests(), settings in samples::settings()) {
        let body = parse_object(&request.body);
        for (new, old) in pairs() {
            // Another method is refused before a contract is asked.
            if !new.contract().methods().contains(&request.method) {
                continue;
            }
            let (method, query, refresh) = (&request.method, request.query.as_deref(), request.refresh);
            let content_type = request.content_type.as_deref();
            let asked = TokenRequest { method, query, content_type, authorization: None, body: (&body).into(), refresh };
            let read = new.contract().read(&asked, &settings).map_err(without_lacks);
            let asked = old::TokenRequest { method, query, content_type, body: &body, refresh };
            let expected = old.contract().read(&asked, &old_settings(&settings));
            prop_assert_eq!(read, expected.map(new_operation).map_err(new_rejection), "{}", new);
        }
    }

    #[test]
    fn grants_are_written_alike(grant in samples::grants(), settings in samples::settings()) {
        for (new, old) in pairs() {
            let (contract, oracle, old_settings) = (new.contract(), old.contract(), old_settings(&settings));
            prop_assert_eq!(
                shown(&contract.write(&Outcome::Granted(&grant), &settings)),
                old_shown(&oracle.write(&old::Outcome::Granted(&grant), &old_settings)),
                "{}", new
            );
            prop_assert_eq!(
                shown(&contract.write(&Outcome::Refreshed(&grant), &settings)),
                old_shown(&oracle.write(&old::Outcome::Refreshed(&grant), &old_settings)),
                "{}", new
            );
        }
    }

    #[test]
    fn verified_tokens_are_written_alike(claims in samples::claims(), settings in samples::settings()) {
        for (new, old) in pairs() {
            let written = new.contract().write(&Outcome::Verified(&claims), &settings);
            let expected = old.contract().write(&old::Outcome::Verified(&claims), &old_settings(&settings));
            prop_assert_eq!(shown(&written), old_shown(&expected), "{}", new);
        }
    }

    #[test]
    fn rejections_are_written_alike(rejection in samples::rejections(), settings in samples::settings()) {
        for (new, old) in pairs() {
            let written = new.contract().write(&Outcome::Rejected(&rejection), &settings);
            let expected = old_rejection(&rejection);
            let expected = old.contract().write(&old::Outcome::Rejected(&expected), &old_settings(&settings));
            prop_assert_eq!(shown(&written), old_shown(&expected), "{}", new);
        }
    }

    #[test]
    fn tokens_carry_the_same_claims(
        holder in samples::holders(),
        issued_at in samples::moments(),
        expires_at in proptest::option::of(samples::moments()),
        settings in samples::settings(),
    ) {
        for (new, old) in pairs() {
            let claims = new.contract().claims(&holder, issued_at, expires_at, &settings);
            let expected = old.contract().claims(&holder, issued_at, expires_at);
            prop_assert_eq!(serde_json::to_string(&claims).unwrap(), serde_json::to_string(&expected).unwrap());
        }
    }

    #[test]
    fn the_same_contract_answers_where_several_share_a_path(request in samples::requests()) {
        let body = parse_object(&request.body);
        let (news, olds): (Vec<_>, Vec<_>) = pairs().into_iter().unzip();
        for first in 0..news.len() {
            for second in 0..news.len() {
                let new = [news[first].clone(), news[second].clone()];
                let old = [olds[first], olds[second]];
                let chosen = select(&new, false, &request.method, (&body).into());
                prop_assert_eq!(chosen, old::select(&old, &request.method, &body));
                prop_assert_eq!(allow(&new), old::allow(&old));
            }
        }
    }
}

#[test]
fn denials_are_written_alike() {
    for (new, old) in pairs() {
        for reason in Reason::ALL {
            let (written, expected) = (new.contract().deny(reason), old.contract().deny(reason));
            assert_eq!(shown(&written), old_shown(&expected), "{new} {}", reason.name());
        }
    }
}

#[test]
fn what_they_declare_is_the_same() {
    for (new, old) in pairs() {
        let facts = new.facts();
        assert_eq!(facts.accounts.kind, old.principal_kind(), "{new}");
        assert_eq!(facts.tokens.algorithm, old.default_algorithm(), "{new}");
        assert_eq!(&*facts.tokens.header_type, old.token_type(), "{new}");
        assert_eq!(facts.tokens.login, old.token_kinds(), "{new}");
        assert_eq!(facts.bare_authorization, old.contract().bare_authorization(), "{new}");
        let header = old.contract().token_header().map(str::to_ascii_lowercase);
        assert_eq!(facts.token_header.as_ref().map(ToString::to_string), header, "{new}");
        assert_eq!(new.contract().methods(), old.contract().methods(), "{new}");
        let members: Vec<_> = new.contract().identifying_members(false).iter().map(|member| &**member).collect();
        assert_eq!(members, old.contract().identifying_members(), "{new}");
        for refresh in [false, true] {
            let schemas =
                new.contract().schemas(refresh).map(|s| (s.request.clone(), s.response.clone(), s.refusals.clone()));
            let expected = old.schemas(refresh).map(|s| (Some(s.request), s.answer, s.refusals.to_vec()));
            assert_eq!(schemas, expected, "{new}");
        }
        assert!(new.contract().methods().contains(&Method::POST));
    }
}
