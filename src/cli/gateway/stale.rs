//! `portero stale …`: an operator's word on checked requests while a shared store is not heard of. It goes to the
//! running gateway itself, and takes no store.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::asking::Asking;
use crate::{
    cli::output::{CliError, Output},
    config,
};

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Stale {
    /// Let checked requests go on by what was known last, however old that becomes
    Serve(Serve),
    /// Take that back: from `store.max_staleness` on they are refused
    Refuse {
        #[command(flatten)]
        asking: Asking,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    #[command(flatten)]
    asking: Asking,
    /// For how long, 1s to 1d; every gateway is told by itself
    #[arg(long = "for", value_parser = seconds)]
    time: u64,
}

fn seconds(text: &str) -> Result<u64, String> {
    let duration = config::parse_duration(text).map(|duration| duration.as_secs());
    duration
        .filter(|seconds| (1..=86_400).contains(seconds))
        .ok_or_else(|| "a duration from 1s to 1d, such as 30m".to_owned())
}

impl Stale {
    pub(in crate::cli) const fn asking(&self) -> &Asking {
        match self {
            Self::Serve(Serve { asking, .. }) | Self::Refuse { asking } => asking,
        }
    }

    pub(in crate::cli) async fn run(&self) -> Result<Output, CliError> {
        let seconds = match self {
            Self::Serve(serve) => serve.time,
            Self::Refuse { .. } => 0,
        };
        let asked = json!({ "serve_seconds": seconds }).to_string();
        let answer = self.asking().post("/api/v1/stale", &asked, PATIENCE).await?;
        let text = match seconds {
            0 => "checked requests are refused once the store was not heard of for store.max_staleness".to_owned(),
            _ => format!(
                "for {seconds} s this gateway serves checked requests by what it knows, however old that is; what is \
                 revoked meanwhile and not heard of here passes"
            ),
        };
        Ok(Output { text, json: answer })
    }
}
