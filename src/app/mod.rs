//! Floor 7: the wiring. Which piece gets which, in which order they start, and how they stop.
//!
//! What runs where: workers (`edge::front::Workers`), each with a runtime of its own, accept connections in turn,
//! decide and forward; one thread says whose turn it is; the control runtime talks to the store and waits for password
//! hashes; the admin listener has its own, so that it answers when the others are busy.
//!
//! ```text
//! start · examine   what keeps a gateway from starting; what `portero check` looks at beside the config
//! core      what everything else works with
//! control   signals, and the limit on open files
//! gateway   starts everything; run: serves until it is told to stop
//! sockets   listening sockets, inherited ones too
//! tasks     what goes on beside requests
//! reload · watch   the config, read again
//! upgrade · notice · opening   another process takes over; what systemd is told; a store that is away
//! ```

mod control;
mod core;
pub mod examine;
mod gateway;
mod notice;
mod opening;
mod reload;
mod run;
mod sockets;
mod start;
mod tasks;
mod upgrade;
mod watch;

pub use self::{
    control::Control,
    core::{Making, make_vault, open_vault},
    gateway::Gateway,
    sockets::{Inherited, Predecessor, Sockets},
    upgrade::Program,
};
use start::warn_of;
pub use start::{SHADOW_MEANS, StartError, environment, load, load_alone};
