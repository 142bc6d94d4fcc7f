//! `[keys]`: how signing keys rotate.

use std::{ops::RangeInclusive, time::Duration};

use crate::{config::reader::Section, decision::schedule::ScheduleSettings, domain::duration};

const ROTATE_EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24 * 3650);
const PUBLISH_AHEAD: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24 * 365);
const RETIRE_AFTER: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24 * 365);

/// `[keys]`: all of it can be reloaded.
pub(in crate::config) fn keys(mut section: Section<'_>) -> ScheduleSettings {
    let default = ScheduleSettings::default();
    let rotate_every = section.or("rotate_every", default.rotate_every, |item| {
        if item.raw() == "never" { Some(None) } else { item.duration(&ROTATE_EVERY).map(Some) }
    });
    let publish_ahead = section.checked("publish_ahead", default.publish_ahead, |item| item.duration(&PUBLISH_AHEAD));
    if let (Some(every), Some(ahead)) = (rotate_every, publish_ahead)
        && ahead >= every
    {
        let [every, ahead] = [every, ahead].map(duration::shown);
        let why =
            format!("must be less than rotate_every ({every}), and is {ahead}: a key is published before it signs");
        section.report("publish_ahead", &why);
    }
    let retire_after = section.or("retire_after", default.retire_after, |item| item.duration(&RETIRE_AFTER));
    section.finish();
    ScheduleSettings { rotate_every, publish_ahead: publish_ahead.unwrap_or(default.publish_ahead), retire_after }
}
