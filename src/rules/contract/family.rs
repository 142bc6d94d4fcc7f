//! Which of the contracts that began as somebody's own API an old system speaks.

use super::Dialect;

/// The contract that a dialect is, or is a variant of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `sws`
    Sws,
    /// `apis`
    Apis,
    /// `toc`
    Toc,
    /// `maxpoint`
    Maxpoint,
    /// `become`
    Become,
    /// Any other: what an answer of it means has to be said in the config.
    Other,
}

impl Family {
    /// All with a contract of their own.
    pub const KNOWN: [Self; 5] = [Self::Sws, Self::Apis, Self::Toc, Self::Maxpoint, Self::Become];
}

impl Dialect {
    /// The family that it belongs to.
    #[must_use]
    pub fn family(&self) -> Family {
        let facts = self.facts();
        match facts.extends.as_deref().unwrap_or(&facts.name) {
            "sws" => Family::Sws,
            "apis" => Family::Apis,
            "toc" => Family::Toc,
            "maxpoint" => Family::Maxpoint,
            "become" => Family::Become,
            _ => Family::Other,
        }
    }
}
