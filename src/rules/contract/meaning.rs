//! What the members of a login are.

/// What a member of a login is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The account's name.
    Name,
    /// Its business, which is a part of its name.
    Business,
    /// Its secret.
    Secret,
}
