//! How an account is named and shown, whatever the contract.

use super::id::PrincipalId;

/// How a contract names an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName {
    /// `toc`'s business, which is a part of the name; empty elsewhere.
    pub business: String,
    /// username, clientId, `client_id` or proyecto.
    pub name: String,
}

/// The account as an answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The principal's uuid.
    pub id: PrincipalId,
    /// How the account is named.
    pub name: AccountName,
    /// The name that people read (`nombre`); the account's name where it has none.
    pub display_name: String,
    /// The integer id of `sws`.
    pub legacy_id: Option<i64>,
    /// The role, empty where there is none.
    pub role: String,
    /// Scopes or permissions.
    pub scopes: Vec<String>,
    /// `become`'s company.
    pub company: Option<String>,
}
