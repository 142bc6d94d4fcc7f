//! What is said of a file that is wrong: what it is, and what to write instead, in no words of a parser's.

use super::{load, tests};
use crate::rules::contract::{
    Contract, DialectSettings, Lack, MissingMember, MissingMembers, Outcome, Rejection, fixture,
};

/// The small contract that is good, without blank lines, and with settings.
fn good() -> String {
    tests::GOOD.replace("\n\n", "\n").replacen("[account]", "[settings]\n[account]", 1)
}

/// The problems of that contract with one text in the place of another.
fn problems(text: &str, by: &str) -> String {
    assert!(good().contains(text), "'{text}' does not stand in it");
    tests::shown(load("erp.toml", &good().replacen(text, by, 1)).err())
}

const SETTINGS: &str = "[settings]\n";
const TOKEN: &str = r#""{access.token}""#;
const OTHER: &str = "[rejections]\nother = { message = \"{phrase}\" }";

#[test]
fn a_value_of_the_wrong_type_is_said_in_the_words_of_the_file() {
    for (text, by, message) in [
        (
            "name = \"erp\"",
            "name = 5",
            "1:8: 'name' takes a text, and this is the number 5 (How messages call the contract)",
        ),
        ("name = \"erp\"\n", "", "1:1: 'name' is missing (How messages call the contract)"),
        (
            "kind = \"user\"",
            "kind = [\"user\"]",
            "4:8: 'account.kind' takes one of \"user\", \"client\", \"project\", and this is a list (What an account is)",
        ),
        (
            SETTINGS,
            "[settings]\ntimezone = \"UTC\"\n",
            "3:12: 'settings.timezone' takes a table with required, default, and this is the text \"UTC\"",
        ),
        (
            SETTINGS,
            "[settings]\nerror_status = {}\n",
            "3:16: 'settings.error_status.default' is missing (The HTTP status of errors that say status = \"error_status\")",
        ),
        (
            "login = [\"access\"]",
            "login = \"access\"",
            "7:9: 'tokens.login' takes a list such as [\"access\"], and this is the text \"access\" (The tokens that a login gives, in order)",
        ),
        (
            "login = {",
            "login = { status = 70000,",
            "12:20: 'responses.login.status' takes a whole number from 200 to 299, and this is the number 70000 (The HTTP status of the answer)",
        ),
        (
            "[responses]",
            "[texts]\na = \"x\"\n[responses]",
            "12:5: 'texts.a' takes a table, and this is the text \"x\" (The texts of a language, as in [texts.en])",
        ),
        (
            OTHER,
            "[rejections]\nother = { status = true, message = \"x\" }",
            "16:20: 'rejections.other.status' takes a whole number from 200 to 599 or a text, and this is true (The HTTP status, or \"error_status\")",
        ),
        (
            "[denials]",
            "[old_system]\ntoken = \"t\"\nerrors = [{ when = { a = [1] }, means = \"locked\" }]\n[denials]",
            "19:26: 'old_system.errors.when.a' takes a text or a whole number or true or false, and this is a list",
        ),
        (
            "[denials]",
            "[earlier_tokens]\nexpiry_format = \"x\"\n[denials]",
            "18:17: 'earlier_tokens.expiry_format' takes one of \"seconds\", \"milliseconds\", \"rfc3339\", and this is the text \"x\" (How that claim counts)",
        ),
    ] {
        assert_eq!(problems(text, by), message);
    }
}

#[test]
fn all_values_of_the_wrong_type_are_said_at_once() {
    let said = problems("kind = \"user\"", "kind = 5\ncompny = \"required\"\nlegacy_id = true");
    let starts = [
        "4:8: 'account.kind' takes",
        "5:1: unknown key 'compny'; did you mean 'company'?",
        "6:13: 'account.legacy_id' takes",
    ];
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(said.lines().zip(starts).all(|(line, start)| line.starts_with(start)), "{said}");
}

/// Whatever a key is given, no word of the parser's own comes out.
#[test]
fn no_message_has_the_words_of_a_parser() {
    let schema = super::schema();
    let good: toml::Table = good().parse().unwrap();
    let mut count = 0;
    for (table, of_table) in schema["properties"].as_object().unwrap() {
        let inner = of_table["properties"].as_object().into_iter().flatten().map(|(key, _)| format!("{table}.{key}"));
        for path in inner.chain([table.clone()]) {
            for value in ["5", "-1", "70000", "1.5", "true", "\"x\"", "[]", "[5]", "{}", "{ x = 5 }", "1979-05-27"] {
                let given: toml::Table = format!("v = {value}").parse().unwrap();
                let text = with(good.clone(), &path, given["v"].clone()).to_string();
                for fault in load("erp", &text).err().unwrap_or_default() {
                    count += 1;
                    for word in ["invalid type", "invalid value", ", expected", "struct ", "untagged", "variant", "u16"]
                    {
                        assert!(!fault.message.contains(word), "{path} = {value}: {fault}");
                    }
                }
            }
        }
    }
    assert!(count > 500, "{count}");
}

fn with(mut file: toml::Table, path: &str, value: toml::Value) -> toml::Table {
    let Some((table, key)) = path.split_once('.') else {
        file.insert(path.to_owned(), value);
        return file;
    };
    let below = file.entry(table).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let Some(below) = below.as_table_mut() {
        below.insert(key.to_owned(), value);
    }
    file
}

#[test]
fn what_is_offered_instead_is_taken() {
    for (text, by, message) in [
        (
            TOKEN,
            r#""{access.token}", "x": "id {account.legacy_id}""#,
            "12:56: {account.legacy_id}: the value may be absent: say |default '…', or declare responses.incomplete",
        ),
        (
            "[responses]",
            "[claims]\nx = \"{account.legacy_id}\"\n[responses]",
            "12:6: {account.legacy_id}: the value may be absent: say |omit, |null or |default '…'",
        ),
        (
            TOKEN,
            r#""{access.token}", "x": "{access.expires_at|local}""#,
            "12:53: {access.expires_at|local}: |local is written with its texts between quotes: |local '%Y-%m-%d %H:%M:%S' (a date in the realm's time zone, in the letters of strftime)",
        ),
        (
            TOKEN,
            r#""{access.token}", "x": "{account.name""#,
            "12:53: {account.name: '{' opens a hole that '}' does not close; write '{{' for the character '{'",
        ),
        (
            OTHER,
            "[rejections]\nother = \"Try again\"",
            "16:9: [rejections] has no 'Try again'; known: other. A text is the name of another error: one of its own is a table, such as { message = \"…\" }",
        ),
        (
            OTHER,
            "[rejections]\nother = {}",
            "16:9: it has no message, and the body of [errors] says one: add message = \"…\", or a body",
        ),
        ("\"HS256\"", "\"hs256\"", "6:13: 'hs256' is not known here; did you mean 'HS256'?"),
        (
            "[responses]",
            "[use]\nheader = \"Cookie\"\n[responses]",
            "12:10: a cookie is no header of the contract's own: routes say it in sources; name a header of the contract's own, such as \"X-Token\"",
        ),
    ] {
        assert_eq!(problems(text, by), message);
    }
}

#[test]
fn forms_stand_where_a_body_is_read() {
    let content_type = "content_type = \"any\"\n";
    for (by, message) in [
        ("content_type = \"any\"\nform = \"also\"\n", ""),
        ("form = \"only\"\n", ""),
        ("content_type = \"any\"\nform = \"yes\"\n", "10:8: 'yes' is not known here; known: also, only"),
        (
            "content_type = \"any\"\nform = \"only\"\n",
            "9:16: forms alone have one type, and it is required: leave the key out",
        ),
        (
            "place = \"basic\"\nform = \"also\"\n",
            "10:8: name and secret stand in Basic, and no body is read: leave the key out",
        ),
    ] {
        assert_eq!(problems(content_type, by), message);
    }
    let old = format!("{}[old_system]\ntoken = \"t\"\n", good()).replacen(content_type, "form = \"only\"\n", 1);
    let faults = load("erp", &old).err().unwrap_or_default();
    let why = "an old system is asked with a JSON body, and requests of this contract are forms alone";
    assert!(faults.iter().any(|fault| fault.message == why), "{faults:?}");
}

/// What a contract with this response says.
fn said(entry: &str, rejection: &Rejection) -> String {
    let text = good().replacen("[rejections]\n", &format!("[rejections]\n{entry}\n"), 1);
    let loaded = load("erp", &text).unwrap_or_else(|faults| panic!("{faults:?}"));
    let answer = loaded.contract.in_default().write(&Outcome::Rejected(rejection), &DialectSettings::default());
    fixture::text(&answer).2.to_owned()
}

#[test]
fn a_message_has_the_method_of_the_request() {
    let entry = r#"method_not_allowed = { message = 'Method "{request.method}" not allowed.' }"#;
    let rejection = Rejection::MethodNotAllowed { method: http::Method::PATCH };
    assert_eq!(said(entry, &rejection), r#"{"error":"Method \"PATCH\" not allowed."}"#);
    let faults = problems("[rejections]\n", "[rejections]\nnot_json = { message = '{request.method}' }\n");
    assert!(faults.contains("'request.method' is not known in the answer to a refused request"), "{faults}");
}

#[test]
fn what_stands_in_a_members_place_is_told_apart() {
    let lacking = |lacks: &[(&str, Lack)]| {
        let members = lacks.iter().map(|&(name, lack)| MissingMember { name: name.into(), lack });
        Rejection::Missing(MissingMembers::lacking(members.collect()).unwrap())
    };
    let all = [("a", Lack::Absent), ("b", Lack::Blank), ("c", Lack::Null), ("d", Lack::Mistyped)];
    let each = |cases: &str| {
        format!(r#"missing_field = {{ body = '''{{"{{missing.each}}": ["{{missing.why|cases {cases}}}"]}}''' }}"#)
    };
    assert_eq!(
        said(&each("'required' 'blank' 'null' 'no text'"), &lacking(&all)),
        r#"{"a":["required"],"b":["blank"],"c":["null"],"d":["no text"]}"#
    );
    assert_eq!(said(&each("'no' 'blank'"), &lacking(&all)), r#"{"a":["no"],"b":["blank"],"c":["no"],"d":["no"]}"#);
    let first = "missing_field = { message = \"{missing.first} is {missing.why|cases 'missing' 'empty'}\" }";
    assert_eq!(said(first, &lacking(&all[1..])), r#"{"error":"b is empty"}"#);
    for (message, why) in [
        ("{missing.why}", "it needs a formatter: |cases 'It is required.' 'It must not be empty.'"),
        ("{missing.first|cases 'a' 'b'}", "it takes 'missing.why', and this is text"),
    ] {
        let entry = format!("[rejections]\nmissing_field = {{ message = \"{message}\" }}\n");
        let faults = problems("[rejections]\n", &entry);
        assert!(faults.contains(why), "{faults}");
    }
}
