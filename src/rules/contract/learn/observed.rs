//! What goes in, and what comes out.

use crate::rules::contract::Recorded;

/// An exchange and the path that it went to.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'r> {
    /// The path, without the query.
    pub path: &'r str,
    /// The exchange.
    pub recorded: &'r Recorded,
}

/// What was learnt.
#[derive(Clone, Debug)]
pub struct Learnt {
    /// The text of a contract's file.
    pub text: String,
    /// The places of the exchanges that say nothing about it: another contract's denials.
    pub others: Vec<usize>,
}
