//! `portero clock …`: what the store knows of the civil clock, and an operator's word that it is right.

use clap::Subcommand;
use serde_json::Value;

use super::{
    InStore,
    output::{CliError, Output, object, time},
    revoke::Common,
};
use crate::{
    config::GatewaySettings,
    decision::AdminService,
    domain::{
        Timestamp,
        trusted_time::{ABSENCE_MAX, IN_STEP_MIN, Record, STEP_MAX},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The civil clock, the latest time that the store has seen, and whether pruning, retiring and wiping are suspended
    Show {
        #[command(flatten)]
        common: Common,
    },
    /// Say that the civil clock of this machine is right: a suspension ends, and its time is the latest seen
    Confirm {
        #[command(flatten)]
        common: Common,
    },
}

impl Command {
    pub(super) const fn common(&self) -> &Common {
        match self {
            Self::Show { common } | Self::Confirm { common } => common,
        }
    }
}

impl InStore for Command {
    async fn execute(&self, _settings: &GatewaySettings, admin: &AdminService) -> Result<Output, CliError> {
        let now = admin.now();
        let confirmed = match self {
            Self::Show { .. } => false,
            Self::Confirm { .. } => true,
        };
        let record = if confirmed { admin.confirm_clock(now).await? } else { admin.clock_record().await? };
        let mut lines = vec![format!("the civil clock says {}", time(now))];
        lines.extend(
            record.map_or_else(
                || vec!["no gateway has run on this store yet".to_owned()],
                |record| described(&record, now),
            ),
        );
        if confirmed {
            lines.push(format!(
                "confirmed: {} is the latest time seen; a running gateway goes on pruning and retiring within a second",
                time(now)
            ));
        }
        Ok(Output { text: lines.join("\n"), json: members(record.as_ref(), now, confirmed) })
    }
}

/// What the store knew, in lines.
fn described(record: &Record, now: Timestamp) -> Vec<String> {
    let Record { reference, suspension, .. } = record;
    let (later, earlier) = (now.since(*reference), reference.since(now));
    let distance = if later >= earlier {
        format!("{later:.0?} before that")
    } else {
        format!("{earlier:.0?} after that: the clock is behind, or it was ahead then")
    };
    let mut lines = vec![format!("the latest time seen while it was trusted is {}, {distance}", time(*reference))];
    if let Some(suspension) = suspension {
        let left = IN_STEP_MIN.saturating_sub(suspension.run);
        lines.push(format!(
            "pruning, retiring and wiping are suspended since {} ({}); by itself that ends after {:.1} more hours in step",
            time(suspension.since),
            suspension.doubt.name(),
            left.as_secs_f64() / 3600.0
        ));
    } else if later > ABSENCE_MAX || earlier > STEP_MAX {
        lines.push("a gateway that starts now suspends pruning, retiring and wiping".to_owned());
    } else {
        lines.push("nothing is suspended".to_owned());
    }
    lines
}

fn members(record: Option<&Record>, now: Timestamp, confirmed: bool) -> Value {
    let suspension = record.and_then(|record| record.suspension);
    let text = |value: Option<String>| value.map_or(Value::Null, Value::from);
    Value::Object(object([
        ("now", time(now).into()),
        ("latest_seen", text(record.map(|record| time(record.reference)))),
        ("suspended_since", text(suspension.map(|suspension| time(suspension.since)))),
        ("doubt", text(suspension.map(|suspension| suspension.doubt.name().to_owned()))),
        ("in_step_seconds", suspension.map_or(Value::Null, |suspension| suspension.run.as_secs().into())),
        ("confirmed", confirmed.into()),
    ]))
}
