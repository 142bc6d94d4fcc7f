//! What is wrong with realms.

use super::{check, check_on_base};

#[test]
fn realms_have_the_keys_of_their_dialect() {
    const ISSUER: &str =
        "tokens.issuer: missing; add it, for example issuer = \"https://gateway.example.com\": the issuer of realm";
    check(&[
        ("[realms.toc]\ndialect = \"toc\"", &format!("1:1: {ISSUER} 'toc' is then that + \"/toc\"")),
        (
            "[realms.a]\ndialect = \"toc\"\n[tokens]\nleeway = \"1s\"",
            &format!("3:1: {ISSUER} 'a' is then that + \"/a\""),
        ),
        ("[realms.a]\ndialect = \"toc\"\nissuer = \"x\"", "no problem"),
        (
            "[realms.a]\ndialect = \"toc\"\nissuer = \"x\"\n[realms.b]\ndialect = \"toc\"\nissuer = \"x\"",
            "6:10: realms.b.issuer: realm 'a' has this issuer too; subjects would not be told apart",
        ),
    ]);
    check_on_base(&[
        (
            "[realms.Sws]\ndialect = \"toc\"",
            "6:1: realms.Sws: the name must be 1 to 64 of a-z, 0-9, '-' and '_', and start with a letter",
        ),
        (
            "[realms.portero-internal]\ndialect = \"toc\"",
            "6:1: realms.portero-internal: this name is taken: the keys of internal tokens are kept under it",
        ),
        ("[realms.x]\nlifetime = 1", "6:1: realms.x.dialect: missing; add it, for example dialect = \"sws\""),
        (
            "[realms.x]\ndialect = \"swss\"\ntimezone = 1",
            "7:11: realms.x.dialect: 'swss' is not known here; did you mean 'sws'?",
        ),
        (
            "[realms.x]\ndialect = \"sws\"",
            "6:1: realms.x.timezone: missing; add it, for example timezone = \"America/Bogota\"",
        ),
        (
            "[realms.x]\ndialect = \"sws\"\ntimezone = \"America/Bogotá\"",
            "8:12: realms.x.timezone: 'America/Bogotá' is not a time zone of the IANA database, such as \"America/Bogota\" or \"UTC\"",
        ),
        (
            "[realms.x]\ndialect = \"become\"\nlanguage = \"fr\"",
            "8:12: realms.x.language: 'fr' is not a language of the dialect: en, es",
        ),
        ("[realms.x]\ndialect = \"become\"\nlanguage = \"ES\"\naccept_language = true", "no problem"),
        (
            "[realms.x]\ndialect = \"oauth\"\nalgorithm = \"ES256\"\nlanguage = \"en\"\naccept_language = true",
            "10:19: realms.x.accept_language: there is nothing to choose from: 'oauth' speaks en alone",
        ),
        (
            "[realms.x]\ndialect = \"apis\"\nalgorithm = \"HS256\"\naudience = \"x\"\nerror_status = 1\nmax_years = 1",
            "8:1: realms.x.algorithm: tokens of dialect 'apis' are sealed, not JWTs; this key is for sws, toc, maxpoint, become, oauth\n\
             9:1: realms.x.audience: tokens of dialect 'apis' are sealed, not JWTs; this key is for sws, toc, maxpoint, become, oauth\n\
             10:1: realms.x.error_status: dialect 'apis' has no use for it; this key is for sws\n\
             11:1: realms.x.max_years: dialect 'apis' has no use for it; this key is for toc",
        ),
        (
            "[realms.x]\ndialect = \"toc\"\nlifetime = \"1h\"\ntimezone = \"UTC\"\nrefresh_lifetime = \"1h\"\nmax_years = 101\nalgorithm = \"none\"",
            "8:1: realms.x.lifetime: each login says how many years it asks for, up to max_years; this key is for sws, apis, maxpoint, become, oauth\n\
             9:1: realms.x.timezone: dialect 'toc' has no use for it; this key is for sws, maxpoint\n\
             10:1: realms.x.refresh_lifetime: dialect 'toc' has no use for it; this key is for apis\n\
             11:13: realms.x.max_years: expected an integer from 1 to 100, found 101\n\
             12:13: realms.x.algorithm: 'none' is not known here; known: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
        ),
        (
            "[realms.x]\ndialect = \"become\"\nlifetime = \"end-of-day\"\nallow_non_expiring = true\ncontent_lifetime = \"1h\"",
            "8:12: realms.x.lifetime: \"end-of-day\" needs a timezone, which only sws and maxpoint have; say a duration, such as \"1h\"\n\
             9:1: realms.x.allow_non_expiring: dialect 'become' has no use for it; this key is for toc\n\
             10:1: realms.x.content_lifetime: dialect 'become' has no use for it; this key is for apis",
        ),
        (
            "[realms.x]\ndialect = \"maxpoint\"\nlifetime = \"1500ms\"\nuniform_errors = true",
            "8:12: realms.x.lifetime: 1500ms is no whole number of seconds, in which tokens count\n\
             9:1: realms.x.uniform_errors: dialect 'maxpoint' has no use for it; this key is for become",
        ),
        (
            "[realms.x]\ndialect = \"sws\"\ntimezone = \"UTC\"\nerror_status = 199\nissuer = \"\"",
            "9:16: realms.x.error_status: expected an integer from 200 to 599, found 199\n10:10: realms.x.issuer: must not be empty",
        ),
    ]);
}

#[test]
fn a_contract_from_a_file_and_what_a_realm_changes_have_their_places() {
    check_on_base(&[
        (
            "[realms.x]\ndialect = \"sws\"\ntimezone = \"UTC\"\nextend = { rejections = { locked = { mesage = \"x\" } } }",
            "9:38: realms.x.extend: unknown key 'mesage'; did you mean 'message'?",
        ),
        (
            "[realms.x]\ndialect = \"sws\"\ntimezone = \"UTC\"\nextend.errors.body = '{\"e\": \"{mesage}\"}'",
            "9:30: realms.x.extend: {mesage}: no value is called 'mesage'; did you mean 'message'?",
        ),
        ("[realms.x]\ndialect = \"sws\"\ntimezone = \"UTC\"\nextend.language = \"en\"", "no problem"),
        (
            "[realms.x]\ndialect = \"oauth\"\nextend.language = \"en\"",
            "8:1: realms.x.extend: 'oauth' is no contract from a file: it cannot be extended",
        ),
        (
            "[realms.x]\ndialect = \"nowhere/erp.toml\"\nlifetime = \"1h\"",
            "7:11: realms.x.dialect: 'nowhere/erp.toml' cannot be read: No such file or directory (os error 2)",
        ),
    ]);
}
