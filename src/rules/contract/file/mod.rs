//! A contract's file, from its text to a contract that can be spoken.
//!
//! ```text
//! load      the text in, the contract out; loaded: what that is
//! layers    a file, what it extends, and what a realm changes, laid one over the other
//! raw       what every key is called, and of what type its value is
//! facts     what the house asks of a contract
//! requests  how its requests are read
//! languages what it says in each of its languages
//! old_system  what the answers of the API mean that it was
//! replies   what it answers: one response for every rejection and every denial
//! checker   what these share: problems, and templates with their places
//! schema    its keys as JSON Schema, for editors
//! shape     what a value of the wrong type should have been, from that schema
//! builtin   the texts that ship
//! ```

mod builtin;
mod checker;
mod facts;
mod languages;
mod layers;
mod load;
mod loaded;
#[cfg(test)]
mod messages;
mod old_system;
mod raw;
mod replies;
mod requests;
mod schema;
#[cfg(test)]
mod schema_tests;
mod shape;
#[cfg(test)]
mod tests;

pub(super) use builtin::TEXTS;
pub use builtin::text as builtin_text;
pub use layers::{Fault, Layer};
pub use load::{FILE_BYTES_MAX, load, load_layers};
pub use loaded::{FellBack, Loaded};
pub use schema::schema;
