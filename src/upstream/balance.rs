//! Which server comes next, as a pure matter of weights and numbers.

/// Turns of a round, at most: it bounds what weights like 999 and 1000 cost.
const TURNS_MAX: u32 = 4096;

/// A round of turns in which each of `weights` comes up as often as it says, and as evenly as that
/// can be (nginx's smooth weighted round-robin). Empty for no weights; each index comes up at least once.
pub(super) fn round(weights: &[u32]) -> Box<[u16]> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let mut shares: Vec<i64> = weights.iter().map(|weight| i64::from((weight / divisor).max(1))).collect();
    let mut total: i64 = shares.iter().sum();
    let turns_max = i64::from(TURNS_MAX).max(i64::try_from(shares.len()).unwrap_or(i64::MAX));
    if total > turns_max {
        for share in &mut shares {
            *share = (*share * turns_max / total).max(1);
        }
        total = shares.iter().sum();
    }
    let mut credits = vec![0; shares.len()];
    let turn = |_| {
        for (credit, share) in credits.iter_mut().zip(&shares) {
            *credit += share;
        }
        // The first of the richest: `max_by_key` would take the last.
        let richest = (0..credits.len()).rev().max_by_key(|&index| credits[index]).unwrap_or_default();
        credits[richest] -= total;
        u16::try_from(richest).unwrap_or(u16::MAX)
    };
    (0..total).map(turn).collect()
}

/// How strongly a key is drawn to a server (weighted rendezvous hashing): the highest score wins,
/// and a server that leaves moves only its own keys.
pub(super) fn draw(key: u64, server: u64, weight: u32) -> f64 {
    -f64::from(weight) / fraction(mix(key ^ server)).ln()
}

/// A fraction above 0 and below 1, of 53 bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
fn fraction(mixed: u64) -> f64 {
    ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Whether a key is in the `share` of all keys that a server takes; it stays in while the share grows.
pub(super) fn is_within(share: f64, key: u64, server: u64) -> bool {
    share >= 1.0 || fraction(mix(key.wrapping_add(server))) < share
}

/// A number that stands for these parts, the same in every process.
#[must_use]
pub fn hash_of(parts: &[&[u8]]) -> u64 {
    // FNV-1a, mixed after each part, so that it matters where one ends.
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    parts.iter().fold(0xcbf2_9ce4_8422_2325, |hash, part| mix(part.iter().fold(hash, fold)))
}

/// Makes every bit depend on every other (the finalizer of `SplitMix64`).
pub(super) fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn greatest_common_divisor(one: u32, other: u32) -> u32 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_as_long_as_the_weights_ask_and_even() {
        assert!(round(&[]).is_empty());
        assert_eq!(*round(&[7]), [0]);
        assert_eq!(*round(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(*round(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(*round(&[1000, 500]), [0, 1, 0]);
    }

    #[test]
    fn a_round_has_a_bound_and_keeps_the_shares() {
        let weights: Vec<u32> = (0..100).map(|index| 1000 - index % 7).collect();
        let turns = round(&weights);
        assert!(turns.len() <= 4196, "{}", turns.len());
        for (index, weight) in weights.iter().enumerate() {
            let share = turns.iter().filter(|&&turn| usize::from(turn) == index).count();
            assert!((39..=42).contains(&share), "{index} of weight {weight} has {share}");
        }
        assert_eq!(round(&vec![1; 5000]).len(), 5000, "nobody is left out");
    }

    #[test]
    fn keys_go_by_weight_and_few_move() {
        let servers: Vec<u64> = (0..5).map(|server| hash_of(&[format!("10.0.0.{server}:80").as_bytes()])).collect();
        let weights = [1, 1, 1, 1, 4];
        let winner = |key: u64, among: &[usize]| {
            let score = |&&at: &&usize| draw(key, servers[at], weights[at]);
            *among.iter().max_by(|one, other| score(one).total_cmp(&score(other))).unwrap()
        };
        let keys: Vec<u64> = (0..8000).map(|key| hash_of(&[format!("subject {key}").as_bytes()])).collect();
        let all: Vec<usize> = (0..5).collect();
        for (server, weight) in weights.into_iter().enumerate() {
            let share = keys.iter().filter(|&&key| winner(key, &all) == server).count();
            let fair = 1000 * usize::try_from(weight).unwrap();
            assert!(share.abs_diff(fair) < fair / 8 + 60, "server {server} has {share}");
        }
        for &key in &keys {
            let (before, after) = (winner(key, &all), winner(key, &[0, 1, 3, 4]));
            assert!(before == after || before == 2, "a key moved that was not on the one that left");
        }
    }
}
