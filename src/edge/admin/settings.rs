//! What the admin listener needs to know.

use std::{net::SocketAddr, path::PathBuf};

/// The admin listener's settings. Changing them needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where operators connect; default `127.0.0.1:9901`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The file with the bearer token of the API, made at first start, mode 0600; default `admin.token`.
    pub token_file: PathBuf,
    /// Names under which the listener answers, beside literal addresses and `localhost`; default none.
    pub hosts: Vec<Box<str>>,
}
