//! nginx and Python's `http.server` as upstreams, killed and started again.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

use super::{is_healthy, named_pool, nobody, pool, start};
use crate::support::{Connection, Folder, Nginx, PATIENCE, RawUpstream, Request, get, wait_until};

/// `python3 -m http.server` on a folder with one file, `file.txt`.
struct Python {
    child: Child,
    address: SocketAddr,
}

impl Python {
    fn on(address: SocketAddr, folder: &Folder) -> Self {
        fs::write(folder.file("file.txt"), "from a snake").unwrap();
        let mut command = Command::new("python3");
        command.args(["-m", "http.server", &address.port().to_string(), "--bind", "127.0.0.1"]);
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let python = Self { child: command.spawn().expect("python3 is installed"), address };
        wait_until("Python listens", PATIENCE, || TcpStream::connect(address).is_ok());
        python
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_of_http_1_0_answers_whole() {
    let folder = Folder::new();
    let python = Python::on(nobody(), &folder);
    let gateway = start(&pool(&[python.address], ""));
    let mut connection = Connection::open(gateway.front);
    for _ in 0..3 {
        assert_eq!(connection.send(&get("/file.txt")).text(), "from a snake");
        assert_eq!(connection.send(&Request::new("HEAD", "/file.txt")).status, 200);
        assert_eq!(connection.send(&get("/none")).status, 404);
        assert_eq!(connection.send(&Request::new("PUT", "/file.txt").body("x")).status, 501);
    }
}

#[test]
fn a_service_outlives_each_of_its_servers() {
    let folder = Folder::new();
    let first = nobody();
    let python = Python::on(first, &folder);
    let nginx = Nginx::start(Folder::new(), "", "location / { return 200 \"from a worker\"; }");
    let more = "eject = { failures = 2, for = \"200ms\" }\nhealth = { path = \"/file.txt\", interval = \"100ms\" }";
    let gateway = start(&named_pool(&format!("\"{first}\", \"{}\"", nginx.address), more));
    let mut connection = Connection::open(gateway.front);
    let mut ask = || connection.send(&get("/file.txt"));
    let mut both: Vec<_> = (0..2).map(|_| ask().text()).collect();
    both.sort_unstable();
    assert_eq!(both, ["from a snake", "from a worker"]);

    drop(python);
    for _ in 0..20 {
        assert_eq!(ask().text(), "from a worker", "no request is lost with the server");
    }
    wait_until("it is known to be away", PATIENCE, || !is_healthy(&gateway, first));
    let python = Python::on(first, &folder);
    wait_until("it is known to be back", PATIENCE, || {
        ask();
        is_healthy(&gateway, first)
    });
    drop(nginx);
    for _ in 0..20 {
        assert_eq!(ask().text(), "from a snake");
    }
    drop(python);
}

#[test]
fn a_name_stands_for_its_addresses() {
    let nginx = Nginx::start(Folder::new(), "", "location / { return 200 named; }");
    let port = nginx.address.port();
    let gateway = start(&named_pool(&format!("\"localhost:{port}\""), ""));
    assert_eq!(gateway.send(&get("/")).text(), "named");
}

#[test]
fn a_name_that_leads_nowhere_yet_does_not_keep_the_gateway_from_starting() {
    let nginx = Nginx::start(Folder::new(), "", "location / { return 200 here; }");
    let servers = format!("\"nowhere.invalid:80\", \"{}\"", nginx.address);
    let gateway = start(&named_pool(&servers, "resolve = \"100ms\""));
    gateway.process.event("a server's name could not be looked up; what is known of it stays");
    let mut connection = Connection::open(gateway.front);
    assert!((0..4).all(|_| connection.send(&get("/")).text() == "here"));
    let nowhere = "portero_upstream_healthy{server=\"nowhere.invalid:80\",upstream=\"service\"} 0";
    assert!(gateway.ask("/metrics").text().contains(nowhere));
    let alone = start(&named_pool("\"nowhere.invalid:80\"", ""));
    assert_eq!(alone.send(&get("/")).status, 503);
}

#[test]
fn an_answer_that_ends_with_the_connection_is_whole() {
    let old = RawUpstream::start(|stream| {
        stream.read();
        stream.write("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil ");
        stream.write("the end");
    });
    let gateway = start(&pool(&[old.address], ""));
    let mut connection = Connection::open(gateway.front);
    for _ in 0..2 {
        assert_eq!(connection.send(&get("/")).text(), "until the end");
    }
}
