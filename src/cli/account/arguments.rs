//! The arguments of `portero user|client|project …`.

use clap::{Args, Subcommand};

use crate::{
    cli::{config_file::ConfigFile, output::Format, secret::SecretArgs},
    domain::{AccountName, GrantType, PrincipalId, PrincipalKind, RealmName},
    state::account::{LegacyId, NewAccount},
};

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// The gateway's config
    #[command(flatten)]
    pub config: ConfigFile,
    /// The realm, as the config names it
    #[arg(long)]
    pub realm: RealmName,
    /// The form of what is printed
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

/// What can be done with accounts; `N` names one, `A` describes a new one.
#[derive(Debug, Subcommand)]
pub enum Action<N: Args, A: Args> {
    /// Make one
    Add(Add<N, A>),
    /// List all of the realm
    List(Common),
    /// Show one
    Show(Target<N>),
    /// Refuse its logins and end its tokens
    Disable(Target<N>),
    /// Allow its logins again
    Enable(Target<N>),
    /// Refuse its logins, and let its tokens live on
    Lock(Target<N>),
    /// Allow its logins again
    Unlock(Target<N>),
    /// Give it another role, which ends its tokens
    SetRole(SetRole<N>),
    /// Give it another password, which ends its tokens
    SetPassword(SetPassword<N>),
    /// Give it a new secret, made here unless it is on standard input
    RotateSecret(RotateSecret<N>),
    /// Delete it for ever and end its tokens
    Delete(Target<N>),
}

/// One account.
#[derive(Debug, Args)]
pub struct Target<N: Args> {
    /// Where it is.
    #[command(flatten)]
    pub common: Common,
    /// How it is named.
    #[command(flatten)]
    pub name: N,
}

/// An account to make.
#[derive(Debug, Args)]
pub struct Add<N: Args, A: Args> {
    /// What it will be called.
    #[command(flatten)]
    pub target: Target<N>,
    /// The rest of it.
    #[command(flatten)]
    pub new: A,
    /// Its first secret.
    #[command(flatten)]
    pub secret: SecretArgs,
}

/// Another role.
#[derive(Debug, Args)]
pub struct SetRole<N: Args> {
    /// Whose.
    #[command(flatten)]
    pub target: Target<N>,
    /// The role
    #[arg(long, required_unless_present = "no_role")]
    pub role: Option<String>,
    /// Take its role away
    #[arg(long, conflicts_with = "role")]
    pub no_role: bool,
}

/// Another password.
#[derive(Debug, Args)]
pub struct SetPassword<N: Args> {
    /// Whose.
    #[command(flatten)]
    pub target: Target<N>,
    /// The password.
    #[command(flatten)]
    pub secret: SecretArgs,
}

/// A new secret.
#[derive(Debug, Args)]
pub struct RotateSecret<N: Args> {
    /// Whose.
    #[command(flatten)]
    pub target: Target<N>,
    /// The secret.
    #[command(flatten)]
    pub secret: SecretArgs,
    /// End its tokens too; those of a user always end
    #[arg(long)]
    pub revoke: bool,
}

/// How a user is named.
#[derive(Debug, Args)]
pub struct UserName {
    /// The name that the user logs in with
    #[arg(long)]
    pub username: String,
}

/// How a client is named.
#[derive(Debug, Args)]
pub struct ClientName {
    /// The clientId (`client_id`) that the client logs in with
    #[arg(long)]
    pub id: String,
}

/// How a project is named.
#[derive(Debug, Args)]
pub struct ProjectName {
    /// The business that the project belongs to
    #[arg(long)]
    pub business: String,
    /// The project's name
    #[arg(long)]
    pub proyecto: String,
}

/// A user to make.
#[derive(Debug, Args)]
pub struct NewUser {
    /// The name that people read
    #[arg(long)]
    pub name: Option<String>,
    /// The role
    #[arg(long)]
    pub role: Option<String>,
    /// A scope; may be repeated
    #[arg(long)]
    pub scope: Vec<String>,
    /// The UUID that the user had elsewhere
    #[arg(long)]
    pub id: Option<PrincipalId>,
    /// The integer id that the user had elsewhere (sws); else the realm's next one
    #[arg(long)]
    pub legacy_id: Option<i64>,
}

/// A client to make.
#[derive(Debug, Args)]
pub struct NewClient {
    /// The name that people read
    #[arg(long)]
    pub name: Option<String>,
    /// The role
    #[arg(long)]
    pub role: Option<String>,
    /// A scope (permission); may be repeated
    #[arg(long, visible_alias = "permission")]
    pub scope: Vec<String>,
    /// The company that the client belongs to (become, required there); it must exist
    #[arg(long)]
    pub company: Option<String>,
    /// A grant that the client may use (oauth); may be repeated; all of them unless given
    #[arg(long, value_name = "client_credentials|refresh_token")]
    pub grant: Vec<GrantType>,
}

/// A project to make.
#[derive(Debug, Args)]
pub struct NewProject {
    /// The name that people read
    #[arg(long)]
    pub name: Option<String>,
    /// The role
    #[arg(long)]
    pub role: Option<String>,
    /// A scope; may be repeated
    #[arg(long)]
    pub scope: Vec<String>,
}

impl<N: Args, A: Args> Action<N, A> {
    pub(super) const fn common(&self) -> &Common {
        match self {
            Self::List(common) => common,
            Self::Add(Add { target, .. })
            | Self::SetRole(SetRole { target, .. })
            | Self::SetPassword(SetPassword { target, .. })
            | Self::RotateSecret(RotateSecret { target, .. })
            | Self::Show(target)
            | Self::Disable(target)
            | Self::Enable(target)
            | Self::Lock(target)
            | Self::Unlock(target)
            | Self::Delete(target) => &target.common,
        }
    }
}

/// Arguments that name an account.
pub(super) trait Naming: Args {
    /// What such an account is.
    const KIND: PrincipalKind;

    fn account_name(&self) -> AccountName;
}

impl Naming for UserName {
    const KIND: PrincipalKind = PrincipalKind::User;

    fn account_name(&self) -> AccountName {
        AccountName { business: String::new(), name: self.username.clone() }
    }
}

impl Naming for ClientName {
    const KIND: PrincipalKind = PrincipalKind::Client;

    fn account_name(&self) -> AccountName {
        AccountName { business: String::new(), name: self.id.clone() }
    }
}

impl Naming for ProjectName {
    const KIND: PrincipalKind = PrincipalKind::Project;

    fn account_name(&self) -> AccountName {
        AccountName { business: self.business.clone(), name: self.proyecto.clone() }
    }
}

/// Arguments that describe a new account.
pub(super) trait Describing: Args {
    fn describe(&self, new: &mut NewAccount);
}

impl Describing for NewUser {
    fn describe(&self, new: &mut NewAccount) {
        new.id = self.id.unwrap_or(new.id);
        new.legacy_id = self.legacy_id.map_or(new.legacy_id, LegacyId::Given);
        new.display_name.clone_from(&self.name);
        new.role.clone_from(&self.role);
        new.scopes.clone_from(&self.scope);
    }
}

impl Describing for NewClient {
    fn describe(&self, new: &mut NewAccount) {
        new.company.clone_from(&self.company);
        new.grants = (!self.grant.is_empty()).then(|| self.grant.clone());
        new.display_name.clone_from(&self.name);
        new.role.clone_from(&self.role);
        new.scopes.clone_from(&self.scope);
    }
}

impl Describing for NewProject {
    fn describe(&self, new: &mut NewAccount) {
        new.display_name.clone_from(&self.name);
        new.role.clone_from(&self.role);
        new.scopes.clone_from(&self.scope);
    }
}
