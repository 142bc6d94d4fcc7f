//! Buckets by expiry: which entries end together, and so are forgotten together.

use std::{collections::BTreeMap, time::Duration};

use super::primitives::TAG_BITS;
use crate::domain::Timestamp;

/// Tags there are, [`Tag::FREE`] and [`Tag::NEVER`] among them.
const TAGS: usize = 1 << TAG_BITS;

/// How far apart the ends of buckets are, and below how many buckets in use. An entry is held for less
/// than this beyond its expiry. Days and months come when hours do not reach far enough.
const BUCKET_WIDTHS: [(usize, Duration); 3] =
    [(96, Duration::from_hours(1)), (192, Duration::from_hours(24)), (TAGS, Duration::from_hours(30 * 24))];

/// The end of the bucket that has none.
const NO_END: i64 = i64::MAX;

/// A bucket's number, below 2 to the power of [`TAG_BITS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u8);

impl Tag {
    /// No bucket: where no entry is.
    pub(super) const FREE: Self = Self(0);

    /// The bucket without end.
    pub(super) const NEVER: Self = Self(1);

    /// The tag in the lowest [`TAG_BITS`] of `bits`.
    #[expect(clippy::cast_possible_truncation, reason = "eight bits fit")]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits as u8)
    }

    /// The tag as a number below 2 to the power of [`TAG_BITS`].
    pub(super) const fn bits(self) -> u64 {
        self.0 as u64
    }

    /// The tag as an index.
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The buckets in use.
///
/// An entry comes into the first bucket that ends at its expiry or later, never into an earlier one:
/// what has an end may be held too long where buckets are scarce, and is never forgotten too early.
#[derive(Debug)]
pub(super) struct Buckets {
    by_end: BTreeMap<i64, Tag>,
    /// The end of each tag's bucket, in milliseconds. A closed bucket keeps its end until it is released.
    ends: Box<[i64]>,
    free: Vec<Tag>,
}

impl Default for Buckets {
    fn default() -> Self {
        let free = (0..TAGS as u64).rev().map(Tag::from_bits);
        let free = free.filter(|tag| ![Tag::FREE, Tag::NEVER].contains(tag)).collect();
        Self { by_end: BTreeMap::new(), ends: vec![NO_END; TAGS].into(), free }
    }
}

impl Buckets {
    /// The bucket of what expires then; `None` is never.
    pub(super) fn tag(&mut self, expires_at: Option<Timestamp>) -> Tag {
        let Some(expires_at) = expires_at else { return Tag::NEVER };
        let (_, width) =
            BUCKET_WIDTHS.into_iter().find(|(below, _)| self.by_end.len() < *below).unwrap_or(BUCKET_WIDTHS[2]);
        let Some(end) = round_up(expires_at, width) else { return Tag::NEVER };
        if let Some(tag) = self.by_end.get(&end) {
            return *tag;
        }
        let Some(tag) = self.free.pop() else {
            return self.by_end.range(end..).next().map_or(Tag::NEVER, |(_, tag)| *tag);
        };
        self.by_end.insert(end, tag);
        self.ends[tag.index()] = end;
        tag
    }

    /// Whether the bucket `one` ends after `other`.
    pub(super) fn ends_later(&self, one: Tag, other: Tag) -> bool {
        self.ends[one.index()] > self.ends[other.index()]
    }

    /// When the bucket of a tag ends; `None` for never.
    pub(super) fn end_of(&self, tag: Tag) -> Option<Timestamp> {
        Some(self.ends[tag.index()]).filter(|end| *end != NO_END).map(Timestamp::from_millis)
    }

    /// Takes the buckets that ended before `now` out of use. Nothing comes into them any more; their
    /// tags are used again once they are [released](Self::release).
    pub(super) fn close(&mut self, now: Timestamp) -> Closed {
        let open = self.by_end.split_off(&now.as_millis());
        let past = std::mem::replace(&mut self.by_end, open);
        let end = past.last_key_value().map(|(end, _)| Timestamp::from_millis(*end));
        Closed { end, tags: past.into_values().collect() }
    }

    /// Lets the tags of closed buckets, which are empty now, be used again.
    pub(super) fn release(&mut self, closed: Closed) {
        self.free.extend(closed.tags);
    }
}

/// Buckets that are past.
#[derive(Debug)]
pub(super) struct Closed {
    end: Option<Timestamp>,
    tags: Vec<Tag>,
}

impl Closed {
    /// When the last of them ended; `None` where there are none.
    pub(super) const fn end(&self) -> Option<Timestamp> {
        self.end
    }

    /// By a tag's number, whether its bucket is past.
    pub(super) fn by_tag(&self) -> Box<[bool]> {
        let mut past = vec![false; TAGS];
        for tag in &self.tags {
            past[tag.index()] = true;
        }
        past.into()
    }
}

/// The first end at `expires_at` or later, in milliseconds.
fn round_up(expires_at: Timestamp, width: Duration) -> Option<i64> {
    let width = i64::try_from(width.as_millis()).ok()?;
    let millis = expires_at.as_millis();
    let past_the_last = millis.rem_euclid(width);
    if past_the_last == 0 { Some(millis) } else { millis.checked_add(width - past_the_last) }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn tag(buckets: &mut Buckets, secs: i64) -> Tag {
        buckets.tag(Some(Timestamp::from_secs(secs)))
    }

    #[test]
    fn what_ends_in_the_same_hour_ends_together() {
        let mut buckets = Buckets::default();
        let first = tag(&mut buckets, 1);
        assert_eq!(tag(&mut buckets, HOUR), first);
        let second = tag(&mut buckets, HOUR + 1);
        assert_ne!(second, first);
        assert!(buckets.ends_later(second, first) && buckets.ends_later(Tag::NEVER, second));
        assert!(!buckets.ends_later(first, second) && !buckets.ends_later(first, first));
        assert_eq!(buckets.tag(None), Tag::NEVER);
    }

    #[test]
    fn a_bucket_closes_after_its_end_and_its_tag_comes_back_after_its_release() {
        let mut buckets = Buckets::default();
        let (first, second) = (tag(&mut buckets, HOUR), tag(&mut buckets, 2 * HOUR));
        assert_eq!(buckets.close(Timestamp::from_secs(HOUR)).end(), None, "its end itself is not past");
        let closed = buckets.close(Timestamp::from_millis(HOUR * 1000 + 1));
        let past = closed.by_tag();
        assert!(past[first.index()] && !past[second.index()] && !past[Tag::NEVER.index()]);
        assert_ne!(tag(&mut buckets, HOUR), first);
        buckets.release(closed);
        assert_eq!(tag(&mut buckets, 9 * HOUR), first);
    }

    #[test]
    fn whatever_comes_no_bucket_ends_before_its_entries() {
        let mut buckets = Buckets::default();
        for days in (0..20_000).chain([i64::MIN / 86_400_000, i64::MAX / 86_400_000]) {
            let expires_at = Timestamp::from_millis(days * 86_400_000 + 12_345);
            let tag = buckets.tag(Some(expires_at));
            assert_ne!(tag, Tag::FREE);
            assert!(buckets.ends[tag.index()] >= expires_at.as_millis(), "{days}");
        }
        assert_eq!(buckets.tag(Some(Timestamp::from_millis(i64::MAX))), Tag::NEVER);
        assert_eq!(buckets.by_end.len(), TAGS - 2, "all are in use");
    }

    #[test]
    fn buckets_reach_years_ahead() {
        let mut buckets = Buckets::default();
        let five_years_hours = 5 * 365 * 24;
        for hour in 0..five_years_hours {
            assert_ne!(tag(&mut buckets, hour * HOUR), Tag::NEVER, "{hour}");
        }
    }
}
