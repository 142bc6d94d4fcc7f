//! The JSON Schema of a contract's file, for editors. It says which keys there are and of what type their values are;
//! what the values mean together, `portero contract check` says.

use serde_json::{Map, Value, json};

use crate::{
    domain::{Algorithm, Reason},
    rules::contract::{RejectionKind, outcome::MEDIA_TYPES},
};

/// The schema (draft 2020-12).
#[must_use]
pub fn schema() -> Value {
    let mut schema = object(vec![
        ("name", text("How messages call the contract", "^[a-z0-9_-]{1,64}$")),
        ("extends", any_text("The contract that ships and that this one changes")),
        ("summary", any_text("One sentence about it")),
        ("language", tag("The language in which it speaks unless realm or client choose another")),
        ("settings", settings()),
        ("account", account()),
        ("tokens", tokens()),
        ("claims", table("Claims of the contract's own in each token", &any_text("The claim, with holes"))),
        ("login", login()),
        ("validity", validity()),
        ("refresh", object(vec![("member", any_text("The member with the refresh token"))])),
        ("verify", flag("Whether a GET says what the token says")),
        ("use", usage()),
        ("tells", tells()),
        ("phrases", phrases()),
        (
            "texts",
            table(
                "Texts by language",
                &table("The texts of a language, as in [texts.en]", &any_text("A text, with holes")),
            ),
        ),
        ("responses", responses()),
        ("errors", object(vec![("media_type", media_type()), ("body", body())])),
        ("rejections", replies("Refused token requests", RejectionKind::ALL.map(RejectionKind::name).to_vec(), "")),
        ("denials", denials()),
        ("old_system", old_system()),
        ("earlier_tokens", earlier_tokens()),
    ]);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "A token contract of Portero".into();
    let needed = ["name", "account", "tokens", "login", "responses"];
    schema["anyOf"] = json!([{ "required": ["extends"] }, { "required": needed }]);
    schema
}

fn settings() -> Value {
    let number = |about| {
        object(vec![
            ("default", json!({ "type": "integer", "description": about })),
            ("least", integer("The least that a realm may say")),
            ("most", integer("The most that a realm may say")),
        ])
    };
    let choice = |about| object(vec![("default", flag(about))]);
    object(vec![
        (
            "timezone",
            object(vec![
                ("required", flag("Whether each realm must say its time zone")),
                ("default", any_text("An IANA name, such as UTC")),
            ]),
        ),
        ("error_status", number("The HTTP status of errors that say status = \"error_status\"")),
        ("max_years", number("The longest expiry that a login may ask for")),
        ("allow_non_expiring", choice("Whether a login may ask for a token without expiry")),
        ("uniform_errors", choice("Whether what before_secret lists is told after the secret")),
        ("lifetime", any_text("The default of a realm's lifetime: \"end-of-day\" or a duration")),
        ("content_lifetime", any_text("The same for content tokens")),
        ("refresh_lifetime", any_text("The same for refresh tokens")),
    ])
}

fn account() -> Value {
    object(vec![
        ("kind", one_of("What an account is", &["user", "client", "project"])),
        ("legacy_id", one_of("Whether each account gets an integer of its own", &["made", "refused"])),
        ("company", one_of("Whether each account has a company", &["required", "refused"])),
    ])
}

fn tokens() -> Value {
    let kinds = |about| list(about, &one_of("A kind of token", &["access", "content", "refresh"]));
    object(vec![
        ("algorithm", one_of("How tokens are signed or sealed", &Algorithm::ALL.map(Algorithm::name))),
        ("type", one_of("typ in the header of JWTs", &["JWT", "at+jwt"])),
        ("login", kinds("The tokens that a login gives, in order")),
        ("refresh", kinds("The tokens that a refresh gives")),
    ])
}

fn login() -> Value {
    let meaning = one_of("What the member is", &["name", "business", "secret"]);
    object(vec![
        ("place", one_of("Where name and secret stand", &["body", "basic"])),
        ("method", one_of("The method of a login", &["POST"])),
        ("content_type", one_of("What the type of a body may be", &["any", "json-if-sent", "json-required"])),
        ("form", one_of("Whether requests may be forms: beside JSON, or alone", &["also", "only"])),
        ("members", table("The required members, in the order in which they are named when missing", &meaning)),
        ("identified_by", list("Members that say that a body is for this contract", &any_text("A member"))),
    ])
}

fn validity() -> Value {
    let words = |about| list(about, &any_text("A word, in any case"));
    object(vec![
        ("parameter", any_text("The query parameter with the years of a token's life")),
        ("years", json!({ "type": "integer", "minimum": 1, "maximum": 100, "description": "Where it is absent" })),
        ("default_words", words("Words that mean the same as absent")),
        ("forever_words", words("Words that ask for a token without expiry")),
        ("repeated", any_text("The text where it stands twice")),
        ("never_ends", any_text("The text where tokens must end")),
        ("too_long", any_text("The text where it is too much")),
        ("unreadable", any_text("The text where it means nothing")),
    ])
}

fn usage() -> Value {
    object(vec![
        ("header", any_text("A header of its own that carries the token")),
        ("scheme", any_text("A scheme of Authorization that carries the token, beside Bearer")),
        ("bare_authorization", flag("Whether Authorization without a scheme carries the token")),
    ])
}

fn tells() -> Value {
    let errors = |about, words: &[&str]| list(about, &one_of("What is told", words));
    object(vec![
        ("before_secret", errors("What a stranger is told", &["inactive", "company_missing"])),
        ("after_secret", errors("What who proved himself is told", &["inactive", "company_missing", "locked"])),
    ])
}

fn phrases() -> Value {
    let mut of_language = object(vec![("other", any_text("The phrase of every other status"))]);
    of_language["description"] = "The phrases of a language, as in [phrases.en]".into();
    of_language["patternProperties"] = json!({ "^[45][0-9][0-9]$": any_text("The phrase of this status") });
    table("Phrases of statuses, by language", &of_language)
}

fn responses() -> Value {
    let success = || {
        let status = json!({ "type": "integer", "minimum": 200, "maximum": 299, "description": "The HTTP status of the answer" });
        object(vec![("status", status), ("media_type", media_type()), ("body", body())])
    };
    object(vec![
        ("login", success()),
        ("refresh", success()),
        ("verify", success()),
        ("incomplete", own("The answer where a value is missing that a body cannot do without")),
    ])
}

/// What the answers of the API mean that a contract was before Portero.
fn old_system() -> Value {
    let status = || json!({ "type": "integer", "minimum": 100, "maximum": 599 });
    let paths = |about| {
        let path = json!({ "type": ["string", "array"], "items": any_text("A path, such as user.name") });
        table(about, &path)
    };
    let rule = object(vec![
        ("status", status()),
        ("when", table("Members that must have these values", &json!({ "type": ["string", "integer", "boolean"] }))),
        ("has", any_text("A member that must be there")),
        ("means", any_text("What it means: a rejection, unclear or no_error")),
    ]);
    let token_check = object(vec![
        ("send", any_text("Where the token is sent")),
        ("method", one_of("The method", &["GET", "POST"])),
        ("name", any_text("The member with the account's name")),
        ("business", any_text("The member with its business")),
        ("active", any_text("The member that says whether the token holds")),
        ("expires", any_text("The member that says when it ends")),
    ]);
    object(vec![
        ("token", any_text("The member that holds the token")),
        ("body_is_token", flag("Whether the body is the token, a JSON string")),
        ("status", status()),
        ("media_type", any_text("The media type of an answer to a login")),
        ("refusal_status", list("Statuses that are a no", &status())),
        ("errors", list("What its errors mean, the first that fits", &rule)),
        ("answer", paths("Where the answer says what is known of an account")),
        ("claims", paths("Where the token's claims say it")),
        ("token_check", token_check),
    ])
}

/// How the tokens look that the API gave before Portero.
fn earlier_tokens() -> Value {
    let claim = |about: &str| json!({ "type": ["string", "array"], "items": any_text("A name"), "description": about });
    object(vec![
        ("any_type", flag("Whether typ may be absent or another word than JWT")),
        ("unnamed", flag("Whether they carry no kid")),
        ("optional", list("Registered claims that may be absent", &any_text("A claim"))),
        ("require", json!({ "type": "object", "description": "Claims that must have exactly this value" })),
        ("unknown_accounts", flag("Refused here: an operator says it with key import")),
        ("issuer", any_text("Their iss, where it is not the realm's")),
        ("audience", any_text("Their aud, where it is not the realm's")),
        ("expiry", any_text("The claim that says when they end")),
        ("expiry_format", one_of("How that claim counts", &["seconds", "milliseconds", "rfc3339"])),
        ("name", claim("The claim with the account's name")),
        ("business", claim("The claim with its business")),
        ("role", claim("The claim with its role")),
        ("scopes", claim("The claim with its scopes")),
        ("organization", claim("The claim with its company")),
    ])
}

fn denials() -> Value {
    let reasons = Reason::ALL.into_iter().filter(|reason| !reason.allows()).map(Reason::name).collect();
    replies("Denied requests of routes", reasons, "^[45][0-9][0-9]$")
}

/// Errors by name, each with a response of its own, or that of another one.
fn replies(about: &str, names: Vec<&str>, pattern: &str) -> Value {
    let reply = |name: &str| {
        let about = format!("{name}: a response of its own, or the name of another error");
        json!({ "anyOf": [{ "type": "string" }, own(&about)], "description": about })
    };
    let names = names.into_iter().chain(["other"]);
    let mut replies = object(names.map(|name| (name, reply(name))).collect());
    replies["description"] = about.into();
    if !pattern.is_empty() {
        replies["patternProperties"] = json!({ pattern: reply("all of this status") });
    }
    replies
}

/// A response of an error's own.
fn own(about: &str) -> Value {
    let status = json!({
        "type": ["integer", "string"],
        "minimum": 200,
        "maximum": 599,
        "description": "The HTTP status, or \"error_status\"",
    });
    let code =
        json!({ "type": ["integer", "string"], "description": "The error's code; its status where it has none" });
    let mut own = object(vec![
        ("status", status),
        ("code", code),
        ("message", any_text("The error's message, with holes")),
        ("media_type", media_type()),
        ("body", body()),
    ]);
    own["description"] = about.into();
    own
}

fn object(properties: Vec<(&str, Value)>) -> Value {
    let properties: Map<_, _> = properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

/// A table whose keys are free.
fn table(about: &str, of: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": of, "description": about })
}

fn list(about: &str, of: &Value) -> Value {
    json!({ "type": "array", "items": of, "description": about })
}

fn one_of(about: &str, words: &[&str]) -> Value {
    json!({ "enum": words, "description": about })
}

fn text(about: &str, pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern, "description": about })
}

fn any_text(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

fn tag(about: &str) -> Value {
    text(about, "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$")
}

fn flag(about: &str) -> Value {
    json!({ "type": "boolean", "description": about })
}

fn integer(about: &str) -> Value {
    json!({ "type": "integer", "description": about })
}

fn media_type() -> Value {
    one_of("The Content-Type", &MEDIA_TYPES)
}

fn body() -> Value {
    any_text("JSON with holes between quotes: \"{access.token}\"")
}
