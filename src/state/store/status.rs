//! Whether a store is one to work with. It may have moved to another place, or be a copy that is not brought to its
//! end: two rows of `meta` say so.

use sqlx::SqliteConnection;

use super::error::StoreError;

/// The row of `meta` with the address of the store that took this one's place.
pub(super) const MOVED_TO: &str = "moved_to";

/// The row of `meta` of a copy in the making: who works on it, a space, and the address of what it is a copy of.
pub(super) const COPYING_FROM: &str = "copying_from";

/// Both rows. SQLite's statement is the same.
pub(super) const ROWS: &str = "SELECT name, value FROM meta WHERE name IN ('moved_to', 'copying_from')";

/// Whether a store is in use, moved, or a copy in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StoreStatus {
    /// Where it moved to.
    pub(super) moved_to: Option<String>,
    /// The row of a copy in the making.
    pub(super) copying: Option<String>,
}

impl StoreStatus {
    /// Refuses a store that must not be worked with.
    pub(super) fn refuse(self) -> Result<(), StoreError> {
        match self {
            Self { moved_to: Some(to), .. } => Err(StoreError::Moved { to }),
            Self { copying: Some(mark), .. } => Err(StoreError::Copying { from: source_of(&mark).to_owned() }),
            Self { moved_to: None, copying: None } => Ok(()),
        }
    }

    /// Takes one of the rows down.
    pub(super) fn see(&mut self, name: &str, value: &[u8]) {
        let text = String::from_utf8_lossy(value).into_owned();
        let place = if name == MOVED_TO { &mut self.moved_to } else { &mut self.copying };
        *place = Some(text);
    }
}

/// The address in the row of a copy in the making.
pub(super) fn source_of(mark: &str) -> &str {
    mark.split_once(' ').map_or("", |(_, from)| from)
}

/// The same of a file that is only looked into.
pub(super) async fn of_file(connection: &mut SqliteConnection) -> Result<StoreStatus, sqlx::Error> {
    let mut status = StoreStatus::default();
    for (name, value) in sqlx::query_as::<_, (String, Vec<u8>)>(ROWS).fetch_all(connection).await? {
        status.see(&name, &value);
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_moved_or_is_in_the_making_is_refused_with_the_other_address() {
        assert!(StoreStatus::default().refuse().is_ok());
        let mut copying = StoreStatus::default();
        copying.see(COPYING_FROM, b"0123 sqlite:/a b/portero.db");
        let said = copying.clone().refuse().unwrap_err().to_string();
        assert!(said.contains("of sqlite:/a b/portero.db: "), "{said}");
        // A copy that a later move left: where it is now counts.
        copying.see(MOVED_TO, b"postgres://portero@db/portero");
        let said = copying.refuse().unwrap_err().to_string();
        assert!(said.contains("moved to postgres://portero@db/portero,"), "{said}");
    }
}
