//! What the store knows of a key beside its material: what `portero key list` shows and the schedule goes by.

use std::str::FromStr;

use super::{KeyState, VaultError};
use crate::{
    domain::{Algorithm, KeyId, RealmName, Timestamp},
    rules::profile::ClaimProfile,
    state::store::{Column, Row},
};

/// A key without its material.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts of a row, each of its own")]
pub struct KeyRecord {
    /// `kid`.
    pub id: KeyId,
    /// Whose tokens it signs.
    pub realm: RealmName,
    /// The one algorithm it is used with.
    pub algorithm: Algorithm,
    /// Where it stands.
    pub state: KeyState,
    /// Whether it is a public key alone.
    pub verify_only: bool,
    /// Whether it came from outside.
    pub imported: bool,
    /// Whether the schedule leaves it where it is (`key import --sign`).
    pub pinned: bool,
    /// Whether its material is gone.
    pub wiped: bool,
    /// Of a next key: whether an administrator asked for it, so that it signs as soon as it may.
    pub asked: bool,
    /// Of one that came from outside: whether tokens of accounts that the store does not have are taken.
    pub unknown_accounts: bool,
    /// How its tokens are read, where they are not like Portero's own.
    pub profile: Option<ClaimProfile>,
    /// When it was made or imported; published from then on.
    pub created_at: Timestamp,
    /// When it began to sign.
    pub activated_at: Option<Timestamp>,
    /// When it stopped signing.
    pub retiring_since: Option<Timestamp>,
    /// Of a retiring key: when its last token has ended; `None` is never by itself.
    pub retires_at: Option<Timestamp>,
    /// When it was retired or revoked.
    pub ended_at: Option<Timestamp>,
}

impl KeyRecord {
    /// Reads a row of the view `known_keys`.
    pub(super) fn read(row: &Row) -> Result<Self, VaultError> {
        let id = KeyId::from_text(column(row, "id")?);
        let unknown = |what, word: &str| VaultError::Unknown(id.clone(), what, word.to_owned());
        let (realm, algorithm, state): (&str, &str, &str) =
            (column(row, "realm")?, column(row, "algorithm")?, column(row, "state")?);
        let profile: Option<&str> = column(row, "profile")?;
        let profile = profile.map(serde_json::from_str).transpose();
        let instant = |name| Ok::<_, VaultError>(column::<Option<i64>>(row, name)?.map(Timestamp::from_millis));
        Ok(Self {
            realm: realm.parse().map_err(|_| unknown("realm", realm))?,
            algorithm: Algorithm::from_str(algorithm).map_err(|_| unknown("algorithm", algorithm))?,
            state: KeyState::from_name(state).ok_or_else(|| unknown("state", state))?,
            verify_only: column::<&str>(row, "form")? == "public",
            imported: column(row, "imported")?,
            pinned: column(row, "pinned")?,
            wiped: column(row, "wiped")?,
            asked: column(row, "asked")?,
            unknown_accounts: column(row, "unknown_accounts")?,
            profile: profile.map_err(|error| unknown("profile", &error.to_string()))?,
            created_at: Timestamp::from_millis(column(row, "created_at")?),
            activated_at: instant("activated_at")?,
            retiring_since: instant("retiring_since")?,
            retires_at: instant("retires_at")?,
            ended_at: instant("ended_at")?,
            id,
        })
    }
}

pub(super) fn column<'r, T: Column<'r>>(row: &'r Row, name: &str) -> Result<T, VaultError> {
    Ok(row.get(name)?)
}
