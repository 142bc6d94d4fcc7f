//! The arguments of `portero user|client|project …`.

use clap::{Args, Subcommand};

use crate::{
    cli::{config_file::ConfigFile, output::Format, revoke::instant, secret::SecretArgs},
    config,
    decision::admin::{accounts::Wanted, secrets::Overlap},
    domain::{AccountName, GrantType, PrincipalId, PrincipalKind, RealmName, Timestamp},
    state::account::{Filter, LegacyId, NewAccount, Sort, Status},
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

/// What can be done with accounts; `N` names one, `A` describes a new one, `S` says what changes of one.
#[derive(Debug, Subcommand)]
pub enum Action<N: Args, A: Args, S: Args> {
    /// Make one
    Add(Add<N, A>),
    /// List those of the realm: all, or some of them, in an order and in pages
    List(Box<List>),
    /// Show one
    Show(Target<N>),
    /// Change what it is; its tokens end where they carry what changes (all but its name and its grants)
    Set(Set<N, S>),
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

/// Which accounts, in which order.
#[derive(Debug, Args)]
pub struct List {
    /// Where they are.
    #[command(flatten)]
    pub common: Common,
    /// Only those that stand so
    #[arg(long, value_name = "active|locked|disabled", value_parser = status)]
    pub status: Option<Status>,
    /// Only those with this role
    #[arg(long)]
    pub role: Option<String>,
    /// Only those of this company
    #[arg(long)]
    pub company: Option<String>,
    /// Only those whose name begins so
    #[arg(long, value_name = "TEXT")]
    pub name_prefix: Option<String>,
    /// Only those that never logged in; with --last-login-before, those too
    #[arg(long)]
    pub never_logged_in: bool,
    /// Only those that logged in before this for the last time, RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub last_login_before: Option<Timestamp>,
    /// The order
    #[arg(long, value_name = "name|created|last_login", default_value = "name", value_parser = sort)]
    pub sort: Sort,
    /// Turn the order round
    #[arg(long)]
    pub descending: bool,
    /// How many, at most; all unless given
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Those behind this one: the last name of the list before
    #[arg(long, value_name = "NAME")]
    pub after: Option<String>,
    /// The business of that one, where it is a project
    #[arg(long, value_name = "BUSINESS", default_value = "", requires = "after")]
    pub after_business: String,
}

fn status(word: &str) -> Result<Status, String> {
    let found = Status::ALL.into_iter().find(|status| status.name() == word);
    found.ok_or_else(|| "one of active, locked, disabled".to_owned())
}

fn sort(word: &str) -> Result<Sort, String> {
    let found = Sort::ALL.into_iter().find(|sort| sort.name() == word);
    found.ok_or_else(|| "one of name, created, last_login".to_owned())
}

impl List {
    pub(super) fn wanted(&self) -> Wanted {
        let filter = Filter {
            status: self.status,
            role: self.role.clone(),
            company: self.company.clone(),
            name_prefix: self.name_prefix.clone(),
            never_logged_in: self.never_logged_in,
            last_login_before: self.last_login_before,
        };
        let after = self.after.clone().map(|name| AccountName { business: self.after_business.clone(), name });
        Wanted { filter, sort: self.sort, descending: self.descending, after }
    }
}

/// What an account is to be.
#[derive(Debug, Args)]
pub struct Set<N: Args, S: Args> {
    /// Which.
    #[command(flatten)]
    pub target: Target<N>,
    /// What changes.
    #[command(flatten)]
    pub set: S,
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
    /// Take the old secret too for so long, 1s to 90d, such as 7d; not of a user
    #[arg(long, value_name = "TIME", value_parser = overlap, conflicts_with = "revoke")]
    pub overlap: Option<Overlap>,
    /// Take the old secret no more from now on, and make no new one
    #[arg(long, conflicts_with_all = ["overlap", "revoke", "password_stdin", "generate"])]
    pub end_overlap: bool,
}

fn overlap(text: &str) -> Result<Overlap, String> {
    let overlap = config::parse_duration(text).and_then(Overlap::of);
    overlap.ok_or_else(|| "a duration of at most 90d, such as 12h or 7d".to_owned())
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

impl<N: Args, A: Args, S: Args> Action<N, A, S> {
    pub(super) const fn common(&self) -> &Common {
        match self {
            Self::List(list) => &list.common,
            Self::Set(Set { target, .. })
            | Self::Add(Add { target, .. })
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
