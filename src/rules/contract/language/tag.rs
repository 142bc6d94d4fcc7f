//! Tags of languages (RFC 5646).

use std::str::FromStr;

use http::HeaderValue;

/// Characters of a language's tag, at most (RFC 5646 section 4.4.1).
const TAG_CHARS_MAX: usize = 35;

/// The languages of one contract, at most.
pub(in crate::rules::contract) const LANGUAGES_MAX: usize = 16;

/// The tag of a language, such as `es` or `pt-BR` (RFC 5646): a word of two or three letters, and subtags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) struct LanguageTag(Box<str>);

/// What is no tag of a language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rules::contract) struct NoTag;

impl LanguageTag {
    /// The tag, as the contract's file writes it.
    pub(in crate::rules::contract) const fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of `Content-Language` (RFC 9110 section 8.5).
    pub(in crate::rules::contract) fn field_value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("a tag has letters, digits and hyphens alone")
    }

    /// Whether it is this tag, in any case.
    pub(in crate::rules::contract) fn is(&self, tag: &str) -> bool {
        self.0.eq_ignore_ascii_case(tag)
    }

    /// Whether it is this tag, or more exact: `es-AR` is within `es`.
    pub(in crate::rules::contract) fn is_within(&self, range: &str) -> bool {
        let head = self.0.get(..range.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(range))
            && matches!(self.0.as_bytes().get(range.len()), None | Some(b'-'))
    }
}

impl FromStr for LanguageTag {
    type Err = NoTag;

    fn from_str(text: &str) -> Result<Self, NoTag> {
        let mut subtags = text.split('-');
        let primary = subtags.next().unwrap_or_default();
        let is_primary = (2..=3).contains(&primary.len()) && primary.bytes().all(|octet| octet.is_ascii_alphabetic());
        let is_subtag =
            |subtag: &str| (1..=8).contains(&subtag.len()) && subtag.bytes().all(|octet| octet.is_ascii_alphanumeric());
        let is_tag = text.len() <= TAG_CHARS_MAX && is_primary && subtags.all(is_subtag);
        if is_tag { Ok(Self(text.into())) } else { Err(NoTag) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_word_and_subtags() {
        for good in ["es", "pt-BR", "zh-Hant-TW", "gsw", "es-419"] {
            assert_eq!(good.parse::<LanguageTag>().map(|tag| tag.as_str().to_owned()), Ok(good.to_owned()));
        }
        for bad in ["", "e", "es-", "-es", "español", "es_AR", "toolongword", "es-123456789", "*", "e1"] {
            assert_eq!(bad.parse::<LanguageTag>(), Err(NoTag), "{bad}");
        }
        assert_eq!(format!("es-{}", "abcdefgh-".repeat(4)).trim_end_matches('-').parse::<LanguageTag>(), Err(NoTag));
    }

    #[test]
    fn a_tag_is_within_those_that_are_less_exact() {
        let tag: LanguageTag = "pt-BR".parse().unwrap();
        assert!(tag.is("PT-br") && tag.is_within("pt") && tag.is_within("pt-br"));
        assert!(!tag.is("pt") && !tag.is_within("p") && !tag.is_within("pt-B") && !tag.is_within("pt-BR-x"));
        assert!(!tag.is_within("ñ"), "{tag:?}");
    }
}
