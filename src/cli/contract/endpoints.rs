//! Which of the recorded exchanges went to the contract's own endpoints.

use clap::Args;
use serde_json::{Map, Value};

use super::example::Example;
use crate::{
    domain::json::parse_object,
    rules::contract::{Contract, Endpoint, FileContract, Recorded, SecretPlace},
};

/// The paths of the contract's endpoints, where the recordings do not tell them.
#[derive(Debug, Default, Args)]
pub(super) struct Paths {
    /// The path of the logins; without it, each path to which a login's members go
    #[arg(long, value_name = "PATH")]
    login: Option<String>,
    /// The path of the refreshes; without it, each path to which a refresh's member goes
    #[arg(long, value_name = "PATH")]
    refresh: Option<String>,
}

impl Paths {
    /// Says of each example what it was for.
    pub(super) fn assign(&self, examples: &mut [Example], contract: &FileContract) {
        let paths = |named: &Option<String>, refresh: bool| -> Vec<String> {
            let found = examples.iter().filter(|example| is_for(&example.recorded, contract, refresh));
            named
                .as_ref()
                .map_or_else(|| found.map(|example| example.path.clone()).collect(), |path| vec![path.clone()])
        };
        let (logins, refreshes) = (paths(&self.login, false), paths(&self.refresh, true));
        for example in examples {
            example.recorded.to = if refreshes.contains(&example.path) {
                Endpoint::Refresh
            } else if logins.contains(&example.path) {
                Endpoint::Login
            } else {
                Endpoint::Route
            };
        }
    }
}

/// How a request tells that it is the contract's, for people.
pub(super) fn told_by(contract: &FileContract) -> String {
    if contract.facts().place == SecretPlace::Basic {
        return "with 'Authorization: Basic'".to_owned();
    }
    let members: Vec<_> = contract.members(false).iter().map(|member| format!("'{member}'")).collect();
    format!("with a member {}", members.join(" or "))
}

/// Whether a request is what the contract's endpoint gets, in whatever form its body is: what the contract cannot read
/// is a difference, and no service's own.
fn is_for(recorded: &Recorded, contract: &FileContract, refresh: bool) -> bool {
    if !refresh && contract.facts().place == SecretPlace::Basic {
        let scheme = recorded.authorization.as_deref().and_then(|field| field.split(' ').next());
        return scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"));
    }
    let body = &recorded.request;
    let members = contract.members(refresh);
    let object = parse_object(body).ok().or_else(|| serde_json::from_slice::<Map<String, Value>>(body).ok());
    if let Some(object) = object {
        return members.iter().any(|member| object.contains_key(&**member));
    }
    let text = String::from_utf8_lossy(body);
    let is_in_form = |member: &str| form_urlencoded::parse(body).any(|(name, _)| name == member);
    // JSON that breaks off, and a form in parts, have the name between quotes.
    members.iter().any(|member| is_in_form(member) || text.contains(&format!("\"{member}\"")))
}
