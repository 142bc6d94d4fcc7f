//! What a row says: read, and judged by the rules that every new account is judged by.

use uuid::Uuid;

use super::{
    super::{
        accounts::{check, describe},
        service::AdminError,
    },
    column::{BadRow, Column},
};
use crate::{
    domain::{AccountName, PrincipalId, Secret, Timestamp},
    rules::realm::Realm,
    state::account::{
        LegacyId, NewAccount,
        import::{ImportKind, Status, Update},
        password::{self, FastHash, Foreign, Reading},
    },
};

/// A row as a file has it. Texts are secrets here: nobody knows yet which column is which.
#[derive(Debug)]
pub struct RawRow {
    /// The line on which it begins.
    pub line: u64,
    /// What it says, each with the number of its column, where the file has columns.
    pub values: Vec<(Column, Option<usize>, Secret)>,
}

/// A row that can be imported, as far as it says itself.
#[derive(Debug)]
pub struct Row {
    /// The line on which it begins.
    pub line: u64,
    /// What it says.
    pub says: Says,
}

/// What a row is about.
#[derive(Debug)]
pub enum Says {
    /// An account.
    Account(Box<AccountRow>),
    /// A company: its name, whether it is disabled, when it was made.
    Company(String, Option<bool>, Option<Timestamp>),
}

/// An account that a row describes.
#[derive(Debug)]
pub struct AccountRow {
    /// As it would be made.
    pub new: NewAccount,
    /// Whether the row says its id.
    pub has_id: bool,
    /// Its secret; a new account needs one.
    pub secret: Option<Foreign>,
    /// Whether it may log in.
    pub status: Option<Status>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// What the row changes of one that is there, but for its secret.
    pub update: Update,
}

impl RawRow {
    /// Reads and judges the row.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn judge(&self, realm: &Realm, kind: ImportKind, reading: &Reading, now: Timestamp) -> Result<Row, BadRow> {
        let says = match kind {
            ImportKind::Companies => self.company()?,
            ImportKind::Accounts(_) => Says::Account(Box::new(self.account(realm, reading, now)?)),
        };
        Ok(Row { line: self.line, says })
    }

    fn company(&self) -> Result<Says, BadRow> {
        let name = self.needed(Column::Name)?;
        crate::state::account::company::check_name(name)
            .map_err(|error| self.bad(Some(Column::Name), error.to_string()))?;
        let disabled = match self.status()? {
            Some(Status::Locked) => {
                return Err(self.bad(Some(Column::Status), "a company is active or disabled".to_owned()));
            }
            status => status.map(|status| status == Status::Disabled),
        };
        Ok(Says::Company(name.to_owned(), disabled, self.created_at()?))
    }

    fn account(&self, realm: &Realm, reading: &Reading, now: Timestamp) -> Result<AccountRow, BadRow> {
        let business = self.value(Column::Business).unwrap_or_default().to_owned();
        let mut new = describe(realm, AccountName { business, name: self.needed(Column::Name)?.to_owned() });
        new.id = PrincipalId::generate_at(now);
        if let Some(id) = self.value(Column::Id) {
            let id = Uuid::try_parse(id);
            new.id =
                id.map(PrincipalId::from_uuid).map_err(|_| self.bad(Some(Column::Id), "this is no UUID".to_owned()))?;
        }
        if let Some(id) = self.value(Column::LegacyId) {
            let id = id.parse().map_err(|_| self.bad(Some(Column::LegacyId), "this is no integer".to_owned()))?;
            new.legacy_id = LegacyId::Given(id);
        }
        new.display_name = self.value(Column::DisplayName).map(str::to_owned);
        new.role = self.value(Column::Role).map(str::to_owned);
        new.company = self.value(Column::Company).map(str::to_owned);
        new.scopes = self.value(Column::Scopes).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        if let Some(grants) = self.value(Column::Grants) {
            let grants = grants.split_whitespace().map(str::parse).collect::<Result<_, _>>();
            new.grants = Some(grants.map_err(|_| {
                self.bad(Some(Column::Grants), "a grant is client_credentials or refresh_token".to_owned())
            })?);
        }
        check(realm, &new).map_err(|error| self.refused(&error))?;
        let status = self.status()?;
        let update = Update {
            display_name: self.said(Column::DisplayName).map(|()| new.display_name.clone()),
            role: self.said(Column::Role).map(|()| new.role.clone()),
            scopes: self.said(Column::Scopes).map(|()| new.scopes.clone()),
            company: self.said(Column::Company).map(|()| new.company.clone()),
            legacy_id: match new.legacy_id {
                LegacyId::Given(id) => Some(id),
                LegacyId::None | LegacyId::Next => None,
            },
            status,
            hash: None,
        };
        let has_id = self.value(Column::Id).is_some();
        Ok(AccountRow { secret: self.secret(reading)?, has_id, status, created_at: self.created_at()?, new, update })
    }

    fn secret(&self, reading: &Reading) -> Result<Option<Foreign>, BadRow> {
        match (self.value(Column::Hash), self.value(Column::Password)) {
            (Some(_), Some(_)) => Err(self
                .bad(Some(Column::Password), "the row has a hash and a password: leave one of them empty".to_owned())),
            (Some(hash), None) => Foreign::read(hash, self.value(Column::Salt), reading)
                .map(Some)
                .map_err(|error| self.bad(Some(Column::Hash), error.to_string())),
            (None, Some(password)) => {
                let password = Secret::from(password);
                password::check(&password).map_err(|error| self.bad(Some(Column::Password), error.to_string()))?;
                Ok(Some(Foreign::Fast(FastHash::clear(password))))
            }
            (None, None) => Ok(None),
        }
    }

    fn status(&self) -> Result<Option<Status>, BadRow> {
        match self.value(Column::Status) {
            None => Ok(None),
            Some("active") => Ok(Some(Status::Active)),
            Some("disabled") => Ok(Some(Status::Disabled)),
            Some("locked") => Ok(Some(Status::Locked)),
            Some(_) => Err(self.bad(Some(Column::Status), "a status is active, disabled or locked".to_owned())),
        }
    }

    /// RFC 3339; the same with a space and without a zone, which is UTC then; or seconds since the Unix epoch.
    fn created_at(&self) -> Result<Option<Timestamp>, BadRow> {
        let Some(text) = self.value(Column::CreatedAt) else { return Ok(None) };
        let at = text.parse().ok().map(Timestamp::from_secs).or_else(|| {
            let at = text.parse::<jiff::Timestamp>().ok();
            let utc = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
            at.or_else(|| Some(utc()?.timestamp())).map(|at| Timestamp::from_millis(at.as_millisecond()))
        });
        let in_range = |at: &Timestamp| (0..=253_402_300_799).contains(&at.as_secs());
        at.filter(in_range).map(Some).ok_or_else(|| {
            let why = "this is no time: write 2026-01-31T10:00:00Z, 2026-01-31 10:00:00 in UTC, or seconds since 1970";
            self.bad(Some(Column::CreatedAt), why.to_owned())
        })
    }

    /// What stands in a column, unless it is empty.
    #[must_use]
    pub fn value(&self, column: Column) -> Option<&str> {
        let (_, _, value) = self.values.iter().find(|(of, ..)| *of == column)?;
        Some(value.expose()).filter(|value| !value.is_empty())
    }

    /// Whether the row has the column.
    fn said(&self, column: Column) -> Option<()> {
        self.values.iter().any(|(of, ..)| *of == column).then_some(())
    }

    fn needed(&self, column: Column) -> Result<&str, BadRow> {
        self.value(column).ok_or_else(|| self.bad(Some(column), format!("the row has no {column}")))
    }

    /// Says what is wrong with it.
    #[must_use]
    pub fn bad(&self, of: Option<Column>, why: String) -> BadRow {
        let column = self.values.iter().find(|(column, ..)| Some(*column) == of).and_then(|(_, number, _)| *number);
        BadRow { line: self.line, column, of, why }
    }

    /// The judge's sentence, at the column that it is about.
    fn refused(&self, error: &AdminError) -> BadRow {
        let why = error.to_string();
        let columns = [
            ("the name ", Column::Name),
            ("the business ", Column::Business),
            ("the display name ", Column::DisplayName),
            ("the role ", Column::Role),
            ("the company ", Column::Company),
            ("the legacy id ", Column::LegacyId),
            ("the list of scopes ", Column::Scopes),
            ("a scope ", Column::Scopes),
        ];
        let of = columns.iter().find(|(begins, _)| why.starts_with(begins)).map(|(_, column)| *column);
        self.bad(of, why)
    }
}
