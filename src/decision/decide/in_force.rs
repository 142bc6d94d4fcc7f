//! What the store's snapshot is made of.

use super::live_state::LiveState;
use crate::state::{account::KnownAccounts, revocation::Revocations, store_snapshot::InForce};

impl InForce for LiveState {
    fn revocations(&self) -> &Revocations {
        self.revocations()
    }

    fn accounts(&self) -> &KnownAccounts {
        self.accounts()
    }
}
