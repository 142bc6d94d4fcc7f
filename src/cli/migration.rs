//! `portero migration status` and `wrap`: what is left of the old systems.

use std::num::NonZeroUsize;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    InStore,
    config_file::ConfigFile,
    output::{CliError, Format, Output, table, time},
    progress::Progress,
};
use crate::{
    config::GatewaySettings,
    decision::{
        AdminService,
        admin::import::{MigrationStatus, Wrapped},
    },
    domain::{Clock, SystemClock},
    state::account::HasherSettings,
};

/// What can be seen and done about a migration.
#[derive(Debug, Subcommand)]
pub(super) enum Migration {
    /// Count accounts by realm, source and hash format, and what is left to wrap
    Status(Target),
    /// Wrap the hashes that are sealed in argon2id now, on half of the cores
    Wrap(Target),
}

/// Where.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The gateway's config
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// The form of what is printed
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Format,
}

impl Migration {
    pub(super) const fn target(&self) -> &Target {
        match self {
            Self::Status(target) | Self::Wrap(target) => target,
        }
    }
}

impl InStore for Migration {
    async fn execute(&self, _settings: &GatewaySettings, admin: &AdminService) -> Result<Output, CliError> {
        match self {
            Self::Status(_) => Ok(status(&admin.migration_status().await?)),
            Self::Wrap(_) => {
                let wrapped = wrap_now(admin).await?;
                let json = json!({ "wrapped": wrapped.accounts, "unopenable": wrapped.unopenable });
                Ok(Output { text: said(&wrapped), json })
            }
        }
    }
}

fn status(status: &MigrationStatus) -> Output {
    let state = |sealed, wrapped| match (sealed, wrapped) {
        (true, _) => "sealed",
        (_, true) => "wrapped",
        (false, false) => "plain",
    };
    let rows: Vec<_> = status
        .formats
        .iter()
        .map(|count| {
            let source = count.source.clone().unwrap_or_else(|| "-".to_owned());
            let state = state(count.sealed, count.wrapped);
            [count.realm.to_string(), source, count.format.to_owned(), state.to_owned(), count.accounts.to_string()]
        })
        .collect();
    let sealed: u64 = status.formats.iter().filter(|count| count.sealed).map(|count| count.accounts).sum();
    let mut lines = vec![table(["REALM", "SOURCE", "FORMAT", "KEPT", "ACCOUNTS"], &rows)];
    if sealed > 0 {
        lines.push(format!(
            "{sealed} hashes are left to wrap: a running gateway does so in the background, portero migration wrap now"
        ));
    }
    for (realm, kind, progress) in &status.unfinished {
        lines.push(format!(
            "an import of kind {kind} into realm '{realm}' is not finished: {} rows since {}",
            progress.point.rows,
            time(progress.begun_at)
        ));
    }
    let formats: Vec<_> = status
        .formats
        .iter()
        .map(|count| {
            json!({
                "realm": count.realm.as_str(),
                "source": count.source,
                "format": count.format,
                "kept": state(count.sealed, count.wrapped),
                "accounts": count.accounts,
            })
        })
        .collect();
    let unfinished: Vec<Value> = status
        .unfinished
        .iter()
        .map(|(realm, kind, progress)| {
            json!({ "realm": realm, "kind": kind, "rows": progress.point.rows, "begun_at": time(progress.begun_at) })
        })
        .collect();
    Output {
        text: lines.join("\n"),
        json: json!({ "accounts": formats, "sealed": sealed, "unfinished_imports": unfinished }),
    }
}

/// Wraps what is sealed, and says how far it is, its rate and the time that is left.
pub(super) async fn wrap_now(admin: &AdminService) -> Result<Wrapped, CliError> {
    let threads: NonZeroUsize = HasherSettings::default().threads;
    let mut shown = Progress::new();
    let began = SystemClock.instant();
    let mut report = |wrapped: &Wrapped| {
        let took = SystemClock.instant().saturating_duration_since(began);
        let done = wrapped.accounts + wrapped.unopenable;
        let left = wrapped.of.saturating_sub(done);
        let a_second = u128::from(done) * 1000 / took.as_millis().max(1);
        let seconds = took.as_secs().saturating_mul(left).checked_div(done).unwrap_or(0);
        let text = format!("wrapped {done} of {} hashes, {a_second} a second, {seconds} s left", wrapped.of);
        shown.at("", done, Some(wrapped.of), &text);
    };
    let wrapped = admin.wrap_sealed(threads, &mut report).await;
    shown.end();
    Ok(wrapped?)
}

/// What was wrapped, in words.
pub(super) fn said(wrapped: &Wrapped) -> String {
    let mut text = format!("{} hashes are wrapped in argon2id", wrapped.accounts);
    if wrapped.unopenable > 0 {
        text =
            format!("{text}; {} sealed hashes do not open, and their accounts need new passwords", wrapped.unopenable);
    }
    text
}
