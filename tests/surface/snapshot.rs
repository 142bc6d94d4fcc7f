//! Holds a list of names against its file in `tests/surface`.

use std::{env, fs, path::Path};

/// Set to `write`, it writes the files anew.
const VARIABLE: &str = "PORTERO_SURFACE";

/// Fails where the file of this name holds other lines than these.
#[track_caller]
pub(crate) fn assert_surface(name: &str, lines: impl IntoIterator<Item = impl AsRef<str>>) {
    let now: String =
        lines.into_iter().flat_map(|line| [line.as_ref().trim_end().to_owned(), "\n".to_owned()]).collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/surface").join(name);
    if env::var(VARIABLE).is_ok_and(|word| word == "write") {
        return fs::write(&file, now).unwrap();
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    let missing = known.lines().filter(|line| !now.lines().any(|other| other == *line)).map(|line| format!("- {line}"));
    let new = now.lines().filter(|line| !known.lines().any(|other| other == *line)).map(|line| format!("+ {line}"));
    let differences: Vec<_> = missing.chain(new).collect();
    assert!(
        known == now,
        "tests/surface/{name} differs. Scripts of other people may rely on it; tests/surface/README.md says how a change \
         is written down.\n{}\n",
        differences.join("\n")
    );
}
