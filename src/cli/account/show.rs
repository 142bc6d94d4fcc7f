//! How accounts look on the terminal and in JSON. A hash is never shown, a secret only when it was
//! just made.

use serde_json::{Map, Value, json};

use crate::{
    cli::output::{Output, object, table, time},
    domain::{AccountName, Secret},
    state::account::Account,
};

/// One account in full.
pub(super) fn account(account: &Account) -> Output {
    let json = members(account);
    let width = json.keys().map(String::len).max().unwrap_or(0);
    let lines: Vec<_> = json.iter().map(|(name, value)| format!("{name:width$}  {}", plain(value))).collect();
    Output { text: lines.join("\n"), json: Value::Object(json) }
}

/// A list of accounts; one that is cut off says how to go on.
pub(super) fn accounts(accounts: &[Account], is_cut: bool) -> Output {
    let row = |account: &Account| {
        [
            label(account),
            account.role.clone().unwrap_or_default(),
            account.status().name().to_owned(),
            account.last_login_at.map_or_else(|| "never".to_owned(), time),
            account.failed_logins.to_string(),
            account.id.to_string(),
        ]
    };
    let headings = ["NAME", "ROLE", "STATE", "LAST LOGIN", "FAILED", "ID"];
    let mut text = table(headings, &accounts.iter().map(row).collect::<Vec<_>>());
    if let Some(AccountName { business, name }) = accounts.last().map(|last| &last.name).filter(|_| is_cut) {
        let business = if business.is_empty() { String::new() } else { format!(" --after-business {business}") };
        text = format!("{text}\nthere may be more: --after {name}{business}");
    }
    Output { text, json: accounts.iter().map(|account| Value::Object(members(account))).collect() }
}

/// An account after a change, with the secret that was made for it.
pub(super) fn changed(account: &Account, done: &str, secret: Option<&Secret>) -> Output {
    let mut text = format!("{} '{}' of realm '{}' {done}", account.kind, label(account), account.realm);
    let mut json = members(account);
    if let Some(secret) = secret {
        text = format!("{text}\nsecret: {} (shown only now)", secret.expose());
        json.insert("secret".to_owned(), secret.expose().into());
    }
    Output { text, json: Value::Object(json) }
}

/// An account that is no more.
pub(super) fn deleted(account: &Account) -> Output {
    let mut output = changed(account, "is deleted, and its tokens have ended", None);
    output.json["deleted"] = true.into();
    output
}

/// The account's name; a project's with its business.
fn label(account: &Account) -> String {
    let name = &account.name;
    if name.business.is_empty() { name.name.clone() } else { format!("{}/{}", name.business, name.name) }
}

fn members(account: &Account) -> Map<String, Value> {
    let mut members = object([
        ("id", account.id.to_string().into()),
        ("realm", account.realm.as_str().into()),
        ("kind", account.kind.name().into()),
        ("business", (!account.name.business.is_empty()).then_some(account.name.business.as_str()).into()),
        ("name", account.name.name.as_str().into()),
        ("display_name", account.display_name.as_deref().into()),
        ("legacy_id", account.legacy_id.into()),
        ("role", account.role.as_deref().into()),
        ("scopes", json!(account.scopes)),
        ("company", account.company.as_deref().into()),
        ("disabled", account.disabled.into()),
        ("locked", account.locked.into()),
        ("epoch", account.epoch.into()),
        ("secret_made", account.is_secret_made().into()),
        ("previous_secret_ends_at", account.previous_secret.as_ref().map(|previous| time(previous.ends_at)).into()),
        ("last_login_at", account.last_login_at.map(time).into()),
        ("failed_logins", account.failed_logins.into()),
        ("created_at", time(account.created_at).into()),
    ]);
    if let Some(grants) = &account.grants {
        members.insert("grants".to_owned(), grants.iter().map(|grant| grant.name()).collect());
    }
    members
}

/// A value without JSON's quotes and brackets.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
