//! Asking an old system, under bounds that no stranger can pass: what it can never have given out is not asked, the
//! same question is asked once at a time, a refusal is remembered for a moment, and clients take turns.
//!
//! ```text
//! logins     questions about logins: an old system that can be asked
//! answer     what came of one
//! flights    questions that are under way, and refusals that are remembered, under a keyed hash
//! availability  whether the system is believed, and whether it is away (pure)
//! pace       so many questions a second (pure)
//! tokens     the same for tokens of the system's own, and of issuers that are asked
//! endpoint   where these are asked, and whether what stands there is believed
//! told       what the log says of the systems that are asked about tokens
//! takeovers  what is remembered while accounts are taken over
//! ledger     what was counted, until it is written
//! table      tokens of old systems, in memory as the store has them
//! unconfirmed  logins that were decided while the system was away, with what it is asked about them
//! ```

mod answer;
mod availability;
mod endpoint;
mod flights;
pub mod ledger;
mod logins;
mod pace;
pub mod table;
mod takeovers;
pub mod tokens;
mod told;
pub mod unconfirmed;

pub use answer::Answered;
pub use availability::Trust;
pub use logins::{Question, Verifier};
pub use takeovers::Takeovers;
