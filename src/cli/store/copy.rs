//! `portero store copy`: the store moves to another place, while gateways work with it.

use std::{env, sync::Arc};

use clap::Args;
use serde_json::json;

use crate::{
    app,
    cli::{
        output::{CliError, Output, table},
        patience::Patience,
        progress::Progress as Shown,
        revoke::Common,
        user,
    },
    config::{GatewaySettings, store_at},
    domain::SystemClock,
    state::{
        keys::master_of_store,
        store::{
            StoreSettings,
            copy::{self, Begun, Copied, CopyError, Copying, Mover, Progress},
            migration_steps,
        },
    },
};

/// Digits of a checksum that people compare.
const DIGITS_SHOWN: usize = 16;

#[derive(Debug, Args)]
pub(in crate::cli) struct Copy {
    #[command(flatten)]
    pub(super) common: Common,
    /// The store, `sqlite:FILE` or `postgres://USER@HOST/DATABASE`; where the config names it too, its password and TLS
    /// are the config's
    #[arg(long, value_name = "URL")]
    from: String,
    /// Where it is copied to; nothing may be there but what an earlier attempt left
    #[arg(long, value_name = "URL")]
    to: String,
    /// Bring the move to its end: the copy is the store then, and the source refuses every change
    #[arg(long)]
    switch: bool,
}

impl Copy {
    pub(super) async fn run(&self) -> Result<Output, CliError> {
        let config = self.config()?;
        let from = settings_of("--from", &self.from, config.as_ref())?;
        let to = settings_of("--to", &self.to, config.as_ref())?;
        let (from_address, to_address) = (copy::address(&from)?, copy::address(&to)?);
        let mut patience = Patience::default();
        let copying = match patience.with(migration_steps, Box::pin(copy::begin(&from, &to))).await?? {
            Begun::Copying(copying) => copying,
            Begun::Moved => {
                let text = format!("{from_address} has moved to {to_address} before; nothing was changed");
                let json = json!({ "from": from_address, "to": to_address, "switched": true, "changed": 0 });
                return Ok(Output { text, json });
            }
        };
        let ends_source = self.switch || copying.has_begun_to_move().await?;
        let mover = if ends_source { Some(mover(&copying, config.as_ref()).await?) } else { None };
        let mut shown = Shown::new();
        let mut report = |progress| show(&mut shown, progress);
        let running = Box::pin(copying.run(mover.as_ref(), &SystemClock, &mut report));
        let copied = patience.with(|| copying.calls(), running).await;
        shown.end();
        copying.close().await;
        let copied = copied??;
        Ok(said(&copied, &from_address, &to_address, config.as_ref()))
    }

    /// The config, for its password and TLS. A copy does without one, but for one that was named.
    fn config(&self) -> Result<Option<GatewaySettings>, CliError> {
        let path = self.common.config.path();
        if path.exists() || self.common.config.is_named() { Ok(Some(app::load(&path)?)) } else { Ok(None) }
    }
}

/// The operator who moves the store. A move has its row in the audit log, whose codes take the store's master key.
async fn mover(copying: &Copying, config: Option<&GatewaySettings>) -> Result<Mover, CliError> {
    let refused = |why: String| CliError::Refused(format!("{why}. Nothing was changed"));
    let config = config.ok_or_else(|| {
        refused(
            "a move is written into the audit log, which takes the master key: name its config with --config"
                .to_owned(),
        )
    })?;
    let fingerprint = copying.master_key().await?;
    let fingerprint = fingerprint.ok_or_else(|| refused("the store has no master key yet".to_owned()))?;
    let master = master_of_store(&config.master_key_file, &fingerprint).map_err(|error| refused(error.to_string()))?;
    Ok(Mover { actor: user::actor(), key: Arc::new(master.chain_key()) })
}

/// The store at `url`, as the config has it where that is the same one.
fn settings_of(option: &str, url: &str, config: Option<&GatewaySettings>) -> Result<StoreSettings, CliError> {
    let alone = store_at(url, &|name| env::var(name).ok())
        .map_err(|why| CliError::Refused(format!("{option} {why}. Nothing was changed")))?;
    let address = copy::address(&alone)?;
    let configured = config.map(|config| &config.store);
    let same = configured.filter(|configured| copy::address(configured).is_ok_and(|known| known == address));
    Ok(same.cloned().unwrap_or(alone))
}

fn said(copied: &Copied, from: &str, to: &str, config: Option<&GatewaySettings>) -> Output {
    let rows: Vec<_> = copied
        .tables
        .iter()
        .map(|sum| [sum.table.to_owned(), sum.rows.to_string(), sum.sha256[..DIGITS_SHOWN].to_owned()])
        .collect();
    let key = config.map(|config| config.master_key_file.display().to_string());
    let key_is = key.as_ref().map_or_else(|| "the master key's file of its gateways".to_owned(), Clone::clone);
    let outcome = if copied.switched {
        format!(
            "{to} is the store now, and {from} takes no changes any more. Start gateways with store.url = \"{to}\" and \
             the same master key: {key_is}"
        )
    } else {
        format!(
            "{to} is a copy of {from}, which is the store still: with --switch the same command brings the move to its \
             end. The copy opens with the same master key: {key_is}"
        )
    };
    let held = copied.held.map(|held| u64::try_from(held.as_millis()).unwrap_or(u64::MAX));
    let waited = held.map(|held| format!("; changes waited for {held} ms")).unwrap_or_default();
    let counts = format!("{} rows were written or removed in {} passes{waited}", copied.changed, copied.passes);
    let text = format!("{}\n{counts}\n{outcome}", table(["TABLE", "ROWS", "SHA-256"], &rows));
    let tables: Vec<_> =
        copied.tables.iter().map(|sum| json!({ "table": sum.table, "rows": sum.rows, "sha256": sum.sha256 })).collect();
    let json = json!({
        "from": from,
        "to": to,
        "switched": copied.switched,
        "passes": copied.passes,
        "changed": copied.changed,
        "changes_held_millis": held,
        "master_key_file": key,
        "tables": tables,
    });
    Output { text, json }
}

/// Shows how far a copy is.
fn show(shown: &mut Shown, progress: Progress) {
    match progress {
        Progress::Comparing { pass, table, rows, of } => {
            let percent = (rows * 100).checked_div(of).unwrap_or(100);
            let text = format!("pass {pass}: {percent:3} %, {rows} of {of} rows ({table})");
            shown.at(&format!("{pass} {table}"), rows, Some(of), &text);
        }
        Progress::Held => shown.line("changes wait: the last pass begins"),
        Progress::Ended => shown.line("everything is the same on both sides; the source has ended"),
    }
}

impl From<CopyError> for CliError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::NotEmpty(_)
            | CopyError::OtherSource(_)
            | CopyError::SamePlace
            | CopyError::TakenOver
            | CopyError::Unfinished => Self::Refused(error.to_string()),
            CopyError::Differs(_) | CopyError::Store(_) => Self::Trouble(error.to_string()),
        }
    }
}
