//! `portero check`: everything that `portero run` would refuse, and what is hardly meant.

use std::{path::Path, process::ExitCode};

use clap::Args;
use serde_json::{Value, json};

use super::{
    config_file::ConfigFile,
    output::{Format, Output},
    print,
};
use crate::{
    app::{
        self, StartError,
        examine::{self, Away, SnapshotFound},
    },
    config::{Problem, Report, Summary, TakeoverSummary},
    domain::{Clock, SystemClock},
};

/// What the process exits with where something is wrong.
const WRONG: u8 = 2;

/// Say everything that is wrong with gateway.toml, and with what it needs of this machine
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Look at the file alone: not at files, folders, modes and ports of this machine
    #[arg(long)]
    file_only: bool,
    /// How the outcome is printed
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// What came of it.
struct Outcome {
    /// What the config has; `None` where it cannot be read as a whole.
    summary: Option<Summary>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// What stands in the place of the store's snapshot, where the config names one.
    snapshot: Option<SnapshotFound>,
}

impl Check {
    /// Prints the outcome. 0 it is good, 2 it is not.
    pub(super) fn run(&self) -> ExitCode {
        let config = self.config.path();
        let outcome = if self.file_only { Ok(Outcome::of_file(&config)) } else { Outcome::of_machine(&config) };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                eprintln!("portero: {error}");
                return ExitCode::from(WRONG);
            }
        };
        let good = outcome.problems.is_empty();
        let printed = match self.output {
            Format::Text if !good => {
                let warnings = outcome.warnings_text(&config);
                eprintln!("{}{warnings}", Report::new(config.display().to_string(), outcome.problems));
                ExitCode::SUCCESS
            }
            Format::Text => print(&Output { text: outcome.text(&config), json: Value::Null }, Format::Text),
            Format::Json => print(&Output { text: String::new(), json: outcome.json(&config) }, Format::Json),
        };
        if good { printed } else { ExitCode::from(WRONG) }
    }
}

impl Outcome {
    fn of_file(config: &Path) -> Self {
        match app::load_alone(config) {
            Ok(summary) => Self::good(summary),
            Err(report) => Self::bad(&report),
        }
    }

    /// The same steps as those of a start.
    fn of_machine(config: &Path) -> Result<Self, StartError> {
        let settings = match app::load(config) {
            Ok(settings) => settings,
            Err(StartError::Config(report)) => return Ok(Self::bad(&report)),
            Err(error) => return Err(error),
        };
        let mut outcome = Self::good(Summary::of(&settings));
        if let Err(report) = examine::start(config, &settings, SystemClock.now(), Away::Reported) {
            outcome.problems.extend_from_slice(report.problems());
        }
        for file in &settings.readable_secrets {
            let message =
                format!("{}: every user of this system can read this file, which holds a secret", file.display());
            outcome.warnings.push(settings.places.problem("", &message));
        }
        outcome.warnings.extend(examine::store_warnings(&settings));
        outcome.snapshot = examine::snapshot(&settings, &SystemClock);
        if let Some(SnapshotFound::Wrong(problem)) = &outcome.snapshot {
            // A gateway starts all the same while the store is there, and writes a new one where it can.
            outcome.warnings.push(problem.clone());
        }
        let (problems, warnings) = examine::ports(&settings);
        outcome.problems.extend(problems);
        outcome.warnings.extend(warnings);
        Ok(outcome)
    }

    fn good(summary: Summary) -> Self {
        let warnings = summary.warnings.clone();
        Self { summary: Some(summary), problems: vec![], warnings, snapshot: None }
    }

    fn bad(report: &Report) -> Self {
        Self { summary: None, problems: report.problems().to_vec(), warnings: vec![], snapshot: None }
    }

    fn text(&self, config: &Path) -> String {
        let mut text = format!("{} is good", config.display());
        if let Some(summary) = &self.summary {
            let Summary { realms, token_endpoints, routes, upstreams, .. } = summary;
            text = format!(
                "{text}: {realms} realms, {token_endpoints} token endpoints, {routes} routes, {upstreams} upstreams"
            );
        }
        for takeover in self.summary.iter().flat_map(|summary| &summary.takeovers) {
            let TakeoverSummary { path, realm, step, next } = takeover;
            let next = next.map_or_else(
                || "Portero is alone: there is no next step".to_owned(),
                |(next, changes)| format!("the next step is {next}: {changes}"),
            );
            text = format!("{text}\n{path}, realm {realm}, mode {step}: {next}");
        }
        if let Some(said) = self.snapshot_text() {
            text.extend(["\n", &said]);
        }
        text + &self.warnings_text(config)
    }

    fn snapshot_text(&self) -> Option<String> {
        Some(match self.snapshot.as_ref()? {
            SnapshotFound::None => "store.snapshot: there is none yet; a gateway writes it".to_owned(),
            SnapshotFound::Usable { age, revocations, torn } => {
                let age = age.map_or("nobody knows how old, because a clock is behind it".to_owned(), |age| {
                    format!("{} s old", age.as_secs())
                });
                let torn = if *torn { ", its end torn off" } else { "" };
                format!("store.snapshot: opens; {age}; {revocations} records of revocations{torn}")
            }
            SnapshotFound::Wrong(_) => return None,
        })
    }

    fn snapshot_json(&self) -> Value {
        match &self.snapshot {
            Some(SnapshotFound::Usable { age, revocations, torn }) => {
                json!({ "age_seconds": age.map(|age| age.as_secs()), "revocations": revocations, "torn": torn })
            }
            Some(SnapshotFound::None | SnapshotFound::Wrong(_)) | None => Value::Null,
        }
    }

    /// The warnings, each on a line of its own.
    fn warnings_text(&self, config: &Path) -> String {
        let mut text = String::new();
        for warning in &self.warnings {
            text = format!("{text}\nwarning: {}:{warning}", config.display());
        }
        for route in self.shadow_routes() {
            text.extend(["\nwarning: route '", route, "' is in shadow mode: ", app::SHADOW_MEANS]);
        }
        text
    }

    fn json(&self, config: &Path) -> Value {
        let count = |count: fn(&Summary) -> usize| self.summary.as_ref().map(count);
        json!({
            "file": config.display().to_string(),
            "good": self.problems.is_empty(),
            "problems": self.problems.iter().map(problem).collect::<Vec<_>>(),
            "warnings": self.warnings.iter().map(problem).collect::<Vec<_>>(),
            "shadow_routes": self.shadow_routes().collect::<Vec<_>>(),
            "takeovers": self.summary.iter().flat_map(|summary| &summary.takeovers).map(takeover).collect::<Vec<_>>(),
            "snapshot": self.snapshot_json(),
            "realms": count(|summary| summary.realms),
            "token_endpoints": count(|summary| summary.token_endpoints),
            "routes": count(|summary| summary.routes),
            "upstreams": count(|summary| summary.upstreams),
        })
    }

    fn shadow_routes(&self) -> impl Iterator<Item = &str> {
        self.summary.iter().flat_map(|summary| &summary.shadow_routes).map(String::as_str)
    }
}

fn takeover(takeover: &TakeoverSummary) -> Value {
    json!({
        "path": takeover.path,
        "realm": takeover.realm,
        "mode": takeover.step,
        "next": takeover.next.map(|(next, _)| next),
        "changes": takeover.next.map(|(_, changes)| changes),
    })
}

/// `null` where there is no place in the file.
fn problem(problem: &Problem) -> Value {
    json!({
        "line": problem.position.map(|position| position.line),
        "column": problem.position.map(|position| position.column),
        "key": problem.key,
        "message": problem.message,
    })
}
