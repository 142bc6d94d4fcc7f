//! curl, as a client that nobody of us wrote.

use std::{net::SocketAddr, path::Path, process::Command};

/// What curl had for an answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// curl's own exit code; not 0 when there was no answer.
    pub(super) code: i32,
    pub(super) status: u16,
    /// `1.1` or `2`.
    pub(super) version: String,
    /// The head as it came, and the body.
    pub(super) text: String,
}

/// Asks `http(s)://HOST:PORT/PATH` of a gateway that listens there.
pub(super) struct Curl {
    command: Command,
    url: String,
}

impl Curl {
    pub(super) fn to(gateway: SocketAddr, scheme: &str, host: &str, path: &str) -> Self {
        let mut command = Command::new("curl");
        let port = gateway.port();
        command.args(["--silent", "--include", "--max-time", "30", "--noproxy", "*"]);
        command.args(["--resolve", &format!("{host}:{port}:{}", gateway.ip())]);
        command.args(["--write-out", "\n%{http_version} %{http_code}"]);
        Self { command, url: format!("{scheme}://{host}:{port}{path}") }
    }

    pub(super) fn with(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Trusts this authority only.
    pub(super) fn trusting(self, authority: &Path) -> Self {
        self.with(&["--cacert", authority.to_str().unwrap()])
    }

    pub(super) fn bearer(self, token: &str) -> Self {
        self.with(&["--header", &format!("Authorization: Bearer {token}")])
    }

    pub(super) fn ask(mut self) -> Answer {
        let output = self.command.arg(&self.url).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (text, (version, status)) = text
            .rsplit_once('\n')
            .and_then(|(text, last)| Some((text.to_owned(), last.split_once(' ')?)))
            .unwrap_or_else(|| panic!("curl wrote {text:?}"));
        Answer {
            code: output.status.code().unwrap(),
            status: status.parse().unwrap(),
            version: version.to_owned(),
            text,
        }
    }
}
