//! `portero audit verify`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    super::output::{CliError, Output},
    files::Files,
};
use crate::{
    config::GatewaySettings,
    decision::{
        AdminService,
        admin::audit::{FINDINGS_MAX, Scope, Verified},
        sync::rounds::host_name,
    },
    domain::Timestamp,
    observe::audit::Gap,
};

/// What came of it, and whether nobody changed anything.
pub(super) async fn verify(
    settings: &GatewaySettings,
    admin: &AdminService,
    more: &[PathBuf],
    since: Option<Timestamp>,
) -> Result<(Output, bool), CliError> {
    let scope = Scope { host: host_name(), file: Files::configured(settings)?, more: more.to_vec(), since };
    let verified = admin.verify_audit(&scope).await?;
    let is_clean = verified.findings.is_empty();
    Ok((Output { text: text(&verified), json: members(&verified) }, is_clean))
}

fn text(verified: &Verified) -> String {
    let Verified { rows, files, summary, findings, elsewhere, unfinished } = verified;
    let mut lines = vec![
        format!("{rows} administrative changes in the store"),
        format!("{} lines of {} chains in {} files", summary.lines, summary.chains, files.files.len()),
    ];
    lines.extend(summary.gaps.iter().map(gap));
    for file in unfinished {
        lines.push(format!(
            "note: {} ends with an unfinished line, as a process leaves it that is killed",
            file.display()
        ));
    }
    for file in &files.packed {
        lines.push(format!("note: {} is packed and was not read: unpack it beside the others", file.display()));
    }
    for (host, file, chains) in elsewhere {
        let host = if host.is_empty() { "?" } else { host };
        lines
            .push(format!("note: {chains} chains are on {host}, in {file}: look there, or name the files with --file"));
    }
    lines.extend(findings.iter().take(FINDINGS_MAX).map(|finding| format!("FOUND {finding}")));
    lines.push(match findings.len() {
        0 => "nothing was changed, cut off or removed".to_owned(),
        1 => "1 finding: somebody changed the audit log".to_owned(),
        many => format!("{many} findings: somebody changed the audit log"),
    });
    lines.join("\n")
}

fn gap(gap: &Gap) -> String {
    let Gap { chain, before_line, events } = gap;
    match before_line {
        Some(line) => {
            format!(
                "gap: {events} events before line {line} of chain {chain} were not written: the disk or the queue was full"
            )
        }
        None => format!("gap: {events} events at the end of chain {chain} were not written: its process was killed"),
    }
}

fn members(verified: &Verified) -> Value {
    let Verified { rows, files, summary, findings, elsewhere, unfinished } = verified;
    let paths = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    let gap =
        |gap: &Gap| json!({ "chain": gap.chain.to_string(), "before_line": gap.before_line, "events": gap.events });
    let found = findings.iter().take(FINDINGS_MAX);
    json!({
        "clean": findings.is_empty(),
        "rows": rows,
        "chains": summary.chains,
        "lines": summary.lines,
        "files": paths(&files.files),
        "packed": paths(&files.packed),
        "unfinished": paths(unfinished),
        "gaps": summary.gaps.iter().map(gap).collect::<Vec<_>>(),
        "elsewhere": elsewhere
            .iter()
            .map(|(host, file, chains)| json!({ "gateway": host, "file": file, "chains": chains }))
            .collect::<Vec<_>>(),
        "findings": found.map(|found| json!({ "place": found.place, "what": found.what })).collect::<Vec<_>>(),
        "findings_total": findings.len(),
    })
}
