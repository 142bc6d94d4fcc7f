//! What the demo prints: something to paste for each contract.

use std::{fmt::Write, net::SocketAddr, path::Path};

/// Title, path and body of one example a contract.
const LOGINS: [(&str, &str, &str); 5] = [
    ("sws", "/api/Session/GetToken", r#"{"username":"admin","password":"demo2024"}"#),
    ("apis", "/api/auth/token", r#"{"username":"admin","password":"abcd1234"}"#),
    ("toc", "/auth", r#"{"business":"5a2ac49cbbbce212f885529c","proyecto":"upconta","password":"1234"}"#),
    (
        "maxpoint",
        "/api/auth/token",
        r#"{"clientId":"f2ffebd1-77eb-49d2-a623-99824b1f485d","clientSecret":"c0f2afed-edc3-4cec-8af0-ef58fcb50062"}"#,
    ),
    ("become", "/api/v1/auth", r#"{"client_id":"demo_client_123","client_secret":"demo_secret_456_ABCDEFGH"}"#),
];

/// The example client of OAuth, as curl's `-u` takes it.
const OAUTH_CLIENT: &str = "demo_oauth_client:demo_secret_789_ABCDEFGH";

/// The banner, to be written before any event: it is the first that a newcomer reads.
pub(super) fn text(front: SocketAddr, admin: SocketAddr, config: &Path, admin_token: &Path) -> String {
    let (front, admin) = (format!("http://{front}"), format!("http://{admin}"));
    let mut text = format!("Portero's demo: gateway {front} · admin {admin}\n\n");
    let login =
        |path: &str, body: &str| format!("curl -s {front}{path} -H 'Content-Type: application/json' -d '{body}'");
    for (name, path, body) in LOGINS {
        // Writing to a String cannot fail.
        let _ = write!(text, "# {name}: a token\n{}\n\n", login(path, body));
    }
    let _ = write!(
        text,
        "# oauth: a token, as RFC 6749 has it; its keys are at {front}/.well-known/jwks.json\n\
         curl -s {front}/oauth/token -u {OAUTH_CLIENT} -d grant_type=client_credentials\n\n"
    );
    let (_, path, body) = LOGINS[0];
    let token = format!("$({} | sed -E 's/.*\"tokenValido\":\"([^\"]+)\".*/\\1/')", login(path, body));
    let _ = write!(
        text,
        "# a checked request: the upstream echoes what it received\n\
         curl -s {front}/api/Clientes -H \"CURRENTTOKENVALUE: {token}\"\n\n\
         # what the gateway counts\n\
         curl -s {admin}/metrics\n\n"
    );
    let _ = write!(
        text,
        "Config for every other command: --config {}\nToken of the admin API: {}\n",
        config.display(),
        admin_token.display()
    );
    text.push_str("Ctrl-C ends it.\n\n");
    text
}
