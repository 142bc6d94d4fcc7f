//! `portero key restrict`.

use serde_json::Value;

use super::named::key_id;
use crate::{
    cli::output::{CliError, Output, object},
    decision::AdminService,
};

pub(super) async fn restrict(admin: &AdminService, kid: &str) -> Result<Output, CliError> {
    admin.restrict_key(&key_id(kid)).await?;
    let text = format!("key {kid} takes tokens of accounts that the store has, and of no others");
    Ok(Output { text, json: Value::Object(object([("restricted", kid.into())])) })
}
