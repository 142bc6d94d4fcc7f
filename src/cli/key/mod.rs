//! `portero key …`: beside a running gateway, which sees what was done within a second.

mod export;
mod import;
mod list;
mod rotate;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use super::{
    InStore,
    output::{CliError, Output, object},
    revoke::{Common, find_realm, revoke_key},
};
use crate::{
    app::Making,
    config::GatewaySettings,
    decision::{AdminService, schedule::Owner},
    domain::{KeyId, RealmName},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
    pub(super) const fn common(&self) -> &Common {
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

/// The owner of keys that `name` names.
fn owner(settings: &GatewaySettings, name: &RealmName) -> Result<Owner, CliError> {
    if name.is_internal() {
        return Ok(Owner::internal());
    }
    find_realm(&settings.site.realms, name)?;
    let owner = Owner::all(&settings.site.realms).into_iter().find(|owner| owner.name == *name);
    owner.ok_or_else(|| CliError::Refused(format!("the config has no realm '{name}'")))
}

async fn reseal(
    settings: &GatewaySettings,
    admin: &AdminService,
    to: Option<&std::path::Path>,
) -> Result<Output, CliError> {
    let present = &settings.master_key_file;
    if to.is_some_and(|to| to.canonicalize().is_ok_and(|to| present.canonicalize().is_ok_and(|present| present == to)))
    {
        return Err(CliError::Refused("that is the present master key's file; leave out --to".to_owned()));
    }
    let keys = admin.reseal_keys(to).await?;
    let file = to.unwrap_or(present).display().to_string();
    let advice = match to {
        None => "copy it to where you keep the old one, which now opens only older backups of the store".to_owned(),
        Some(_) => format!(
            "now put it in the place of {}, or name it in store.master_key_file or PORTERO_MASTER_KEY_FILE and restart; \
             until then a running gateway goes on with the keys it has, and sees no change of them",
            present.display()
        ),
    };
    let text = format!("{keys} keys are sealed under the master key of {file}; {advice}");
    let json = Value::Object(object([("resealed", keys.into()), ("master_key_file", file.into())]));
    Ok(Output { text, json })
}

async fn restrict(admin: &AdminService, kid: &str) -> Result<Output, CliError> {
    admin.restrict_key(&key_id(kid)).await?;
    let text = format!("key {kid} takes tokens of accounts that the store has, and of no others");
    Ok(Output { text, json: Value::Object(object([("restricted", kid.into())])) })
}

fn key_id(kid: &str) -> KeyId {
    KeyId::from_text(kid)
}
