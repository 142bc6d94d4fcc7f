//! `portero user|client|project|company …`: one way in which accounts are made; the admin API is the other.
//!
//! A new secret ends the tokens that the old one gave, with one exception: `rotate-secret` of a client or project lets
//! them live on until they expire, as `maxpoint`'s document promises its clients, unless `--revoke` is given. With
//! `--overlap` the old secret is taken too for a while. A gateway on the same store sees what a command changed within
//! a second.

mod arguments;
mod company;
mod execute;
mod set;
mod show;

use std::sync::Arc;

use clap::Subcommand;

pub use arguments::{
    Action, Add, ClientName, Common, List, NewClient, NewProject, NewUser, ProjectName, RotateSecret, Set, SetPassword,
    SetRole, Target, UserName,
};
pub use company::{CompanyAction, CompanyTarget};
pub use set::{SetClient, SetCommon, SetProject, SetUser};

use super::{
    InStore,
    output::{CliError, Output},
    secret::{Input, Terminal},
};
use crate::{app::Making, config::GatewaySettings, decision::AdminService, rules::realm::Realm};

/// The commands that look at and change accounts. Flatten it into the program's own.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The users of sws and apis realms
    #[command(subcommand)]
    User(Action<UserName, NewUser, SetUser>),
    /// The clients of maxpoint, become and oauth realms
    #[command(subcommand)]
    Client(Action<ClientName, NewClient, SetClient>),
    /// The projects of toc realms
    #[command(subcommand)]
    Project(Action<ProjectName, NewProject, SetProject>),
    /// The companies of become realms
    #[command(subcommand)]
    Company(CompanyAction),
}

/// What the commands work with.
pub struct Context<'a> {
    /// What does it.
    pub admin: &'a AdminService,
    /// The realms of the config.
    pub realms: &'a [Arc<Realm>],
    /// Where secrets are asked for.
    pub input: &'a mut dyn Input,
}

impl Command {
    /// What the command takes like every other: its config, realm and output.
    #[must_use]
    pub const fn common(&self) -> &Common {
        match self {
            Self::User(action) => action.common(),
            Self::Client(action) => action.common(),
            Self::Project(action) => action.common(),
            Self::Company(action) => action.common(),
        }
    }

    /// Whether it makes something, so that it may be the first command of all.
    #[must_use]
    pub const fn makes(&self) -> bool {
        matches!(
            self,
            Self::User(Action::Add(_))
                | Self::Client(Action::Add(_))
                | Self::Project(Action::Add(_))
                | Self::Company(CompanyAction::Add(_))
        )
    }

    /// Does it. What it changed is on the disk when this returns.
    async fn run(&self, context: &mut Context<'_>) -> Result<Output, CliError> {
        match self {
            Self::User(action) => execute::account(action, context).await,
            Self::Client(action) => execute::account(action, context).await,
            Self::Project(action) => execute::account(action, context).await,
            Self::Company(action) => company::execute(action, context).await,
        }
    }
}

impl InStore for Command {
    fn making(&self) -> Making {
        if self.makes() { Making::Allowed } else { Making::Refused }
    }

    async fn execute(&self, settings: &GatewaySettings, admin: &AdminService) -> Result<Output, CliError> {
        self.run(&mut Context { admin, realms: &settings.site.realms, input: &mut Terminal }).await
    }
}

#[cfg(test)]
mod tests;
