//! From a request's host, path and method to the one route that speaks for it.

mod host;
mod literal;
mod method;
mod path;
mod router;

pub use host::{Host, HostPattern, InvalidHost, LowerCaseHost};
pub use literal::{PathPattern, PatternKind, pattern_in};
pub use method::{has_lower_case, is_never_forwarded};
pub use path::{CanonicalPath, PathError};
pub use router::{Candidate, Conflict, Found, Pattern, Router};
