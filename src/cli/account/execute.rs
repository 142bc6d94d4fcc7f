//! Does what the commands for users, clients and projects ask.

use super::{
    Action, Add, Context, List, RotateSecret, Set, SetPassword, SetRole, Target,
    arguments::{Describing, Naming},
    set::Revising,
    show,
};
use crate::{
    cli::{
        output::{CliError, Output, time},
        revoke::{find_realm, old_tokens_end},
        secret::{self, SecretArgs, Source},
    },
    decision::admin::{
        accounts::{self, AccountChange},
        secrets::{NewSecret, SecretChange},
    },
    domain::PrincipalKind,
    rules::realm::Realm,
    state::account::{Revised, Revision},
};

pub(super) async fn account<N: Naming, A: Describing, S: Revising>(
    action: &Action<N, A, S>,
    context: &mut Context<'_>,
) -> Result<Output, CliError> {
    let admin = context.admin;
    let realm = find_realm(context.realms, &action.common().realm)?;
    accounts::check_kind(realm, N::KIND)?;
    match action {
        Action::Add(add) => self::add(add, realm, context).await,
        Action::List(list) => self::list(context, realm, list).await,
        Action::Set(Set { target, set }) => revise(context, realm, target, set.revision()).await,
        Action::Show(target) => Ok(show::account(&admin.account(realm, &target.name.account_name()).await?)),
        Action::Disable(target) => change(context, realm, target, AccountChange::Disable).await,
        Action::Enable(target) => change(context, realm, target, AccountChange::Enable).await,
        Action::Lock(target) => change(context, realm, target, AccountChange::Lock).await,
        Action::Unlock(target) => change(context, realm, target, AccountChange::Unlock).await,
        Action::SetRole(SetRole { target, role, .. }) => {
            let revision = Revision { role: Revised::To(role.clone()), ..Revision::default() };
            revise(context, realm, target, revision).await
        }
        Action::SetPassword(SetPassword { target, secret }) => {
            set_secret(context, realm, target, (*secret, Source::Prompt), SecretChange::Password).await
        }
        Action::RotateSecret(RotateSecret { target, end_overlap: true, .. }) => {
            self::end_overlap(context, realm, target).await
        }
        Action::RotateSecret(RotateSecret { target, secret, revoke, overlap, .. }) => {
            let rotation = overlap.map_or(SecretChange::Rotation { revoke: *revoke }, SecretChange::Overlap);
            set_secret(context, realm, target, (*secret, Source::Generated), rotation).await
        }
        Action::Delete(target) => Ok(show::deleted(&admin.delete_account(realm, &target.name.account_name()).await?)),
    }
}

async fn add<N: Naming, A: Describing>(
    add: &Add<N, A>,
    realm: &Realm,
    context: &mut Context<'_>,
) -> Result<Output, CliError> {
    let mut new = accounts::describe(realm, add.target.name.account_name());
    add.new.describe(&mut new);
    let acceptable = context.admin.check_new(realm, new).await?;
    let default = if N::KIND == PrincipalKind::Client { Source::Generated } else { Source::Prompt };
    let made = context.admin.add_account(acceptable, new_secret(context, add.secret, default)?).await?;
    Ok(show::changed(&made.account, "is made", made.secret.as_ref()))
}

async fn list(context: &Context<'_>, realm: &Realm, list: &List) -> Result<Output, CliError> {
    let accounts = context.admin.all_accounts(realm, list.wanted(), list.limit).await?;
    let is_cut = list.limit.is_some_and(|limit| accounts.len() >= limit as usize);
    Ok(show::accounts(&accounts, is_cut))
}

async fn revise<N: Naming>(
    context: &Context<'_>,
    realm: &Realm,
    target: &Target<N>,
    revision: Revision,
) -> Result<Output, CliError> {
    if revision.is_empty() {
        return Err(CliError::Refused("nothing is said that shall change: see the options of --help".to_owned()));
    }
    let changed = context.admin.revise_account(realm, &target.name.account_name(), revision).await?;
    let done = if changed.tokens_ended {
        format!("is changed, and its tokens have ended{}", old_tokens_end(context.admin, realm).await?)
    } else {
        "is as you said, and its tokens live on".to_owned()
    };
    Ok(show::changed(&changed.account, &done, None))
}

async fn end_overlap<N: Naming>(context: &Context<'_>, realm: &Realm, target: &Target<N>) -> Result<Output, CliError> {
    let account = context.admin.account(realm, &target.name.account_name()).await?;
    let (changed, ended) = context.admin.end_overlap(realm, &account).await?;
    let done = if ended {
        "has one secret: the old one is taken no more, and the tokens live on"
    } else {
        "has one secret: there was no old one"
    };
    Ok(show::changed(&changed.account, done, None))
}

async fn change<N: Naming>(
    context: &Context<'_>,
    realm: &Realm,
    target: &Target<N>,
    change: AccountChange,
) -> Result<Output, CliError> {
    let changed = context.admin.change_account(realm, &target.name.account_name(), change).await?;
    let done = match change {
        AccountChange::Disable => {
            format!("is disabled, and its tokens have ended{}", old_tokens_end(context.admin, realm).await?)
        }
        AccountChange::Enable => "is enabled".to_owned(),
        AccountChange::Lock => "is locked".to_owned(),
        AccountChange::Unlock => "is unlocked".to_owned(),
    };
    Ok(show::changed(&changed.account, &done, None))
}

async fn set_secret<N: Naming>(
    context: &mut Context<'_>,
    realm: &Realm,
    target: &Target<N>,
    (args, default): (SecretArgs, Source),
    change: SecretChange,
) -> Result<Output, CliError> {
    // Before a secret is asked for, or made and shown for nothing.
    let account = context.admin.account(realm, &target.name.account_name()).await?;
    let secret = new_secret(context, args, default)?;
    let changed = context.admin.set_secret(realm, &account, secret, change).await?;
    let done = match &changed.account.previous_secret {
        _ if changed.tokens_ended => "has a new secret, and its tokens have ended".to_owned(),
        None => "has a new secret, and its tokens live on until they expire".to_owned(),
        Some(previous) => format!(
            "has a new secret; the old one is taken too until {}, or until rotate-secret --end-overlap. A secret before \
             that one is taken no more. Its tokens live on until they expire",
            time(previous.ends_at)
        ),
    };
    Ok(show::changed(&changed.account, &done, changed.secret.as_ref()))
}

fn new_secret(context: &mut Context<'_>, args: SecretArgs, default: Source) -> Result<NewSecret, CliError> {
    secret::obtain(args.source(default), context.input)
}
