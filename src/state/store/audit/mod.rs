//! Administrative changes, each with its row in the audit log.
//!
//! An [`AuditedStore`] is a store and who changes it. What an administrator may change takes one: accounts, companies,
//! keys, admin tokens, the clock's word. Its transactions commit with an [`Entry`] only, in which the change says what
//! it did, and the row is written in the same commit. So there is no change without its row, and no row without its
//! change.
//!
//! ```text
//! actor     who, and from where                   entry     what was done to what: old → new
//! rows      the rows, chained by their codes      anchors   how far each chain had come
//! audited   a store and who changes it
//! ```

mod actor;
mod anchors;
mod audited;
mod entry;
mod rows;

pub use self::{
    actor::{Actor, ActorKind},
    anchors::{ANCHORS_KEPT, Anchor, AnchorRow, anchors, forget_anchors, set_anchor},
    entry::{Action, Entry},
    rows::{AuditRow, head, page},
};
pub use audited::{AuditedStore, AuditedTransaction};
