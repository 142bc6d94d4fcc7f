//! A token to be minted.

use serde_json::{Map, Value};

use crate::domain::{Holder, SessionId, Timestamp, TokenKind};

/// What a new token says.
#[derive(Debug)]
pub struct NewToken<'a> {
    /// What it is for.
    pub kind: TokenKind,
    /// The subject that it speaks for.
    pub holder: &'a Holder,
    /// The holder's epoch.
    pub epoch: u32,
    /// The login it belongs to.
    pub session: SessionId,
    /// When it begins to hold.
    pub issued_at: Timestamp,
    /// When it ends; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// What the realm's contract adds.
    pub extra: Map<String, Value>,
}
