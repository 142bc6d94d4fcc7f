//! Accounts and logins, by old system.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::status::{Section, Verdicts};
use crate::{
    cli::output::{CliError, table, time},
    decision::{
        AdminService, Site,
        admin::migration::{NAMED_MAX, TakeoverStatus},
    },
    rules::verifier::{Mode, is_deciding, next_step},
};

/// Logins that were decided while an old system was away, and are shown to people, at most.
const SHOWN_MAX: usize = 20;

pub(super) async fn section(site: &Site, admin: &AdminService) -> Result<Section, CliError> {
    let statuses = admin.takeovers(site).await?;
    let text = if statuses.is_empty() {
        "no token endpoint takes over from an old system".to_owned()
    } else {
        statuses.iter().map(text).collect::<Vec<_>>().join("\n\n")
    };
    let mut verdicts = Verdicts::default();
    for status in &statuses {
        let list = if can_switch_off(status) { &mut verdicts.off } else { &mut verdicts.breaks };
        list.push(login_verdict(status));
        if let Some((needed, verdict)) = token_verdict(status) {
            if needed { &mut verdicts.breaks } else { &mut verdicts.off }.push(verdict);
        }
    }
    Ok(Section { verdicts, text, members: vec![("endpoints", statuses.iter().map(member).collect())] })
}

fn text(status: &TakeoverStatus) -> String {
    let TakeoverStatus { path, realm, verifier, mode, authority, accounts, trusted, unknown, .. } = status;
    let mut text = format!(
        "{path}, realm {realm}: old system '{verifier}', mode {}, authority {}\n\
         accounts: {accounts}; confirmed by the old system within trust: {trusted}; not known to it: {unknown}",
        mode.name(),
        authority.name(),
    );
    for account in &status.named {
        let why = if account.refused { "it refuses the secret that is right here" } else { "it never confirmed it" };
        line(&mut text, &format!("  {} ({why})", shown(&account.business, &account.name)));
    }
    if *unknown > u64::from(NAMED_MAX) {
        line(&mut text, &format!("  and {} more", unknown - u64::from(NAMED_MAX)));
    }
    if !status.counted.is_empty() {
        let number = |count: u64| count.to_string();
        let row = |(what, counts): (&String, &[u64; 3])| {
            let [day, week, month] = counts.map(number);
            [what.clone(), day, week, month]
        };
        let rows: Vec<_> = status.counted.iter().map(row).collect();
        line(&mut text, &table(["LOGINS BY STEP", "1 DAY", "7 DAYS", "30 DAYS"], &rows));
    }
    let totals = status.totals;
    line(
        &mut text,
        &format!(
            "decided while the old system was away: {} to be confirmed, {} confirmed, {} refused, {} ended unconfirmed",
            totals.pending, totals.confirmed, totals.refused, totals.expired
        ),
    );
    for listed in status.logins.iter().take(SHOWN_MAX) {
        let name = listed
            .name
            .as_ref()
            .map_or_else(|| "a deleted account".to_owned(), |name| shown(&name.business, &name.name));
        let login = &listed.login;
        line(&mut text, &format!("  {} {name}, session {}: {}", time(login.created_at), login.session, listed.state));
    }
    if status.old_tokens > 0 {
        line(&mut text, &format!("opaque tokens in the table that have not ended: {}", status.old_tokens));
    }
    for sentence in follows(status) {
        line(&mut text, &sentence);
    }
    text
}

fn line(text: &mut String, more: &str) {
    // Writing into a string cannot fail.
    let _ = write!(text, "\n{more}");
}

/// What can be switched off now, what would break, and what comes next.
fn follows(status: &TakeoverStatus) -> Vec<String> {
    let mut follows = vec![login_verdict(status)];
    follows.extend(token_verdict(status).map(|(_, verdict)| verdict));
    if let Some((next, changes)) = next_step(status.mode, status.authority) {
        follows.push(format!("next step: {next}: {changes}"));
    }
    if is_deciding(status.mode, status.authority) && status.unknown > 0 {
        let (realm, unknown) = (&status.realm, status.unknown);
        follows.push(format!(
            "going back loses {unknown} accounts: portero migration back --realm {realm} --accept-loss {unknown}"
        ));
    }
    follows
}

/// Whether the old system's login endpoint can be switched off now, and what would break.
fn login_verdict(status: &TakeoverStatus) -> String {
    let (verifier, realm) = (&status.verifier, &status.realm);
    if can_switch_off(status) {
        return format!("the old system '{verifier}' is not asked about logins of realm {realm}: its login endpoint");
    }
    let why = match status.mode {
        Mode::Observe => "it answers every client".to_owned(),
        _ if is_deciding(status.mode, status.authority) => {
            "it is asked about accounts that Portero does not have".to_owned()
        }
        _ => format!(
            "without it, {} of {} accounts log in until their trust ends, and nobody after that",
            status.trusted, status.accounts
        ),
    };
    format!("the login endpoint of '{verifier}' for realm {realm}: {why}")
}

/// The same of its check of tokens, and whether that is needed; `None` where it has none.
fn token_verdict(status: &TakeoverStatus) -> Option<(bool, String)> {
    let ([day, week, month], verifier) = (status.checked_tokens?, &status.verifier);
    Some(match (status.mode, month) {
        (Mode::Alone, _) => (false, format!("the check of tokens of '{verifier}' is not asked in mode alone")),
        (_, 0) => (false, format!("the check of tokens of '{verifier}': it knew no token for 30 days")),
        _ => (
            true,
            format!(
                "the check of tokens of '{verifier}': it said yes {day} times in 1 day, {week} in 7, {month} in 30; who \
                 brings such a token would get 503, and 401 once it is not configured"
            ),
        ),
    })
}

fn can_switch_off(status: &TakeoverStatus) -> bool {
    status.mode == Mode::Alone
}

/// A name in characters that a terminal may show.
fn shown(business: &str, name: &str) -> String {
    let name = name.escape_debug();
    if business.is_empty() { name.to_string() } else { format!("{}/{name}", business.escape_debug()) }
}

fn member(status: &TakeoverStatus) -> Value {
    let totals = status.totals;
    let counted =
        |(what, [day, week, month]): (&String, &[u64; 3])| (what.clone(), json!({ "1": day, "7": week, "30": month }));
    json!({
        "path": status.path,
        "realm": status.realm.as_str(),
        "verifier": status.verifier,
        "mode": status.mode.name(),
        "authority": status.authority.name(),
        "accounts": status.accounts,
        "confirmed": status.trusted,
        "unknown": status.unknown,
        "unknown_accounts": status.named.iter().map(|account| json!({
            "business": account.business,
            "name": account.name,
            "refused": account.refused,
        })).collect::<Vec<_>>(),
        "logins": status.counted.iter().map(counted).collect::<serde_json::Map<_, _>>(),
        "decided_while_away": {
            "pending": totals.pending,
            "confirmed": totals.confirmed,
            "refused": totals.refused,
            "expired": totals.expired,
            "logins": status.logins.iter().map(|listed| json!({
                "session": listed.login.session.to_string(),
                "name": listed.name.as_ref().map(|name| name.name.clone()),
                "at": time(listed.login.created_at),
                "state": listed.state,
            })).collect::<Vec<_>>(),
        },
        "old_tokens": status.old_tokens,
        "checked_tokens": status.checked_tokens.map(|[day, week, month]| json!({ "1": day, "7": week, "30": month })),
        "can_switch_off": can_switch_off(status),
        "follows": follows(status),
    })
}
