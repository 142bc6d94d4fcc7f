//! Another process takes over: nothing is refused, nothing is broken, nobody is left behind.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::{fs::PermissionsExt, fs::symlink, net::UnixDatagram},
    path::Path,
    process::Command,
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use serde_json::json;

use crate::support::{
    Authority, Config, Connection, Contract, Done, Folder, Gateway, Load, PATIENCE, Port, Process, RawUpstream,
    Secured, Upstream, WebSocket, WebSocketService, get, post, wait_until,
};

/// Upgrades in a row; `make upgrades` asks for 20.
const UPGRADES: usize = 3;

/// Connections that outlive an upgrade: what is revoked is looked at this often, at most.
const KEPT: usize = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// What is asked between two upgrades, at least.
const EXCHANGES_BETWEEN: u64 = 200;

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_portero"))
}

/// Whether a process has ended, be it that nobody has asked how.
fn has_ended(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|state| state.is_empty() || state.starts_with('Z'))
}

#[test]
fn upgrades_under_load_refuse_nothing_and_break_nothing() {
    let upgrades = env::var("PORTERO_UPGRADES").ok().map_or(UPGRADES, |text| text.parse().unwrap());
    let (upstream, service) = (Upstream::start(), WebSocketService::start());
    let ports = [(); 2].map(|()| Port::hold());
    let [front, secured] = ports.each_ref().map(address);
    let tls = "tls = [{ certificate = \"a.pem\", key = \"a.key\" }]";
    let config = Config::standard(upstream.address)
        .server(&format!("listen = [{{ address = \"{secured}\", {tls} }}, \"{front}\"]\ndrain_timeout = \"10s\""))
        .upstream("sockets", &[service.address])
        .route("sockets", "/sockets", "upstream = \"sockets\"\naccept = [\"sws\"]");
    let gateway = start_at(front, config.with_accounts_in(certified("a.test")));
    let token = gateway.login(Contract::Sws);
    let secured = Secured::new(secured, "a.test", &gateway.folder.file("ca.pem"));
    let load = Load::start_with_tls(front, &secured, &token);
    let bearer = format!("Bearer {token}");
    let open = || WebSocket::open(front, "/sockets", &[("Authorization", &bearer)]).unwrap();
    let mut sockets = vec![open()];
    let (mut pids, mut ended) = (vec![gateway.serving_pid()], vec![]);
    for _ in 0..upgrades {
        let before = load.exchanges();
        wait_until("there is load", PATIENCE, || load.exchanges() > before + EXCHANGES_BETWEEN);
        let answer = gateway.asked("upgrade --output json").json();
        assert_eq!(answer["handed_over_by"], *pids.last().unwrap());
        pids.push(answer["pid"].as_u64().unwrap());
        assert_eq!(gateway.serving_pid(), *pids.last().unwrap(), "operators are answered by the new process");
        assert_eq!(gateway.ask("/health/ready").status, 200);
        sockets.push(open());
        for socket in &mut sockets {
            socket.send("still here");
            assert_eq!(socket.receive().to_text().unwrap(), "still here");
        }
        // Those of a process that has long handed over end with it; that of the one before lives on.
        let old = sockets.remove(0);
        ended.push(thread::spawn(move || {
            let mut old = old;
            old.closed(PATIENCE)
        }));
    }
    let before = load.exchanges();
    wait_until("there is load", PATIENCE, || load.exchanges() > before + EXCHANGES_BETWEEN);
    let serving = pids.pop().unwrap();
    wait_until("the processes before have ended", PATIENCE, || pids.iter().all(|&pid| has_ended(pid)));
    assert!(!has_ended(serving));
    for socket in ended {
        assert_eq!(socket.join().unwrap().0, 1001, "told that it goes away before it is cut");
    }
    let Done { exchanges, forwarded, failures } = load.stop();
    assert!(
        failures.is_empty(),
        "{} of {exchanges} failed: {failures:?}\n{}",
        failures.len(),
        gateway.process.written()
    );
    assert_eq!(upstream.received_so_far().len() as u64, forwarded, "each request was sent once");
    println!("{upgrades} upgrades, {exchanges} exchanges, no failure");
}

#[test]
fn what_is_revoked_by_the_new_process_holds_on_connections_of_the_old_one() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let upstream = RawUpstream::start(move |stream| {
        if !stream.read() {
            return;
        }
        stream.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        // Until nobody can send any more.
        assert!(held.lock().unwrap().recv().is_err());
        stream.write("done");
    });
    let config = Config::standard(upstream.address).server("drain_timeout = \"60s\"");
    let gateway = Gateway::run_with_successors(binary(), config.with_accounts());
    let old = gateway.serving_pid();
    let token = gateway.login(Contract::Sws);
    // Connections of the old process that stay open. Each has one more request: its answer closes it.
    let mut kept: Vec<_> = (0..KEPT).map(|_| Connection::open(gateway.front)).collect();
    assert!(kept.iter_mut().all(|kept| kept.send(&get("/maxpoint")).status == 401));
    // Of another login: what is in flight ends with its token.
    let mut download = Connection::open(gateway.front);
    download.write(get("/sws").bearer(&gateway.login(Contract::Sws)).bytes()).unwrap();
    assert_eq!(download.receive_head().unwrap().status, 200);

    gateway.asked("upgrade").succeeded();
    assert_ne!(gateway.serving_pid(), old);
    gateway.api("/revocations/token", &json!({ "token": token }));
    gateway.wait_until_refused("the new process refuses it", "/sws", &token);
    assert!(!has_ended(old), "it has a download to end");
    wait_until("the old process refuses it", PATIENCE, || {
        let mut kept = kept.pop().unwrap();
        kept.write(get("/sws").bearer(&token).bytes()).unwrap();
        let answer = kept.receive_head().unwrap();
        assert_eq!(answer.header("Connection"), Some("close"), "{answer:?}");
        if answer.status != 401 {
            // Each look costs a connection: they are to last until it has read the revocation.
            thread::park_timeout(BETWEEN_LOOKS);
        }
        answer.status == 401
    });
    // Idle ones would be waited for; none is left.
    drop((kept, release));
    download.discard(8).unwrap();
    drop(download);
    wait_until("the old process has ended", PATIENCE, || has_ended(old));
}

#[test]
fn a_config_that_is_not_good_leaves_everything_as_it_was() {
    let upstream = Upstream::start();
    let config = Config::standard(upstream.address);
    let gateway = Gateway::run_with_successors(binary(), config.with_accounts());
    let pid = gateway.serving_pid();
    config.clone().text("[[routes]]\nname = \"broken\"\n").write_to(&gateway.folder);
    let ran = gateway.asked("upgrade");
    assert!(ran.code == 1 && ran.stderr.contains("routes[6].upstream"), "{ran:?}");
    let answer = ask_upgrade(&gateway);
    assert_eq!(answer.status, 409);
    assert!(answer.text().contains("routes[6].upstream"), "the new process's words: {}", answer.text());
    assert_eq!((gateway.serving_pid(), gateway.send(&get("/public")).status), (pid, 200));
    config.write_to(&gateway.folder);
    gateway.asked("upgrade").succeeded();
    assert_ne!(gateway.serving_pid(), pid);
    assert_eq!(gateway.send(&get("/public")).status, 200);
}

fn ask_upgrade(gateway: &Gateway) -> crate::support::Response {
    let request = post("/api/v1/upgrade", "{}").header("Host", "localhost").bearer(&gateway.admin_token());
    Connection::open(gateway.admin).send(&request)
}

#[test]
fn a_new_process_that_hangs_or_is_killed_leaves_everything_as_it_was() {
    let upstream = Upstream::start();
    let folder = Config::standard(upstream.address).with_accounts();
    let (program, pid_file) = (folder.file("portero"), folder.file("pid"));
    symlink(binary(), &program).unwrap();
    let gateway = Gateway::run_with_successors(&program, folder);
    let pid = gateway.serving_pid();
    fs::remove_file(&program).unwrap();
    let missing = gateway.asked("upgrade");
    assert!(missing.code == 1 && missing.stderr.contains("cannot be started"), "{missing:?}");

    let script = format!("#!/bin/sh\necho $$ > {0}.new; mv {0}.new {0}\nexec sleep 600\n", pid_file.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let successor = || fs::read_to_string(&pid_file).ok()?.trim().parse::<u64>().ok();
    // On a busy machine one may be ended before it has said who it is.
    wait_until("one that hangs has begun", PATIENCE, || {
        let hung = gateway.asked("upgrade --timeout 3s");
        assert!(hung.code == 1 && hung.stderr.contains("did not serve within 3s"), "{hung:?}");
        successor().is_some()
    });
    wait_until("it was ended", PATIENCE, || successor().is_some_and(has_ended));

    fs::remove_file(&pid_file).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| ask_upgrade(&gateway));
        wait_until("the new process runs", PATIENCE, || successor().is_some());
        let second = ask_upgrade(&gateway);
        assert!(second.status == 409 && second.text().contains("under way"), "{}", second.text());
        assert_eq!(gateway.send(&get("/public")).status, 200);
        let killed = Command::new("kill").args(["-s", "KILL", &successor().unwrap().to_string()]).status().unwrap();
        assert!(killed.success());
        let first = first.join().unwrap();
        assert!(first.status == 409 && first.text().contains("ended before it served"), "{}", first.text());
    });
    assert_eq!((gateway.serving_pid(), gateway.send(&get("/public")).status), (pid, 200));

    fs::remove_file(&program).unwrap();
    symlink(binary(), &program).unwrap();
    gateway.asked("upgrade").succeeded();
    assert_ne!(gateway.serving_pid(), pid);
}

#[test]
fn listeners_that_the_new_config_adds_and_removes_are_opened_and_closed() {
    let upstream = Upstream::start();
    let ports = [(); 3].map(|()| Port::hold());
    let [kept, removed, added] = ports.each_ref().map(address);
    let config = Config::standard(upstream.address);
    let folder = config.clone().server(&format!("listen = [\"{kept}\", \"{removed}\"]")).with_accounts();
    let gateway = start_at(kept, folder);
    // One that is closed meanwhile may have been accepted.
    let status = |address: SocketAddr| {
        let answer = Connection::try_open(address).and_then(|mut connection| connection.try_send(&get("/public")));
        answer.map(|answer| answer.status).ok()
    };
    assert_eq!([kept, removed, added].map(status), [Some(200), Some(200), None]);
    config.server(&format!("listen = [\"{added}\", \"{kept}\"]")).write_to(&gateway.folder);
    gateway.asked("upgrade").succeeded();
    assert_eq!([kept, added].map(status), [Some(200), Some(200)]);
    wait_until("the removed one is closed", PATIENCE, || status(removed).is_none());
}

/// A gateway that listens at `front` and elsewhere.
fn start_at(front: SocketAddr, folder: Folder) -> Gateway {
    let mut command = Command::new(binary());
    command.args(["run", "--config", &folder.config()]);
    let process = Process::spawn_with_successors(&mut command);
    let admin = process.event("listening")["admin"].as_str().unwrap().parse().unwrap();
    Gateway { process, front, admin, folder }
}

/// A folder with a certificate for `host` in `a.pem`, of the authority in `ca.pem`.
fn certified(host: &str) -> Folder {
    let (folder, authority) = (Folder::new(), Authority::new());
    authority.write(&folder, "ca");
    authority.issue(&folder, "a", host);
    folder
}

fn address(port: &Port) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port.number))
}

#[test]
fn a_door_stays_with_its_address_when_the_new_config_turns_their_order() {
    let upstream = Upstream::start();
    let ports = [(); 2].map(|()| Port::hold());
    let [plain, secured] = ports.each_ref().map(address);
    let tls = format!("{{ address = \"{secured}\", tls = [{{ certificate = \"a.pem\", key = \"a.key\" }}] }}");
    let config = Config::standard(upstream.address);
    let before = config.clone().server(&format!("listen = [\"{plain}\", {tls}]"));
    let gateway = start_at(plain, before.with_accounts_in(certified("a.test")));
    config.server(&format!("listen = [{tls}, \"{plain}\"]")).write_to(&gateway.folder);
    gateway.asked("upgrade").succeeded();
    assert_eq!(Connection::open(plain).send(&get("/public")).status, 200);
    let mut clear = Connection::open(secured);
    clear.write(get("/public").bytes()).unwrap();
    assert!(!clear.rest().unwrap_or_default().starts_with(b"HTTP"), "a door with TLS serves nothing in the clear");
    let token = gateway.login(Contract::Sws);
    let load = Load::start_with_tls(plain, &Secured::new(secured, "a.test", &gateway.folder.file("ca.pem")), &token);
    wait_until("both doors serve", PATIENCE, || load.exchanges() > EXCHANGES_BETWEEN);
    let Done { failures, .. } = load.stop();
    assert!(failures.is_empty(), "{failures:?}");
}

/// Starts the gateway as systemd does: the sockets from descriptor 3 on, and where to notify.
fn activate(folder: &Folder, sockets: &[&TcpListener], notify: &Path) -> Process {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\""]).arg(binary());
    command.args(["run", "--config", &folder.config()]).env("LISTEN_FDS", sockets.len().to_string());
    command.env("NOTIFY_SOCKET", notify).env_remove("LISTEN_FDNAMES");
    let mapping = |(child_fd, socket): (i32, &&TcpListener)| FdMapping {
        parent_fd: socket.try_clone().unwrap().into(),
        child_fd,
    };
    command.fd_mappings((3..).zip(sockets).map(mapping).collect()).unwrap();
    Process::spawn_with_successors(&mut command)
}

#[test]
fn a_restart_under_systemd_refuses_nothing_and_systemd_hears_of_it() {
    let upstream = Upstream::start();
    let [front, admin] = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [at_front, at_admin] = [&front, &admin].map(|socket| socket.local_addr().unwrap());
    let config = Config::standard(upstream.address).server(&format!("listen = [\"{at_front}\"]"));
    let folder = config.with_accounts();
    let toml = config.toml().replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{at_admin}\""));
    fs::write(folder.config(), toml).unwrap();
    let notify = folder.file("notify");
    let heard = UnixDatagram::bind(&notify).unwrap();
    heard.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut states = [0; 4096];
        let length = heard.recv(&mut states).unwrap();
        String::from_utf8_lossy(&states[..length]).into_owned()
    };
    // In any order: they are matched by address.
    let mut gateway = Gateway::of(activate(&folder, &[&admin, &front], &notify), folder);
    assert_eq!((gateway.front, gateway.admin), (at_front, at_admin));
    assert!(hear().contains("READY=1"));
    let token = gateway.login(Contract::Sws);
    let load = Load::start(at_front, &token);
    for _ in 0..2 {
        let before = load.exchanges();
        wait_until("there is load", PATIENCE, || load.exchanges() > before + EXCHANGES_BETWEEN);
        let Gateway { process, folder, .. } = gateway;
        process.signal("TERM");
        assert!(hear().contains("STOPPING=1"));
        process.finish().succeeded();
        gateway = Gateway::of(activate(&folder, &[&admin, &front], &notify), folder);
        assert!(hear().contains("READY=1"));
    }
    let before = load.exchanges();
    wait_until("there is load", PATIENCE, || load.exchanges() > before + EXCHANGES_BETWEEN);
    gateway.asked("reload").succeeded();
    let reloading = hear();
    assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert!(hear().contains("READY=1"));
    gateway.asked("upgrade").succeeded();
    assert!(hear().contains(&format!("MAINPID={}", gateway.serving_pid())));
    let before = load.exchanges();
    wait_until("there is load", PATIENCE, || load.exchanges() > before + EXCHANGES_BETWEEN);
    let Done { exchanges, failures, .. } = load.stop();
    assert!(failures.is_empty(), "{} of {exchanges} failed: {failures:?}", failures.len());
}
