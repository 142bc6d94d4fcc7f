//! A running gateway.

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::Value;

use super::{
    Connection, Folder, PATIENCE, Process, Request, Response, Upstream, config::Config, get, post, process::command,
    wait_until,
};

/// A gateway on free ports, with its folder. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) process: Process,
    pub(crate) front: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) folder: Folder,
}

impl Gateway {
    /// `portero demo`.
    pub(crate) fn demo() -> Self {
        Self::demo_in(Folder::new())
    }

    /// `portero demo --dir`.
    pub(crate) fn demo_in(folder: Folder) -> Self {
        let dir = folder.path().to_str().unwrap().to_owned();
        let arguments = ["demo", "--dir", &dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        Self::listening(Process::spawn(&mut command(&arguments), ""), folder)
    }

    /// `portero run` with the config of a folder.
    pub(crate) fn run(folder: Folder) -> Self {
        let process = Process::spawn(&mut command(&["run", "--config", &folder.config()]), "");
        Self::listening(process, folder)
    }

    /// `program run` with the config of a folder. Those that take its place are killed with it.
    pub(crate) fn run_with_successors(program: &std::path::Path, folder: Folder) -> Self {
        let mut command = std::process::Command::new(program);
        command.args(["run", "--config", &folder.config()]).env_remove("PORTERO_MASTER_KEY_FILE");
        Self::listening(Process::spawn_with_successors(&mut command), folder)
    }

    /// A gateway of a process that was started otherwise.
    pub(crate) fn of(process: Process, folder: Folder) -> Self {
        Self::listening(process, folder)
    }

    /// Runs a command that asks this gateway, wherever it listens.
    #[track_caller]
    pub(crate) fn asked(&self, words: &str) -> super::Ran {
        self.command(&format!("{words} --admin {}", self.admin), "")
    }

    /// The process that answers the admin API.
    #[track_caller]
    pub(crate) fn serving_pid(&self) -> u64 {
        self.api_get("/process")["pid"].as_u64().unwrap()
    }

    /// A gateway with a route a contract before an upstream that records.
    pub(crate) fn with_upstream() -> (Self, Upstream) {
        let upstream = Upstream::start();
        (Config::standard(upstream.address).start(), upstream)
    }

    fn listening(process: Process, folder: Folder) -> Self {
        let event = process.event("listening");
        let address = |member: &str| event[member].as_str().unwrap().parse().unwrap();
        Self { front: address("listen"), admin: address("admin"), process, folder }
    }

    /// Sends on a connection of its own.
    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> Response {
        Connection::open(self.front).send(request)
    }

    /// The status of a GET with a bearer token. A gateway that does not learn in time what a token speaks of answers
    /// 503, and is asked again.
    #[track_caller]
    pub(crate) fn status(&self, path: &str, token: &str) -> u16 {
        Connection::open(self.front).send_until_available(&get(path).bearer(token)).status
    }

    /// The same of the first answer.
    #[track_caller]
    pub(crate) fn status_at_once(&self, path: &str, token: &str) -> u16 {
        self.send(&get(path).bearer(token)).status
    }

    /// Waits until a token that opens `path` is answered with 401. A request that is in flight when its token ends is
    /// ended too: it may get no answer.
    #[track_caller]
    pub(crate) fn wait_until_refused(&self, what: &str, path: &str, token: &str) {
        let request = get(path).bearer(token);
        wait_until(what, PATIENCE, || {
            let mut connection = Connection::open(self.front);
            connection.write(request.bytes()).is_ok()
                && connection.try_receive().is_ok_and(|answer| answer.status == 401)
        });
    }

    /// The status of a GET below this path with a bearer token, and why, in the access log's word. A gateway that does
    /// not learn in time what a new token speaks of says that it is unavailable, and is asked again.
    #[track_caller]
    pub(crate) fn decides(&self, path: &str, token: &str) -> (u16, String) {
        let mut decided = self.decides_at_once(path, token);
        wait_until("the gateway knows", PATIENCE, || {
            if decided.1 == "unavailable" {
                decided = self.decides_at_once(path, token);
            }
            decided.1 != "unavailable"
        });
        decided
    }

    /// The same of the first answer.
    #[track_caller]
    pub(crate) fn decides_at_once(&self, path: &str, token: &str) -> (u16, String) {
        static REQUESTS: AtomicU32 = AtomicU32::new(0);
        let path = format!("{path}/{}", REQUESTS.fetch_add(1, Ordering::Relaxed));
        let status = self.status_at_once(&path, token);
        let line = self.process.access_line("the request", |line| line["path"] == path.as_str());
        (status, line["reason"].as_str().unwrap().to_owned())
    }

    /// A command on its config, beside it.
    #[track_caller]
    pub(crate) fn command(&self, words: &str, stdin: &str) -> super::Ran {
        self.folder.command(words, stdin)
    }

    pub(crate) fn admin_token(&self) -> String {
        fs::read_to_string(self.folder.file("admin.token")).unwrap().trim().to_owned()
    }

    /// Asks the admin listener, without its token.
    #[track_caller]
    pub(crate) fn ask(&self, path: &str) -> Response {
        Connection::open(self.admin).send(&get(path).header("Host", "localhost"))
    }

    /// A metric's value as it is scraped; 0 where it is not there.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.ask("/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }

    /// Asks the admin API to do something; it must.
    #[track_caller]
    pub(crate) fn api(&self, path: &str, body: &Value) -> Value {
        let request =
            post(&format!("/api/v1{path}"), body.to_string()).header("Host", "localhost").bearer(&self.admin_token());
        let answer = Connection::open(self.admin).send(&request);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Asks the admin API for something; it must answer.
    #[track_caller]
    pub(crate) fn api_get(&self, path: &str) -> Value {
        let request = get(&format!("/api/v1{path}")).header("Host", "localhost").bearer(&self.admin_token());
        let answer = Connection::open(self.admin).send(&request);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Ends it at once, as a power failure does, and starts it again on the same folder.
    pub(crate) fn kill_and_restart(self) -> Self {
        let Self { process, folder, .. } = self;
        process.signal("KILL");
        process.finish();
        Self::run(folder)
    }

    /// Kilobytes of memory that it has resident.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.process_status("VmRSS").trim_end_matches(" kB").parse().unwrap()
    }

    /// What the system says of its process under this name (proc(5), `/proc/pid/status`).
    pub(crate) fn process_status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("{name} is not in {status}")).trim().to_owned()
    }

    /// Ends it with SIGTERM, and leaves its folder.
    pub(crate) fn stop_in_folder(self) -> Folder {
        self.process.signal("TERM");
        self.finish_in_folder()
    }

    /// Waits for its end, and leaves its folder.
    pub(crate) fn finish_in_folder(self) -> Folder {
        let Self { process, folder, .. } = self;
        process.finish();
        folder
    }

    /// Ends it with SIGTERM and answers everything that it wrote.
    pub(crate) fn stop(self) -> super::Ran {
        self.process.signal("TERM");
        self.process.finish()
    }
}
