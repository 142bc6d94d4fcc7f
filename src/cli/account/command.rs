//! The commands that look at and change accounts.

use clap::Subcommand;

use super::{
    super::{
        InStore,
        output::{CliError, Output},
        secret::Terminal,
    },
    arguments::{Action, ClientName, Common, NewClient, NewProject, NewUser, ProjectName, UserName},
    company::{self, CompanyAction},
    context::Context,
    execute,
    set::{SetClient, SetProject, SetUser},
};
use crate::{app::Making, config::GatewaySettings, decision::AdminService};

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
    pub(super) async fn run(&self, context: &mut Context<'_>) -> Result<Output, CliError> {
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
