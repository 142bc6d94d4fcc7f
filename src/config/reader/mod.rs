//! The file's text, read value by value. What is wrong is noted with its place, and reading goes on.
//!
//! ```text
//! report   what is wrong, each with file:line:column
//! syntax   what is wrong with a text that is no TOML
//! section  a table of the file, read key by key; nobody asked for a key → unknown
//! item     one value, read as what it should be
//!   expand ${ENV} in it
//!   size   "64KiB"
//! ```
//!
//! A table of TOML goes in; typed values come out. The rooms beside say what they mean.

mod expand;
mod item;
mod report;
mod section;
mod size;
mod syntax;

pub(super) use item::Item;
pub use report::{Places, Position, Problem, Report};
pub(super) use section::{Context, Placed, Scope, Section, Spot, near, suggestion};
pub(super) use syntax::problems;
