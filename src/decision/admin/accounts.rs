//! Whether an account could be used as it is described: what only the realm's contract knows.

use super::steward::StewardError;
use crate::{
    rules::{
        dialect::{Dialect, Holder},
        realm::Realm,
    },
    state::{
        account::{self, AccountError, LegacyId, NewAccount, company},
        store::Store,
        token::{SEALED_TEXT_BYTES_MAX, sealed_text_bytes},
    },
};

/// Refuses an account that could not be used in `realm`, or that exists already; to be asked before
/// a secret is asked for, or made and shown for nothing.
///
/// # Errors
/// Says why the account would be of no use or exists already; or that the store is out of reach or damaged.
pub async fn judge_new(store: &Store, realm: &Realm, new: &NewAccount) -> Result<(), StewardError> {
    judge(realm, new)?;
    if let Some(company) = &new.company
        && company::find(store, &realm.name, company).await?.is_none()
    {
        let error = AccountError::company_not_found(&realm.name, company);
        return refuse(format!("{error}: add it first, with portero company add"));
    }
    if account::find(store, &realm.name, &new.name).await?.is_some() {
        return Err(AccountError::exists(&realm.name, &new.name).into());
    }
    Ok(())
}

/// Refuses a description, new or changed, that the realm's contract has no room for.
///
/// # Errors
/// Says which part of the description the contract has no room for.
pub fn judge(realm: &Realm, new: &NewAccount) -> Result<(), StewardError> {
    let (name, dialect) = (&realm.name, realm.dialect);
    new.check()?;
    if dialect.principal_kind() != new.kind {
        let right = dialect.principal_kind();
        return refuse(format!("realm '{name}' speaks {dialect}: its accounts are {right}s, not {}s", new.kind));
    }
    if dialect != Dialect::Sws && new.legacy_id != LegacyId::None {
        return refuse(format!("realm '{name}' speaks {dialect}: only accounts of sws have a legacy id"));
    }
    if dialect != Dialect::Become && new.company.is_some() {
        return refuse(format!("realm '{name}' speaks {dialect}: only clients of become have a company"));
    }
    if dialect != Dialect::Oauth && new.grants.is_some() {
        return refuse(format!("realm '{name}' speaks {dialect}: only clients of oauth have grants"));
    }
    if dialect == Dialect::Become && new.company.is_none() {
        return refuse(format!("realm '{name}' speaks {dialect}: a client needs a company"));
    }
    let bytes = sealed_text_bytes(&holder(new));
    if !realm.algorithm.is_jwt() && bytes > SEALED_TEXT_BYTES_MAX {
        return refuse(format!(
            "name, role and scopes have {bytes} bytes together; the tokens of realm '{name}' hold {SEALED_TEXT_BYTES_MAX}"
        ));
    }
    Ok(())
}

fn holder(new: &NewAccount) -> Holder {
    Holder {
        id: new.id,
        name: new.name.clone(),
        display_name: new.display_name.clone().unwrap_or_default(),
        legacy_id: None,
        role: new.role.clone().unwrap_or_default(),
        scopes: new.scopes.clone(),
        company: new.company.clone(),
    }
}

fn refuse<T>(text: String) -> Result<T, StewardError> {
    Err(StewardError::Refused(text))
}
