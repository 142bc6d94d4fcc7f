//! The gateway's own events, as JSON lines on standard output.
//!
//! Libraries that log through the `log` crate are deliberately not connected: no line of theirs can carry a
//! client's secret. What of theirs matters to an operator is logged here, by us, without any of the request's
//! text.

use tracing_subscriber::EnvFilter;

use super::lines::Lines;

/// Which events are written: ours from `info`, libraries' from `warn`; sqlx's never, since it logs
/// statements.
const DIRECTIVES: &str = "portero=info,sqlx=off,warn";

/// Starts the event log on `lines`. Later calls change nothing.
pub fn start(lines: &Lines) {
    let lines = lines.clone();
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(EnvFilter::new(DIRECTIVES))
        .with_writer(move || lines.clone())
        .try_init();
    if started.is_err() {
        tracing::debug!("the event log is running already");
    }
}
