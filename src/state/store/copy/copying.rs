//! A store and its copy, both open.

use std::path::absolute;

use super::{
    super::{Store, StoreError, StoreSettings, meta::status_in, status::StoreStatus},
    error::CopyError,
    target::{self, Found},
};

/// A store and its copy, both open.
#[derive(Debug)]
pub struct Copying {
    pub(super) from: Store,
    /// The same, for transactions that last.
    pub(super) reading: Store,
    pub(super) copy: target::Copy,
    pub(super) origin: String,
    pub(super) to: String,
}

/// What [`begin`] found.
#[derive(Debug)]
pub enum Begun {
    /// There is something to do.
    Copying(Box<Copying>),
    /// The source has moved there, and the copy is the store.
    Moved,
}

/// Opens the store and its copy; makes the copy where there is none.
///
/// # Errors
/// Fails when there is something else at the place of the copy, or when one of both cannot be opened.
pub async fn begin(from: &StoreSettings, to: &StoreSettings) -> Result<Begun, CopyError> {
    let (from_address, to_address) = (address(from)?, address(to)?);
    if from_address == to_address {
        return Err(CopyError::SamePlace);
    }
    let source = Store::open_as_it_stands(from).await?;
    let begun = begin_with(&source, to, &from_address, &to_address).await;
    match begun {
        Ok(Some(copy)) => {
            let reading = source.apart();
            Ok(Begun::Copying(Box::new(Copying { from: source, reading, copy, origin: from_address, to: to_address })))
        }
        Ok(None) => {
            source.close().await;
            Ok(Begun::Moved)
        }
        Err(error) => {
            source.close().await;
            Err(error)
        }
    }
}

async fn begin_with(
    source: &Store,
    to: &StoreSettings,
    from_address: &str,
    to_address: &str,
) -> Result<Option<target::Copy>, CopyError> {
    let has_moved = has_moved(status_in(source).await?, to_address)?;
    match target::open(to, from_address).await? {
        Found::Copy(copy) => Ok(Some(copy)),
        Found::Store(store) => {
            store.close().await;
            if has_moved { Ok(None) } else { Err(CopyError::NotEmpty(to_address.to_owned())) }
        }
    }
}

/// Whether a source has ended for this copy. One that has ended for another, or is a copy itself, is refused.
pub(super) fn has_moved(status: StoreStatus, to: &str) -> Result<bool, StoreError> {
    if status.moved_to.as_deref() == Some(to) {
        return Ok(true);
    }
    status.refuse().map(|()| false)
}

/// What names the place everywhere on this machine; without a password.
///
/// # Errors
/// Fails where the working directory is gone.
pub fn address(settings: &StoreSettings) -> Result<String, StoreError> {
    match settings {
        StoreSettings::Sqlite(path) => match absolute(path) {
            Ok(whole) => Ok(format!("sqlite:{}", whole.display())),
            Err(error) => Err(StoreError::Unreadable { path: path.clone(), reason: error.to_string() }),
        },
        StoreSettings::Postgres(_) => Ok(settings.place()),
    }
}

impl Copying {
    /// Calls that came back from both: as long as the number grows, neither hangs.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.from.calls() + self.copy.store.calls()
    }

    /// Closes both.
    pub async fn close(&self) {
        self.from.close().await;
        self.copy.store.close().await;
    }

    /// Which master key the keys of the source are sealed under, by its fingerprint.
    ///
    /// # Errors
    /// Fails when the source is out of reach or damaged.
    pub async fn master_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.from.meta("master_key_fingerprint").await
    }

    /// Whether an earlier attempt ended the source: then there is no way but to the move's end.
    ///
    /// # Errors
    /// Fails when the source is out of reach or damaged, or has moved elsewhere.
    pub async fn has_begun_to_move(&self) -> Result<bool, StoreError> {
        has_moved(status_in(&self.from).await?, &self.to)
    }
}
