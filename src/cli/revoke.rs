//! `portero revoke …` and `portero session list`: beside a running gateway, which sees what they
//! did within a second.

use std::{
    io::{self, Read},
    sync::Arc,
};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    InStore,
    config_file::ConfigFile,
    output::{CliError, Format, Output, object, table, time},
};
use crate::{
    config::GatewaySettings,
    decision::{AdminService, Elsewhere, Everywhere, Revoked, SESSIONS_LISTED_MAX},
    domain::{AccountName, KeyId, RealmName, SessionId, Timestamp, id::hex},
    rules::realm::Realm,
    state::{session::Listed, token::TOKEN_BYTES_MAX},
};

/// What every command here takes.
#[derive(Debug, Args)]
pub(super) struct Common {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// How to print what was done
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Format,
}

#[derive(Debug, Subcommand)]
pub(super) enum Revoke {
    /// One token, read from standard input, or named by its jti
    Token {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        waiting: Waiting,
        /// The token's id, instead of the token on standard input
        #[arg(long, requires = "realm")]
        jti: Option<String>,
        /// The realm of --jti, or the foreign issuer; for a token on standard input that an old system gave out, the
        /// realm that takes over from it; for an opaque one of an issuer that is asked about it, the issuer
        #[arg(long)]
        realm: Option<RealmName>,
        /// When such a token ends, RFC 3339 or Unix seconds; kept for the realm's longest lifetime without it, and for
        /// ever where that is not known
        #[arg(long, requires = "realm", value_parser = instant)]
        expires: Option<Timestamp>,
    },
    /// All tokens that one login gave
    Session {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        waiting: Waiting,
        /// The session's id, see `portero session list`
        #[arg(long)]
        id: SessionId,
    },
    /// Everything that was issued to a user, client or project until now
    Principal {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        waiting: Waiting,
        #[command(flatten)]
        principal: Whom,
    },
    /// All tokens that a key signed; a signing key is replaced at once
    Key {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        waiting: Waiting,
        /// The key's id, the kid of a JWT's header
        #[arg(long)]
        kid: String,
    },
}

/// Whom a revocation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Who {
    /// Every gateway on the store
    All,
}

/// What a revocation waits for.
#[derive(Debug, Args)]
pub(super) struct Waiting {
    /// End only when every gateway on the store knows of it, or refuses by itself; ends with 3, and names who does not,
    /// after `store.max_staleness`
    #[arg(long, value_enum)]
    wait: Option<Who>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// The logins of a user, client or project, the youngest first
    List {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        principal: Whom,
        /// How many, at most
        #[arg(long, default_value_t = SESSIONS_LISTED_MAX, value_parser = clap::value_parser!(u32).range(1..=i64::from(SESSIONS_LISTED_MAX)))]
        limit: u32,
        /// Those behind this one: the last id of the list before
        #[arg(long, value_name = "ID")]
        after: Option<SessionId>,
    },
}

/// Whom a command is about.
#[derive(Debug, Args)]
pub(super) struct Whom {
    /// Its realm
    #[arg(long)]
    realm: RealmName,
    /// What it logs in with: its `username`, `clientId`, `client_id` or `proyecto`
    #[arg(long)]
    name: String,
    /// Its business, where two have a project of this name
    #[arg(long, default_value = "")]
    business: String,
}

impl Whom {
    fn account_name(&self) -> AccountName {
        AccountName { business: self.business.clone(), name: self.name.clone() }
    }
}

impl Revoke {
    pub(super) const fn common(&self) -> &Common {
        match self {
            Self::Token { common, .. }
            | Self::Session { common, .. }
            | Self::Principal { common, .. }
            | Self::Key { common, .. } => common,
        }
    }
}

impl Session {
    pub(super) const fn common(&self) -> &Common {
        match self {
            Self::List { common, .. } => common,
        }
    }
}

impl InStore for Revoke {
    async fn execute(&self, settings: &GatewaySettings, admin: &AdminService) -> Result<Output, CliError> {
        let done = self.revoke(settings, admin).await?;
        let (Some(Who::All), Some(bound)) = (self.waiting().wait, settings.staleness.max) else { return Ok(done) };
        everywhere(done, &admin.wait_for_all(bound).await?)
    }
}

/// What is said of a revocation, with who knows of it.
fn everywhere(done: Output, everywhere: &Everywhere) -> Result<Output, CliError> {
    let Everywhere { confirmed, refusing, unbounded, missing } = everywhere;
    let mut text = format!("{}; {} gateways refuse it", done.text, confirmed.len());
    if !refusing.is_empty() {
        text = format!("{text}; silent for so long that they refuse everything: {}", refusing.join(", "));
    }
    if everywhere.is_complete() {
        let mut json = done.json;
        json["confirmed"] = confirmed.iter().map(String::as_str).collect();
        json["refusing"] = refusing.iter().map(String::as_str).collect();
        return Ok(Output { text, json });
    }
    if !missing.is_empty() {
        text = format!("{text}; not yet known at: {}", missing.join(", "));
    }
    if !unbounded.is_empty() {
        text = format!("{text}; silent, and serving all the same, without any bound: {}", unbounded.join(", "));
    }
    Err(CliError::Incomplete(text))
}

impl Revoke {
    const fn waiting(&self) -> &Waiting {
        match self {
            Self::Token { waiting, .. }
            | Self::Session { waiting, .. }
            | Self::Principal { waiting, .. }
            | Self::Key { waiting, .. } => waiting,
        }
    }

    async fn revoke(&self, settings: &GatewaySettings, admin: &AdminService) -> Result<Output, CliError> {
        match self {
            Self::Token { jti: None, realm, expires, .. } => {
                let elsewhere = realm.as_ref().map(|realm| Elsewhere { realm: realm.as_str(), expires_at: *expires });
                Ok(revoked(admin.revoke_token(&token_from_stdin()?, &settings.site.issuers(), elsewhere).await?))
            }
            Self::Token { jti: Some(jti), realm, expires, .. } => {
                let issuer = realm.as_ref().map_or("", RealmName::as_str);
                Ok(revoked(admin.revoke_token_id(&settings.site.issuers(), issuer, jti, *expires).await?))
            }
            Self::Session { id, .. } => Ok(revoked(admin.revoke_session(*id).await?)),
            Self::Principal { principal, .. } => {
                let realm = find_realm(&settings.site.realms, &principal.realm)?;
                let account = admin.revoke_principal(&realm.name, &principal.account_name()).await?;
                let text = format!(
                    "everything issued to '{}' of realm '{}' until now has ended",
                    account.name.name, realm.name
                );
                let text = text + old_tokens_end(admin, realm).await?;
                Ok(said(text, "principal", &account.id.to_string()))
            }
            Self::Key { kid, .. } => revoke_key(admin, kid).await,
        }
    }
}

impl InStore for Session {
    async fn execute(&self, settings: &GatewaySettings, admin: &AdminService) -> Result<Output, CliError> {
        let Self::List { principal, limit, after, .. } = self;
        let realm = find_realm(&settings.site.realms, &principal.realm)?;
        let sessions = admin.sessions(&realm.name, &principal.account_name(), *after, *limit).await?;
        let now = admin.now();
        let end = |end: Option<Timestamp>| end.map_or_else(|| "never".to_owned(), time);
        let rows: Vec<_> = sessions
            .iter()
            .map(|listed| {
                let (session, state) = (&listed.session, listed.state(now).name().replace('_', " "));
                [session.id.to_string(), time(session.created_at), end(session.expires_at), state]
            })
            .collect();
        let members = |listed: &Listed| {
            let session = &listed.session;
            Value::Object(object([
                ("id", session.id.to_string().into()),
                ("created_at", time(session.created_at).into()),
                ("expires_at", session.expires_at.map_or(Value::Null, |end| time(end).into())),
                ("revoked", listed.has_ended().into()),
                ("state", listed.state(now).name().into()),
            ]))
        };
        let mut text = table(["ID", "CREATED", "ENDS", "STATE"], &rows);
        if let Some(last) = sessions.last().filter(|_| sessions.len() == *limit as usize) {
            text = format!("{text}\nthere may be more: --after {}", last.session.id);
        }
        Ok(Output { text, json: sessions.iter().map(members).collect() })
    }
}

/// What is said besides where an account's tokens end and tokens without an epoch are taken.
pub(super) async fn old_tokens_end(admin: &AdminService, realm: &Realm) -> Result<&'static str, CliError> {
    Ok(if admin.takes_old_tokens(&realm.name).await? {
        "; so have all of imported keys that carry no epoch, those that are minted later included"
    } else {
        ""
    })
}

/// `portero revoke key` and `portero key revoke`.
pub(super) async fn revoke_key(admin: &AdminService, kid: &str) -> Result<Output, CliError> {
    let others = admin.revoke_key(&KeyId::from_text(kid)).await?;
    let others: Vec<_> = others.iter().map(KeyId::as_str).collect();
    if others.is_empty() {
        return Ok(said(format!("key {kid} is revoked"), "key", kid));
    }
    let text = format!("key {kid} is revoked, and with it what has the same material: {}", others.join(", "));
    let json = object([("revoked", "key".into()), ("id", kid.into()), ("same_material", others.into())]);
    Ok(Output { text, json: Value::Object(json) })
}

fn revoked(revoked: Revoked) -> Output {
    match revoked {
        Revoked::Token(id) => said("the token is revoked".to_owned(), "token", &hex(&id.to_bytes())),
        Revoked::Session(id) => {
            said(format!("session {id} is revoked, with every token of it"), "session", &id.to_string())
        }
    }
}

fn said(text: String, what: &str, id: &str) -> Output {
    Output { text, json: Value::Object(object([("revoked", what.into()), ("id", id.into())])) }
}

/// A realm of the config.
pub(super) fn find_realm<'s>(realms: &'s [Arc<Realm>], name: &RealmName) -> Result<&'s Realm, CliError> {
    let found = realms.iter().find(|realm| realm.name == *name);
    found.map(|realm| &**realm).ok_or_else(|| CliError::Refused(format!("the config has no realm '{name}'")))
}

fn token_from_stdin() -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    // More than a token can have, so that a longer one is refused as such and not cut.
    let read = io::stdin().take(2 * TOKEN_BYTES_MAX as u64).read_to_string(&mut text);
    read.map_err(|_| CliError::Refused("standard input holds no token".to_owned()))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    let seconds = text.parse().ok().map(Timestamp::from_secs);
    let date = || text.parse::<jiff::Timestamp>().ok().map(|date| Timestamp::from_millis(date.as_millisecond()));
    seconds.or_else(date).ok_or_else(|| "neither RFC 3339 (2026-11-21T10:00:00Z) nor Unix seconds".to_owned())
}
