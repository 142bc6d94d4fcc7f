//! `portero admin token …`: who may use the admin API, beside the token in the file.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{
    InStore,
    output::{CliError, Output, table, time},
    revoke::Common,
};
use crate::{
    config::{GatewaySettings, parse_duration},
    decision::AdminService,
    domain::Timestamp,
    state::admin_token::{AdminRole, AdminToken},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tokens for the admin API, each with a name and a role
    #[command(subcommand)]
    Token(Token),
}

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make one, and show it once
    Add {
        #[command(flatten)]
        common: Common,
        /// Its name, which stands in the audit log beside all that is done with it
        #[arg(long)]
        name: String,
        /// What it may do
        #[arg(long, value_enum)]
        role: Role,
        /// From now on until it opens nothing, as 90d or 12h; without it it has no end
        #[arg(long, value_name = "DURATION", value_parser = lifetime)]
        expires: Option<Duration>,
    },
    /// Show all of them; never the tokens themselves
    List {
        #[command(flatten)]
        common: Common,
    },
    /// End one; its name is not given again
    Revoke {
        #[command(flatten)]
        common: Common,
        /// Its name
        #[arg(long)]
        name: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Role {
    /// Sees
    Read,
    /// Revokes, disables, locks and reloads too
    Operate,
    /// Everything
    Admin,
}

impl From<Role> for AdminRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Read => Self::Read,
            Role::Operate => Self::Operate,
            Role::Admin => Self::Admin,
        }
    }
}

impl Command {
    pub(super) const fn common(&self) -> &Common {
        let Self::Token(Token::Add { common, .. } | Token::List { common } | Token::Revoke { common, .. }) = self;
        common
    }
}

impl InStore for Command {
    async fn execute(&self, _settings: &GatewaySettings, admin: &AdminService) -> Result<Output, CliError> {
        let Self::Token(token) = self;
        match token {
            Token::Add { name, role, expires, .. } => add(admin, name, (*role).into(), *expires).await,
            Token::List { .. } => Ok(listed(&admin.tokens().await?, admin.now())),
            Token::Revoke { name, .. } => {
                admin.revoke_admin_token(name).await?;
                let text = format!("the admin token {name} is revoked; a running gateway refuses it within a second");
                Ok(Output { text, json: json!({ "revoked": name }) })
            }
        }
    }
}

async fn add(admin: &AdminService, name: &str, role: AdminRole, expires: Option<Duration>) -> Result<Output, CliError> {
    let (token, secret) = admin.add_admin_token(name, role, expires).await?;
    let end = token.expires_at.map_or_else(|| "has no end".to_owned(), |end| format!("ends at {}", time(end)));
    let text =
        format!("{}\nthe admin token {name} has the role {role} and {end}; it is not shown again", secret.expose());
    let mut json = members(&token, admin.now());
    json["token"] = secret.expose().into();
    Ok(Output { text, json })
}

fn listed(tokens: &[AdminToken], now: Timestamp) -> Output {
    let rows: Vec<_> = tokens
        .iter()
        .map(|token| {
            let end = token.expires_at.map_or_else(|| "-".to_owned(), time);
            [
                token.name.clone(),
                token.role.name().to_owned(),
                state(token, now).to_owned(),
                time(token.created_at),
                end,
            ]
        })
        .collect();
    let text = table(["NAME", "ROLE", "STATE", "MADE", "ENDS"], &rows);
    Output { text, json: Value::Array(tokens.iter().map(|token| members(token, now)).collect()) }
}

fn members(token: &AdminToken, now: Timestamp) -> Value {
    json!({
        "name": token.name,
        "role": token.role.name(),
        "state": state(token, now),
        "created_at": time(token.created_at),
        "expires_at": token.expires_at.map(time),
        "revoked_at": token.revoked_at.map(time),
    })
}

fn state(token: &AdminToken, now: Timestamp) -> &'static str {
    match (token.revoked_at, token.stands(now)) {
        (Some(_), _) => "revoked",
        (None, true) => "active",
        (None, false) => "expired",
    }
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = parse_duration(text).ok_or("a duration is a number and s, m, h or d, as in 90d")?;
    if lifetime.is_zero() { Err("it would end at once".to_owned()) } else { Ok(lifetime) }
}
