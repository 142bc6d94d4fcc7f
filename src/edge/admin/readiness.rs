//! Whether the gateway can serve.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the gateway can serve: it has its keys and revocations, and is not stopping. The store says for itself
/// whether it can be followed.
#[derive(Debug, Default)]
pub struct Readiness {
    loaded: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// Keys and revocations are loaded.
    pub fn set_loaded(&self) {
        self.loaded.store(true, Ordering::Release);
    }

    /// The gateway stops: no new work, please.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// What keeps it from serving.
    pub(super) fn problem(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Acquire) {
            return Some("draining");
        }
        (!self.loaded.load(Ordering::Acquire)).then_some("loading keys and revocations")
    }
}
