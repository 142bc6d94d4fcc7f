//! Sizes as the file spells them: a whole number and one unit.

/// The units and their bytes, the largest first.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads `64KiB`, `128MiB`, `1GiB` or `500B`, in bytes.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

/// `10MiB` for what other programs call `10MB`, `10M` or `10 mb`.
pub(super) fn in_binary_unit(text: &str) -> Option<String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        "b" => "B",
        _ => return None,
    };
    Some(format!("{number}{unit}")).filter(|meant| meant != text)
}

/// Spells a size in the largest unit that it is a whole number of.
pub(super) fn shown(bytes: u64) -> String {
    let whole = UNITS.into_iter().find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(*unit));
    whole.map_or_else(|| "0B".to_owned(), |(name, unit)| format!("{}{name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_and_one_unit() {
        for (text, bytes) in
            [("0B", 0), ("500B", 500), ("64KiB", 65_536), ("128MiB", 134_217_728), ("3GiB", 3_221_225_472)]
        {
            assert_eq!(parse(text), Some(bytes), "{text}");
            assert_eq!(shown(bytes), text);
        }
        for text in ["", "64", "KiB", "1.5MiB", "-1B", "+1B", "1 MiB", "1MB", "1K", "1mib", "1MiB1B", "1TiB"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("17179869184GiB"), None, "an overflow is no size");
    }
}
