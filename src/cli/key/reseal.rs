//! `portero key reseal`.

use serde_json::Value;

use crate::{
    cli::output::{CliError, Output, object},
    config::GatewaySettings,
    decision::AdminService,
};

pub(super) async fn reseal(
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
