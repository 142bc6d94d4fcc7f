//! `portero company …`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{arguments::Common, context::Context};
use crate::{
    cli::{
        output::{CliError, Output, object, table, time},
        revoke::find_realm,
    },
    decision::admin::companies::CompanyChange,
    state::account::company::Company,
};

/// What can be done with companies.
#[derive(Debug, Subcommand)]
pub enum CompanyAction {
    /// Make one
    Add(CompanyTarget),
    /// List all of the realm
    List(Common),
    /// Show one
    Show(CompanyTarget),
    /// Refuse its clients' logins and end their tokens
    Disable(CompanyTarget),
    /// Allow its clients' logins again
    Enable(CompanyTarget),
    /// Delete it and end its clients' tokens
    Delete(CompanyTarget),
}

/// One company.
#[derive(Debug, Args)]
pub struct CompanyTarget {
    /// Where it is.
    #[command(flatten)]
    pub common: Common,
    /// The company's name
    #[arg(long)]
    pub name: String,
}

impl CompanyAction {
    pub(super) const fn common(&self) -> &Common {
        match self {
            Self::List(common) => common,
            Self::Add(target)
            | Self::Show(target)
            | Self::Disable(target)
            | Self::Enable(target)
            | Self::Delete(target) => &target.common,
        }
    }
}

pub(super) async fn execute(action: &CompanyAction, context: &Context<'_>) -> Result<Output, CliError> {
    let (admin, realm) = (context.admin, find_realm(context.realms, &action.common().realm)?);
    Ok(match action {
        CompanyAction::List(_) => list(&admin.all_companies(realm).await?),
        CompanyAction::Show(target) => changed(&admin.company(realm, &target.name).await?, "exists"),
        CompanyAction::Add(target) => changed(&admin.add_company(realm, &target.name).await?, "is made"),
        CompanyAction::Disable(target) => {
            let company = admin.change_company(realm, &target.name, CompanyChange::Disable).await?;
            changed(&company, "is disabled, and its clients' tokens have ended")
        }
        CompanyAction::Enable(target) => {
            changed(&admin.change_company(realm, &target.name, CompanyChange::Enable).await?, "is enabled")
        }
        CompanyAction::Delete(target) => {
            let company = admin.delete_company(realm, &target.name).await?;
            let mut output = changed(&company, "is deleted, and its clients' tokens have ended");
            output.json["deleted"] = true.into();
            output
        }
    })
}

fn list(companies: &[Company]) -> Output {
    let rows: Vec<_> = companies.iter().map(|company| [company.name.clone(), state(company).to_owned()]).collect();
    Output {
        text: table(["NAME", "STATE"], &rows),
        json: companies.iter().map(|company| Value::Object(members(company))).collect(),
    }
}

fn changed(company: &Company, done: &str) -> Output {
    Output {
        text: format!("company '{}' of realm '{}' {done} ({})", company.name, company.realm, state(company)),
        json: Value::Object(members(company)),
    }
}

const fn state(company: &Company) -> &'static str {
    if company.disabled { "disabled" } else { "active" }
}

fn members(company: &Company) -> Map<String, Value> {
    object([
        ("realm", company.realm.as_str().into()),
        ("name", company.name.as_str().into()),
        ("disabled", company.disabled.into()),
        ("created_at", time(company.created_at).into()),
    ])
}
