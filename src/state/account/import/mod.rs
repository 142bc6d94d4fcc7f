//! Accounts of another system, many at a time.
//!
//! ```text
//! point    how far an import is, in the transaction of its last batch
//! batch    one transaction: what is there already, what is made
//! update   what a row changes of an account that is there
//! formats  how many accounts have which hash
//! sealed   those whose hash waits to be wrapped
//! kind     what is imported: accounts or companies
//! ```

mod batch;
mod formats;
mod kind;
mod point;
mod sealed;
mod update;

pub use batch::{Batch, Imported, Taken};
pub use formats::{FormatCount, foreign_formats, formats, unfinished};
pub use kind::ImportKind;
pub use point::{Claim, Counts, ImportError, Point, Progress, find};
pub use sealed::{SEALED_AT_ONCE, sealed_after, sealed_count, store_wrapped};
pub use update::{Existing, Status, Update, Updated, changed};
