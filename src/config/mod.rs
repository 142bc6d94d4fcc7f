//! Floor 6: `gateway.toml`, from its text to settings that are checked.
//!
//! ```text
//! reader/    the text, value by value; what is wrong, each with file:line:column
//! process/   what the process itself needs: [server] [admin] [store] [log] [keys] …
//! identity/  whose tokens and logins count: [tokens] [realms] [issuers] [verifiers]
//! upstreams  [upstreams.NAME]: the services behind
//! routing/   which requests are answered or forwarded: [[routes]] [[token_endpoints]] [oauth] [resources]
//! cross      what no section can see alone             (exact: exact routes beside weaker ones)
//! load       the file itself, and all of the above in order
//! settings   what comes out
//! ```
//!
//! Sections share `matching` (hosts, paths, methods) and `secure_url`.
//!
//! Holding [`GatewaySettings`] proves that the file was good: names are defined, no two routes match the same
//! requests, nothing leads to the admin listener. All problems are reported in one run. `docs/config.md` has every key.

mod cross;
mod exact;
mod identity;
mod load;
mod matching;
mod process;
mod reader;
mod routing;
mod secure_url;
mod settings;
#[cfg(test)]
mod tests;
mod upstreams;

pub use crate::domain::duration::parse as parse_duration;
pub use cross::leads_back;
pub use load::{CONFIG_VARIABLE, Origin, load, load_alone, parse};
#[cfg(test)]
use load::{FILE_BYTES_MAX, parse_part};
pub use process::store_at;
pub use reader::{Places, Position, Problem, Report};
pub use settings::{GatewaySettings, Summary, TakeoverSummary};
