//! Several gateways on one PostgreSQL. Each is a real process and reaches a real server through a network that the test
//! can break.
//!
//! In every fault the same holds: what is acknowledged at one gateway is refused at all of them, or they refuse for
//! want of the store; what is checked goes on until `store.max_staleness`; and everything heals by itself.
//!
//! `fleet` starts them. `together`: nothing fails. `start`: who may join. `outages`: the server, its disk or the
//! network fails. `failover`: another server takes over, or an older state. `clocks`: the time is not the same
//! everywhere. `encrypted`: the way to the server. `cold_starts`: a gateway starts while the server is away.
//! `upgrades`: another process is to take over meanwhile. `throttles`: failed logins.

mod clocks;
mod cold_starts;
mod encrypted;
mod failover;
mod fleet;
mod outages;
mod start;
mod throttles;
mod together;
mod upgrades;
