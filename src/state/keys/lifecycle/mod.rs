//! What changes a realm's keys. Every step is one transaction of the vault, in the turn of keys.
//!
//! ```text
//! import    a key from outside → the realm's keys
//! rotation  next → active → retiring, and revoking
//! ending    retiring → retired, and what is wiped and forgotten then
//! ```
//!
//! `import` uses the other two; `rotation` uses `ending`.

mod ending;
mod import;
mod rotation;

pub use ending::{RETIRED_KEPT, Restored, RetiredAtOnce, SEALED_KEPT, verifies};
pub use import::{Import, ImportError, Use, takes_old_tokens};
pub use rotation::OldKeyPlan;
