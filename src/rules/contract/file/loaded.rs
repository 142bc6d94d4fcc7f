//! What is read of a contract's file.

use crate::rules::contract::engine::Translations;

/// A contract that was read, and which of its errors have no response of their own.
pub struct Loaded {
    /// The contract, in each of its languages.
    pub contract: Translations,
    /// What `other` answers.
    pub fell_back: FellBack,
}

/// The errors that can occur and have no response of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FellBack {
    /// Of token requests.
    pub rejections: Vec<&'static str>,
    /// Of routes.
    pub denials: Vec<&'static str>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("fell_back", &self.fell_back).finish_non_exhaustive()
    }
}
