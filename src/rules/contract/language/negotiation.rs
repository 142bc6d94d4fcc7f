//! Which language a client reads, from its `Accept-Language` (RFC 9110 section 12.5.4).

use http::{HeaderMap, header};

use super::LanguageTag;
use crate::rules::list::elements;

/// Ranges of a request's `Accept-Language` that are looked at, at most; those behind are ignored.
const RANGES_MAX: usize = 32;

/// Characters of a range, at most; a longer one is ignored. It is looked up once for each of its subtags.
const RANGE_CHARS_MAX: usize = 64;

/// The weight of a range, in thousandths.
type Weight = u16;

/// What a range without a weight has.
const WEIGHT_FULL: Weight = 1000;

/// The place in `offered` of the language that the client reads best: `default` where it names none that is offered.
///
/// For each range, the heaviest first, it is the tag that RFC 4647 section 3.4 looks up, and else a more exact one
/// (section 3.3.1). What is no range is ignored, and so is `*`: the default stands for any.
pub(in crate::rules::contract) fn negotiate(headers: &HeaderMap, offered: &[LanguageTag], default: usize) -> usize {
    let listed = elements(headers, &header::ACCEPT_LANGUAGE);
    let mut ranges: Vec<_> = listed.take(RANGES_MAX).filter_map(weighed).collect();
    // Stable: among ranges of one weight the first one counts.
    ranges.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let refused: Vec<_> = ranges.iter().filter(|(_, weight)| *weight == 0).map(|(range, _)| *range).collect();
    let may = |at: &usize| !refused.iter().any(|range| offered[*at].is(range));
    let mut accepted = ranges.iter().filter(|(_, weight)| *weight > 0);
    let found = accepted.find_map(|(range, _)| looked_up(range, offered).filter(may));
    found.unwrap_or(default)
}

/// The place of the tag that a range stands for.
fn looked_up(range: &str, offered: &[LanguageTag]) -> Option<usize> {
    let mut shorter = Some(range);
    while let Some(tag) = shorter {
        if let Some(at) = offered.iter().position(|known| known.is(tag)) {
            return Some(at);
        }
        // A single letter goes with the subtag that it introduces.
        shorter = tag.rsplit_once('-').map(|(head, _)| match head.rsplit_once('-') {
            Some((shorter, single)) if single.len() == 1 => shorter,
            _ => head,
        });
    }
    offered.iter().position(|known| known.is_within(range))
}

/// A range and its weight; `None` for what is not a range, and for `*`.
fn weighed(listed: &str) -> Option<(&str, Weight)> {
    let (range, weight) = match listed.split_once(';') {
        Some((range, weight)) => (range.trim(), quality(weight.trim())?),
        None => (listed, WEIGHT_FULL),
    };
    let is_range = (1..=RANGE_CHARS_MAX).contains(&range.len())
        && range.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    is_range.then_some((range, weight))
}

/// `q=0.875` (RFC 9110 section 12.4.2).
fn quality(text: &str) -> Option<Weight> {
    let value = text.strip_prefix(['q', 'Q'])?.strip_prefix('=')?;
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{decimals:0<3}").parse::<Weight>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(WEIGHT_FULL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const OFFERED: [&str; 4] = ["es", "en", "pt-BR", "zh-Hant"];

    fn chosen(fields: &[&str]) -> &'static str {
        let offered = OFFERED.map(|tag| tag.parse().unwrap());
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::ACCEPT_LANGUAGE, HeaderValue::from_str(field).unwrap());
        }
        OFFERED[negotiate(&headers, &offered, 0)]
    }

    #[test]
    fn the_heaviest_range_that_is_offered_is_chosen() {
        for (field, expected) in [
            ("en", "en"),
            ("EN-us", "en"),
            ("de, en;q=0.5, es;q=0.4", "en"),
            ("es;q=0.4, en;q=0.5", "en"),
            ("en;q=0.5, es;q=0.5", "en"),
            ("de, fr", "es"),
            ("*", "es"),
            ("*, en;q=0.1", "en"),
            ("pt", "pt-BR"),
            ("pt-PT", "es"),
            ("pt-BR-x-any", "pt-BR"),
            ("zh-Hant-x-private", "zh-Hant"),
            ("en;q=0", "es"),
            ("en-GB, en;q=0", "es"),
            ("en ; q=1.000", "en"),
        ] {
            assert_eq!(chosen(&[field]), expected, "{field}");
        }
        assert_eq!(chosen(&[]), "es");
        assert_eq!(chosen(&["de", "en;q=0.2"]), "en", "two fields are one list");
    }

    #[test]
    fn what_is_no_range_is_ignored() {
        for field in ["", ",,;", "en;q=1.1", "en;q=2", "en;q=0.1234", "en;q=", "en;level=1", "e n", "en;q=-1", "en;;"] {
            assert_eq!(chosen(&[field]), "es", "{field}");
        }
        assert_eq!(chosen(&["en;q=1.1, pt-br"]), "pt-BR");
        let long = |chars: usize| format!("{:a<chars$}", "en-x-");
        assert_eq!((chosen(&[&long(RANGE_CHARS_MAX)]), chosen(&[&long(RANGE_CHARS_MAX + 1)])), ("en", "es"));
        let far = format!("{}en", "de,".repeat(RANGES_MAX));
        assert_eq!(chosen(&[&far]), "es", "it stands behind the bound");
    }

    proptest! {
        #[test]
        fn any_field_chooses_one_that_is_offered(field in "[ -~]{0,80}") {
            prop_assert!(OFFERED.contains(&chosen(&[&field])));
        }
    }
}
