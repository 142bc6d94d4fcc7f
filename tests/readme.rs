//! Runs what `README.md` and `docs/own-contract.md` tell their readers to run, so that the pages cannot rot.
//!
//! Comments in the page, which readers do not see, say what a fenced block is for:
//! `<!-- starts -->` a program that goes on, `<!-- runs -->` commands that end, with the block after
//! them as the answer (`…` stands for anything), `<!-- writes FILE -->` a file. Each section has a
//! folder and a shell of its own. Fixed addresses become free ones.

#![expect(clippy::unwrap_used, reason = "a test fails where something it needs is missing")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

const BINARY: &str = env!("CARGO_BIN_EXE_portero");

/// How long anything may take to say what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the shell prints when the commands of a block are done.
const DONE: &str = "-- done --";

const FRONT: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:9901";
const SERVICE: &str = "127.0.0.1:9000";

/// A reader who pastes this loses the terminal when the program ends.
const EATS_A_SHELL: &str = "exec ";

#[test]
fn the_readme_does_what_it_says() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(readme).unwrap();
    let mut ran = 0;
    for section in text.split("\n## ") {
        let steps = steps(section);
        if !steps.is_empty() {
            follow(&steps);
            ran += steps.len();
        }
    }
    assert!(ran >= 9, "only {ran} steps of the README were found");
}

#[test]
fn the_way_to_a_contract_of_ones_own_is_ten_minutes() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/own-contract.md");
    let text = fs::read_to_string(page).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with("In ten minutes\n")).unwrap();
    let steps = steps(section);
    assert!(steps.len() >= 7, "only {} steps were found", steps.len());
    follow(&steps);
}

#[derive(Debug, PartialEq)]
enum Step {
    Starts(String),
    Runs { commands: String, answer: Option<String> },
    Writes { file: String, content: String },
}

/// What a section asks its reader to do.
fn steps(section: &str) -> Vec<Step> {
    let mut steps = vec![];
    let mut lines = section.lines().peekable();
    let mut marker = None;
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
            marker = Some(comment.to_owned());
        } else if let Some(language) = line.strip_prefix("```") {
            let mut block = String::new();
            for line in lines.by_ref().take_while(|line| *line != "```") {
                block.push_str(line);
                block.push('\n');
            }
            assert!(!block.lines().any(|line| line.starts_with(EATS_A_SHELL)), "a shell is lost:\n{block}");
            match (marker.take().as_deref(), language) {
                (Some("starts"), "sh") => steps.push(Step::Starts(block)),
                (Some("runs"), "sh") => steps.push(Step::Runs { commands: block, answer: None }),
                (None, "sh") => panic!("a block of commands that nothing runs:\n{block}"),
                (Some(comment), _) => {
                    let file = comment.strip_prefix("writes ").unwrap_or_else(|| panic!("unknown: <!-- {comment} -->"));
                    steps.push(Step::Writes { file: file.to_owned(), content: block });
                }
                (None, _) => {
                    if let Some(Step::Runs { answer: answer @ None, .. }) = steps.last_mut() {
                        *answer = Some(block);
                    }
                }
            }
        }
    }
    steps
}

/// Does what a section says, in a folder that is gone afterwards.
fn follow(steps: &[Step]) {
    let folder = tempfile::tempdir().unwrap();
    let mut addresses = Addresses::default();
    let mut started = vec![];
    let mut shell = Shell::open(folder.path());
    for step in steps {
        match step {
            Step::Writes { file, content } => {
                fs::write(folder.path().join(file), addresses.apply(content)).unwrap();
            }
            Step::Starts(command) => {
                let (program, found) = Program::start(command, folder.path());
                addresses.learn(found);
                started.push(program);
            }
            Step::Runs { commands, answer } => {
                let printed = shell.run(&addresses.apply(commands));
                if let Some(answer) = answer {
                    let answer = addresses.apply(answer);
                    assert!(
                        fits(answer.trim(), printed.trim()),
                        "{commands}\nprinted\n{printed}\ninstead of\n{answer}"
                    );
                }
            }
        }
    }
    drop(started);
    let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("portero-demo")).collect();
    assert!(left.is_empty(), "the demo left {left:?}");
}

/// Whether `text` has the parts of `pattern` between its `…`, in this order.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = first;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = part;
    }
    rest.is_empty() || (last.is_empty() && pattern.ends_with('…'))
}

/// The addresses of the page, and those that stand for them here.
#[derive(Default)]
struct Addresses(Vec<(&'static str, String)>);

impl Addresses {
    fn learn(&mut self, found: Vec<(&'static str, String)>) {
        self.0.extend(found);
    }

    /// What is not known yet becomes port 0: a free one is taken.
    fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (written, here) in &self.0 {
            text = text.replace(written, here);
        }
        [FRONT, ADMIN].into_iter().fold(text, |text, written| text.replace(written, "127.0.0.1:0"))
    }
}

fn shell(folder: &Path) -> Command {
    let bin = Path::new(BINARY).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.current_dir(folder).env("PATH", path).env("TMPDIR", folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    // What the reader's own shell may have set.
    shell.env_remove("PORTERO_CONFIG").env_remove("PORTERO_MASTER_KEY_FILE");
    shell
}

/// Lines of a program as they come.
fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            // Nobody may be waiting any more; the program must not block on that.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// A terminal of the reader.
struct Shell {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    fn open(folder: &Path) -> Self {
        let mut child = shell(folder).arg("-eu").spawn().unwrap();
        Self { input: child.stdin.take().unwrap(), lines: lines(&mut child), child }
    }

    /// What the commands print.
    fn run(&mut self, commands: &str) -> String {
        // An answer of curl has no newline at its end.
        write!(self.input, "{commands}echo\necho '{DONE}'\n").unwrap();
        self.input.flush().unwrap();
        let mut printed = String::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("{commands}\nfailed ({error}), having printed\n{printed}"));
            if line == DONE {
                return printed;
            }
            printed.push_str(&line);
            printed.push('\n');
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Its commands have ended; an error means that it has too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that goes on until the section ends.
struct Program(Child);

impl Program {
    /// Starts it, and waits until it says where it listens.
    fn start(command: &str, folder: &Path) -> (Self, Vec<(&'static str, String)>) {
        // The binary is built; on the reader's machine make does that.
        let command = command.replace("make demo", "portero demo --listen 127.0.0.1:0 --admin 127.0.0.1:0");
        let command = command.replace("http.server 9000", "http.server 0").replace("old.py 9000", "old.py 0");
        // A reader's shell stays; here the program takes its place, so that a signal reaches it.
        let (before, last) = command.trim_end().rsplit_once('\n').unwrap_or(("", command.trim_end()));
        let command = format!("{before}\nexec {last}");
        let mut child = shell(folder).args(["-euc", &command]).spawn().unwrap();
        let lines = lines(&mut child);
        let program = Self(child);
        loop {
            let line = lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("{command}\ndoes not say where it listens: {error}"));
            if let Some(found) = listening(&line) {
                return (program, found);
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let ended = self.0.wait();
        assert!(thread::panicking() || (asked.is_ok() && ended.is_ok()), "{asked:?} {ended:?}");
    }
}

/// Where a program that says so listens: the demo, Python's server, the gateway.
fn listening(line: &str) -> Option<Vec<(&'static str, String)>> {
    let after = |start: &str, end: &[char]| {
        let (_, rest) = line.split_once(start)?;
        rest.split(end).next().map(str::to_owned)
    };
    if let (Some(front), Some(admin)) = (after("gateway http://", &[' ']), after("admin http://", &[' '])) {
        return Some(vec![(FRONT, front), (ADMIN, admin)]);
    }
    if let Some(port) = after("Serving HTTP on 127.0.0.1 port ", &[' ']) {
        return Some(vec![(SERVICE, format!("127.0.0.1:{port}"))]);
    }
    let (front, admin) = (after("\"listen\":\"", &['"'])?, after("\"admin\":\"", &['"'])?);
    line.contains("\"message\":\"listening\"").then(|| vec![(FRONT, front), (ADMIN, admin)])
}

#[test]
fn an_answer_fits_when_its_parts_do() {
    for (pattern, text) in [("a", "a"), ("a…c", "abc"), ("a…", "abc"), ("…c", "abc"), ("a…b…d", "axbxd")] {
        assert!(fits(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("a", "ab"), ("a…c", "ab"), ("b…", "ab"), ("…b", "abc"), ("", "a")] {
        assert!(!fits(pattern, text), "{pattern} {text}");
    }
}
