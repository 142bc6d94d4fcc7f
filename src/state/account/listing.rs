//! Lists of accounts: filtered, sorted, in pages.

use super::{
    Account, AccountError,
    repository::{ACCOUNT, BESIDE, find, read},
};
use crate::{
    domain::{AccountName, PrincipalKind, RealmName, Timestamp},
    state::store::{Query, Store, StoreError, Value, composed},
};

/// Which accounts of a realm are listed, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<'a> {
    /// The realm.
    pub realm: &'a RealmName,
    /// What they are.
    pub kind: PrincipalKind,
    /// Which of them.
    pub filter: Filter,
    /// The order.
    pub sort: Sort,
    /// Whether the order is turned round.
    pub descending: bool,
    /// The last account of the page before.
    pub after: Option<AccountName>,
    /// How many, at most.
    pub limit: u32,
}

/// Which accounts: those for which everything holds that is said here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whether they may log in.
    pub status: Option<Status>,
    /// They have this role.
    pub role: Option<String>,
    /// They belong to this company.
    pub company: Option<String>,
    /// Their name begins so.
    pub name_prefix: Option<String>,
    /// They never logged in; or, where `last_login_before` is said too, either holds.
    pub never_logged_in: bool,
    /// They logged in, and the last time was before this.
    pub last_login_before: Option<Timestamp>,
}

/// Whether an account may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It may.
    Active,
    /// It is locked, and not disabled.
    Locked,
    /// It is disabled, locked or not.
    Disabled,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Active, Self::Locked, Self::Disabled];

    /// The word on the command line and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Disabled => "disabled",
        }
    }
}

impl Account {
    /// Whether it may log in.
    #[must_use]
    pub const fn status(&self) -> Status {
        match (self.disabled, self.locked) {
            (true, _) => Status::Disabled,
            (false, true) => Status::Locked,
            (false, false) => Status::Active,
        }
    }
}

/// The order of a list. Accounts that are equal in it stand in the order of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By business and name, byte by byte.
    #[default]
    Name,
    /// By when they were made.
    Created,
    /// By the last login; first those who never logged in.
    LastLogin,
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Name, Self::Created, Self::LastLogin];

    /// The word on the command line and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Created => "created",
            Self::LastLogin => "last_login",
        }
    }

    /// What accounts are sorted by before their names, and what this one has there.
    fn key(self, account: &Account) -> Option<i64> {
        match self {
            Self::Name => None,
            Self::Created => Some(account.created_at.as_millis()),
            Self::LastLogin => Some(account.last_login_at.map_or(-1, Timestamp::as_millis)),
        }
    }

    /// The columns of the order.
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Name => &["business", "name"],
            Self::Created => &["created_at", "business", "name"],
            Self::LastLogin => &["coalesce(last_login_at, -1)", "business", "name"],
        }
    }
}

/// A page of accounts.
///
/// # Errors
/// Fails when the last account of the page before is there no more and the order is not by name, or when the store is
/// out of reach or damaged.
pub async fn page(store: &Store, listing: &Listing<'_>) -> Result<Vec<Account>, AccountError> {
    let after = match &listing.after {
        None => None,
        // A name has its place in the order whether there is such an account or not.
        Some(name) if listing.sort == Sort::Name => Some((None, name)),
        Some(name) => {
            let last = find(store, listing.realm, name).await?;
            let last = last.ok_or_else(|| AccountError::not_found(listing.realm, name))?;
            Some((listing.sort.key(&last), name))
        }
    };
    let rows = statement(listing, after).all(store).await?;
    Ok(rows.iter().map(read).collect::<Result<_, StoreError>>()?)
}

/// At most `limit` accounts of a realm in the order of their names, from the one after `after` on.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn list(
    store: &Store,
    realm: &RealmName,
    kind: PrincipalKind,
    after: Option<&AccountName>,
    limit: u32,
) -> Result<Vec<Account>, StoreError> {
    let (filter, sort, after) = (Filter::default(), Sort::Name, after.cloned());
    let listing = Listing { realm, kind, filter, sort, descending: false, after, limit };
    let after = listing.after.as_ref().map(|name| (None, name));
    statement(&listing, after).all(store).await?.iter().map(read).collect()
}

/// A statement in the making: conditions, and the parameters that they name.
struct Conditions {
    texts: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds one, in which each `?` stands for the next of these values.
    fn add(&mut self, text: &str, values: impl IntoIterator<Item = Value>) {
        let mut text = text.to_owned();
        for value in values {
            self.values.push(value);
            text = text.replacen('?', &format!("${}", self.values.len()), 1);
        }
        self.texts.push(text);
    }
}

fn statement(listing: &Listing<'_>, after: Option<(Option<i64>, &AccountName)>) -> Query {
    let Listing { realm, kind, filter, sort, descending, limit, .. } = listing;
    let mut conditions = Conditions { texts: vec![], values: vec![] };
    conditions.add("realm = ? AND kind = ?", [realm.as_str().into(), kind.name().into()]);
    match filter.status {
        None => {}
        Some(Status::Active) => conditions.add("NOT disabled AND NOT locked", []),
        Some(Status::Locked) => conditions.add("NOT disabled AND locked", []),
        Some(Status::Disabled) => conditions.add("disabled", []),
    }
    for (text, word) in [("role = ?", &filter.role), ("company = ?", &filter.company)] {
        if let Some(word) = word {
            conditions.add(text, [word.into()]);
        }
    }
    if let Some(prefix) = filter.name_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
        conditions.add("name >= ?", [prefix.into()]);
        if let Some(end) = behind_all(prefix) {
            conditions.add("name < ?", [end.into()]);
        }
    }
    match (filter.never_logged_in, filter.last_login_before) {
        (false, None) => {}
        (true, None) => conditions.add("last_login_at IS NULL", []),
        (false, Some(before)) => conditions.add("last_login_at < ?", [before.as_millis().into()]),
        (true, Some(before)) => {
            conditions.add("(last_login_at IS NULL OR last_login_at < ?)", [before.as_millis().into()]);
        }
    }
    let (order, beyond) = if *descending { ("DESC", "<") } else { ("ASC", ">") };
    if let Some((key, name)) = after {
        let columns = sort.columns();
        let behind = format!("({}) {beyond} ({})", columns.join(", "), vec!["?"; columns.len()].join(", "));
        let names = [(&name.business).into(), (&name.name).into()];
        conditions.add(&behind, key.map(Value::from).into_iter().chain(names));
    }
    let Conditions { texts, mut values } = conditions;
    values.push((*limit).into());
    let order: Vec<_> = sort.columns().iter().map(|column| format!("{column} {order}")).collect();
    let (conditions, order, limit) = (texts.join(" AND "), order.join(", "), values.len());
    let text = format!("SELECT {ACCOUNT} FROM principals {BESIDE} WHERE {conditions} ORDER BY {order} LIMIT ${limit}");
    values.into_iter().fold(composed(text), Query::bind)
}

/// The first text behind all that begin with `prefix`, in the order of their bytes; `None` where there is none.
fn behind_all(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // The next character that there is; behind the last one comes what is behind the rest.
        if let Some(next) = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_text_stands_between_it_and_the_first_one_behind() {
        for (prefix, end) in [("a", "b"), ("az", "a{"), ("ñ", "ò"), ("\u{d7ff}", "\u{e000}"), ("a\u{10ffff}", "b")] {
            assert_eq!(behind_all(prefix).as_deref(), Some(end));
            assert!(prefix < end && format!("{prefix}\u{10ffff}\u{10ffff}").as_str() < end);
        }
        assert_eq!(behind_all("\u{10ffff}"), None);
    }
}
