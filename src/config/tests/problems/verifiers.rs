//! What is wrong with old systems, and with endpoints that take over from one.

use super::check_on_base;

const URL: &str = "[verifiers.old]\nurl = \"https://old.example.com/auth\"\n";

fn with(more: &str) -> String {
    format!("{URL}{more}")
}

fn endpoint(more: &str) -> String {
    format!("{URL}[[token_endpoints]]\npath = \"/t\"\nrealms = [\"apis\"]\n{more}")
}

#[test]
fn a_yes_by_its_status_alone_is_no_rule() {
    check_on_base(&[
        (&with(""), "no problem"),
        (&with("status = 201\ntoken = \"data.token\"\nrefusal_status = [400, 401]"), "no problem"),
        (
            &with("status = 200"),
            "8:10: verifiers.old.status: a status alone is no yes: some systems answer errors with it too; \
             add token = \"…\", the member that holds the token",
        ),
        (
            &with("token = \"\""),
            "8:9: verifiers.old.token: '' is not the member that holds the token, such as \"token\" or \"data.token\"",
        ),
        (
            &with("refusal_status = [500]"),
            "8:19: verifiers.old.refusal_status[0]: expected an integer from 400 to 499, found 500",
        ),
    ]);
}

#[test]
fn an_old_system_is_asked_where_nobody_can_answer_for_it_and_within_bounds() {
    check_on_base(&[
        (
            "[verifiers.old]",
            "6:1: verifiers.old.url: missing; add it, for example url = \"https://old.example.com/api/auth/token\"",
        ),
        ("[verifiers.old]\nurl = \"http://127.0.0.1:8000/auth\"", "no problem"),
        (
            "[verifiers.old]\nurl = \"http://old.example.com/auth\"",
            "7:7: verifiers.old.url: must be https; http is for loopback addresses (127.0.0.1, [::1]) only: \
             passwords would cross the network as they are",
        ),
        (
            "[verifiers.old]\nurl = \"https://old.example.com/auth?a=b\"",
            "7:7: verifiers.old.url: must have no query: that of each client is passed on",
        ),
        (&with("rate = 0"), "8:8: verifiers.old.rate: expected an integer from 1 to 10000, found 0"),
        (
            &with("connect_timeout = \"9s\""),
            "8:19: verifiers.old.connect_timeout: 9s is more than timeout (5s), which ends before",
        ),
        (
            &with("client_header = \"Host\""),
            "8:17: verifiers.old.client_header: 'Host' has another meaning; name one for the client's address",
        ),
        (
            &with("[verifiers.old.names]\nalphabet = \"z-a\"\nmin_length = 9\nmax_length = 8"),
            "9:12: verifiers.old.names.alphabet: the range 'z-a' ends before it begins; write a list such as \"a-z0-9._-\"\n\
             10:14: verifiers.old.names.min_length: 9 is more than max_length (8): nothing would be asked",
        ),
    ]);
}

#[test]
fn a_check_of_tokens_names_the_account_and_sends_the_token_where_it_is_not_logged() {
    let check = |more: &str| with(&format!("[verifiers.old.tokens]\nurl = \"https://old.example.com/check\"\n{more}"));
    check_on_base(&[
        (&check("send = \"bearer\"\nname = \"user.name\""), "no problem"),
        (
            &check(
                "send = \"form:token\"\nname = \"username\"\nactive = \"active\"\nexpires = \"exp\"\nmax_age = \"1m\"\nrate = 5",
            ),
            "no problem",
        ),
        (
            &check("send = \"header:Authorization\"\nmethod = \"POST\"\nname = \"username\"\nprefix = \"t-\""),
            "no problem",
        ),
        (
            &check("send = \"bearer\""),
            "8:1: verifiers.old.tokens.name: missing; add it, for example name = \"username\"",
        ),
        (
            &check("send = \"query:token\"\nname = \"username\""),
            "10:8: verifiers.old.tokens.send: 'query:token' is not \"bearer\", or \"header:NAME\", \"json:MEMBER\" or \"form:FIELD\"",
        ),
        (
            &check("send = \"header:Host\"\nname = \"username\""),
            "10:8: verifiers.old.tokens.send: 'header:Host' is not \"bearer\", or \"header:NAME\", \"json:MEMBER\" or \"form:FIELD\"",
        ),
        (
            &check("send = \"json:token\"\nname = \"username\"\nmethod = \"GET\""),
            "12:10: verifiers.old.tokens.method: a GET has no body: send the token in a field, or ask by POST",
        ),
        (
            &check("send = \"bearer\"\nname = \"username\"\nmax_age = \"2h\""),
            "12:11: verifiers.old.tokens.max_age: '2h' is not a duration from 1s to 1h, such as \"500ms\", \"30s\", \"12h\" or \"1d\"",
        ),
    ]);
}

#[test]
fn a_check_of_tokens_fits_the_contracts_that_it_is_asked_for() {
    let check = |realm: &str, more: &str| {
        format!(
            "realms.toc.dialect = \"toc\"\n{URL}[verifiers.old.tokens]\nurl = \"https://old.example.com/check\"\n{more}\n\
             [[token_endpoints]]\npath = \"/t\"\nrealms = [\"{realm}\"]\nverifier = \"old\"\nmode = \"observe\""
        )
    };
    check_on_base(&[
        (&check("toc", ""), "no problem"),
        (&check("toc", "send = \"json:token\"\nname = \"who\"\nmethod = \"POST\""), "no problem"),
        (
            &check("apis", ""),
            "9:1: verifiers.old.tokens.send: missing; add it, for example send = \"bearer\"\n\
             9:1: verifiers.old.tokens.name: missing; add it, for example name = \"username\"",
        ),
        (
            &check("apis", "send = \"bearer\"\nname = \"n\"\nbusiness = \"b\""),
            "13:12: verifiers.old.tokens.business: accounts of realm 'apis' have no business: none would be found by such a name",
        ),
        (
            &check("toc", "business = \"\""),
            "11:12: verifiers.old.tokens.business: '' is not the member, such as \"username\" or \"user.name\"",
        ),
        (
            &check("toc", "bussiness = \"b\""),
            "11:1: verifiers.old.tokens.bussiness: unknown key; did you mean 'business'?",
        ),
    ]);
}

#[test]
fn an_endpoint_says_from_whom_it_takes_over_and_how() {
    check_on_base(&[
        (&endpoint("verifier = \"old\"\nmode = \"observe\""), "no problem"),
        (
            &endpoint(
                "verifier = { apis = \"old\" }\nmode = \"lead\"\nauthority = \"portero\"\ntrust = \"0s\"\nnew_accounts = { role = \"USER\" }",
            ),
            "no problem",
        ),
        (
            &endpoint("verifier = \"old\""),
            "8:1: token_endpoints[0].mode: missing; add it, for example mode = \"observe\"",
        ),
        (
            &endpoint("verifier = \"odl\"\nmode = \"alone\""),
            "11:12: token_endpoints[0].verifier: no verifier is called 'odl'; did you mean 'old'?",
        ),
        (
            &endpoint("mode = \"lead\""),
            "11:1: token_endpoints[0].mode: it is for endpoints that take over from an old system: add verifier = \"NAME\"",
        ),
        (
            &endpoint("verifier = { become = \"old\" }\nmode = \"lead\""),
            "11:23: token_endpoints[0].verifier.become: 'become' is not one of the endpoint's realms",
        ),
        (
            &endpoint("verifier = \"old\"\nmode = \"lead\"\nnew_accounts = { company = \"c\", legacy_id = \"next\" }"),
            "13:28: token_endpoints[0].new_accounts.company: only accounts of dialect 'become' have a company\n\
             13:45: token_endpoints[0].new_accounts.legacy_id: only accounts of dialect 'sws' have a number",
        ),
    ]);
}
