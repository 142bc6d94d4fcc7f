//! `portero limits …`: what restrains logins at the running gateway. It asks the gateway, whose memory has it.

use std::{net::IpAddr, time::Duration};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::asking::Asking;
use crate::{
    cli::output::{CliError, Output, table},
    domain::RealmName,
};

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Limits {
    /// How many restraints are in force; and how a name or an address stands
    List {
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        whom: Whom,
    },
    /// End what restrains a name, at every address, or an address; both where both are given
    Clear {
        #[command(flatten)]
        asking: Asking,
        #[command(flatten)]
        whom: Whom,
    },
}

/// Names are only kept as keyed hashes, so nobody can list them.
#[derive(Debug, Args)]
pub(in crate::cli) struct Whom {
    /// The realm of --name
    #[arg(long, requires = "name")]
    realm: Option<RealmName>,
    /// The account's name, whether there is one or not
    #[arg(long, requires = "realm")]
    name: Option<String>,
    /// The business that a project belongs to (toc)
    #[arg(long, requires = "name")]
    business: Option<String>,
    /// A client's address
    #[arg(long)]
    address: Option<IpAddr>,
}

impl Limits {
    pub(in crate::cli) const fn asking(&self) -> &Asking {
        match self {
            Self::List { asking, .. } | Self::Clear { asking, .. } => asking,
        }
    }

    pub(in crate::cli) async fn run(&self) -> Result<Output, CliError> {
        match self {
            Self::List { asking, whom } => {
                let path = format!("/api/v1/limits?{}", whom.query());
                let answer = asking.get(path.trim_end_matches('?'), PATIENCE).await?;
                Ok(Output { text: listed(&answer), json: answer })
            }
            Self::Clear { asking, whom } => {
                let answer = asking.post("/api/v1/limits/clear", &whom.json().to_string(), PATIENCE).await?;
                Ok(Output { text: "what restrained it has ended".to_owned(), json: answer })
            }
        }
    }
}

impl Whom {
    fn members(&self) -> Vec<(&'static str, String)> {
        let members = [
            ("realm", self.realm.as_ref().map(ToString::to_string)),
            ("name", self.name.clone()),
            ("business", self.business.clone()),
            ("address", self.address.map(|address| address.to_string())),
        ];
        members.into_iter().filter_map(|(member, value)| Some((member, value?))).collect()
    }

    fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.members()).finish()
    }

    fn json(&self) -> Value {
        Value::Object(self.members().into_iter().map(|(member, value)| (member.to_owned(), json!(value))).collect())
    }
}

fn listed(answer: &Value) -> String {
    let rows = |member: &str| answer[member].as_array().cloned().unwrap_or_default();
    let kind = |row: &Value| row["kind"].as_str().unwrap_or_default().replace('_', " ");
    let seconds = |value: &Value| value.as_u64().map_or("-".to_owned(), |seconds| format!("{seconds} s"));
    let restraints: Vec<_> = rows("restraints")
        .iter()
        .map(|row| [kind(row), row["count"].to_string(), seconds(&row["longest_seconds"])])
        .collect();
    let mut text = table(["RESTRAINED BY", "COUNT", "LONGEST"], &restraints);
    let standing: Vec<_> = rows("standing")
        .iter()
        .map(|row| {
            let failures = format!("{} of {}", row["failures"], row["failures_max"]);
            [kind(row), failures, seconds(&row["restrained_seconds"])]
        })
        .collect();
    if !standing.is_empty() {
        text = format!("{text}\n\n{}", table(["COUNTED BY", "FAILURES", "RESTRAINED FOR"], &standing));
    }
    text
}
