//! `${NAME}` in a string stands for an environment variable; `$${` for the text `${`.

/// A part of a string of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text that stands for itself.
    Text(&'a str),
    /// What the environment has under this name.
    Variable(&'a str),
    /// A `${` that no name and `}` follow.
    Broken,
}

/// Takes a string apart. Nothing in a variable's value is looked at again.
pub(super) fn pieces(raw: &str) -> Vec<Piece<'_>> {
    let mut pieces = vec![];
    let mut rest = raw;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            pieces.extend([Piece::Text(&rest[..at - 1]), Piece::Text("${")]);
            rest = &rest[at + 2..];
            continue;
        }
        pieces.push(Piece::Text(&rest[..at]));
        rest = &rest[at + 2..];
        match rest.split_once('}') {
            Some((name, behind)) if is_name(name) => {
                pieces.push(Piece::Variable(name));
                rest = behind;
            }
            _ => pieces.push(Piece::Broken),
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// A name as POSIX has it (XBD section 8.1), in any case.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
}

#[cfg(test)]
mod tests {
    use super::{Piece::*, *};

    #[test]
    fn variables_stand_between_braces_and_dollars_escape_them() {
        for (raw, expected) in [
            ("", vec![Text("")]),
            ("a$b", vec![Text("a$b")]),
            ("a${B_1}c", vec![Text("a"), Variable("B_1"), Text("c")]),
            ("${A}${_b}", vec![Text(""), Variable("A"), Text(""), Variable("_b"), Text("")]),
            ("a$${B}", vec![Text("a"), Text("${"), Text("B}")]),
            ("a${", vec![Text("a"), Broken, Text("")]),
            ("${}", vec![Text(""), Broken, Text("}")]),
            ("${1}", vec![Text(""), Broken, Text("1}")]),
            ("${A B}", vec![Text(""), Broken, Text("A B}")]),
        ] {
            assert_eq!(pieces(raw), expected, "{raw}");
        }
    }
}
