//! nginx as an upstream: what many services stand behind.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

use super::{Folder, PATIENCE, Port, wait_until};

/// A running nginx. It is killed when this is dropped.
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    pub(crate) folder: Folder,
    child: Child,
    _port: Port,
}

impl Nginx {
    /// One with a server that listens as `listen` says (`ssl`, `http2`) and has these directives.
    /// `{folder}` in them stands for `folder`.
    pub(crate) fn start(folder: Folder, listen: &str, directives: &str) -> Self {
        let port = Port::hold();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number));
        let path = folder.path().to_str().unwrap().to_owned();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {path}/{kind};"))
            .join("\n");
        let directives = directives.replace("{folder}", &path);
        let config = format!(
            "daemon off;\nmaster_process off;\npid {path}/nginx.pid;\nerror_log {path}/error.log;\nevents {{}}\n\
             http {{\n{temporary}\n\
             log_format seen '$ssl_session_reused $ssl_protocol $ssl_client_s_dn $request $connection';\n\
             access_log {path}/access.log seen;\nserver {{\nlisten {address} {listen};\n{directives}\n}}\n}}\n"
        );
        fs::write(folder.file("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-p", &path, "-c", &format!("{path}/nginx.conf"), "-e", &format!("{path}/error.log")]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("nginx is installed");
        let nginx = Self { address, folder, child, _port: port };
        wait_until("nginx listens", PATIENCE, || TcpStream::connect(address).is_ok());
        nginx
    }

    /// A line a request: whether its TLS session was resumed, the TLS version, the client certificate's subject, the
    /// request line, the connection's number.
    pub(crate) fn seen(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.file("access.log")).unwrap();
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
