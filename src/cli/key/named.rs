//! What a command names: an owner of keys, or one key.

use crate::{
    cli::{output::CliError, revoke::find_realm},
    config::GatewaySettings,
    decision::schedule::Owner,
    domain::{KeyId, RealmName},
};

/// The owner of keys that `name` names.
pub(super) fn owner(settings: &GatewaySettings, name: &RealmName) -> Result<Owner, CliError> {
    if name.is_internal() {
        return Ok(Owner::internal());
    }
    find_realm(&settings.site.realms, name)?;
    let owner = Owner::all(&settings.site.realms).into_iter().find(|owner| owner.name == *name);
    owner.ok_or_else(|| CliError::Refused(format!("the config has no realm '{name}'")))
}

pub(super) fn key_id(kid: &str) -> KeyId {
    KeyId::from_text(kid)
}
