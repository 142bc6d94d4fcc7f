//! `portero upgrade`: a new process takes over from the running gateway, which ends.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::asking::Asking;
use crate::{
    cli::output::{CliError, Output},
    config,
};

/// How much longer the answer is waited for than the new process may take.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(in crate::cli) struct Upgrade {
    #[command(flatten)]
    pub(in crate::cli) asking: Asking,
    /// How long the new process may take until it serves, 1s to 5m
    #[arg(long, default_value = "30s", value_parser = seconds)]
    timeout: u64,
}

fn seconds(text: &str) -> Result<u64, String> {
    let duration = config::parse_duration(text).map(|duration| duration.as_secs());
    duration
        .filter(|seconds| (1..=300).contains(seconds))
        .ok_or_else(|| "a duration from 1s to 5m, such as 30s".to_owned())
}

impl Upgrade {
    pub(in crate::cli) async fn run(&self) -> Result<Output, CliError> {
        let patience = Duration::from_secs(self.timeout) + ANSWER_MARGIN;
        let asked = json!({ "timeout_seconds": self.timeout }).to_string();
        let answer = self.asking.post("/api/v1/upgrade", &asked, patience).await?;
        let text = format!("process {} serves; process {} ends what it began", answer["pid"], answer["handed_over_by"]);
        Ok(Output { text, json: answer })
    }
}
