//! OAuth 2.0 beside the contracts: RFC 6749, 7009, 7662, 8414 and 9068 as clients meet them. The
//! numbers are those of the checklist in docs/security.md.

mod account_status;
mod documents;
mod refresh;
mod revocation;
mod tokens;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::Value;

use crate::support::{Config, Folder, Gateway, Request, Response, Upstream, copy_store};

const TOKEN: &str = "/oauth/token";
const REVOKE: &str = "/oauth/revoke";
const INTROSPECT: &str = "/oauth/introspect";

/// What the client `one` has, who may do everything but look at others' tokens.
const ONE: (&str, &str) = ("one", "s3cret: one");
const TWO: (&str, &str) = ("two", "s3cret two");
/// The one who may look at others' tokens, and revoke them.
const AUDITOR: (&str, &str) = ("auditor", "s3cret auditor");

/// A gateway with OAuth, its clients, and the account of `apis`. `oauth` are lines of `[oauth]`.
fn config(oauth: &str) -> (Config, Upstream) {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address)
        .route("oauth", "/oauth-api", "accept = [\"oauth\"]\nrequire = { scopes = [\"read\"] }")
        .text("[realms.oauth]\ndialect = \"oauth\"")
        .text(&format!("[oauth]\n{oauth}"));
    (config, upstream)
}

fn start(oauth: &str) -> (Gateway, Upstream) {
    let (config, upstream) = config(oauth);
    (Gateway::run(with_accounts(&config)), upstream)
}

fn with_accounts(config: &Config) -> Folder {
    let folder = Folder::new();
    config.write_to(&folder);
    copy_store("oauth-accounts", &folder, |template| {
        config.write_to(template);
        make_accounts(template);
    });
    folder
}

fn make_accounts(folder: &Folder) {
    let add = |words: &str, secret: &str| folder.command(&format!("{words} --password-stdin"), secret).succeeded();
    add("client add --realm oauth --id one --scope read --scope write", ONE.1);
    add("client add --realm oauth --id two --scope read", TWO.1);
    add("client add --realm oauth --id auditor --scope read --scope introspect --scope revoke", AUDITOR.1);
    add("user add --realm apis --username admin --role ADMIN --scope read --scope write", "abcd1234");
}

fn form(target: &str, body: &str) -> Request {
    Request::new("POST", target).header("Content-Type", "application/x-www-form-urlencoded").body(body)
}

trait AsClient {
    fn client(self, client: (&str, &str)) -> Request;
}

impl AsClient for Request {
    fn client(self, (id, secret): (&str, &str)) -> Request {
        let secret = secret.replace(':', "%3A").replace(' ', "+");
        self.header("Authorization", format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))))
    }
}

/// The answers of one gateway, asked as a client.
impl Gateway {
    fn ask_oauth(&self, target: &str, client: (&str, &str), body: &str) -> Response {
        self.send(&form(target, body).client(client))
    }

    #[track_caller]
    fn client_token(&self, client: (&str, &str)) -> String {
        let answer = self.ask_oauth(TOKEN, client, "grant_type=client_credentials");
        assert_eq!(answer.status, 200, "{}", answer.text());
        text(&answer.json(), "access_token")
    }

    fn exchange(&self, client: (&str, &str), token: &str) -> Response {
        self.ask_oauth(TOKEN, client, &format!("grant_type=refresh_token&refresh_token={token}"))
    }

    /// The refresh token that an exchange gives.
    #[track_caller]
    fn exchanged(&self, client: (&str, &str), token: &str) -> String {
        let answer = self.exchange(client, token);
        assert_eq!(answer.status, 200, "{}", answer.text());
        text(&answer.json(), "refresh_token")
    }

    fn revoke(&self, client: (&str, &str), token: &str) -> Response {
        self.ask_oauth(REVOKE, client, &format!("token={token}"))
    }

    fn introspect(&self, client: (&str, &str), token: &str) -> Response {
        self.ask_oauth(INTROSPECT, client, &format!("token={token}"))
    }

    fn is_active(&self, token: &str) -> bool {
        let answer = self.introspect(AUDITOR, token);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["active"] == true
    }
}

#[track_caller]
fn text(json: &Value, member: &str) -> String {
    json[member].as_str().unwrap_or_else(|| panic!("no {member} in {json}")).to_owned()
}

#[track_caller]
fn refused(answer: &Response, status: u16, error: &str) {
    assert_eq!((answer.status, answer.json()["error"].as_str()), (status, Some(error)), "{}", answer.text());
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
