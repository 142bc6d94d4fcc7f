//! Does what the commands for users, clients and projects ask.

use std::sync::Arc;

use super::{
    Action, Add, Common, Context, RotateSecret, SetPassword, SetRole, Target,
    arguments::{Describing, Naming},
    show,
};
use crate::{
    cli::{
        output::{CliError, Output},
        revoke::old_tokens_end,
        secret::{self, SecretArgs, Source},
    },
    decision::admin::accounts,
    domain::{PrincipalId, PrincipalKind, RealmName, Secret},
    rules::{dialect::Dialect, realm::Realm},
    state::account::{self, Account, AccountError, LegacyId, NewAccount, OldTokens, PasswordHash, password},
};

/// Accounts that are read from the store at a time.
const PAGE_ROWS: u32 = 500;

pub(super) async fn account<N: Naming, A: Describing>(
    action: &Action<N, A>,
    context: &mut Context<'_>,
) -> Result<Output, CliError> {
    let account_realm = realm_of_kind(context, &action.common().realm, N::KIND)?;
    match action {
        Action::Add(add) => self::add(add, &account_realm, context).await,
        Action::List(Common { realm, .. }) => list(context, realm, N::KIND).await,
        Action::Show(target) => Ok(show::account(&existing(context, target).await?)),
        Action::Disable(target) => switch(context, target, Switch::Disabled(true)).await,
        Action::Enable(target) => switch(context, target, Switch::Disabled(false)).await,
        Action::Lock(target) => switch(context, target, Switch::Locked(true)).await,
        Action::Unlock(target) => switch(context, target, Switch::Locked(false)).await,
        Action::SetRole(SetRole { target, role, .. }) => {
            set_role(context, &account_realm, target, role.as_deref()).await
        }
        Action::SetPassword(SetPassword { target, secret }) => {
            set_secret(context, target, (*secret, Source::Prompt), OldTokens::End).await
        }
        Action::RotateSecret(RotateSecret { target, secret, revoke }) => {
            let end = *revoke || N::KIND == PrincipalKind::User;
            let old_tokens = if end { OldTokens::End } else { OldTokens::Keep };
            set_secret(context, target, (*secret, Source::Generated), old_tokens).await
        }
        Action::Delete(target) => delete(context, target).await,
    }
}

/// A realm whose accounts are of `kind`.
fn realm_of_kind(context: &Context<'_>, name: &RealmName, kind: PrincipalKind) -> Result<Arc<Realm>, CliError> {
    let realm = realm_of(context, name)?;
    let right = realm.dialect.principal_kind();
    if right == kind {
        return Ok(realm);
    }
    let dialect = realm.dialect;
    Err(CliError::Refused(format!("realm '{name}' speaks {dialect}: its accounts are {right}s, not {kind}s")))
}

/// A realm of the config.
pub(super) fn realm_of(context: &Context<'_>, name: &RealmName) -> Result<Arc<Realm>, CliError> {
    let realm = context.realms.iter().find(|realm| realm.name == *name);
    realm.cloned().ok_or_else(|| CliError::Refused(format!("the config has no realm '{name}'")))
}

async fn existing<N: Naming>(context: &Context<'_>, target: &Target<N>) -> Result<Account, CliError> {
    let (realm, name) = (&target.common.realm, target.name.account_name());
    let found = account::find(context.store, realm, &name).await?;
    found.ok_or_else(|| AccountError::not_found(realm, &name).into())
}

async fn list(context: &Context<'_>, realm: &RealmName, kind: PrincipalKind) -> Result<Output, CliError> {
    let mut accounts: Vec<Account> = Vec::new();
    loop {
        let after = accounts.last().map(|account| &account.name);
        let page = account::list(context.store, realm, kind, after, PAGE_ROWS).await?;
        if page.is_empty() {
            return Ok(show::accounts(&accounts));
        }
        accounts.extend(page);
    }
}

async fn add<N: Naming, A: Describing>(
    add: &Add<N, A>,
    account_realm: &Realm,
    context: &mut Context<'_>,
) -> Result<Output, CliError> {
    let Common { realm, .. } = &add.target.common;
    let mut new = NewAccount {
        id: PrincipalId::generate(),
        realm: realm.clone(),
        kind: N::KIND,
        name: add.target.name.account_name(),
        display_name: None,
        legacy_id: if account_realm.dialect == Dialect::Sws { LegacyId::Next } else { LegacyId::None },
        role: None,
        scopes: Vec::new(),
        company: None,
        grants: None,
    };
    add.new.describe(&mut new);
    accounts::judge_new(context.store, account_realm, &new).await?;
    let default = if N::KIND == PrincipalKind::Client { Source::Generated } else { Source::Prompt };
    let (hash, shown) = new_secret(context, add.secret, default)?;
    let account = account::insert(context.store, &new, &hash, context.clock.now()).await?;
    Ok(show::changed(&account, "is made", shown.as_ref()))
}

enum Switch {
    Disabled(bool),
    Locked(bool),
}

async fn switch<N: Naming>(context: &Context<'_>, target: &Target<N>, switch: Switch) -> Result<Output, CliError> {
    let (store, realm, name) = (context.store, &target.common.realm, target.name.account_name());
    match switch {
        Switch::Disabled(on) => drop(account::set_disabled(store, realm, &name, on, context.clock.now()).await?),
        Switch::Locked(on) => account::set_locked(store, realm, &name, on).await?,
    }
    let done = match switch {
        Switch::Disabled(true) => {
            format!("is disabled, and its tokens have ended{}", old_tokens_end(store, realm).await?)
        }
        Switch::Disabled(false) => "is enabled".to_owned(),
        Switch::Locked(true) => "is locked".to_owned(),
        Switch::Locked(false) => "is unlocked".to_owned(),
    };
    Ok(show::changed(&existing(context, target).await?, &done, None))
}

async fn set_role<N: Naming>(
    context: &Context<'_>,
    account_realm: &Realm,
    target: &Target<N>,
    role: Option<&str>,
) -> Result<Output, CliError> {
    let account = existing(context, target).await?;
    let changed = NewAccount { role: role.map(str::to_owned), ..NewAccount::from(&account) };
    accounts::judge(account_realm, &changed)?;
    let raised = account::set_role(context.store, &account.realm, &account.name, role, context.clock.now()).await?;
    let done = if raised.is_empty() { "has this role already" } else { "has a new role, and its tokens have ended" };
    Ok(show::changed(&existing(context, target).await?, done, None))
}

async fn delete<N: Naming>(context: &Context<'_>, target: &Target<N>) -> Result<Output, CliError> {
    let account = existing(context, target).await?;
    account::delete(context.store, &account.realm, &account.name, context.clock.now()).await?;
    Ok(show::deleted(&account))
}

async fn set_secret<N: Naming>(
    context: &mut Context<'_>,
    target: &Target<N>,
    (args, default): (SecretArgs, Source),
    old_tokens: OldTokens,
) -> Result<Output, CliError> {
    // Before a secret is asked for, or made and shown for nothing.
    let Account { realm, name, .. } = existing(context, target).await?;
    let (hash, shown) = new_secret(context, args, default)?;
    account::set_password_hash(context.store, &realm, &name, &hash, old_tokens, context.clock.now()).await?;
    let done = match old_tokens {
        OldTokens::End => "has a new secret, and its tokens have ended",
        OldTokens::Keep => "has a new secret, and its tokens live on until they expire",
    };
    Ok(show::changed(&existing(context, target).await?, done, shown.as_ref()))
}

/// The hash of a new secret, and the secret itself if it was made here and must be shown.
fn new_secret(
    context: &mut Context<'_>,
    args: SecretArgs,
    default: Source,
) -> Result<(PasswordHash, Option<Secret>), CliError> {
    let source = args.source(default);
    let secret = secret::obtain(source, context.input)?;
    let hash = password::hash(&secret).map_err(|error| CliError::Refused(error.to_string()))?;
    Ok((hash, (source == Source::Generated).then_some(secret)))
}
