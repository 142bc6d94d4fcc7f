//! What is remembered while accounts are taken over.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{ledger, unconfirmed};
use crate::state::takeover::old_tokens::OldTokens;

/// What is remembered while accounts are taken over.
#[derive(Debug, Default)]
pub struct Takeovers {
    /// What was counted.
    pub ledger: Arc<ledger::Ledger>,
    /// Logins that wait to be confirmed.
    pub unconfirmed: unconfirmed::Unconfirmed,
    /// Tokens of old systems that Portero has no key of.
    pub old_tokens: ArcSwap<OldTokens>,
}
