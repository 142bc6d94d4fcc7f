//! The commands.

use std::process::ExitCode;

use clap::Subcommand;

use super::{
    super::{
        block_on, complain,
        output::{CliError, Output},
        print,
        revoke::{Common, instant},
        user, with_store,
    },
    files::Files,
    tail, verify,
};
use crate::{
    app::{self, Making},
    config::{GatewaySettings, parse_duration},
    decision::AdminService,
    domain::{AccountName, Clock, PrincipalId, RealmName, SystemClock, Timestamp},
    state::clock::TrustedClock,
};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Hold every chain against its codes and anchors; exits with 1 where somebody changed something
    Verify {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        files: Files,
        /// Files that end before this may be missing: RFC 3339, Unix seconds, or as 30d for 30 days ago
        #[arg(long, value_name = "TIME", value_parser = moment)]
        since: Option<Timestamp>,
    },
    /// Print administrative changes and logins as one stream in the order of their times
    Tail {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        files: Files,
        /// Only from then on: RFC 3339, Unix seconds, or as 24h for 24 hours ago
        #[arg(long, value_name = "TIME", value_parser = moment)]
        since: Option<Timestamp>,
        /// Only of this account: its UUID, or its name beside --realm
        #[arg(long)]
        account: Option<String>,
        /// The realm of the account's name
        #[arg(long, requires = "account")]
        realm: Option<RealmName>,
        /// The business of the account's name (toc)
        #[arg(long, requires = "realm", default_value = "")]
        business: String,
    },
}

impl Command {
    /// Does it, and says whether something was found by what it exits with.
    pub(in crate::cli) fn run(&self) -> ExitCode {
        let (Self::Verify { common, .. } | Self::Tail { common, .. }) = self;
        let done =
            app::load(&common.config.path()).map_err(CliError::from).and_then(|settings| self.in_store(&settings));
        match done {
            Ok((output, is_clean)) => {
                let printed = print(&output, common.output);
                if is_clean { printed } else { ExitCode::from(1) }
            }
            Err(error) => {
                complain(&error);
                ExitCode::from(error.exit_code())
            }
        }
    }

    fn in_store(&self, settings: &GatewaySettings) -> Result<(Output, bool), CliError> {
        let mut is_clean = true;
        let output = block_on(with_store(settings, Making::Refused, async |store, vault| {
            let trusted = TrustedClock::open(store, std::sync::Arc::new(SystemClock)).await?;
            let admin = AdminService::new(user::actor(), &vault, trusted, None);
            match self {
                Self::Verify { files, since, .. } => {
                    let (output, clean) = verify::verify(settings, &admin, &files.more, *since).await?;
                    is_clean = clean;
                    Ok(output)
                }
                Self::Tail { common, files, since, account, realm, business } => {
                    let account = account_of(&admin, account.as_deref(), realm.as_ref(), business).await?;
                    let wanted = tail::Wanted { since: *since, account };
                    tail::tail(settings, &admin, &files.more, &wanted, common.output).await
                }
            }
        }))?;
        Ok((output, is_clean))
    }
}

async fn account_of(
    admin: &AdminService,
    account: Option<&str>,
    realm: Option<&RealmName>,
    business: &str,
) -> Result<Option<PrincipalId>, CliError> {
    match (account, realm) {
        (None, _) => Ok(None),
        (Some(name), Some(realm)) => {
            let name = AccountName { business: business.to_owned(), name: name.to_owned() };
            Ok(Some(admin.account_id(realm, &name).await?))
        }
        (Some(id), None) => {
            let wrong = || CliError::Refused(format!("'{id}' is no UUID: name its realm too, with --realm"));
            id.parse().map(Some).map_err(|_| wrong())
        }
    }
}

/// A time, or how long ago.
fn moment(text: &str) -> Result<Timestamp, String> {
    match parse_duration(text) {
        Some(ago) => Ok(SystemClock.now().minus(ago)),
        None => instant(text).map_err(|error| format!("{error}, nor how long ago, as 24h")),
    }
}
