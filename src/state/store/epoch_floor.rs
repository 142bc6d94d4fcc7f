//! The least epoch of a store that was restored (pure).

use crate::domain::{EPOCH_DELETED, Timestamp};

/// The row of `meta` with the least epoch to which a restored store raises one. Tokens of the store that was lost may
/// have epochs that its backup does not know.
pub const EPOCH_FLOOR: &str = "epoch_floor";

/// How often an account's epoch was raised since the backup, at most.
const EPOCHS_LOST_MAX: i64 = 1 << 20;

/// From when on the time counts for that: 2025-01-01, so that seconds fit in an epoch until 2093.
const FLOOR_BEGINS: Timestamp = Timestamp::from_secs(1_735_689_600);

/// The floor of a store that was restored at `now`, of which the floor and the highest epoch are known: above all that
/// the lost store can have given out. It rises with the time, in seconds: the same backup may be restored again, and
/// does not know the floor of before.
pub(super) fn floor_after_restore(floor: i64, epoch: i64, now: Timestamp) -> i64 {
    let lost = floor.max(epoch).saturating_add(EPOCHS_LOST_MAX).max(now.as_secs() - FLOOR_BEGINS.as_secs());
    lost.min(i64::from(EPOCH_DELETED) - EPOCHS_LOST_MAX)
}
