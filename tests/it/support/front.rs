//! HAProxy and nginx in front of two gateways, with the configs that ship.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
};

use super::{Connection, Folder, PATIENCE, Process, Request, Response, get, wait_until};

/// Where the shipped configs lie.
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

/// The addresses that nginx.conf says to change.
const NGINX_LISTEN: &str = "0.0.0.0:8080";
const NGINX_GATEWAYS: [&str; 2] = ["10.0.0.11:8081", "10.0.0.12:8081"];

/// Where a gateway of ours is: for clients, and for operators.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) front: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Place {
    /// One where nobody listens yet.
    pub(crate) fn free() -> Self {
        Self { front: free_address(), admin: free_address() }
    }
}

/// A running HAProxy or nginx. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    process: Process,
    /// HAProxy's word on its servers.
    metrics: Option<SocketAddr>,
    folder: Folder,
}

impl Front {
    /// HAProxy, with the environment variables that its config is made for.
    pub(crate) fn haproxy(gateways: [Place; 2]) -> Self {
        let (address, metrics) = (free_address(), free_address());
        let mut command = daemon("haproxy");
        command.args(["-db", "-f", &format!("{DEPLOY}/haproxy.cfg")]);
        command.env("FRONT_LISTEN", address.to_string()).env("FRONT_METRICS", metrics.to_string());
        for (at, place) in (1..).zip(gateways) {
            command.env(format!("GATEWAY_{at}"), place.front.to_string());
            command.env(format!("GATEWAY_{at}_ADMIN_PORT"), place.admin.port().to_string());
        }
        Self::listening(&mut command, address, Some(metrics), Folder::new())
    }

    /// nginx, with other addresses in the places that its config names.
    pub(crate) fn nginx(gateways: [Place; 2]) -> Self {
        let (address, folder) = (free_address(), Folder::new());
        let mut config = fs::read_to_string(format!("{DEPLOY}/nginx.conf")).unwrap();
        let changes =
            NGINX_GATEWAYS.into_iter().zip(gateways.map(|place| place.front)).chain([(NGINX_LISTEN, address)]);
        for (text, by) in changes {
            assert_eq!(config.matches(text).count(), 1, "'{text}' does not stand once in nginx.conf");
            config = config.replace(text, &by.to_string());
        }
        let file = folder.file("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut command = daemon("nginx");
        let global = format!("daemon off; pid {};", folder.file("nginx.pid").display());
        command.args(["-e", "stderr", "-g", &global, "-c"]).arg(file);
        Self::listening(&mut command, address, None, folder)
    }

    fn listening(command: &mut Command, address: SocketAddr, metrics: Option<SocketAddr>, folder: Folder) -> Self {
        let process = Process::spawn_with_successors(command);
        let front = Self { address, process, metrics, folder };
        // Each of its sockets by itself: one may listen a moment before the other.
        wait_until("the front listens", PATIENCE, || {
            let listens = |address| TcpStream::connect(address).is_ok();
            [Some(address), metrics].into_iter().flatten().all(listens) || panic_at_end(&front.process)
        });
        front
    }

    /// Sends on a connection of its own, and answers what came: no connection may be lost.
    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> Response {
        Connection::open(self.address).send(request)
    }

    /// The answers to so many requests, each on a connection of its own.
    #[track_caller]
    pub(crate) fn answers(&self, number: usize) -> Vec<String> {
        let answer = |_| {
            let answer = self.send(&get("/public"));
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.text()
        };
        (0..number).map(answer).collect()
    }

    /// Waits until HAProxy sends a gateway new connections, or sends it none.
    #[track_caller]
    pub(crate) fn wait_for(&self, server: &str, is_up: bool) {
        let state = if is_up { "UP" } else { "DOWN" };
        let line = format!(r#"haproxy_server_status{{proxy="ready_gateways",server="{server}",state="{state}"}} 1"#);
        let metrics = self.metrics.expect("it is HAProxy");
        wait_until(&format!("{server} is {state}"), PATIENCE, || {
            Connection::open(metrics).send(&get("/metrics")).text().lines().any(|text| text == line)
        });
    }

    /// Takes nginx's first gateway out, as its config says: marks it `down`, and reloads. No new connection goes there
    /// when this returns.
    #[track_caller]
    pub(crate) fn take_first_out(&self, first: Place) {
        let file = self.folder.file("nginx.conf");
        let (config, line) = (fs::read_to_string(&file).unwrap(), format!("server {} max_fails=0", first.front));
        assert!(config.contains(&line), "{config}");
        fs::write(&file, config.replace(&line, &format!("{line} down"))).unwrap();
        let before = self.process.descendants();
        self.process.signal("HUP");
        wait_until("nginx's workers leave", PATIENCE, || {
            // Its name changes when it accepts nobody any more; it goes on with those that it has.
            before.iter().all(|id| {
                let name = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
                name.is_empty() || name.contains("shutting down")
            })
        });
    }
}

/// Debian's daemons are often outside of a user's PATH.
fn daemon(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", format!("{}:/usr/sbin:/usr/local/sbin", env::var("PATH").unwrap_or_default()));
    command
}

/// Says why a front is gone that should listen.
fn panic_at_end(process: &Process) -> bool {
    assert!(!process.has_ended(), "the front ended:\n{}", process.written());
    false
}

/// One that stays free while nobody listens: on an address of this process, below the ports that the system gives away.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    // Others have what begins with 127.0 and 127.1. A process has a number of 22 bits at most.
    let own = Ipv4Addr::new(127, 0x80 | high, middle, low);
    SocketAddr::from((own, NEXT.fetch_add(1, Ordering::Relaxed)))
}
