//! Accounts by realm, source and hash format, and what is left to wrap.

use serde_json::{Value, json};

use super::status::{Section, Verdicts};
use crate::{
    cli::output::{CliError, table, time},
    decision::{AdminService, admin::import::MigrationStatus},
};

pub(super) async fn section(admin: &AdminService) -> Result<Section, CliError> {
    Ok(shown(&admin.migration_status().await?))
}

fn shown(status: &MigrationStatus) -> Section {
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
    Section {
        text: lines.join("\n"),
        members: vec![
            ("accounts", json!(formats)),
            ("sealed", json!(sealed)),
            ("unfinished_imports", json!(unfinished)),
        ],
        verdicts: Verdicts::default(),
    }
}
