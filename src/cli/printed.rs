//! What a command prints.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::output::{CliError, Format, Output};

/// Says why a command failed. Each problem of a config begins with its place, so that editors find it.
pub(super) fn complain(error: &CliError) {
    match error {
        CliError::Config { report, .. } => eprintln!("{report}"),
        other => eprintln!("portero: {other}"),
    }
}

pub(super) fn print(output: &Output, format: Format) -> ExitCode {
    // A gateway that ends has nothing to say here. Its log may hold standard output, for a reader who never comes.
    if *output == Output::nothing() {
        return ExitCode::SUCCESS;
    }
    let mut out = io::stdout().lock();
    match out.write_all(output.render(format).as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
