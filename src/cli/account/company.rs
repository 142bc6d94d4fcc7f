//! `portero company …`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{Common, Context, execute::realm_of};
use crate::{
    cli::output::{CliError, Output, object, table, time},
    rules::dialect::Dialect,
    state::account::{
        AccountError,
        company::{self, Company},
    },
};

/// Companies that are read from the store at a time.
const PAGE_ROWS: u32 = 500;

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
    let Common { realm, .. } = action.common();
    let dialect = realm_of(context, realm)?.dialect;
    if dialect != Dialect::Become {
        return Err(CliError::Refused(format!("realm '{realm}' speaks {dialect}: only become has companies")));
    }
    let (store, now) = (context.store, context.clock.now());
    let existing = async |name: &str| -> Result<Company, CliError> {
        let found = company::find(store, realm, name).await?;
        found.ok_or_else(|| AccountError::company_not_found(realm, name).into())
    };
    Ok(match action {
        CompanyAction::List(_) => list(context, action.common()).await?,
        CompanyAction::Show(target) => changed(&existing(&target.name).await?, "exists"),
        CompanyAction::Add(target) => changed(&company::insert(store, realm, &target.name, now).await?, "is made"),
        CompanyAction::Disable(target) => {
            company::set_disabled(store, realm, &target.name, true, now).await?;
            changed(&existing(&target.name).await?, "is disabled, and its clients' tokens have ended")
        }
        CompanyAction::Enable(target) => {
            company::set_disabled(store, realm, &target.name, false, now).await?;
            changed(&existing(&target.name).await?, "is enabled")
        }
        CompanyAction::Delete(target) => {
            let company = existing(&target.name).await?;
            company::delete(store, realm, &target.name, now).await?;
            let mut output = changed(&company, "is deleted, and its clients' tokens have ended");
            output.json["deleted"] = true.into();
            output
        }
    })
}

async fn list(context: &Context<'_>, Common { realm, .. }: &Common) -> Result<Output, CliError> {
    let mut companies: Vec<Company> = Vec::new();
    loop {
        let after = companies.last().map(|company| company.name.as_str());
        let page = company::list(context.store, realm, after, PAGE_ROWS).await?;
        if page.is_empty() {
            break;
        }
        companies.extend(page);
    }
    let rows: Vec<_> = companies.iter().map(|company| [company.name.clone(), state(company).to_owned()]).collect();
    Ok(Output {
        text: table(["NAME", "STATE"], &rows),
        json: companies.iter().map(|company| Value::Object(members(company))).collect(),
    })
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
