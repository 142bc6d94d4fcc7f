//! What routes change, who is believed, token endpoints, pages of other origins, upgrades.

use super::{
    super::{Form, TRUSTED, Then, Until, form},
    CORS, GET, POST, UPGRADE, message,
};
use crate::support::{Contract, own_address};

pub(super) fn forms() -> Vec<Form> {
    let mut forms = rewritten();
    forms.extend(with_tokens());
    forms.extend(logins());
    forms.extend(pages());
    forms.extend(upgrades());
    forms
}

/// A form twice: with GET and with POST.
fn both(names: [&'static str; 2], change: impl Fn(Form) -> Form, fields: &str) -> [Form; 2] {
    let request = |text: &str| text.replace("Host", &format!("{fields}Host"));
    [change(form(names[0]).sends(request(GET))), change(form(names[1]).sends(request(POST)))]
}

fn rewritten() -> Vec<Form> {
    let own = "HTTP/1.1 200 OK\nServer: nginx\nX-Powered-By: PHP\nX-Debug: 1\nx-debug: 2\nX-Frame-Options: SAMEORIGIN\n\
               Content-Length: 2\nX-Last: 1\n\nok";
    let fields = "X-Old: 1\nX-Env: dev\nx-env: test\nAccept: a\n";
    let changed = |form: Form| {
        form.answered(own).route(
            "auth = \"public\"\nharden = true\nrequest_headers = { set = { X-Env = \"prod\", X-New = \"1\" }, \
             remove = [\"X-Old\"] }\nresponse_headers = { set = { X-Set = \"1\", X-Last = \"2\" }, remove = [\"X-Debug\"] }",
        )
    };
    let route = |lines: &'static str| move |form: Form| form.route(&format!("auth = \"public\"\n{lines}"));
    let mut forms = vec![];
    forms.extend(both(["changed-get", "changed-post"], changed, fields));
    forms.extend(both(["replaced-get", "replaced-post"], route("replace_prefix = \"/v2/new\""), ""));
    forms.extend(both(["stripped-get", "stripped-post"], route("strip_prefix = true"), ""));
    forms.extend(both(["host-of-server-get", "host-of-server-post"], route("host = \"upstream\""), ""));
    forms.extend(both(["host-named-get", "host-named-post"], route("host = \"crm.internal\""), ""));
    forms.extend(both(
        ["spelling-get", "spelling-post"],
        |form| form.pool("preserve_header_case = true"),
        "x-lower: 1\nX-uPPer: 2\nCOOKIE: a=1\n",
    ));
    let believed = "X-Forwarded-For: 198.51.100.7\nX-Forwarded-Proto: https\nX-Forwarded-Host: shop.test\n\
                    Forwarded: for=203.0.113.9\nX-Request-Id: theirs\ntracestate: a=b\n\
                    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n";
    forms.extend(both(["trusted-get", "trusted-post"], |form| form.from(TRUSTED), believed));
    forms
}

fn with_tokens() -> Vec<Form> {
    let names = [
        ["checked-sws-get", "checked-sws-post"],
        ["checked-apis-get", "checked-apis-post"],
        ["checked-toc-get", "checked-toc-post"],
        ["checked-maxpoint-get", "checked-maxpoint-post"],
        ["checked-become-get", "checked-become-post"],
    ];
    let mut forms = vec![];
    for (names, contract) in names.into_iter().zip(Contract::ALL) {
        let realm = contract.realm();
        let route = format!("accept = [\"{realm}\"]");
        forms.extend(both(names, |form| form.route(&route), &format!("Authorization: Bearer {{{realm}}}\n")));
    }
    let forwarded = |how: &'static str| {
        move |form: Form| {
            form.route(&format!(
                "accept = [\"sws\"]\nforward_token = {how}\nsources = [\"authorization\", \"cookie:sid\"]"
            ))
        }
    };
    let fields = "Authorization: Bearer {sws}\nCookie: a=1; sid={sws}; b=2\nX-Own: 1\n";
    forms.extend(both(["token-dropped-get", "token-dropped-post"], forwarded("false"), fields));
    forms.extend(both(["token-internal-get", "token-internal-post"], forwarded("\"internal\""), fields));
    let optional = |form: Form| form.route("auth = \"optional\"\naccept = [\"sws\"]");
    forms.extend(both(["optional-get", "optional-post"], optional, ""));
    forms
}

fn logins() -> Vec<Form> {
    let names = [
        ["login-sws", "login-sws-refused", "login-sws-malformed"],
        ["login-apis", "login-apis-refused", "login-apis-malformed"],
        ["login-toc", "login-toc-refused", "login-toc-malformed"],
        ["login-maxpoint", "login-maxpoint-refused", "login-maxpoint-malformed"],
        ["login-become", "login-become-refused", "login-become-malformed"],
    ];
    let mut forms = vec![];
    for (names, contract) in names.into_iter().zip(Contract::ALL) {
        let login = |secret| String::from_utf8(contract.login_with(secret).bytes()).unwrap().replace("\r\n", "\n");
        let endpoint = contract.endpoint();
        let malformed = format!("POST {endpoint} HTTP/1.1\nHost: portero.test\nContent-Length: 2\n\n{{]");
        for (name, text) in names.into_iter().zip([login(contract.secret()), login("wrong"), malformed]) {
            // Failures are counted by address.
            forms.push(form(name).sends(text).from(own_address()));
        }
    }
    let body = r#"{"username":"admin","password":"abcd1234"}"#;
    let head = |more: &str| format!("POST /api/auth/token HTTP/1.1\nHost: portero.test\n{more}\n");
    let chunks = format!("{:x}\n{body}\n0\n\n", body.len());
    forms.extend([
        form("refresh").sends(
            head("Content-Length: {length}\n").replace("token", "refreshtoken") + r#"{"refreshToken":"{refresh}"}"#,
        ),
        form("login-chunked").sends(head("Transfer-Encoding: chunked\n") + &chunks),
        form("login-http10").sends(head(&format!("Content-Length: {}\n", body.len())).replace("1.1", "1.0") + body),
        form("login-expects")
            .turn(head(&format!("Content-Length: {}\nExpect: 100-continue\n", body.len())), Until::Head)
            .turn(body.to_owned(), Until::Answers(vec!["POST".to_owned()])),
        form("login-of-a-page-refused").sends(
            head(&format!("Origin: https://app.test\nContent-Length: {}\n", 2)).replace("token", "refreshtoken") + "{}",
        ),
        form("login-preflight").sends(
            "OPTIONS /api/auth/refreshtoken HTTP/1.1\nHost: portero.test\nOrigin: https://app.test\n\
             Access-Control-Request-Method: POST\n\n",
        ),
        form("login-too-large").sends(head("Content-Length: 20000\n")),
        form("login-by-get").sends("GET /api/auth/token HTTP/1.1\nHost: portero.test\n\n"),
        form("login-by-head").sends("HEAD /auth HTTP/1.1\nHost: portero.test\n\n"),
        form("login-twice")
            .sends(head("Content-Length: 2\n") + "{}")
            .sends(head("Content-Length: 2\n") + "{}")
            .from(own_address()),
    ]);
    forms
}

fn pages() -> Vec<Form> {
    let opinion = "HTTP/1.1 200 OK\nAccess-Control-Allow-Origin: *\nX-Own: 1\nVary: Accept-Encoding\n\
                   Access-Control-Allow-Private-Network: true\nContent-Length: 2\n\nok";
    let shared = |form: Form| form.route(&format!("auth = \"public\"\n{CORS}")).answered(opinion);
    let preflight = |origin: &str| {
        message(
            &[
                "OPTIONS {path} HTTP/1.1",
                "Host: portero.test",
                &format!("Origin: {origin}"),
                "Access-Control-Request-Method: PUT",
                "Access-Control-Request-Headers: authorization",
            ],
            "",
        )
    };
    let mut forms = vec![
        shared(form("preflight").sends(preflight("https://app.test")).sends(preflight("https://app.test"))),
        shared(form("preflight-of-a-stranger").sends(preflight("https://evil.test"))),
        shared(form("preflight-http10").sends(preflight("https://app.test").replace("1.1", "1.0"))),
    ];
    forms.extend(both(["page-get", "page-post"], shared, "Origin: https://app.test\n"));
    forms.extend(both(["page-of-a-stranger-get", "page-of-a-stranger-post"], shared, "Origin: https://evil.test\n"));
    forms.extend(both(["page-none-get", "page-none-post"], shared, ""));
    let denied = |form: Form| form.route(&format!("accept = [\"apis\"]\n{CORS}"));
    forms.extend(both(["page-denied-get", "page-denied-post"], denied, "Origin: https://app.test\n"));
    let failing = |form: Form| form.route(&format!("auth = \"public\"\n{CORS}")).then(Then::ClosesAtOnce);
    forms.extend(both(["page-failed-get", "page-failed-post"], failing, "Origin: https://app.test\n"));
    forms
}

fn upgrades() -> Vec<Form> {
    let switches = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nX-Own: 1\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n";
    let asks = |name| form(name).turn(UPGRADE.to_owned(), Until::Head);
    let tunnel = |form: Form| form.answered(switches).turn("ping".to_owned(), Until::Bytes("pong"));
    let refusal = "HTTP/1.1 403 Forbidden\nContent-Length: 2\nX-Own: 1\n\nno";
    vec![
        tunnel(asks("upgrade")),
        tunnel(asks("upgrade-hardened")).route(
            "auth = \"public\"\nharden = true\nresponse_headers = { set = { X-Set = \"1\" }, remove = [\"X-Own\"] }",
        ),
        form("upgrade-with-early-data")
            .turn(format!("{UPGRADE}ping"), Until::Bytes("pong"))
            .answered(switches),
        tunnel(
            form("upgrade-with-a-token")
                .turn(UPGRADE.replace("Host", "Authorization: Bearer {sws}\nHost"), Until::Head)
                .route("accept = [\"sws\"]"),
        ),
        form("upgrade-without-a-token").sends(UPGRADE).route("accept = [\"sws\"]"),
        form("upgrade-refused").sends(UPGRADE).answered(refusal),
        form("upgrade-refused-in-chunks")
            .sends(UPGRADE)
            .answered("HTTP/1.1 403 Forbidden\nTransfer-Encoding: chunked\n\n2\nno\n0\n\n"),
        form("upgrade-refused-until-the-end").sends(UPGRADE).answered("HTTP/1.1 403 Forbidden\n\nno").then(Then::Closes),
        form("upgrade-after-103")
            .turn(UPGRADE.to_owned(), Until::Answers(vec!["GET".to_owned()]))
            .turn("ping".to_owned(), Until::Bytes("pong"))
            .answered(format!("HTTP/1.1 103 Early Hints\nLink: </a>\n\n{switches}")),
        form("upgrade-answered-200").sends(UPGRADE),
        form("upgrade-never-answered").sends(UPGRADE).then(Then::ClosesAtOnce),
        form("upgrade-to-another-protocol").sends(UPGRADE.replace("websocket", "foo/2")),
        form("upgrade-to-one-of-the-route")
            .turn(UPGRADE.replace("websocket", "foo"), Until::Head)
            .turn("ping".to_owned(), Until::Bytes("pong"))
            .answered(switches.replace("websocket", "foo"))
            .route("auth = \"public\"\nupgrades = [\"foo\"]"),
        form("upgrade-to-http2")
            .sends(UPGRADE.replace("websocket", "h2c").replace("Host", "HTTP2-Settings: AAMAAABkAARAAAAA\nHost")),
        form("upgrade-with-body").sends(
            "POST {path} HTTP/1.1\nHost: portero.test\nConnection: Upgrade\nUpgrade: websocket\nContent-Length: 2\n\nhi",
        ),
        form("upgrade-http10").sends(UPGRADE.replace("1.1", "1.0")),
        form("upgrade-by-post").sends(UPGRADE.replace("GET", "POST")),
        form("switched-unasked").sends(GET).answered(switches),
    ]
}
