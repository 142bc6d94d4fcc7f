//! Whether the keys are known.

/// What is known of the keys that tokens are checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Those in force.
    Known,
    /// None: there is a config, and no store.
    Unknown,
}
