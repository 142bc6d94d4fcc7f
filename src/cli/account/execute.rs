//! Does what the commands for users, clients and projects ask.

use super::{
    Action, Add, Context, RotateSecret, SetPassword, SetRole, Target,
    arguments::{Describing, Naming},
    show,
};
use crate::{
    cli::{
        output::{CliError, Output},
        revoke::{find_realm, old_tokens_end},
        secret::{self, SecretArgs, Source},
    },
    decision::admin::accounts::{self, AccountChange, NewSecret, SecretChange},
    domain::PrincipalKind,
    rules::realm::Realm,
};

pub(super) async fn account<N: Naming, A: Describing>(
    action: &Action<N, A>,
    context: &mut Context<'_>,
) -> Result<Output, CliError> {
    let admin = context.admin;
    let realm = find_realm(context.realms, &action.common().realm)?;
    accounts::check_kind(realm, N::KIND)?;
    match action {
        Action::Add(add) => self::add(add, realm, context).await,
        Action::List(_) => Ok(show::accounts(&admin.all_accounts(realm).await?)),
        Action::Show(target) => Ok(show::account(&admin.account(realm, &target.name.account_name()).await?)),
        Action::Disable(target) => change(context, realm, target, AccountChange::Disable).await,
        Action::Enable(target) => change(context, realm, target, AccountChange::Enable).await,
        Action::Lock(target) => change(context, realm, target, AccountChange::Lock).await,
        Action::Unlock(target) => change(context, realm, target, AccountChange::Unlock).await,
        Action::SetRole(SetRole { target, role, .. }) => {
            change(context, realm, target, AccountChange::SetRole(role.as_deref())).await
        }
        Action::SetPassword(SetPassword { target, secret }) => {
            set_secret(context, realm, target, (*secret, Source::Prompt), SecretChange::Password).await
        }
        Action::RotateSecret(RotateSecret { target, secret, revoke }) => {
            let rotation = SecretChange::Rotation { revoke: *revoke };
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

async fn change<N: Naming>(
    context: &Context<'_>,
    realm: &Realm,
    target: &Target<N>,
    change: AccountChange<'_>,
) -> Result<Output, CliError> {
    let changed = context.admin.change_account(realm, &target.name.account_name(), change).await?;
    let done = match change {
        AccountChange::Disable => {
            format!("is disabled, and its tokens have ended{}", old_tokens_end(context.admin, realm).await?)
        }
        AccountChange::Enable => "is enabled".to_owned(),
        AccountChange::Lock => "is locked".to_owned(),
        AccountChange::Unlock => "is unlocked".to_owned(),
        AccountChange::SetRole(_) if changed.tokens_ended => "has a new role, and its tokens have ended".to_owned(),
        AccountChange::SetRole(_) => "has this role already".to_owned(),
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
    let done = if changed.tokens_ended {
        "has a new secret, and its tokens have ended"
    } else {
        "has a new secret, and its tokens live on until they expire"
    };
    Ok(show::changed(&changed.account, done, changed.secret.as_ref()))
}

fn new_secret(context: &mut Context<'_>, args: SecretArgs, default: Source) -> Result<NewSecret, CliError> {
    secret::obtain(args.source(default), context.input)
}
