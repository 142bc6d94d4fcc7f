//! `portero reload`: the running gateway reads its config again.

use clap::Args;

use super::asking::{Asking, CHECK_PATIENCE};
use crate::cli::output::{CliError, Output};

#[derive(Debug, Args)]
pub(in crate::cli) struct Reload {
    #[command(flatten)]
    pub(in crate::cli) asking: Asking,
}

impl Reload {
    pub(in crate::cli) async fn run(&self) -> Result<Output, CliError> {
        let asked = self.asking.post("/api/v1/reload", "{}", CHECK_PATIENCE).await;
        let answer = asked.map_err(|error| match error {
            // What the gateway found begins with its place, on the first line too.
            CliError::Refused(said) => CliError::Refused(format!("the config was not taken over:\n{said}")),
            other => other,
        })?;
        let keys = answer["needs_restart"].as_array().into_iter().flatten().filter_map(|key| key.as_str());
        let keys: Vec<_> = keys.collect();
        let mut text = "the config was taken over".to_owned();
        if !keys.is_empty() {
            text = format!("{text}; a restart or `portero upgrade` is needed for: {}", keys.join(", "));
        }
        Ok(Output { text, json: answer })
    }
}
