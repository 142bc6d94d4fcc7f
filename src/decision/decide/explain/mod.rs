//! Why a request is let through or refused: the decision itself, rehearsed, with each of its steps in words.
//!
//! It is [`crate::decision::decide()`] that decides, not a copy of it, and nothing comes of it: no token is remembered,
//! none is counted as bad, no metric moves, and no external issuer is asked.
//!
//! ```text
//! question   the request that is asked about
//! explained  the decision about it, and how it came about
//! steps      its steps; words: in words
//! forwarded  what an upstream would receive
//! keys       whether the keys are known
//! ```

mod explained;
mod forwarded;
mod keys;
mod question;
mod steps;
mod words;

pub use explained::{Explained, explain};
pub use forwarded::Forwarded;
pub use keys::Keys;
pub use question::{Inquiry, NoRequest, Question};
pub use steps::{Outcome, Step};
