//! Where a command takes a password or secret from: the terminal, standard input, or the system's
//! randomness. Never from an argument, which every process on the machine can read.

use std::io::{self, Read};

use clap::Args;
use zeroize::Zeroizing;

use super::output::CliError;
use crate::{
    decision::admin::secrets::NewSecret,
    domain::Secret,
    state::account::password::{self, PASSWORD_BYTES_MAX},
};

/// The flags of every command that sets a secret.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct SecretArgs {
    /// Read the secret from standard input; one newline at its end is dropped
    #[arg(long, visible_alias = "secret-stdin", conflicts_with = "generate")]
    pub password_stdin: bool,
    /// Make a secret and show it once
    #[arg(long)]
    pub generate: bool,
}

/// Where a secret comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Asked for on the terminal, twice.
    Prompt,
    /// All of standard input.
    Stdin,
    /// Made here.
    Generated,
}

impl SecretArgs {
    /// What the flags say, or else `default`.
    #[must_use]
    pub const fn source(self, default: Source) -> Source {
        match self {
            Self { password_stdin: true, .. } => Source::Stdin,
            Self { generate: true, .. } => Source::Generated,
            _ => default,
        }
    }
}

/// The person or program at the other end.
pub trait Input {
    /// Standard input, to its end or to `bytes_max`.
    ///
    /// # Errors
    /// Fails when it cannot be read.
    fn stdin(&mut self, bytes_max: u64) -> io::Result<Zeroizing<Vec<u8>>>;

    /// Asks on the terminal without showing what is typed.
    ///
    /// # Errors
    /// Fails when there is no terminal, or when it cannot be read.
    fn prompt(&mut self, question: &str) -> io::Result<Secret>;
}

/// The process's own standard input and terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal;

impl Input for Terminal {
    fn stdin(&mut self, bytes_max: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        // With room for all of it, so that growing leaves no copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(bytes_max).unwrap_or(0) + 1));
        io::stdin().lock().take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn prompt(&mut self, question: &str) -> io::Result<Secret> {
        rpassword::prompt_password(question).map(Secret::new)
    }
}

/// Gets a secret that can be set.
///
/// # Errors
/// [`CliError::Refused`] when no secret can be read, when the two that were typed differ, or when it cannot be set.
pub fn obtain(source: Source, input: &mut dyn Input) -> Result<NewSecret, CliError> {
    let secret = match source {
        Source::Generated => return Ok(NewSecret::Generated),
        Source::Stdin => from_stdin(input)?,
        Source::Prompt => prompted(input)?,
    };
    password::check(&secret).map_err(|error| CliError::Refused(error.to_string()))?;
    Ok(NewSecret::Given(secret))
}

fn from_stdin(input: &mut dyn Input) -> Result<Secret, CliError> {
    // A longer secret is read far enough to be seen as too long, with its newline.
    let bytes_max = PASSWORD_BYTES_MAX as u64 + 3;
    let bytes = input.stdin(bytes_max);
    let bytes = bytes.map_err(|error| CliError::Refused(format!("standard input cannot be read: {error}")))?;
    let line = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(&bytes);
    let text = std::str::from_utf8(line);
    text.map(Secret::from).map_err(|_| CliError::Refused("the secret on standard input is no UTF-8".to_owned()))
}

fn prompted(input: &mut dyn Input) -> Result<Secret, CliError> {
    let mut ask = |question| {
        input.prompt(question).map_err(|error| {
            CliError::Refused(format!("no terminal to ask on ({error}): use --password-stdin or --generate"))
        })
    };
    let (first, again) = (ask("Password: ")?, ask("Again: ")?);
    if first == again { Ok(first) } else { Err(CliError::Refused("the two passwords differ".to_owned())) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Somebody who has typed everything beforehand.
    pub(in crate::cli) struct Typed(pub(in crate::cli) Vec<&'static str>);

    impl Input for Typed {
        fn stdin(&mut self, bytes_max: u64) -> io::Result<Zeroizing<Vec<u8>>> {
            let mut bytes = self.0.concat().into_bytes();
            bytes.truncate(usize::try_from(bytes_max).unwrap());
            Ok(Zeroizing::new(bytes))
        }

        fn prompt(&mut self, _question: &str) -> io::Result<Secret> {
            if self.0.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(self.0.remove(0).into()) }
        }
    }

    fn given(source: Source, typed: Vec<&'static str>) -> Result<Secret, String> {
        match obtain(source, &mut Typed(typed)).map_err(|error| error.to_string())? {
            NewSecret::Given(secret) => Ok(secret),
            NewSecret::Generated => Err("it is made elsewhere".to_owned()),
        }
    }

    fn stdin(text: &'static str) -> Result<Secret, String> {
        given(Source::Stdin, vec![text])
    }

    #[test]
    fn exactly_one_newline_is_dropped() {
        for (text, secret) in
            [("1234", "1234"), ("1234\n", "1234"), ("1234\r\n", "1234"), ("1234\n\n", "1234\n"), (" 1 \n", " 1 ")]
        {
            assert_eq!(stdin(text).unwrap().expose(), secret);
        }
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused() {
        assert_eq!(stdin("").unwrap_err(), "the password is empty");
        assert_eq!(stdin("\n").unwrap_err(), "the password is empty");
        let text = |len: usize| -> &'static str { format!("{}\r\n", "x".repeat(len)).leak() };
        assert!(stdin(text(PASSWORD_BYTES_MAX)).is_ok());
        for len in PASSWORD_BYTES_MAX + 1..PASSWORD_BYTES_MAX + 5 {
            assert_eq!(stdin(text(len)).unwrap_err(), "the password is longer than 1024 bytes", "{len}");
        }
    }

    #[test]
    fn a_prompt_asks_twice() {
        let prompt = |typed| given(Source::Prompt, typed);
        assert_eq!(prompt(vec!["1234", "1234"]).unwrap().expose(), "1234");
        assert_eq!(prompt(vec!["1234", "1235"]).unwrap_err(), "the two passwords differ");
        assert!(prompt(vec![]).unwrap_err().contains("--password-stdin"));
    }

    #[test]
    fn flags_go_before_the_default() {
        let args = |password_stdin, generate| SecretArgs { password_stdin, generate };
        assert_eq!(args(true, false).source(Source::Generated), Source::Stdin);
        assert_eq!(args(false, true).source(Source::Prompt), Source::Generated);
        assert_eq!(args(false, false).source(Source::Prompt), Source::Prompt);
    }
}
