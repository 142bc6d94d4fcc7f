//! What is known of a key from outside, beside its material and how its tokens are read.

use uuid::Uuid;

use crate::domain::{PrincipalId, TokenSubject};

/// Bytes of an account and its epoch, as the store keeps them.
const ENTRY_BYTES: usize = 20;

/// Whose tokens an imported key may have signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Whether tokens of accounts that the store does not have are taken.
    pub unknown_accounts: bool,
    /// Accounts whose epoch had been raised when the key was imported, in order.
    epochs: Box<[(PrincipalId, u32)]>,
}

impl Imported {
    /// A key that was imported when accounts had these epochs; all others had 0.
    #[must_use]
    pub fn new(unknown_accounts: bool, epochs: impl IntoIterator<Item = (PrincipalId, u32)>) -> Self {
        let mut epochs: Vec<_> = epochs.into_iter().collect();
        epochs.sort_unstable_by_key(|(id, _)| id.uuid());
        Self { unknown_accounts, epochs: epochs.into() }
    }

    /// The epoch of a token that carries none: what its account had when the key was imported. Of an account that the
    /// token names in two ways, the lower one counts.
    #[must_use]
    pub fn epoch_of(&self, subject: &TokenSubject) -> u32 {
        let epoch_of = |id: PrincipalId| {
            let place = self.epochs.binary_search_by_key(&id.uuid(), |(id, _)| id.uuid());
            place.map_or(0, |place| self.epochs[place].1)
        };
        subject.accounts().map(epoch_of).min().unwrap_or(0)
    }

    /// The epochs, as the store keeps them.
    pub(in crate::state::keys) fn to_bytes(&self) -> Vec<u8> {
        let entry = |(id, epoch): &(PrincipalId, u32)| [id.uuid().as_bytes(), &epoch.to_be_bytes()[..]].concat();
        self.epochs.iter().flat_map(entry).collect()
    }

    /// Read back; `None` where these are no epochs.
    pub(in crate::state::keys) fn from_bytes(unknown_accounts: bool, bytes: &[u8]) -> Option<Self> {
        let entries = bytes.chunks_exact(ENTRY_BYTES);
        let whole = entries.remainder().is_empty();
        let entry = |entry: &[u8]| {
            let (id, epoch) = entry.split_at_checked(16)?;
            Some((PrincipalId::from_uuid(Uuid::from_slice(id).ok()?), u32::from_be_bytes(epoch.try_into().ok()?)))
        };
        let epochs = entries.map(entry).collect::<Option<Vec<_>>>()?;
        whole.then(|| Self::new(unknown_accounts, epochs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_come_back_as_they_went_in_and_the_lower_one_counts() {
        let ids = [(); 3].map(|()| PrincipalId::generate());
        let imported = Imported::new(true, [(ids[0], 5), (ids[1], 3)]);
        let read = Imported::from_bytes(true, &imported.to_bytes()).unwrap();
        assert_eq!(read, imported);
        let subjects = [TokenSubject::Account(ids[0]), TokenSubject::Named(ids[1]), TokenSubject::Account(ids[2])];
        assert_eq!(subjects.map(|subject| read.epoch_of(&subject)), [5, 3, 0]);
        assert_eq!(read.epoch_of(&TokenSubject::Imported { id: ids[0], named: ids[1] }), 3);
        assert_eq!(read.epoch_of(&TokenSubject::Imported { id: ids[0], named: ids[2] }), 0);
        assert_eq!(Imported::from_bytes(true, &imported.to_bytes()[1..]), None);
    }
}
