//! The commands.

use std::path::PathBuf;

use clap::Subcommand;

use super::{
    super::{
        InStore,
        output::{CliError, Output},
        revoke::{Common, revoke_key},
    },
    export, import, list,
    reseal::reseal,
    restrict::restrict,
    rotate,
};
use crate::{app::Making, config::GatewaySettings, decision::AdminService, domain::RealmName};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Every key with its state; never its material
    List {
        #[command(flatten)]
        common: Common,
        /// Only this realm's
        #[arg(long)]
        realm: Option<RealmName>,
    },
    /// Let another key sign: the next one when it was published long enough, otherwise one is published now
    Rotate {
        #[command(flatten)]
        common: Common,
        /// Only this realm's; without it every realm's of the config, and that of internal tokens
        #[arg(long)]
        realm: Option<RealmName>,
        /// Do not wait until the new key was published long enough
        #[arg(long)]
        now: bool,
    },
    /// Retire a key whose last token has ended, or discard a next one
    Retire {
        #[command(flatten)]
        common: Common,
        /// The key's id
        #[arg(value_name = "KID")]
        kid: String,
        /// Even if it may have tokens; they end at once
        #[arg(long)]
        force: bool,
    },
    /// Take the tokens again of a key that retired by schedule; its material is kept for 7 days
    Restore {
        #[command(flatten)]
        common: Common,
        /// The key's id
        #[arg(value_name = "KID")]
        kid: String,
    },
    /// End all tokens that a key signed; a signing key is replaced at once
    Revoke {
        #[command(flatten)]
        common: Common,
        /// The key's id
        #[arg(value_name = "KID")]
        kid: String,
    },
    /// Take tokens of an imported key for accounts that the store has, and for no others
    Restrict {
        #[command(flatten)]
        common: Common,
        /// The key's id
        #[arg(value_name = "KID")]
        kid: String,
    },
    /// Take over a key from outside, so that its tokens keep working
    Import(Box<import::Arguments>),
    /// Print public keys, for who checks tokens elsewhere
    ExportPublic {
        #[command(flatten)]
        common: Common,
        /// Only this realm's
        #[arg(long, conflicts_with = "kid")]
        realm: Option<RealmName>,
        /// Only this one
        #[arg(long)]
        kid: Option<String>,
        /// The form
        #[arg(long, value_enum, default_value_t)]
        format: export::Form,
    },
    /// Seal all keys under a new master key
    Reseal {
        #[command(flatten)]
        common: Common,
        /// Under the master key of this file, which is made if it is not there; the present file stays as it is
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

impl Command {
    pub(in crate::cli) const fn common(&self) -> &Common {
        match self {
            Self::List { common, .. }
            | Self::Rotate { common, .. }
            | Self::Retire { common, .. }
            | Self::Restore { common, .. }
            | Self::Revoke { common, .. }
            | Self::Restrict { common, .. }
            | Self::ExportPublic { common, .. }
            | Self::Reseal { common, .. } => common,
            Self::Import(arguments) => &arguments.common,
        }
    }
}

impl InStore for Command {
    fn making(&self) -> Making {
        if matches!(self, Self::Import(_)) { Making::Allowed } else { Making::Refused }
    }

    async fn execute(&self, settings: &GatewaySettings, admin: &AdminService) -> Result<Output, CliError> {
        match self {
            Self::List { realm, .. } => list::list(admin, realm.as_ref()).await,
            Self::Rotate { realm, now, .. } => rotate::rotate(settings, admin, realm.as_ref(), *now).await,
            Self::Retire { kid, force, .. } => rotate::retire(admin, kid, *force).await,
            Self::Restore { kid, .. } => rotate::restore(admin, kid).await,
            Self::Revoke { kid, .. } => revoke_key(admin, kid).await,
            Self::Restrict { kid, .. } => restrict(admin, kid).await,
            Self::Import(arguments) => import::import(settings, admin, arguments).await,
            Self::ExportPublic { realm, kid, format, .. } => {
                let which = export::Which { realm: realm.as_ref(), kid: kid.as_deref() };
                export::export(admin, which, *format).await
            }
            Self::Reseal { to, .. } => reseal(settings, admin, to.as_deref()).await,
        }
    }
}
