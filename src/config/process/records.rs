//! What is written down of requests and logins: `[log]`, `[audit]`.

use std::{ops::RangeInclusive, time::Duration};

use crate::{
    config::reader::{Item, Section},
    observe::audit::{AuditSettings, Rotation},
};

/// Bytes of an audit file at which it makes way for another; 0 for never.
const ROTATE_SIZE: RangeInclusive<u64> = 0..=1 << 40;
const ROTATE_BYTES: u64 = 100 << 20;
/// Zero for never.
const ROTATE_TIME: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24 * 366);
const ROTATE_EVERY: Duration = Duration::from_hours(24);

/// `[log]`: whether there is an access log, and whether names that no account has stand in the audit log as a code.
pub(in crate::config) fn log(mut section: Section<'_>) -> (bool, bool) {
    let access = section.or("access", true, Item::boolean);
    let names = section.or("names", false, Item::boolean);
    section.optional("format", |item| item.one_of(&[("json", ())]));
    section.finish();
    (access, names)
}

/// `[audit]`: a gateway's own chain of logins, refusals and refreshes.
pub(in crate::config) fn audit(mut section: Section<'_>) -> AuditSettings {
    let file = section.optional("file", Item::path);
    let required = section.or("required", false, Item::boolean);
    let rotation = Rotation {
        bytes: section.or("rotate_size", ROTATE_BYTES, |item| item.size(&ROTATE_SIZE)),
        every: section.or("rotate_every", ROTATE_EVERY, |item| item.duration(&ROTATE_TIME)),
    };
    if required && file.is_none() {
        section.report("required", "needs audit.file: without a file no login has a line");
    }
    section.finish();
    AuditSettings { file, required, rotation }
}
