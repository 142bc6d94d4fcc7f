//! What a contract's file may say, and how it is refused.

use proptest::prelude::*;

use super::{Fault, TEXTS, load};
use crate::{
    domain::{Reason, TokenKind, json::parse_object},
    rules::contract::{
        Contract, DialectSettings, FileContract, Lack, Login, MissingMember, MissingMembers, Operation, Outcome,
        Rejection, TokenRequest, fixture,
    },
};

/// A small contract that is good.
pub(super) const GOOD: &str = r#"name = "erp"

[account]
kind = "user"

[tokens]
algorithm = "HS256"
login = ["access"]

[login]
content_type = "any"
members = { user = "name", pin = "secret" }

[responses]
login = { body = '{"token": "{access.token}"}' }

[errors]
body = '{"error": "{message}"}'

[rejections]
other = { message = "{phrase}" }

[denials]
other = { message = "{phrase}" }
"#;

/// The problems of the small contract with one text in the place of another.
fn problems(text: &str, by: &str) -> String {
    assert!(GOOD.contains(text), "'{text}' does not stand in it");
    shown(load("erp.toml", &GOOD.replacen(text, by, 1)).err())
}

pub(super) fn shown(faults: Option<Vec<Fault>>) -> String {
    let faults = faults.unwrap_or_default();
    let lines: Vec<_> =
        faults.iter().map(|fault| fault.to_string().trim_start_matches("erp.toml:").to_owned()).collect();
    lines.join("\n")
}

#[test]
fn every_contract_that_ships_is_good() {
    for (name, file, text) in TEXTS {
        let loaded = load(file, text);
        assert_eq!(shown(loaded.as_ref().err().cloned()), "", "{file}");
        assert_eq!(&*loaded.unwrap().contract.in_default().facts().name, name);
    }
}

#[test]
fn a_contract_says_which_errors_its_other_answers() {
    let fell_back = load("erp.toml", GOOD).unwrap().fell_back;
    let always =
        ["throttled_name", "throttled_address", "unavailable", "method_not_allowed", "body_too_large", "body_timeout"];
    let of_a_small_one: Vec<_> =
        ["not_json", "missing_field", "invalid_credentials"].into_iter().chain(always).collect();
    assert_eq!(fell_back.rejections, of_a_small_one, "it has no query, no refresh, and tells nothing");
    assert!(fell_back.denials.contains(&"token_revoked") && fell_back.denials.contains(&"method_not_allowed"));
    assert!(!fell_back.denials.contains(&Reason::Public.name()), "it denies nothing");
    let telling = GOOD.replace("[responses]", "[tells]\nafter_secret = [\"locked\"]\n[responses]");
    assert!(load("erp.toml", &telling).unwrap().fell_back.rejections.contains(&"locked"));
    let become_file = TEXTS.iter().find(|(name, ..)| *name == "become").unwrap();
    let fell_back = load(become_file.1, become_file.2).unwrap().fell_back;
    assert!(!fell_back.rejections.contains(&"locked") && !fell_back.denials.contains(&"token_revoked"));
}

#[test]
fn what_could_reveal_a_secret_is_refused() {
    for (text, by, message) in [
        (
            r#""{access.token}""#,
            r#""{access.token} {pin}""#,
            "15:45: {pin}: 'pin' is a secret, and a contract never repeats one",
        ),
        (
            r#"body = '{"error": "{message}"}'"#,
            r#"body = '{"error": "{message}{login.password}"}'"#,
            "18:29: {login.password}: 'login.password' is a secret, and a contract never repeats one",
        ),
        (
            r#"body = '{"error": "{message}"}'"#,
            r#"body = '{"error": "{access.token}"}'"#,
            "18:20: {access.token}: 'access.token' is a token, and an error never carries one",
        ),
        (
            r#"body = '{"error": "{message}"}'"#,
            r#"body = '{"error": "eyJhbGciOiJub25lIn0.e30.x"}'"#,
            "18:8: a token stands in this body, and an error never carries one",
        ),
    ] {
        let said = problems(text, by);
        assert_eq!(said.lines().next(), Some(message), "{said}");
    }
}

#[test]
fn what_an_old_answer_means_is_said_by_members_and_never_by_a_status_alone() {
    let yes = "a status alone is no yes: some systems answer errors with it too; add token = \"…\", the member \
               that holds the token, or body_is_token = true";
    let rule = "a status alone is no rule: say which member has which value, when = { error = 1 }, or which one is \
                there, has = \"error\"";
    for (section, message) in [
        ("[old_system]\ntoken = \"data.token\"", ""),
        ("[old_system]\nbody_is_token = true\nrefusal_status = [400, 401]\nmedia_type = \"application/json\"", ""),
        ("[old_system]\nstatus = 200", &format!("26:1: {yes}")),
        ("[old_system]\ntokn = \"x\"", "27:1: unknown key 'tokn'; did you mean 'token'?"),
        (
            "[old_system]\ntoken = \"x\"\nbody_is_token = true",
            "27:9: the token stands in a member or is the body: leave out one of the two keys",
        ),
        (
            "[old_system]\ntoken = \"a.\"",
            "27:9: 'a.' is no path of 1 to 8 members, such as \"token\" or \"data.token\"",
        ),
        ("[old_system]\ntoken = \"x\"\nstatus = 302", "28:10: a status from 200 to 299"),
        ("[old_system]\ntoken = \"x\"\nrefusal_status = [500]", "28:19: a status from 400 to 499"),
        (
            "[old_system]\ntoken = \"x\"\nmedia_type = \"text/html\"",
            "28:14: the answer is read as JSON: its media type is one of JSON's",
        ),
        ("[old_system]\ntoken = \"x\"\nerrors = [{ status = 404, means = \"locked\" }]", &format!("28:11: {rule}")),
        (
            "[old_system]\ntoken = \"x\"\nerrors = [{ has = \"e\", means = \"loked\" }]",
            "28:32: 'loked' is not known here; did you mean 'locked'?",
        ),
        (
            "[old_system]\ntoken = \"x\"\nerrors = [{ status = 303, has = \"e\", means = \"locked\" }]",
            "28:22: an answer that leads elsewhere says nothing",
        ),
        (
            "[old_system]\ntoken = \"x\"\nanswer = { company = \"c\" }\nclaims = { nmae = \"n\" }",
            "28:12: accounts have no company: say account.company = \"required\"\n\
             29:12: 'nmae' is not known here; did you mean 'name'?",
        ),
        (
            "[old_system]\ntoken = \"x\"\n[old_system.token_check]\nsend = \"query:t\"\nname = \"n\"\nbusiness = \"b\"",
            "29:8: 'query:t' is not \"bearer\", or \"header:NAME\", \"json:MEMBER\" or \"form:FIELD\"\n\
             31:12: accounts have no business: no member of a login is it",
        ),
        (
            "[old_system]\ntoken = \"x\"\n[old_system.token_check]\nsend = \"bearer\"",
            "28:1: 'old_system.token_check.name' is missing (The member with the account's name)",
        ),
        (
            "[earlier_tokens]\nunknown_accounts = true",
            "26:1: whether tokens of unknown accounts are taken is an operator's word: say it with key import",
        ),
        ("[earlier_tokens]\nexpiri = \"x\"", "27:1: unknown key 'expiri'; did you mean 'expiry'?"),
    ] {
        let text = format!("{GOOD}\n{section}\n");
        assert_eq!(shown(load("erp.toml", &text).err()), message, "{section}");
    }
}

#[test]
fn a_hole_that_means_nothing_is_refused_with_the_nearest_word() {
    for (hole, message) in [
        ("{acess.token}", "{acess.token}: no value is called 'acess.token'; did you mean 'access.token'?"),
        (
            "{access.expires_at}",
            "{access.expires_at}: a date needs a formatter: |local '%Y-%m-%d %H:%M:%S', |iso_ms or |unix",
        ),
        (
            "{access.expires_at|isoms}",
            "{access.expires_at|isoms}: no formatter is called 'isoms'; did you mean 'iso_ms'?",
        ),
        (
            r#"{access.expires_at|local \"%H\"}"#,
            "{access.expires_at|local \"%H\"}: |local needs the realm's time zone: declare settings.timezone",
        ),
        (
            "{account.company}",
            "{account.company}: the value may be absent: say |omit, |null or |default '…', or declare responses.incomplete",
        ),
        (
            "{account.name|omit}",
            "{account.name|omit}: the value is always there: what stands for its absence means nothing",
        ),
        (
            "{content.token}",
            "{content.token}: 'content.token' is not there: the request gives no content token ([tokens] says which)",
        ),
        (
            "{account.scopes|iso_ms}",
            "{account.scopes|iso_ms}: |iso_ms does not fit here: it takes a date, and this is a list (a date as 2022-07-19T02:22:39.118Z)",
        ),
        (
            "{account.name else account.id}",
            "{account.name else account.id}: 'account.id' never fills the hole: what stands before it is always there",
        ),
        (
            "{texts.no}",
            "{texts.no}: no text can be named here: a text stands in its language's table, [texts.en] with no = ",
        ),
    ] {
        let said =
            problems(r#"{"token": "{access.token}"}"#, &format!(r#"{{"token": "{{access.token}}", "x": "{hole}"}}"#));
        assert!(said.starts_with(&format!("15:53: {message}")), "{said}");
    }
}

#[test]
fn what_is_no_contract_is_refused() {
    for (text, by, message) in [
        ("name = \"erp\"", "nam = \"erp\"", "1:1: unknown key 'nam'; did you mean 'name'?"),
        ("kind = \"user\"", "kind = \"usr\"", "4:8: 'usr' is not known here; did you mean 'user'?"),
        ("[account]", "[account", "3:9: no TOML: unclosed table, expected `]`"),
        (
            r#"'{"error": "{message}"}'"#,
            r#"'{"error": {message}}'"#,
            "18:20: the body is no JSON: key must be a string; a hole stands between quotes: \"{status}\"",
        ),
        (
            r#"'{"error": "{message}"}'"#,
            r#"'{"error": 1, "error": 2}'"#,
            "18:28: the body is no JSON: a duplicated member; a hole stands between quotes: \"{status}\"",
        ),
        (
            r#"{"token": "{access.token}"}"#,
            r#"{"ok": true}"#,
            "15:18: the answer to a login carries no token: \"{access.token}\" stands nowhere",
        ),
        (
            r#"{"token": "{access.token}"}"#,
            r#"{"token": "{{access.token}}"}"#,
            "15:18: the answer to a login carries no token: \"{access.token}\" stands nowhere",
        ),
        (
            "login = [\"access\"]",
            "type = \"access\"\nlogin = [\"access\"]",
            "8:8: 'access' is not known here; known: JWT, at+jwt",
        ),
        ("user = \"name\", ", "", "12:11: no member is the name; add one, for example username = \"name\""),
        (
            "login = [\"access\"]",
            "login = [\"refresh\"]",
            "8:9: a login gives an access token\n8:9: a login gives a refresh token, and [refresh] does not say who takes it\n15:30: {access.token}: 'access.token' is not there: the request gives no access token ([tokens] says which)",
        ),
        (
            "other = { message = \"{phrase}\" }\n\n[denials]",
            "locked = { message = \"x\" }\n\n[denials]",
            "21:1: [rejections] answers all errors, and has nothing for not_json, missing_field, ",
        ),
        (
            "[denials]\nother",
            "[denials]\nexpird = { message = \"x\" }\nother",
            "24:1: no error is called 'expird'; did you mean 'expired'?",
        ),
        (
            "name = \"erp\"",
            "name = \"erp\"\nextends = \"swss\"",
            "2:11: only contracts that ship can be extended; did you mean 'sws'?",
        ),
    ] {
        let said = problems(text, by);
        assert!(said.starts_with(message), "{said}");
    }
}

#[test]
fn a_contract_may_change_parts_of_another() {
    let text = "extends = \"sws\"\nname = \"mine\"\n[rejections]\nlocked = { message = \"Bloqueado\" }\n";
    let loaded = load("mine.toml", text).unwrap();
    let contract = loaded.contract.in_default();
    let written = |rejection| {
        let answer = contract.write(&Outcome::Rejected(&rejection), &DialectSettings::default());
        fixture::text(&answer).2.to_owned()
    };
    assert_eq!(written(Rejection::Locked), r#"{"error":2,"message":"Bloqueado"}"#);
    assert_eq!(written(Rejection::InvalidCredentials), r#"{"error":1,"message":"Credenciales inválidas"}"#);
    let text = "extends = \"sws\"\nname = \"mine\"\n[rejections]\nlocked = { mesage = \"x\" }\n";
    assert_eq!(shown(load("mine.toml", text).err()), "mine.toml:4:12: unknown key 'mesage'; did you mean 'message'?");
}

#[test]
fn a_contract_says_all_of_it_in_each_language() {
    let texts = "[texts.en]\nwrong = \"No\"\n[texts.pt-BR]\nwrong = \"Não\"\n[phrases.pt-BR]\nother = \"Erro\"\n";
    let text = format!("{GOOD}{texts}")
        .replace("[rejections]\n", "[rejections]\ninvalid_credentials = { message = \"{texts.wrong}\" }\n");
    let translations = load("erp.toml", &text).unwrap().contract;
    assert_eq!(translations.languages().collect::<Vec<_>>(), ["en", "pt-BR"]);
    let said = |place: usize, rejection| {
        let answer = translations.at(place).write(&Outcome::Rejected(&rejection), &DialectSettings::default());
        fixture::text(&answer).2.to_owned()
    };
    assert_eq!(said(0, Rejection::InvalidCredentials), r#"{"error":"No"}"#);
    assert_eq!(said(1, Rejection::InvalidCredentials), r#"{"error":"Não"}"#);
    assert_eq!(said(0, Rejection::NotJson), r#"{"error":"Bad Request"}"#);
    assert_eq!(said(1, Rejection::NotJson), r#"{"error":"Erro"}"#);
    assert_eq!(translations.place("PT-br"), Some(1));
    for (from, to, message) in [
        ("wrong = \"Não\"\n", "", "27:1: the text 'wrong' is missing in [texts.pt-BR]: [texts.en] has it"),
        ("other = \"Erro\"\n", "", "28:8: phrases ship in en and es alone: add [phrases.pt-BR] with other = \"…\""),
        ("[phrases.pt-BR]", "[phrases.pt-br]", "30:10: 'pt-br' is 'pt-BR' elsewhere: write both alike"),
        (
            "[texts.pt-BR]",
            "[texts.portugues]",
            "28:8: 'portugues' is no language; write its tag, such as \"es\" or \"pt-BR\"",
        ),
        ("\"Não\"", "\"{nada}\"", "21:36: {texts.wrong}: in the text pt-BR.wrong: no value is called 'nada'; known: "),
        (
            "[phrases.pt-BR]\nother",
            "[phrases.pt-BR]\n399 = \"\"\nother",
            "31:1: phrases are those of statuses from 400 to 599, such as 404 = \"…\", and other",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let faults = shown(load("erp.toml", &text.replacen(from, to, 1)).err());
        assert!(faults.lines().any(|line| line.starts_with(message)), "{from}: {faults}");
    }
}

#[test]
fn a_text_that_is_one_hole_keeps_its_kind() {
    let required = "[texts.en]\nrequired = \"{missing|each 'Say {}'}\"\n";
    let body = "[rejections]\nmissing_field = { body = '{\"errors\": \"{texts.required}\"}' }\n";
    let text = format!("{GOOD}{required}").replace("[rejections]\n", body);
    let loaded = load("erp.toml", &text).unwrap();
    let missing = Rejection::Missing(MissingMembers::of(vec!["user".into(), "pin".into()]).unwrap());
    let answer = loaded.contract.in_default().write(&Outcome::Rejected(&missing), &DialectSettings::default());
    assert_eq!(fixture::text(&answer).2, r#"{"errors":["Say user","Say pin"]}"#);
}

/// What a response of its own to missing members says.
fn missing(body: &str) -> Result<String, String> {
    let text = GOOD.replacen("[rejections]\n", &format!("[rejections]\nmissing_field = {{ body = '{body}' }}\n"), 1);
    let loaded = load("erp.toml", &text).map_err(|faults| shown(Some(faults)))?;
    let missing = Rejection::Missing(MissingMembers::of(vec!["user".into(), "pin".into()]).unwrap());
    let answer = loaded.contract.in_default().write(&Outcome::Rejected(&missing), &DialectSettings::default());
    Ok(fixture::text(&answer).2.to_owned())
}

#[test]
fn errors_are_keyed_by_what_is_missing() {
    for (body, expected) in [
        (
            r#"{"{missing.each}": ["This field is required."]}"#,
            r#"{"user":["This field is required."],"pin":["This field is required."]}"#,
        ),
        (
            r#"{"errors": {"{missing.each}": "Say {missing.each}"}, "n": 1}"#,
            r#"{"errors":{"user":"Say user","pin":"Say pin"},"n":1}"#,
        ),
        (
            r#"{"errors": [{"path": ["{missing.each}"], "of": "{missing}"}]}"#,
            r#"{"errors":[{"path":["user"],"of":["user","pin"]},{"path":["pin"],"of":["user","pin"]}]}"#,
        ),
        (r#"["first", "{missing.each} is required", {}]"#, r#"["first","user is required","pin is required",{}]"#),
    ] {
        assert_eq!(missing(body), Ok(expected.to_owned()));
    }
    for (body, message) in [
        (
            r#"{"{missing.each}": [], "x": 1}"#,
            "{missing.each}: a member that is repeated is the only one of its object: another could have its name",
        ),
        (
            r#"{"x": "{missing.each}"}"#,
            "{missing.each}: 'missing.each' stands in an element of a list, or is the name of a member: it repeats what it stands in",
        ),
        (r#"[{"{missing.each}": "{missing.each}"}]"#, "{missing.each}: it stands in what is repeated already"),
        (
            r#"{"{missing.first}": 1}"#,
            "the member \"{missing.first}\" has a brace in its name: no name has a hole but {missing.each}",
        ),
    ] {
        let said = missing(body).unwrap_err();
        assert!(said.contains(message), "{body}: {said}");
    }
    let said = problems(r#"{"error": "{message}"}"#, r#"{"{missing.each}": "{message}"}"#);
    assert!(said.contains("members are missing in rejections.missing_field alone"), "{said}");
}

#[test]
fn a_secret_stands_in_the_body_or_in_basic() {
    let login = "content_type = \"any\"\n";
    for (by, message) in [
        (
            "place = \"query\"",
            "11:9: a secret never stands in a query: it would be logged, or sent to others; say \"body\" or \"basic\"",
        ),
        ("place = \"path\"", "11:9: a secret never stands in a path: "),
        ("place = \"cookie\"", "11:9: a secret never stands in a cookie: "),
        ("place = \"basc\"", "11:9: 'basc' is not known here; did you mean 'basic'?"),
        (
            "method = \"GET\"",
            "11:10: a secret is sent by POST alone: what a GET asks for is logged, cached and sent again",
        ),
    ] {
        let said = problems(login, &format!("{by}\n{login}"));
        assert!(said.starts_with(message), "{by}: {said}");
    }
    assert_eq!(
        problems(login, "").lines().next(),
        Some("11:11: login.content_type is missing; add it, for example \"json-if-sent\"")
    );
    assert_eq!(problems(login, "place = \"basic\"\nmethod = \"POST\"\n"), "");
    let business = GOOD.replacen(login, "place = \"basic\"\n", 1).replacen(
        "user = \"name\"",
        "shop = \"business\", user = \"name\"",
        1,
    );
    assert_eq!(shown(load("erp.toml", &business).err()), "12:20: Basic carries a name and a secret alone");
    for (scheme, why) in [
        ("Bearer", "Bearer is always read: leave the key out"),
        ("basic", "Basic carries a name and a secret, and no token; say login.place = \"basic\" for those"),
        ("Digest", "Digest carries no token of Portero's"),
        ("To ken", "'To ken' is no scheme: letters, digits and hyphens"),
        ("", "'' is no scheme: letters, digits and hyphens"),
    ] {
        let said = problems("[responses]", &format!("[use]\nscheme = \"{scheme}\"\n[responses]"));
        let own = "A scheme of the contract's own is another word, such as \"Token\"";
        assert_eq!(said, format!("15:10: {why}. {own}"));
    }
}

#[test]
fn basic_is_read_as_a_login() {
    let text = GOOD.replacen("content_type = \"any\"\n", "place = \"basic\"\n", 1);
    let loaded = load("erp.toml", &text).unwrap();
    let (contract, settings, body) = (loaded.contract.in_default(), DialectSettings::default(), parse_object(b"x"));
    let read = |authorization: Option<&str>| {
        let authorization = authorization.map(str::as_bytes);
        let method = &http::Method::POST;
        let request = TokenRequest {
            method,
            query: None,
            content_type: None,
            authorization,
            body: (&body).into(),
            refresh: false,
        };
        contract.read(&request, &settings)
    };
    let missing = |names: &[&str], lack: Lack| {
        let members = names.iter().map(|&name| MissingMember { name: name.into(), lack });
        Err(Rejection::Missing(MissingMembers::lacking(members.collect()).unwrap()))
    };
    assert_eq!(read(Some("Basic YW5hOjE6Mg==")), Ok(Operation::Login(Login::new("ana", "1:2"))));
    assert_eq!(read(Some("Basic YW5hOg==")), missing(&["pin"], Lack::Blank));
    assert_eq!(read(Some("Basic Og==")), missing(&["user", "pin"], Lack::Blank));
    for none in [None, Some("Bearer x"), Some("Basic =")] {
        assert_eq!(read(none), missing(&["user", "pin"], Lack::Absent), "{none:?}");
    }
    let Err(refused) = read(None) else { panic!("no credentials") };
    let answer = contract.write(&Outcome::Rejected(&refused), &settings);
    assert_eq!(fixture::text(&answer).0, 401, "who sends none is asked for them");
    assert_eq!(contract.identifying_members(false).len(), 0, "a body says nothing");
}

#[test]
fn every_contract_that_ships_speaks_spanish_and_english() {
    for (name, file, text) in TEXTS {
        let translations = load(file, text).unwrap().contract;
        let mut languages: Vec<_> = translations.languages().collect();
        languages.sort_unstable();
        assert_eq!(languages, ["en", "es"], "{name}");
        let english = translations.at(translations.place("en").unwrap());
        for rejection in fixture::rejections() {
            let answer = english.write(&Outcome::Rejected(&rejection), &DialectSettings::default());
            assert!(fixture::text(&answer).2.is_ascii(), "{name}: {answer:?}");
        }
        assert!(Reason::ALL.into_iter().all(|reason| english.deny(reason).body.is_ascii()), "{name}");
    }
}

#[test]
fn sws_classic_says_all_that_sws_does_and_more() {
    let [sws, classic] = ["sws", "sws-classic"].map(|name| {
        let (_, file, text) = TEXTS.into_iter().find(|(known, ..)| *known == name).unwrap();
        load(file, text).unwrap().contract
    });
    let [sws, classic] = [sws.in_default(), classic.in_default()];
    let grant = fixture::grant(&[TokenKind::Access]);
    let settings = DialectSettings::default();
    let write = |contract: &FileContract, outcome: &Outcome<'_>| {
        fixture::text(&contract.write(outcome, &settings)).2.to_owned()
    };
    let granted = write(sws, &Outcome::Granted(&grant));
    let expected =
        format!(r#"{},"error":0,"message":"Logueo correcto","usuario_id":1}}"#, granted.strip_suffix('}').unwrap());
    assert_eq!(write(classic, &Outcome::Granted(&grant)), expected);
    let wrong = r#"{"tokenValido":null,"vencimiento":null,"error":1,"message":"Error al obtener Token. Error:Error de usuario y/o contraseña"}"#;
    assert_eq!(write(classic, &Outcome::Rejected(&Rejection::InvalidCredentials)), wrong);
    assert_eq!(classic.deny(Reason::Expired), sws.deny(Reason::Expired));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_broken_file_is_refused_with_places_and_never_panics(
        which in 0..TEXTS.len(),
        at in any::<prop::sample::Index>(),
        cut in 0_usize..40,
        by in "[a-z{}|'\"=\\[\\]. \\\\\n0-9ñ]{0,12}",
    ) {
        let (_, file, text) = TEXTS[which];
        let characters: Vec<_> = text.chars().collect();
        let start = at.index(characters.len());
        let end = (start + cut).min(characters.len());
        let broken: String =
            characters[..start].iter().copied().chain(by.chars()).chain(characters[end..].iter().copied()).collect();
        if let Err(faults) = load(file, &broken) {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                prop_assert!(fault.position.line > 0 && !fault.message.contains('\n'), "{fault}");
            }
        }
    }
}
