//! Drafts a contract's file from recorded exchanges of an old endpoint.
//!
//! ```text
//! purpose   what each exchange was for: the logins that succeeded, their members, the refreshes, the routes
//! success   an answer to a success, with holes where tokens, names and dates stand
//! tokens    what the tokens of the recordings tell of themselves
//! failure   which error each refusal was, and what the errors share
//! missing   how an error speaks of the members that are missing
//! learnt    what is learnt of all that
//! observed  an exchange and its path, and what comes out
//! secrecy   whether a draft would tell a secret
//! spelling  how bodies, names and texts are read and written
//! draft     all of it as a file, with its guesses as comments
//! ```
//!
//! Passwords and tokens are recognised and never written. What a recording cannot say is guessed, and said to be.

mod draft;
mod failure;
mod learnt;
mod missing;
mod observed;
mod purpose;
mod secrecy;
mod spelling;
mod success;
mod tokens;

pub use learnt::learn;
pub use observed::{Learnt, Observed};
