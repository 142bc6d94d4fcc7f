//! What systemd is told (`sd_notify(3)`), where it listens: a process that nobody supervises says
//! nothing.

use sd_notify::{NotifyState, notify};

/// The gateway serves.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The gateway reads its config again; [`ready`] follows.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        // Without the time systemd would take it for a reload that never began.
        Err(error) => tracing::debug!(%error, "there is no monotonic time"),
    }
}

/// The gateway stops.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Another process is the service now. Said by this one, since systemd listens to the main process only.
pub(super) fn handed_over(successor: u32) {
    tell(&[NotifyState::MainPid(successor), NotifyState::Ready, NotifyState::Status("serving")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
