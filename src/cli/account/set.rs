//! The arguments of `portero user|client|project set`: what changes of an account.

use clap::Args;

use crate::{
    domain::GrantType,
    state::account::{Revised, Revision},
};

/// What changes of every account.
#[derive(Debug, Args)]
pub struct SetCommon {
    /// The name that people read
    #[arg(long)]
    pub name: Option<String>,
    /// Take that name away
    #[arg(long, conflicts_with = "name")]
    pub no_name: bool,
    /// The role
    #[arg(long)]
    pub role: Option<String>,
    /// Take its role away
    #[arg(long, conflicts_with = "role")]
    pub no_role: bool,
    /// A scope (permission); may be repeated; those that are not named are taken away
    #[arg(long, visible_alias = "permission")]
    pub scope: Vec<String>,
    /// Take all its scopes away
    #[arg(long, conflicts_with = "scope")]
    pub no_scopes: bool,
}

/// What changes of a user.
#[derive(Debug, Args)]
pub struct SetUser {
    /// What every account has.
    #[command(flatten)]
    pub common: SetCommon,
    /// The integer id (sws); nobody else may have it
    #[arg(long)]
    pub legacy_id: Option<i64>,
}

/// What changes of a client.
#[derive(Debug, Args)]
pub struct SetClient {
    /// What every account has.
    #[command(flatten)]
    pub common: SetCommon,
    /// The company that the client belongs to (become); it must exist
    #[arg(long)]
    pub company: Option<String>,
    /// A grant that the client may use (oauth); may be repeated; those that are not named are taken away
    #[arg(long, value_name = "client_credentials|refresh_token")]
    pub grant: Vec<GrantType>,
    /// Let it use all grants
    #[arg(long, conflicts_with = "grant")]
    pub all_grants: bool,
}

/// What changes of a project.
#[derive(Debug, Args)]
pub struct SetProject {
    /// What every account has.
    #[command(flatten)]
    pub common: SetCommon,
}

/// Arguments that say what changes.
pub(super) trait Revising: Args {
    fn revision(&self) -> Revision;
}

/// What becomes of something that is given, or taken away.
fn revised<T: Clone>(given: Option<&T>, taken_away: bool) -> Revised<Option<T>> {
    match given {
        Some(value) => Revised::To(Some(value.clone())),
        None if taken_away => Revised::To(None),
        None => Revised::Kept,
    }
}

impl Revising for SetCommon {
    fn revision(&self) -> Revision {
        let scopes_change = self.no_scopes || !self.scope.is_empty();
        Revision {
            display_name: revised(self.name.as_ref(), self.no_name),
            role: revised(self.role.as_ref(), self.no_role),
            scopes: if scopes_change { Revised::To(self.scope.clone()) } else { Revised::Kept },
            ..Revision::default()
        }
    }
}

impl Revising for SetUser {
    fn revision(&self) -> Revision {
        Revision { legacy_id: revised(self.legacy_id.as_ref(), false), ..self.common.revision() }
    }
}

impl Revising for SetClient {
    fn revision(&self) -> Revision {
        let grants = (!self.grant.is_empty()).then_some(&self.grant);
        Revision {
            company: revised(self.company.as_ref(), false),
            grants: revised(grants, self.all_grants),
            ..self.common.revision()
        }
    }
}

impl Revising for SetProject {
    fn revision(&self) -> Revision {
        self.common.revision()
    }
}
