//! `portero explain METHOD URL`: which route, policy, key and rule decide about a request, in the order in which they
//! are applied. From the running gateway, or from a config alone.

mod words;

use std::{
    fs::File,
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::asking::Asking;
use crate::{
    app::{self, StartError},
    cli::{
        block_on, complain,
        output::{CliError, Format, Output},
        print,
    },
    config::GatewaySettings,
    decision::{
        LiveState, Snapshot,
        decide::explain::{Inquiry, Keys},
    },
    domain::{Clock, Secret, SystemClock},
    edge::admin,
    observe::metrics::Metrics,
    state::token::TOKEN_BYTES_MAX,
};

/// For the whole of asking.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Say which route, policy, key and rule decide about a request; exits with 0 where it would pass
#[derive(Debug, Args)]
pub(in crate::cli) struct Explain {
    /// The method
    method: String,
    /// `http://HOST/PATH?QUERY`, or /PATH?QUERY
    url: String,
    /// The file with the token, - for standard input; it is put where the route looks for one
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A header field; a Host among them is the request's
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Who sends it; without it, how many bad tokens came from there is left out
    #[arg(long)]
    client: Option<IpAddr>,
    /// Explain from the config alone: no token can be checked
    #[arg(long, conflicts_with_all = ["admin", "admin_token_file"])]
    offline: bool,
    #[command(flatten)]
    asking: Asking,
    /// The same as --output json
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// Prints the explanation. 0 it would pass, 1 it would not or cannot be told, 2 trouble.
    pub(in crate::cli) fn run(&self) -> ExitCode {
        let format = if self.json { Format::Json } else { self.asking.output };
        match self.explain() {
            Ok(explained) => {
                let passes =
                    matches!(explained["decision"].as_str(), Some("forward" | "shadow" | "endpoint" | "preflight"));
                let printed = print(&Output { text: words::lines(&explained), json: explained }, format);
                if passes { printed } else { ExitCode::from(1) }
            }
            Err(error) => {
                complain(&error);
                ExitCode::from(2)
            }
        }
    }

    fn explain(&self) -> Result<Value, CliError> {
        let token = self.token_file.as_deref().map(token).transpose()?;
        let inquiry = Inquiry {
            method: &self.method,
            url: &self.url,
            headers: &self.headers,
            token: token.as_ref(),
            client: self.client,
        };
        if self.offline {
            return offline(&inquiry, &app::load(&self.asking.config.path())?);
        }
        // It holds the token that is asked about; wiped when it was sent, as far as that is ours.
        let body = Zeroizing::new(
            json!({
                "method": inquiry.method,
                "url": inquiry.url,
                "headers": inquiry.headers,
                "token": inquiry.token.map(Secret::expose),
                "client": inquiry.client,
            })
            .to_string(),
        );
        block_on(self.asking.post("/api/v1/explain", &body, TIMEOUT)).map_err(|error| match error {
            CliError::Trouble(text) => CliError::Trouble(format!("{text}; --offline explains from the config alone")),
            refused => refused,
        })
    }
}

fn offline(inquiry: &Inquiry<'_>, settings: &GatewaySettings) -> Result<Value, CliError> {
    let metrics = Metrics::new().map_err(|error| CliError::Trouble(error.to_string()))?;
    let snapshot = Snapshot::build(&settings.site, Arc::default(), &metrics).map_err(StartError::from)?;
    let live_state = LiveState::new(snapshot, settings.cache, settings.bad_tokens);
    let explained = admin::explain(&live_state.view(), SystemClock.now(), inquiry, Keys::Unknown);
    explained.map_err(|error| CliError::Trouble(error.to_string()))
}

/// The token of a file; white space around it is dropped.
fn token(file: &Path) -> Result<Secret, CliError> {
    let unreadable = |error: io::Error| CliError::Trouble(format!("--token-file {}: {error}", file.display()));
    // More than a token can have, so that a longer one is refused as such and not cut.
    let bytes_max = 2 * TOKEN_BYTES_MAX as u64;
    let mut text = Zeroizing::new(String::new());
    if file == Path::new("-") {
        io::stdin().take(bytes_max).read_to_string(&mut text).map_err(unreadable)?;
    } else {
        File::open(file).map_err(unreadable)?.take(bytes_max).read_to_string(&mut text).map_err(unreadable)?;
    }
    if text.trim().is_empty() {
        return Err(CliError::Trouble(format!("--token-file {}: it holds no token", file.display())));
    }
    Ok(Secret::from(text.trim()))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write 'Name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
