//! Which names and secrets are worth a question to an old system: what it can never have given out is refused here.

use std::{ops::RangeInclusive, str::FromStr};

use thiserror::Error;

/// Characters of a name or a secret that is made up for a probe.
const SAMPLE_CHARS: usize = 24;

/// The form of a system's names, or of its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// Characters; default 1 to 256.
    pub chars: RangeInclusive<usize>,
    /// The characters that may stand in it; `None` for all but control characters.
    pub alphabet: Option<Alphabet>,
    /// How it begins; default anyhow.
    pub prefix: String,
}

/// A set of characters, written as a list with ranges: `a-z0-9._-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alphabet(Vec<RangeInclusive<char>>);

/// A text that is no alphabet.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidAlphabet {
    /// It has no character.
    #[error("it is empty")]
    Empty,
    /// A range ends before it begins.
    #[error("the range '{0}-{1}' ends before it begins")]
    Backwards(char, char),
    /// A control character stands in it.
    #[error("a control character stands in it")]
    Control,
}

impl Default for Syntax {
    fn default() -> Self {
        Self { chars: 1..=256, alphabet: None, prefix: String::new() }
    }
}

impl Syntax {
    /// Whether `text` may be one.
    #[must_use]
    pub fn admits(&self, text: &str) -> bool {
        let admitted = |c: char| match &self.alphabet {
            Some(alphabet) => alphabet.has(c),
            None => !c.is_control(),
        };
        // The bound comes first: a long text costs nothing more.
        text.len() <= 4 * self.chars.end()
            && self.chars.contains(&text.chars().count())
            && text.strip_prefix(&*self.prefix).is_some_and(|rest| rest.chars().all(admitted))
    }

    /// Whether a text may be one of both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (short, long) = if self.prefix.len() <= other.prefix.len() { (self, other) } else { (other, self) };
        let Some(between) = long.prefix.strip_prefix(&*short.prefix) else { return false };
        let has = |alphabet: &Option<Alphabet>, c| alphabet.as_ref().is_none_or(|alphabet| alphabet.has(c));
        let begins = long.prefix.chars().count();
        let least = begins.max(*short.chars.start()).max(*long.chars.start());
        let most = *short.chars.end().min(long.chars.end());
        let goes_on = match (&short.alphabet, &long.alphabet) {
            (Some(one), Some(other)) => one.meets(other),
            _ => true,
        };
        between.chars().all(|c| has(&short.alphabet, c)) && least <= most && (least == begins || goes_on)
    }

    /// One that nobody has, made of random `bytes`: admitted, and as long as it may be up to 24 characters.
    #[must_use]
    pub fn sample(&self, bytes: &[u8]) -> String {
        let hexadecimal = Alphabet(vec!['0'..='9', 'a'..='f']);
        let alphabet = self.alphabet.as_ref().unwrap_or(&hexadecimal);
        let most = SAMPLE_CHARS.clamp(*self.chars.start(), (*self.chars.end()).max(*self.chars.start()));
        let left = most.saturating_sub(self.prefix.chars().count());
        let drawn = bytes.iter().cycle().take(left).map(|&byte| alphabet.pick(byte));
        self.prefix.chars().chain(drawn).collect()
    }
}

impl Alphabet {
    fn has(&self, c: char) -> bool {
        self.0.iter().any(|range| range.contains(&c))
    }

    /// Whether a character is of both.
    fn meets(&self, other: &Self) -> bool {
        let meet = |one: &RangeInclusive<char>, other: &RangeInclusive<char>| {
            one.start() <= other.end() && other.start() <= one.end()
        };
        self.0.iter().any(|one| other.0.iter().any(|other| meet(one, other)))
    }

    fn pick(&self, byte: u8) -> char {
        let every = self.0.iter().flat_map(Clone::clone);
        let count = self.0.iter().map(|range| range.clone().count()).sum::<usize>().max(1);
        every.into_iter().nth(usize::from(byte) % count).unwrap_or('0')
    }
}

impl FromStr for Alphabet {
    type Err = InvalidAlphabet;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let chars: Vec<char> = text.chars().collect();
        let mut ranges = vec![];
        let mut at = 0;
        while let Some(&first) = chars.get(at) {
            // A hyphen at either end stands for itself.
            let last = chars.get(at + 2).filter(|_| chars.get(at + 1) == Some(&'-'));
            if let Some(&last) = last {
                if last < first {
                    return Err(InvalidAlphabet::Backwards(first, last));
                }
                ranges.push(first..=last);
                at += 3;
            } else {
                ranges.push(first..=first);
                at += 1;
            }
        }
        let controls = |range: &RangeInclusive<char>| range.start().is_control() || range.end().is_control();
        if ranges.is_empty() {
            Err(InvalidAlphabet::Empty)
        } else if ranges.iter().any(controls) {
            Err(InvalidAlphabet::Control)
        } else {
            Ok(Self(ranges))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_alphabet_is_a_list_with_ranges() {
        let alphabet: Alphabet = "a-z0-9._-".parse().unwrap();
        for good in "az059._-".chars() {
            assert!(alphabet.has(good), "{good}");
        }
        for bad in "A`{/:, ñ".chars() {
            assert!(!alphabet.has(bad), "{bad}");
        }
        assert_eq!("".parse::<Alphabet>(), Err(InvalidAlphabet::Empty));
        assert_eq!("z-a".parse::<Alphabet>(), Err(InvalidAlphabet::Backwards('z', 'a')));
        assert_eq!("a\n".parse::<Alphabet>(), Err(InvalidAlphabet::Control));
    }

    #[test]
    fn length_prefix_and_alphabet_are_asked_for_together() {
        let syntax = Syntax { chars: 4..=8, alphabet: Some("a-z".parse().unwrap()), prefix: "c_".to_owned() };
        assert!(syntax.admits("c_ab") && syntax.admits("c_abcdef"));
        for bad in ["", "c_a", "c_abcdefg", "d_ab", "c_a1", "abcd"] {
            assert!(!syntax.admits(bad), "{bad}");
        }
        assert!(Syntax::default().admits("Ñandú o'Neil") && !Syntax::default().admits("a\u{0}"));
        assert!(!Syntax::default().admits(&"x".repeat(257)) && !Syntax::default().admits(""));
    }

    proptest! {
        #[test]
        fn what_is_made_up_is_admitted(
            least in 1usize..40,
            more in 0usize..40,
            alphabet in prop_oneof![Just(None), Just(Some("a-z")), Just(Some("A-F0-9_-")), Just(Some("x"))],
            prefix in prop_oneof![Just(""), Just("pre_")],
            bytes in proptest::collection::vec(any::<u8>(), 1..32),
        ) {
            let least = least.max(prefix.len());
            let alphabet = alphabet.map(|text| text.parse().unwrap());
            let syntax = Syntax { chars: least..=least + more, alphabet, prefix: prefix.to_owned() };
            let sample = syntax.sample(&bytes);
            prop_assert!(syntax.admits(&sample), "{sample:?} {syntax:?}");
        }
    }

    #[test]
    fn two_forms_overlap_where_a_text_may_be_of_both() {
        let form = |prefix: &str, chars, alphabet: &str| Syntax {
            chars,
            alphabet: (!alphabet.is_empty()).then(|| alphabet.parse().unwrap()),
            prefix: prefix.into(),
        };
        let any = || form("", 1..=256, "");
        for (one, other, overlap) in [
            (any(), any(), true),
            (form("a_", 1..=256, ""), form("b_", 1..=256, ""), false),
            (form("a_", 1..=256, ""), any(), true),
            (form("a_", 1..=256, ""), form("a_b", 1..=256, ""), true),
            (form("", 1..=31, ""), form("", 32..=64, ""), false),
            (form("", 1..=32, ""), form("", 32..=64, ""), true),
            (form("long-prefix", 1..=256, ""), form("", 1..=8, ""), false),
            (form("", 1..=256, "a-z"), form("", 1..=256, "0-9"), false),
            (form("", 1..=256, "a-z"), form("", 1..=256, "x0-9"), true),
            // The prefix itself is one of both.
            (form("ab", 1..=256, "0-9"), form("", 1..=256, "a-z"), true),
            (form("ab", 3..=256, "0-9"), form("", 1..=256, "a-z"), false),
            (form("a_", 1..=256, ""), form("", 1..=256, "a-z"), false),
        ] {
            assert_eq!((one.overlaps(&other), other.overlaps(&one)), (overlap, overlap), "{one:?} {other:?}");
        }
    }
}
