//! The commands.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{
    super::{
        InStore,
        output::{CliError, Output},
        revoke::Common,
    },
    formats, keys,
    status::status,
    tokens, verifiers, wrapping,
};
use crate::{config::GatewaySettings, decision::AdminService, domain::RealmName};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Migration {
    /// Say how far it is: accounts by hash format and source, logins by old system and step, tokens by imported key,
    /// what can be switched off
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Wrap the hashes that are sealed in argon2id now, on half of the cores
    Wrap {
        #[command(flatten)]
        common: Common,
    },
    /// Allow the next config to give a realm back to the old system, with the loss of accounts that it does not know
    Back {
        #[command(flatten)]
        common: Common,
        /// The realm
        #[arg(long)]
        realm: RealmName,
        /// How many accounts may be lost, see `portero migration status`
        #[arg(long, value_name = "N")]
        accept_loss: u64,
    },
    /// Import tokens of an old system that Portero has no key of: one JSON object a line
    Tokens {
        #[command(flatten)]
        common: Common,
        /// The realm of their accounts
        #[arg(long)]
        realm: RealmName,
        /// The file, or - for standard input
        file: PathBuf,
    },
}

impl Migration {
    pub(in crate::cli) const fn common(&self) -> &Common {
        match self {
            Self::Status { common }
            | Self::Wrap { common }
            | Self::Back { common, .. }
            | Self::Tokens { common, .. } => common,
        }
    }
}

impl InStore for Migration {
    async fn execute(&self, settings: &GatewaySettings, admin: &AdminService) -> Result<Output, CliError> {
        match self {
            Self::Status { .. } => {
                let sections = [
                    formats::section(admin).await?,
                    verifiers::section(&settings.site, admin).await?,
                    keys::section(admin).await?,
                ];
                Ok(status(sections))
            }
            Self::Wrap { .. } => wrapping::wrap(admin).await,
            Self::Back { realm, accept_loss, .. } => {
                let lost = admin.allow_going_back(realm, *accept_loss).await?;
                let text = format!(
                    "realm '{realm}' may go back to the old system, which does not know {lost} of its accounts; change the \
                     config, and reload"
                );
                Ok(Output { text, json: json!({ "realm": realm.as_str(), "unknown": lost, "accepted": accept_loss }) })
            }
            Self::Tokens { realm, file, .. } => {
                let known = settings.site.realms.iter().find(|known| known.name == *realm);
                let known = known.ok_or_else(|| CliError::Refused(format!("the config has no realm '{realm}'")))?;
                tokens::import(admin, known, file).await
            }
        }
    }
}
