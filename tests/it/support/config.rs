//! A folder with a gateway.toml.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{Contract, Gateway, Ran, memory, portero, template::copy_store};

/// A folder that is gone with its test.
#[derive(Debug)]
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(memory::new_folder())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The path of its config, as an argument.
    pub(crate) fn config(&self) -> String {
        self.file("gateway.toml").to_str().unwrap().to_owned()
    }

    /// The names of what is in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs a command on its config: `command("user list --realm sws", "")`.
    #[track_caller]
    pub(crate) fn command(&self, words: &str, stdin: &str) -> Ran {
        let config = self.config();
        let arguments: Vec<_> = words.split(' ').chain(["--config", &config]).collect();
        portero(&arguments, stdin)
    }
}

/// A config in the making: the five realms, the token endpoints and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    server: String,
    admin: String,
    rest: String,
}

/// The realms, named as their dialects, and the endpoints of `portero demo`.
const REALMS_AND_ENDPOINTS: &str = r#"
[tokens]
issuer = "https://portero.test"
[realms.sws]
dialect = "sws"
timezone = "UTC"
[realms.apis]
dialect = "apis"
[realms.toc]
dialect = "toc"
[realms.maxpoint]
dialect = "maxpoint"
[realms.become]
dialect = "become"

[[token_endpoints]]
path = "/api/Session/GetToken"
realms = ["sws"]
[[token_endpoints]]
path = "/api/auth/token"
realms = ["maxpoint", "apis"]
[[token_endpoints]]
path = "/api/auth/refreshtoken"
realms = ["apis"]
grant = "refresh"
[[token_endpoints]]
path = "/auth"
realms = ["become", "toc"]
"#;

impl Config {
    pub(crate) fn new() -> Self {
        Self { server: String::new(), admin: String::new(), rest: REALMS_AND_ENDPOINTS.to_owned() }
    }

    /// One route a contract, and `/public`, to one upstream.
    pub(crate) fn standard(upstream: SocketAddr) -> Self {
        let mut config = Self::new().upstream("service", &[upstream]);
        for contract in Contract::ALL {
            let realm = contract.realm();
            config = config.route(realm, &format!("/{realm}"), &format!("accept = [\"{realm}\"]"));
        }
        config.route("public", "/public", "auth = \"public\"")
    }

    /// Lines of `[server]`.
    pub(crate) fn server(mut self, lines: &str) -> Self {
        writeln!(self.server, "{lines}").unwrap();
        self
    }

    /// Lines of `[admin]`.
    pub(crate) fn admin(mut self, lines: &str) -> Self {
        writeln!(self.admin, "{lines}").unwrap();
        self
    }

    /// A route to the upstream `service`, or to the one that `more` names.
    pub(crate) fn route(self, name: &str, path: &str, more: &str) -> Self {
        let upstream = if more.contains("upstream =") { "" } else { "upstream = \"service\"" };
        self.text(&format!("[[routes]]\nname = \"{name}\"\npath = \"{path}\"\n{upstream}\n{more}\n"))
    }

    pub(crate) fn upstream(self, name: &str, servers: &[SocketAddr]) -> Self {
        let servers: Vec<_> = servers.iter().map(|server| format!("\"{server}\"")).collect();
        self.text(&format!("[upstreams.{name}]\nservers = [{}]\n", servers.join(", ")))
    }

    /// More TOML, as it stands.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.rest.push('\n');
        self.rest.push_str(text);
        self
    }

    /// Another text in the place of one that stands there.
    #[track_caller]
    pub(crate) fn replace(mut self, text: &str, by: &str) -> Self {
        assert!(self.rest.contains(text), "'{text}' does not stand in:\n{}", self.rest);
        self.rest = self.rest.replace(text, by);
        self
    }

    /// The file, with free ports to listen on unless `[server]` says others.
    pub(crate) fn toml(&self) -> String {
        let listen = if self.server.contains("listen =") { "" } else { "listen = [\"127.0.0.1:0\"]\n" };
        let admin = if self.admin.contains("listen =") { "" } else { "listen = \"127.0.0.1:0\"\n" };
        format!("[server]\n{listen}{}[admin]\n{admin}{}{}", self.server, self.admin, self.rest)
    }

    /// Writes the file.
    pub(crate) fn write_to(&self, folder: &Folder) {
        fs::write(folder.config(), self.toml()).unwrap();
    }

    /// A new folder with the file and the documents' accounts.
    pub(crate) fn with_accounts(&self) -> Folder {
        self.with_accounts_in(Folder::new())
    }

    /// The same in a folder that has what the file refers to.
    pub(crate) fn with_accounts_in(&self, folder: Folder) -> Folder {
        self.write_to(&folder);
        if self.rest.contains("[store]") {
            make_accounts(&folder);
        } else {
            copy_store("accounts", &folder, |template| {
                Self::new().write_to(template);
                make_accounts(template);
            });
        }
        folder
    }

    /// A gateway with this config and no accounts: for what needs no token.
    pub(crate) fn start_bare(&self) -> Gateway {
        let folder = Folder::new();
        self.write_to(&folder);
        Gateway::run(folder)
    }

    /// A gateway with this config and the documents' accounts.
    pub(crate) fn start(&self) -> Gateway {
        Gateway::run(self.with_accounts())
    }
}

fn make_accounts(folder: &Folder) {
    for contract in Contract::ALL {
        contract.make_account(folder);
    }
}
