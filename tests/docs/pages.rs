//! The pages: Markdown as this project writes it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{WIDTH_MAX, Words};

/// Folders that hold no page of ours. Nor does one whose name begins with a dot, or with one of [`MARKS`] in it.
const SKIPPED: [&str; 2] = ["target", "node_modules"];

/// What lies in a folder of somebody else's: a cache, a Python environment.
const MARKS: [&str; 2] = ["CACHEDIR.TAG", "pyvenv.cfg"];

/// Documents that came from elsewhere, and stay as they are: those of the contracts.
const ORIGINALS: [&str; 5] =
    ["apis-token-and-refresh.md", "become-auth.md", "maxpoint-auth-token.md", "sws-get-token.md", "toc-auth.md"];

/// A page by its path from the crate's root.
pub(crate) struct Page {
    path: PathBuf,
    text: String,
}

/// Every page there is.
pub(crate) fn all() -> Vec<Page> {
    let mut pages = vec![];
    collect(root(), &mut pages);
    assert!(pages.len() > 20, "only {} pages were found", pages.len());
    pages
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, pages: &mut Vec<Page>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        let is_ours = || {
            let marked = MARKS.iter().any(|mark| path.join(mark).exists());
            !name.starts_with('.') && !SKIPPED.contains(&&*name) && !marked
        };
        if path.is_dir() {
            if is_ours() {
                collect(&path, pages);
            }
        } else if name.ends_with(".md") {
            pages.push(Page::read(path.strip_prefix(root()).unwrap()));
        }
    }
}

/// What stands between backticks.
pub(crate) fn code_spans(text: &str) -> Words {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

impl Page {
    pub(crate) fn read(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let text = fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, text }
    }

    pub(crate) fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// The words in code spans of its prose and tables.
    pub(crate) fn words(&self) -> Words {
        words(self.prose())
    }

    /// The words of headings, and those in code spans of tables.
    pub(crate) fn words_of_tables(&self) -> Words {
        let headings = self.prose().filter(|line| line.starts_with('#')).flat_map(split);
        words(self.prose().filter(|line| line.starts_with('|'))).into_iter().chain(headings).collect()
    }

    /// What stands between backticks in the paragraph that begins so.
    pub(crate) fn code_of_paragraph(&self, beginning: &str) -> Words {
        let paragraph =
            self.prose().skip_while(|line| !line.starts_with(beginning)).take_while(|line| !line.is_empty());
        let code: Words = paragraph.flat_map(code_spans).collect();
        assert!(!code.is_empty(), "{}: no paragraph begins with '{beginning}'", self.path());
        code
    }

    /// Lines of prose that are too wide.
    pub(crate) fn wide_lines(&self) -> Vec<String> {
        let is_original = ORIGINALS.iter().any(|name| self.path.ends_with(name));
        let lines = self.prose().filter(|line| !is_original && !line.starts_with('|'));
        lines.filter(|line| line.chars().count() > WIDTH_MAX).map(|line| format!("{}: {line}", self.path())).collect()
    }

    /// Every `--option`, in prose and in blocks of code.
    pub(crate) fn options(&self) -> Words {
        let words = self.text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        words.filter(|word| word.starts_with("--")).map(str::to_owned).collect()
    }

    /// What `read` makes of the first cells of the tables below this heading; the tables' own headings left out.
    pub(crate) fn first_column(&self, heading: &str, read: impl Fn(&str) -> Words) -> Words {
        let heading = format!("## {heading}");
        let lines =
            self.prose().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with("## "));
        let rows = lines.filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        let cells: Vec<_> = rows.skip(1).flat_map(read).collect();
        assert!(!cells.is_empty(), "{}: no table below '{heading}'", self.path());
        cells.into_iter().collect()
    }

    /// Links to files or headings that are not there.
    pub(crate) fn broken_links(&self) -> Vec<String> {
        let links = self.prose().flat_map(links).filter(|link| !link.contains("://"));
        links.filter_map(|link| Some(format!("{}: {link}: {}", self.path(), self.fault(link)?))).collect()
    }

    fn fault(&self, link: &str) -> Option<String> {
        let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
        let target = match file {
            "" => self.path.clone(),
            file => self.path.parent().unwrap().join(file),
        };
        if !root().join(&target).exists() {
            return Some("no such file".to_owned());
        }
        let anchor = anchor?;
        let anchors = Self::read(target).anchors();
        (!anchors.contains(anchor)).then(|| format!("no such heading; there are {anchors:?}"))
    }

    /// The names by which its headings are linked to: in lower case, without punctuation, `-` for each space. Those
    /// that a page gives itself, as HTML, are names too.
    fn anchors(&self) -> BTreeSet<String> {
        let given = self.text.split("id=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()));
        let headings = self.prose().filter(|line| line.starts_with('#'));
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let name = |line: &str| line.trim_start_matches('#').trim().chars().filter(kept).collect::<String>();
        headings.map(|line| name(line).to_lowercase().replace(' ', "-")).chain(given).collect()
    }

    /// Its lines outside of fenced blocks.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut fenced = false;
        self.text.lines().filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
    }
}

fn words<'l>(lines: impl Iterator<Item = &'l str>) -> Words {
    lines.flat_map(code_spans).flat_map(|span| split(&span).collect::<Vec<_>>()).collect()
}

/// Words as keys, metrics and commands are spelt.
fn split(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')));
    words.filter(|word| !word.is_empty()).map(str::to_owned)
}

/// The targets of `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

#[test]
fn links_and_anchors_are_read() {
    assert_eq!(links("see [a](x.md#y), [b](z)").collect::<Vec<_>>(), ["x.md#y", "z"]);
    let text = "# The [keys]: how & why\n```\n# no heading\n```\n".to_owned();
    let page = Page { path: "README.md".into(), text };
    assert_eq!(page.anchors(), ["the-keys-how--why".to_owned()].into());
    assert_eq!(page.fault("docs/nowhere.md").as_deref(), Some("no such file"));
    assert_eq!(page.fault("docs/config.md"), None);
    assert!(page.fault("docs/config.md#nowhere").is_some());
}
