//! The five contracts, with the credentials of their documents.

use portero::{
    domain::{AccountName, Clock, PrincipalId, PrincipalKind, SystemClock},
    state::{
        account::{self, LegacyId, NewAccount, password},
        keys::{Vault, VaultSettings},
        store::Store,
    },
};
use tokio::runtime::Builder;

use super::{Connection, Folder, Gateway, Request, Response, post};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contract {
    Sws,
    Apis,
    Toc,
    Maxpoint,
    Become,
}

/// The three tokens of an `apis` login.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) content: String,
    pub(crate) refresh: String,
}

impl Contract {
    pub(crate) const ALL: [Self; 5] = [Self::Sws, Self::Apis, Self::Toc, Self::Maxpoint, Self::Become];

    /// The realm that speaks it.
    pub(crate) const fn realm(self) -> &'static str {
        match self {
            Self::Sws => "sws",
            Self::Apis => "apis",
            Self::Toc => "toc",
            Self::Maxpoint => "maxpoint",
            Self::Become => "become",
        }
    }

    /// Where its tokens are given.
    pub(crate) const fn endpoint(self) -> &'static str {
        match self {
            Self::Sws => "/api/Session/GetToken",
            Self::Apis | Self::Maxpoint => "/api/auth/token",
            Self::Toc | Self::Become => "/auth",
        }
    }

    /// The secret of its document.
    pub(crate) const fn secret(self) -> &'static str {
        match self {
            Self::Sws => "demo2024",
            Self::Apis => "abcd1234",
            Self::Toc => "1234",
            Self::Maxpoint => "c0f2afed-edc3-4cec-8af0-ef58fcb50062",
            Self::Become => "demo_secret_456_ABCDEFGH",
        }
    }

    /// The name of its document's account.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sws | Self::Apis => "admin",
            Self::Toc => "upconta",
            Self::Maxpoint => "f2ffebd1-77eb-49d2-a623-99824b1f485d",
            Self::Become => "demo_client_123",
        }
    }

    /// A login with its document's account and this secret.
    pub(crate) fn login_with(self, secret: &str) -> Request {
        self.login_as(self.name(), secret)
    }

    /// A login with any name.
    pub(crate) fn login_as(self, name: &str, secret: &str) -> Request {
        let body = match self {
            Self::Sws | Self::Apis => format!(r#"{{"username":"{name}","password":"{secret}"}}"#),
            Self::Toc => {
                format!(r#"{{"business":"5a2ac49cbbbce212f885529c","proyecto":"{name}","password":"{secret}"}}"#)
            }
            Self::Maxpoint => format!(r#"{{"clientId":"{name}","clientSecret":"{secret}"}}"#),
            Self::Become => format!(r#"{{"client_id":"{name}","client_secret":"{secret}"}}"#),
        };
        post(self.endpoint(), body)
    }

    /// The access token of a login's answer; `None` when it gave none.
    pub(crate) fn token_of(self, answer: &Response) -> Option<String> {
        let json = serde_json::from_slice::<serde_json::Value>(&answer.body).ok()?;
        let token = match self {
            Self::Sws => &json["tokenValido"],
            Self::Apis => &json["accessToken"]["token"],
            Self::Toc => &json,
            Self::Maxpoint => &json["data"]["token"],
            Self::Become => &json["access_token"],
        };
        token.as_str().map(str::to_owned)
    }

    /// Makes its document's account, as an administrator does.
    pub(crate) fn make_account(self, folder: &Folder) {
        let name = self.name();
        let command = match self {
            Self::Sws => "user add --realm sws --username admin --name Administrador --role ADMIN".to_owned(),
            Self::Apis => "user add --realm apis --username admin --role ADMIN --scope read".to_owned(),
            Self::Toc => return make_project(folder, "5a2ac49cbbbce212f885529c", name, self.secret()),
            Self::Maxpoint => format!("client add --realm maxpoint --id {name}"),
            Self::Become => {
                folder.command("company add --realm become --name demo-company", "").succeeded();
                format!("client add --realm become --id {name} --company demo-company --scope read --scope write")
            }
        };
        folder.command(&format!("{command} --password-stdin"), self.secret()).succeeded();
    }
}

/// Makes a project whose secret is shorter than any that could be chosen today, as an old system's may be.
fn make_project(folder: &Folder, business: &str, name: &str, secret: &str) {
    let environment = |name: &str| std::env::var(name).ok();
    let settings = portero::config::load(folder.config().as_ref(), &environment).unwrap();
    let new = NewAccount {
        id: PrincipalId::generate(),
        realm: Contract::Toc.realm().parse().unwrap(),
        kind: PrincipalKind::Project,
        name: AccountName { business: business.to_owned(), name: name.to_owned() },
        display_name: None,
        legacy_id: LegacyId::None,
        role: None,
        scopes: vec![],
        company: None,
        grants: None,
    };
    let hash = password::hash(&secret.into()).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&settings.store).await.unwrap();
        let master = VaultSettings { master_key_file: settings.master_key_file.clone() };
        let vault = Vault::open(store.clone(), &master).await.unwrap();
        account::insert(&vault.audited_store(), &new, &hash, SystemClock.now()).await.unwrap();
        store.close().await;
    });
}

impl Gateway {
    /// Logs in with the document's account and answers the access token.
    #[track_caller]
    pub(crate) fn login(&self, contract: Contract) -> String {
        let answer = self.send(&contract.login_with(contract.secret()));
        contract.token_of(&answer).unwrap_or_else(|| panic!("no token: {answer:?}"))
    }

    /// Logs in at `apis`.
    #[track_caller]
    pub(crate) fn login_apis(&self) -> Tokens {
        Tokens::of(&self.send(&Contract::Apis.login_with(Contract::Apis.secret())))
    }

    /// Exchanges a refresh token.
    pub(crate) fn refresh(&self, token: &str) -> Response {
        Connection::open(self.front).send(&post("/api/auth/refreshtoken", format!(r#"{{"refreshToken":"{token}"}}"#)))
    }
}

impl Tokens {
    /// Of a login's or a refresh's answer; a refresh gives no new refresh token.
    #[track_caller]
    pub(crate) fn of(answer: &Response) -> Self {
        let json = answer.json();
        let token = |member: &str| json[member]["token"].as_str().unwrap_or_default().to_owned();
        let tokens =
            Self { access: token("accessToken"), content: token("contentToken"), refresh: token("refreshToken") };
        assert!(!tokens.access.is_empty(), "no tokens: {answer:?}");
        tokens
    }
}
