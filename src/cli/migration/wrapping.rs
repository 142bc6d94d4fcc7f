//! `portero migration wrap`: wraps what is sealed now, and says how far it is.

use std::num::NonZeroUsize;

use serde_json::json;

use crate::{
    cli::{
        output::{CliError, Output},
        progress::Progress,
    },
    decision::{AdminService, admin::import::Wrapped},
    domain::{Clock, SystemClock},
    state::account::HasherSettings,
};

pub(super) async fn wrap(admin: &AdminService) -> Result<Output, CliError> {
    let wrapped = wrap_now(admin).await?;
    let json = json!({ "wrapped": wrapped.accounts, "unopenable": wrapped.unopenable });
    Ok(Output { text: said(&wrapped), json })
}

/// Wraps what is sealed, and says how far it is, its rate and the time that is left.
pub(in crate::cli) async fn wrap_now(admin: &AdminService) -> Result<Wrapped, CliError> {
    let threads: NonZeroUsize = HasherSettings::default().threads;
    let mut shown = Progress::new();
    let began = SystemClock.instant();
    let mut report = |wrapped: &Wrapped| {
        let took = SystemClock.instant().saturating_duration_since(began);
        let done = wrapped.accounts + wrapped.unopenable;
        let left = wrapped.of.saturating_sub(done);
        let a_second = u128::from(done) * 1000 / took.as_millis().max(1);
        let seconds = took.as_secs().saturating_mul(left).checked_div(done).unwrap_or(0);
        let text = format!("wrapped {done} of {} hashes, {a_second} a second, {seconds} s left", wrapped.of);
        shown.at("", done, Some(wrapped.of), &text);
    };
    let wrapped = admin.wrap_sealed(threads, &mut report).await;
    shown.end();
    Ok(wrapped?)
}

/// What was wrapped, in words.
pub(in crate::cli) fn said(wrapped: &Wrapped) -> String {
    let mut text = format!("{} hashes are wrapped in argon2id", wrapped.accounts);
    if wrapped.unopenable > 0 {
        text =
            format!("{text}; {} sealed hashes do not open, and their accounts need new passwords", wrapped.unopenable);
    }
    text
}
