//! `docs/contracts/NAME.md`: each contract that ships, from its file and its examples.

use std::{env, fmt::Write, fs, path::Path, time::Duration};

use portero::rules::contract::{
    Contract, DialectSettings, FileContract, Outcome, Rejection, SettingFacts, builtin_text, load,
};

use super::WIDTH_MAX;

/// Set to `write`, it writes the pages anew.
const VARIABLE: &str = "PORTERO_SURFACE";

/// Each contract, its examples, and the document that it follows.
const CONTRACTS: [(&str, &str, &str); 6] = [
    ("sws", "tests/golden/sws", "sws-get-token.md"),
    ("apis", "tests/golden/apis", "apis-token-and-refresh.md"),
    ("toc", "tests/golden/toc", "toc-auth.md"),
    ("maxpoint", "tests/golden/maxpoint", "maxpoint-auth-token.md"),
    ("become", "tests/golden/become", "become-auth.md"),
    ("sws-classic", "tests/golden_variants/sws-classic", "sws-get-token.md"),
];

#[test]
fn each_contract_has_the_page_of_its_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut stale = vec![];
    for (name, examples, document) in CONTRACTS {
        let now = page(name, &root.join(examples), document);
        let file = root.join("docs/contracts").join(format!("{name}.md"));
        if env::var(VARIABLE).is_ok_and(|word| word == "write") {
            fs::write(&file, now).unwrap();
        } else if fs::read_to_string(&file).unwrap_or_default() != now {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "{stale:?}: write their pages anew with {VARIABLE}=write, and look at the difference");
}

fn page(name: &str, examples: &Path, document: &str) -> String {
    let text = builtin_text(name).unwrap();
    let loaded = load(name, text).unwrap();
    let contract = loaded.contract.in_default();
    let languages: Vec<_> = loaded.contract.languages().map(|tag| format!("`{tag}`")).collect();
    let table: toml::Table = text.parse().unwrap();
    let mut page = format!("# {name}\n\n");
    page.push_str("A test writes this page from the contract's file and its examples (`tests/docs/contracts.rs`).\n\n");
    let _ = writeln!(page, "{}\n", table["summary"].as_str().unwrap());
    let about = format!(
        "The document that it follows is [{document}]({document}). What that leaves open, and what was seen in clients, \
         [contracts.md](../contracts.md) decides."
    );
    let _ = writeln!(page, "{}\n", wrapped(&about));
    facts(&mut page, contract, &languages.join(", "));
    errors(&mut page, contract);
    exchanges(&mut page, examples);
    let _ =
        write!(page, "## Its file\n\n`portero contract show {name}` prints it.\n\n```toml\n{}\n```\n", text.trim_end());
    page
}

fn facts(page: &mut String, contract: &FileContract, languages: &str) {
    let facts = contract.facts();
    let list = |words: Vec<String>| if words.is_empty() { "–".to_owned() } else { words.join(", ") };
    let code = |word: &str| format!("`{word}`");
    let kinds = |kinds: &[portero::domain::TokenKind]| list(kinds.iter().map(|kind| code(kind.name())).collect());
    let keys = SettingFacts::KEYS.into_iter().filter(|key| facts.has_key(key)).map(code).collect();
    let members = contract.members(false).iter().map(|member| code(member)).collect();
    let methods = contract.methods().iter().map(|method| code(method.as_str())).collect();
    page.push_str("| | |\n|---|---|\n");
    for (what, value) in [
        ("accounts", format!("{}s", facts.accounts.kind)),
        ("methods", list(methods)),
        ("members of a login", list(members)),
        ("tokens of a login", kinds(&facts.tokens.login)),
        ("tokens of a refresh", kinds(&facts.tokens.refresh)),
        ("algorithm", code(&facts.tokens.algorithm.to_string())),
        ("keys of a realm", list(keys)),
        ("languages", languages.to_owned()),
    ] {
        let _ = writeln!(page, "| {what} | {value} |");
    }
    page.push('\n');
}

/// The answers that no request decides about.
fn errors(page: &mut String, contract: &FileContract) {
    let retry_after = Duration::from_secs(30);
    let rejections = [
        Rejection::NotJson,
        Rejection::InvalidCredentials,
        Rejection::InvalidRefreshToken,
        Rejection::Locked,
        Rejection::Inactive,
        Rejection::CompanyMissing,
        Rejection::ThrottledName { retry_after },
        Rejection::ThrottledAddress { retry_after },
        Rejection::Unavailable { retry_after },
        Rejection::MethodNotAllowed { method: http::Method::PUT },
        Rejection::BodyTooLarge,
        Rejection::BodyTimeout,
    ];
    page.push_str("## Its errors\n\n| error | status | body |\n|---|---|---|\n");
    for rejection in rejections {
        let answer = contract.write(&Outcome::Rejected(&rejection), &DialectSettings::default());
        let body = String::from_utf8_lossy(&answer.body).replace('|', "\\|");
        let _ = writeln!(page, "| `{}` | {} | `{body}` |", rejection.name(), answer.status.as_u16());
    }
    page.push('\n');
}

/// The first exchange of each example, with what its file says about it.
fn exchanges(page: &mut String, folder: &Path) {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 4, "{}", folder.display());
    page.push_str("## Its examples\n\nThe first exchange of each file in ");
    let _ = writeln!(page, "`{}`. Words in braces differ from run to run.\n", relative(folder));
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let about: Vec<_> = text.lines().take_while(|line| line.starts_with('#')).collect();
        let about = about.iter().map(|line| line.trim_start_matches('#').trim()).collect::<Vec<_>>().join(" ");
        let rest = text.lines().skip_while(|line| !line.starts_with(">>> ")).enumerate();
        let first: Vec<_> =
            rest.take_while(|(at, line)| *at == 0 || !line.starts_with(">>> ")).map(|(_, line)| line).collect();
        let _ = write!(page, "{}\n\n```http\n{}\n```\n\n", wrapped(&about), first.join("\n").trim_end());
    }
}

/// In lines that are as wide as a page may be.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().unwrap();
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH_MAX {
            let _ = write!(line, " {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

fn relative(path: &Path) -> String {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string()
}
