//! `portero key rotate`, `portero key retire` and `portero key restore`.

use serde_json::{Value, json};

use super::named::{key_id, owner};
use crate::{
    cli::output::{CliError, Output, object, time},
    config::GatewaySettings,
    decision::{AdminError, AdminService, Rotated, schedule::Owner},
    domain::{KeyId, RealmName, Timestamp},
    state::keys::KeyState,
};

/// Rotates one realm's key, or all. Of all, a realm that refuses keeps none of the others from rotating.
pub(super) async fn rotate(
    settings: &GatewaySettings,
    admin: &AdminService,
    realm: Option<&RealmName>,
    at_once: bool,
) -> Result<Output, CliError> {
    let owners = match realm {
        Some(realm) => vec![owner(settings, realm)?],
        None => Owner::all(&settings.site.realms),
    };
    let (mut lines, mut rows) = (vec![], vec![]);
    for owner in &owners {
        let rotated = match admin.rotate_key(owner, &settings.keys, at_once).await {
            Err(AdminError::Refused(why)) if realm.is_none() => {
                lines.push(why.clone());
                rows.push(json!({ "realm": owner.name.as_str(), "state": "kept", "why": why }));
                continue;
            }
            other => other?,
        };
        lines.push(said(owner, &rotated));
        rows.push(members(owner, &rotated));
    }
    if at_once {
        lines.push(
            "who checks tokens by our JWKS may refuse those of a new key until it fetches the set again".to_owned(),
        );
    }
    Ok(Output { text: lines.join("\n"), json: Value::Array(rows) })
}

/// Retires or discards one key.
pub(super) async fn retire(admin: &AdminService, kid: &str, force: bool) -> Result<Output, CliError> {
    let (key, others) = admin.retire_key(&key_id(kid), force).await?;
    let others: Vec<_> = others.iter().map(KeyId::as_str).collect();
    let mut text = match key.state {
        KeyState::Next => format!("key {kid} is discarded; it has signed nothing"),
        _ if force => format!("key {kid} has retired, and tokens that it signed have ended; its material is wiped"),
        _ => format!("key {kid} has retired"),
    };
    let mut json = json!({ "retired": kid, "was": key.state.name() });
    if !others.is_empty() {
        text = format!("{text}; so has what has the same material: {}", others.join(", "));
        json["same_material"] = others.into();
    }
    Ok(Output { text, json })
}

/// Brings one key back.
pub(super) async fn restore(admin: &AdminService, kid: &str) -> Result<Output, CliError> {
    admin.restore_key(&key_id(kid)).await?;
    let text = format!("key {kid} verifies again; it retires only by hand: portero key retire {kid} --force");
    Ok(Output { text, json: Value::Object(object([("restored", kid.into())])) })
}

fn said(owner: &Owner, rotated: &Rotated) -> String {
    let realm = &owner.name;
    match rotated {
        Rotated::Signs { id, before: None } => format!("{realm}: key {id} signs"),
        Rotated::Signs { id, before: Some((before, retires_at)) } => {
            let end = retires_at.map_or_else(|| "not by itself".to_owned(), |at| format!("at {}", time(at)));
            format!("{realm}: key {id} signs; {before} verifies on, and retires {end}")
        }
        Rotated::Waits { id, from } => {
            format!("{realm}: key {id} is published; a running gateway signs with it from {}", time(*from))
        }
        Rotated::Overtaken => format!("{realm}: another process rotated at the same moment"),
    }
}

fn members(owner: &Owner, rotated: &Rotated) -> Value {
    let realm = owner.name.as_str();
    let instant = |at: Option<Timestamp>| at.map(time);
    match rotated {
        Rotated::Signs { id, before } => json!({
            "realm": realm, "state": "active", "kid": id.as_str(),
            "before": before.as_ref().map(|(before, _)| before.as_str()),
            "retires_at": instant(before.as_ref().and_then(|(_, at)| *at)),
        }),
        Rotated::Waits { id, from } => {
            json!({ "realm": realm, "state": "next", "kid": id.as_str(), "signs_from": time(*from) })
        }
        Rotated::Overtaken => json!({ "realm": realm, "state": "overtaken" }),
    }
}
