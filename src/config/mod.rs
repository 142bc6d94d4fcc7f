//! Floor 5: `gateway.toml`, from its text to settings that are checked.
//!
//! ```text
//! report    what is wrong, each with file:line:column
//! reader    a table of the file, read key by key; nobody asked for a key → unknown
//! item      one value, read as what it should be          (expand: ${ENV} · size: "64KiB")
//! process   [server] [admin] [log] [audit] [passwords] [throttle] [cache] [reload]
//! store     [store]: a file, or a PostgreSQL server
//! listen    server.listen: addresses, TLS, PROXY protocol
//! keys      [keys]
//! realms    [tokens] [realms.NAME]                          (dialect: which contract a realm speaks)
//! issuers   [issuers.NAME]
//! upstreams [upstreams.NAME]                          (upstream_tls: its tls)
//! resources [resources.NAME]: what OAuth clients read about a protected resource
//! matching  hosts, paths and methods of routes and token endpoints
//! routes    [[routes]] with what they ask for (policy), change (rewrite) and let pages do (cors)
//! endpoints [[token_endpoints]]
//! verifiers [verifiers.NAME]
//! oauth     [oauth]
//! cross     what no section can see alone             (exact: exact routes beside weaker ones)
//! syntax    what is wrong with a text that is no TOML
//! load      the file itself, and all of the above in order
//! ```
//!
//! Holding [`GatewaySettings`] proves that the file was good: every name that is used is defined, no two routes
//! match the same requests, nothing leads to the admin listener. Everything that is wrong is
//! reported in one run. `docs/config.md` has every key.

mod claims;
mod cors;
mod cross;
mod dialect;
mod endpoints;
mod exact;
mod expand;
mod introspection;
mod issuers;
mod item;
mod keys;
mod listen;
mod load;
mod matching;
mod oauth;
mod policy;
mod process;
mod reader;
mod realms;
mod report;
mod resources;
mod rewrite;
mod routes;
mod secure_url;
mod settings;
mod size;
mod store;
mod syntax;
#[cfg(test)]
mod tests;
mod upstream_tls;
mod upstreams;
mod verifiers;

pub use crate::domain::duration::parse as parse_duration;
pub use cross::leads_back;
pub use load::{CONFIG_VARIABLE, Origin, load, load_alone, parse};
#[cfg(test)]
use load::{FILE_BYTES_MAX, parse_part};
pub use report::{Places, Position, Problem, Report};
pub use settings::{GatewaySettings, Summary, TakeoverSummary};
pub use store::store_at;
