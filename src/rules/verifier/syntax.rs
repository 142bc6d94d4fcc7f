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
}
