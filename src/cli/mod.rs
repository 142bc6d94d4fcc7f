//! The commands: `portero` as people and scripts call it.

pub mod account;
mod demo;
mod explain;
mod gateway;
mod key;
pub mod output;
mod reload;
mod revoke;
pub mod secret;
mod upgrade;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use tokio::runtime::Builder;

use crate::{
    app::{self, Control, Gateway, Inherited, Predecessor, Program, Sockets, StartError},
    config::Settings,
    domain::SystemClock,
    observe::{events, lines::Lines},
};
use output::{CliError, Format, Output};

/// A reverse-proxy authentication gateway: five token contracts, one doorman
#[derive(Debug, Parser)]
#[command(name = "portero", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve what gateway.toml says
    Run(Config),
    /// Say everything that is wrong with gateway.toml
    Check(Config),
    Explain(explain::Explain),
    /// Let the running gateway read gateway.toml again
    Reload(reload::Reload),
    /// Put a new process with the installed binary in the running gateway's place
    Upgrade(upgrade::Upgrade),
    /// Serve an example: every contract, its credentials, and an upstream that echoes
    Demo(demo::Demo),
    #[command(flatten)]
    Account(account::Command),
    /// End tokens before their time
    #[command(subcommand)]
    Revoke(revoke::Revoke),
    /// Rotate, retire, revoke, import and export signing keys
    #[command(subcommand)]
    Key(key::Command),
    /// Look at logins
    #[command(subcommand)]
    Session(revoke::Session),
}

#[derive(Debug, Args)]
struct Config {
    /// The config file
    #[arg(long, default_value = "gateway.toml")]
    config: PathBuf,
}

/// Does what the arguments ask. 0 is done, 1 is refused, 2 is trouble with the config or the store.
#[must_use]
pub fn main() -> ExitCode {
    let (format, outcome) = match Cli::parse().command {
        Command::Run(Config { config }) => (Format::Text, run(config)),
        Command::Check(Config { config }) => (Format::Text, check(&config)),
        Command::Explain(explain) => return explain.run(),
        Command::Reload(reload) => (reload.asking.output, block_on(reload.run())),
        Command::Upgrade(upgrade) => (upgrade.asking.output, block_on(upgrade.run())),
        Command::Demo(demo) => (Format::Text, demo.run()),
        Command::Account(command) => (command.common().output, keep_accounts(&command)),
        Command::Revoke(command) => (command.common().output, in_store(&command.common().config, &command)),
        Command::Key(command) => (command.common().output, in_store(&command.common().config, &command)),
        Command::Session(command) => (command.common().output, in_store(&command.common().config, &command)),
    };
    match outcome {
        Ok(output) => print(&output, format),
        Err(error) => {
            eprintln!("portero: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn print(output: &Output, format: Format) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(output.render(format).as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(config: PathBuf) -> Result<Output, CliError> {
    // Before anything else opens a file, and while there is one thread.
    let mut inherited = Inherited::from_environment();
    let predecessor = inherited.predecessor();
    let program = Program::of_this_process().map_err(StartError::from)?;
    let gateway = start(config, inherited, predecessor.as_ref());
    if let (Err(error), Some(predecessor)) = (&gateway, &predecessor) {
        predecessor.failed(error);
    }
    drop(predecessor);
    gateway?.run(Some(&program))?;
    Ok(Output::nothing())
}

fn start(config: PathBuf, inherited: Inherited, predecessor: Option<&Predecessor>) -> Result<Gateway, StartError> {
    let settings = app::load(&config)?;
    let sockets = Sockets::open(&settings.server.addresses(), settings.admin.listen, inherited)?;
    let lines = Lines::start()?;
    events::start(&lines);
    // What was said on the way says why.
    Gateway::start(Control::start()?, lines.clone(), config, settings, sockets, predecessor)
        .inspect_err(|_| lines.flush())
}

fn check(config: &std::path::Path) -> Result<Output, CliError> {
    let settings = app::load(config)?;
    let site = &settings.site;
    let mut text = format!(
        "{} is good: {} realms, {} token endpoints, {} routes, {} upstreams",
        config.display(),
        site.realms.len(),
        site.endpoints.len(),
        site.routes.len(),
        site.upstreams.len()
    );
    for warning in &settings.warnings {
        text = format!("{text}\nwarning: {}:{warning}", config.display());
    }
    for key in &settings.readable_keys {
        text = format!("{text}\nwarning: {}: every user of this system can read this private key", key.display());
    }
    for route in site.shadow_routes() {
        text.extend(["\nwarning: route '", route, "' is in shadow mode: ", app::SHADOW_MEANS]);
    }
    Ok(Output { text, json: serde_json::Value::Null })
}

fn keep_accounts(command: &account::Command) -> Result<Output, CliError> {
    let settings = app::load(&command.common().config)?;
    block_on(async {
        let (store, _vault) = app::open_vault(&settings).await?;
        let mut context = account::Context {
            store: &store,
            realms: &settings.site.realms,
            clock: &SystemClock,
            input: &mut secret::Terminal,
        };
        let outcome = command.execute(&mut context).await;
        store.close().await;
        outcome
    })
}

/// A command on the store of a config.
trait InStore {
    async fn execute(&self, settings: &Settings, steward: &crate::decision::Steward) -> Result<Output, CliError>;
}

fn in_store(config: &std::path::Path, command: &impl InStore) -> Result<Output, CliError> {
    let settings = app::load(config)?;
    block_on(async {
        let (store, vault) = app::open_vault(&settings).await?;
        let steward = crate::decision::Steward::new(store.clone(), vault, std::sync::Arc::new(SystemClock), None);
        let outcome = command.execute(&settings, &steward).await;
        store.close().await;
        outcome
    })
}

/// Runs a command on a runtime of its own.
fn block_on<T>(command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::from)?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_is_well_formed() {
        Cli::command().debug_assert();
    }
}
