//! What a contract is called is known where contracts are: all else asks what a contract declares.

use std::path::{Path, PathBuf};

/// The contracts that began as somebody's API.
const CONTRACTS: [&str; 5] = ["sws", "apis", "toc", "maxpoint", "become"];

/// Where they may be named: where they are declared, and in the gateway that `portero demo` shows.
const AT_HOME: [&str; 2] = ["src/rules/contract/", "src/cli/demo/"];

/// What begins the tests of a file, which come last.
const TESTS: &str = "\nmod tests {";

/// Everything that names a contract elsewhere, one line each. Comments and tests may.
pub(super) fn check(sources: &[(String, String)]) -> Vec<String> {
    let tests: Vec<PathBuf> = sources.iter().flat_map(|(file, text)| test_modules(Path::new(file), text)).collect();
    let is_test = |file: &str| {
        tests.iter().any(|test| Path::new(file).starts_with(test) || Path::new(file).with_extension("") == *test)
    };
    let mut found = vec![];
    for (file, text) in sources {
        if is_test(file) || AT_HOME.iter().any(|home| file.starts_with(home)) {
            continue;
        }
        let code = text.split(TESTS).next().unwrap_or_default();
        for (line, word) in named(code) {
            found.push(format!("{file}:{line}: {word} names a contract: ask what it declares"));
        }
    }
    found
}

/// The modules of a file that only tests have, by the paths of their files without `.rs`.
fn test_modules(file: &Path, text: &str) -> Vec<PathBuf> {
    let folder = match file.file_name().and_then(|name| name.to_str()) {
        Some("mod.rs" | "lib.rs" | "main.rs") => file.parent().expect("a folder").to_owned(),
        _ => file.with_extension(""),
    };
    let modules = text.split("#[cfg(test)]\n").skip(1).filter_map(|rest| {
        let (declared, _) = rest.split_once(';')?;
        let (_, name) = declared.rsplit_once("mod ")?;
        (!declared.contains('{')).then(|| folder.join(name))
    });
    modules.collect()
}

/// The names and texts in code that name a contract, with their lines.
fn named(code: &str) -> Vec<(usize, String)> {
    let mut found = vec![];
    let (mut rest, mut line) = (code, 1);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => text_length(rest, 1, true),
            'r' if rest.starts_with("r\"") || rest.starts_with("r#") => text_length(rest, 2, false),
            // A quote or a letter between quotes; else a lifetime begins.
            '\'' if rest.starts_with("'\"'") => 3,
            '\'' if rest.starts_with("'\\") => 2 + rest[2..].find('\'').map_or(0, |end| end + 1),
            _ if first.is_alphabetic() || first == '_' => {
                rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len())
            }
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        let is_text = token.len() > 1 && token.ends_with(['"', '#']);
        let is_name = CONTRACTS.iter().any(|name| token.eq_ignore_ascii_case(name));
        if is_name || is_text && is_named_in(token) {
            found.push((line, token.to_owned()));
        }
        line += token.matches('\n').count();
        rest = after;
    }
    found
}

/// The octets of a text that begins here, with its quotes.
fn text_length(rest: &str, quotes: usize, has_escapes: bool) -> usize {
    if !has_escapes {
        let hashes = rest[1..].chars().take_while(|&letter| letter == '#').count();
        let end = format!("\"{}", "#".repeat(hashes));
        return rest[hashes + quotes..].find(&end).map_or(rest.len(), |at| at + hashes + quotes + end.len());
    }
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Whether a text names a contract. «become» is a verb too: only between quotes it is a name.
fn is_named_in(text: &str) -> bool {
    let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '-' | '_' | '/'));
    let quoted = ["'become'", "\"become\"", "\"become\\\""];
    words.any(|word| word != "become" && CONTRACTS.contains(&word)) || quoted.iter().any(|quoted| text.contains(quoted))
}

#[test]
fn a_contract_named_in_code_is_found_and_in_a_comment_or_a_test_not() {
    let check = |text: &str| check(&[("src/state/x.rs".to_owned(), text.to_owned())]);
    for bad in [
        "fn f() -> bool { name == \"toc\" }",
        "enum E { Sws }",
        "fn f() { warn!(\"only 'become' has it\") }",
        "#[arg(value_name = \"toc|FILE\")] struct S;",
        "const A: char = '\"';\nconst B: &str = r#\"a \"sws\" b\"#;",
    ] {
        assert_eq!(check(bad).len(), 1, "{bad}");
    }
    for good in [
        "/// As toc has it.\nfn f() -> &'static str { \"it has become old\" }",
        "#[cfg(test)]\nmod tests {\n    const A: &str = \"toc\";\n}",
        "fn f<'a>() -> &'a str { \"/apis-v2/protocol\" } // sws",
    ] {
        assert_eq!(check(good), Vec::<String>::new(), "{good}");
    }
}
