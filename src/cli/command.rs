//! The commands, each in a file of its own; and the one that serves.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use super::{
    account, admin, audit, check, clock,
    config_file::ConfigFile,
    contract, demo, gateway, import,
    in_store::{block_on, in_store},
    key, migration,
    output::{CliError, Format, Output},
    printed::{complain, print},
    revoke, store,
};
use crate::{
    app::{
        self, Control, Gateway, Inherited, Predecessor, Program, Sockets, StartError,
        examine::{self, Away},
    },
    domain::{Clock, SystemClock},
    observe::{events, lines::Lines},
};

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
    Run(ConfigFile),
    Check(check::Check),
    /// Look at contracts as files: print one, check one of your own, hold recordings against it
    #[command(subcommand)]
    Contract(contract::Contract),
    Explain(gateway::Explain),
    /// Let the running gateway read gateway.toml again
    Reload(gateway::Reload),
    /// Put a new process with the installed binary in the running gateway's place
    Upgrade(gateway::Upgrade),
    /// Serve an example: every contract, its credentials, and an upstream that echoes
    Demo(demo::Demo),
    #[command(flatten)]
    Account(account::Command),
    Import(import::Import),
    /// See how far a migration from old systems is, wrap sealed hashes, import old tokens, go back
    #[command(subcommand)]
    Migration(migration::Migration),
    /// End tokens before their time
    #[command(subcommand)]
    Revoke(revoke::Revoke),
    /// Rotate, retire, revoke, import and export signing keys
    #[command(subcommand)]
    Key(key::Command),
    /// Give tokens for the admin API, each with a role
    #[command(subcommand)]
    Admin(admin::Command),
    /// Hold the audit log against itself, or print it
    #[command(subcommand)]
    Audit(audit::Command),
    /// Look at what is known of the civil clock, or say that it is right
    #[command(subcommand)]
    Clock(clock::Command),
    /// Decide what becomes of checked requests while a shared store is not heard of
    #[command(subcommand)]
    Stale(gateway::Stale),
    /// Look at what restrains logins at the running gateway, or end it
    #[command(subcommand)]
    Limits(gateway::Limits),
    /// Look at logins
    #[command(subcommand)]
    Session(revoke::Session),
    /// Make the store where it is lost, or where the master key was given; move it to another place
    #[command(subcommand)]
    Store(store::Store),
    /// Copy the store to a new file, beside a running gateway
    Backup(store::Backup),
    /// Put a backup in the place of a store that is not there
    Restore(store::Restore),
}

/// Does what the arguments ask. 0 is done, 1 is refused, 2 is trouble with the config or the store.
#[must_use]
pub fn main() -> ExitCode {
    let (format, outcome) = match Cli::parse().command {
        Command::Run(config) => (Format::Text, run(config.path())),
        Command::Check(check) => return check.run(),
        Command::Contract(contract) => return contract.run(),
        Command::Explain(explain) => return explain.run(),
        Command::Reload(reload) => (reload.asking.output, block_on(reload.run())),
        Command::Upgrade(upgrade) => (upgrade.asking.output, block_on(upgrade.run())),
        Command::Demo(demo) => (Format::Text, demo.run()),
        Command::Account(command) => (command.common().output, in_store(&command.common().config, &command)),
        Command::Import(command) if command.is_probe() => (command.common.output, command.run_probe()),
        Command::Import(command) => (command.common.output, in_store(&command.common.config, &command)),
        Command::Revoke(command) => (command.common().output, in_store(&command.common().config, &command)),
        Command::Key(command) => (command.common().output, in_store(&command.common().config, &command)),
        Command::Admin(command) => (command.common().output, in_store(&command.common().config, &command)),
        Command::Audit(command) => return command.run(),
        Command::Clock(command) => (command.common().output, in_store(&command.common().config, &command)),
        Command::Stale(stale) => (stale.asking().output, block_on(stale.run())),
        Command::Limits(limits) => (limits.asking().output, block_on(limits.run())),
        Command::Session(command) => (command.common().output, in_store(&command.common().config, &command)),
        Command::Migration(command) => (command.common().output, in_store(&command.common().config, &command)),
        Command::Store(command) => (command.common().output, block_on(command.run())),
        Command::Backup(backup) => (backup.common.output, block_on(backup.run())),
        Command::Restore(restore) => (restore.common.output, block_on(restore.run())),
    };
    match outcome {
        Ok(output) => print(&output, format),
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
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
    examine::start(&config, &settings, SystemClock.now(), Away::LeftToTheStart)?;
    let sockets = Sockets::open(&settings.server.addresses(), settings.admin.listen, inherited)?;
    let lines = Lines::start()?;
    events::start(&lines);
    // What was said on the way says why.
    Gateway::start(Control::start()?, lines.clone(), config, settings, sockets, predecessor)
        .inspect_err(|_| lines.flush())
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
