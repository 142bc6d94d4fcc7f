//! `portero key list`.

use serde_json::Value;

use crate::{
    cli::output::{CliError, Output, object, table, time},
    decision::AdminService,
    domain::{RealmName, Timestamp},
    state::keys::{KeyRecord, KeyState},
};

pub(super) async fn list(admin: &AdminService, realm: Option<&RealmName>) -> Result<Output, CliError> {
    let keys = admin.keys().await?;
    let keys: Vec<_> = keys.iter().filter(|key| realm.is_none_or(|realm| key.realm == *realm)).collect();
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            [
                key.id.to_string(),
                key.realm.to_string(),
                key.algorithm.to_string(),
                key.state.name().to_owned(),
                time(key.created_at),
                key.activated_at.map_or_else(|| "-".to_owned(), time),
                retires(key),
                notes(key).join(", "),
            ]
        })
        .collect();
    let headings = ["KID", "REALM", "ALGORITHM", "STATE", "CREATED", "SIGNS SINCE", "RETIRES", "NOTES"];
    let mut text = table(headings, &rows);
    for key in keys.iter().filter(|key| takes_anybody(key)) {
        let id = &key.id;
        let warning = format!(
            "\nkey {id} takes tokens of accounts that the store does not have, and nobody can end those of one account; \
             to take tokens of known accounts only: portero key restrict {id}"
        );
        text.push_str(&warning);
    }
    Ok(Output { text, json: keys.into_iter().map(members).collect() })
}

/// What stands under RETIRES.
fn retires(key: &KeyRecord) -> String {
    match (key.state, key.retires_at, key.ended_at) {
        (_, _, Some(ended)) => time(ended),
        (KeyState::Retiring, Some(at), _) => time(at),
        (KeyState::Retiring, None, _) => "not by itself".to_owned(),
        _ => "-".to_owned(),
    }
}

fn takes_anybody(key: &KeyRecord) -> bool {
    key.unknown_accounts && key.state.verifies()
}

fn notes(key: &KeyRecord) -> Vec<&'static str> {
    let unnamed = key.profile.as_ref().is_some_and(|profile| profile.unnamed);
    let notes = [
        ("imported", key.imported),
        ("pinned", key.pinned),
        ("verifies only", key.verify_only),
        ("claim profile", key.profile.is_some()),
        ("tokens without kid", unnamed),
        ("asked for", key.asked),
        ("unknown accounts", takes_anybody(key)),
        ("restorable", key.state == KeyState::Retired && !key.wiped),
    ];
    notes.into_iter().filter(|(_, holds)| *holds).map(|(note, _)| note).collect()
}

fn members(key: &KeyRecord) -> Value {
    let instant = |at: Option<Timestamp>| at.map_or(Value::Null, |at| time(at).into());
    Value::Object(object([
        ("kid", key.id.as_str().into()),
        ("realm", key.realm.as_str().into()),
        ("algorithm", key.algorithm.name().into()),
        ("state", key.state.name().into()),
        ("created_at", time(key.created_at).into()),
        ("signs_since", instant(key.activated_at)),
        ("retiring_since", instant(key.retiring_since)),
        ("retires_at", instant(key.retires_at)),
        ("ended_at", instant(key.ended_at)),
        ("imported", key.imported.into()),
        ("pinned", key.pinned.into()),
        ("verify_only", key.verify_only.into()),
        ("asked", key.asked.into()),
        ("unknown_accounts", key.unknown_accounts.into()),
        ("profile", serde_json::to_value(&key.profile).unwrap_or_default()),
    ]))
}
