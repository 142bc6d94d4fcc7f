//! What both ends read of every form of request, byte for byte. `tests/golden/wire` holds it, and its README says how
//! it is read and recorded.

mod client;
mod forms;
mod http2;
mod service;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Mutex,
    thread,
};

use client::{Turn, Until};
use http2::Call;
use service::{Service, Then};

use crate::support::{Config, Contract, Gateway};

/// Set to `write`, it records the files anew.
const VARIABLE: &str = "PORTERO_PAIRS";
const FOLDER: &str = "tests/golden/wire";
/// Forms under way at once.
const AT_ONCE: usize = 8;
/// The proxies that the gateways trust.
const TRUSTED: Ipv4Addr = Ipv4Addr::new(127, 9, 0, 1);

/// One form of request: a client, a route of its own at `/NAME`, and a service of its own behind it.
struct Form {
    name: &'static str,
    route: String,
    pool: String,
    /// Whether its gateway waits for clients a moment only.
    hasty: bool,
    source: Ipv4Addr,
    client: Client,
    service: Service,
}

enum Client {
    Http1(Vec<Turn>),
    Http2(Vec<Call>),
    /// HTTP/2, frame by frame.
    Frames,
}

/// A form whose route is public, and whose service answers each request with 200.
fn form(name: &'static str) -> Form {
    Form {
        name,
        route: "auth = \"public\"".to_owned(),
        pool: String::new(),
        hasty: false,
        source: Ipv4Addr::LOCALHOST,
        client: Client::Http1(vec![]),
        service: Service::Http1 { answers: vec![], then: Then::Stays, asks: None },
    }
}

impl Form {
    /// One request, whose answer the client waits for.
    fn sends(self, text: impl Into<String>) -> Self {
        let text = text.into();
        let method = text.trim_start().split(' ').next().unwrap_or_default().to_owned();
        self.turn(text, Until::Answers(vec![method]))
    }

    /// Requests in one write.
    fn pipelines(self, text: &str, methods: &[&str]) -> Self {
        self.turn(text.to_owned(), Until::Answers(methods.iter().map(|&method| method.to_owned()).collect()))
    }

    fn turn(mut self, sends: String, until: Until) -> Self {
        match &mut self.client {
            Client::Http1(turns) => turns.push(Turn { sends, until }),
            _ => panic!("{} speaks HTTP/2", self.name),
        }
        self
    }

    fn calls(mut self, call: Call) -> Self {
        match &mut self.client {
            Client::Http2(calls) => calls.push(call),
            _ => self.client = Client::Http2(vec![call]),
        }
        self
    }

    /// Lines of the route in the place of `auth = "public"`.
    fn route(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.route);
        self
    }

    fn pool(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.pool);
        self
    }

    /// The service's next answer over HTTP/1.
    fn answered(mut self, text: impl Into<String>) -> Self {
        match &mut self.service {
            Service::Http1 { answers, .. } => answers.push(text.into()),
            _ => panic!("{}: no service of HTTP/1", self.name),
        }
        self
    }

    /// What its service does when it has answered.
    fn then(mut self, next: Then) -> Self {
        match &mut self.service {
            Service::Http1 { then, .. } => *then = next,
            _ => panic!("{}: no service of HTTP/1", self.name),
        }
        self
    }

    fn served_by(mut self, service: Service) -> Self {
        if matches!(service, Service::Http2(_) | Service::Frames) {
            self.pool.push_str("\nhttp = \"2\"");
        }
        self.service = service;
        self
    }

    fn from(mut self, source: Ipv4Addr) -> Self {
        self.source = source;
        self
    }

    fn hasty(mut self) -> Self {
        self.hasty = true;
        self
    }
}

/// The gateways of all forms, and what stands for tokens in the forms' texts.
struct Peers {
    usual: Gateway,
    hasty: Gateway,
    words: BTreeMap<&'static str, String>,
}

impl Peers {
    fn start(forms: &[Form], services: &[service::Running]) -> Self {
        let mut config = Config::new().text("[oauth]").server("threads = 1\ntrusted_proxies = [\"127.9.0.0/16\"]");
        for (form, service) in forms.iter().zip(services) {
            let Form { name, pool, route, .. } = form;
            config = config.text(&format!("[upstreams.{name}]\nservers = [\"{}\"]\n{pool}\n", service.address)).route(
                name,
                &format!("/{name}"),
                &format!("upstream = \"{name}\"\n{route}"),
            );
        }
        let config = config.replace("grant = \"refresh\"\n", &format!("grant = \"refresh\"\n{}\n", forms::CORS));
        // Long enough for what its clients do send on a busy machine.
        let hasty = "head_timeout = \"3s\"\nbody_timeout = \"3s\"\nkeepalive_timeout = \"3s\"";
        let hasty = config.clone().server(hasty);
        let (usual, hasty) = thread::scope(|scope| {
            let hasty = scope.spawn(|| hasty.start_bare());
            (config.start(), hasty.join().unwrap())
        });
        let tokens = usual.login_apis();
        let mut words: BTreeMap<_, _> =
            Contract::ALL.iter().map(|contract| (contract.realm(), usual.login(*contract))).collect();
        words.insert("refresh", tokens.refresh);
        Self { usual, hasty, words }
    }

    fn front(&self, form: &Form) -> SocketAddr {
        if form.hasty { self.hasty.front } else { self.usual.front }
    }

    /// What stands in a form's text for its own path and for tokens.
    fn expand(&self, form: &Form, text: &str) -> String {
        let text = text.replace("{path}", &format!("/{}", form.name));
        let text = self.words.iter().fold(text, |text, (word, token)| text.replace(&format!("{{{word}}}"), token));
        let length = text.split_once("\n\n").map_or(0, |(_, body)| body.len());
        text.replace("{length}", &length.to_string())
    }
}

#[test]
fn every_form_of_request_is_on_the_wire_as_recorded() {
    let forms = forms::all();
    let names: BTreeSet<_> = forms.iter().map(|form| form.name).collect();
    assert_eq!(names.len(), forms.len(), "each form has a name of its own");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let services: Vec<_> = forms.iter().map(|form| form.service.start(&runtime)).collect();
    let peers = Peers::start(&forms, &services);
    let waiting = Mutex::new(forms.iter().enumerate());
    let seen = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((at, form)) = waiting.lock().unwrap().next() else { return };
                    let client = ask(&peers, form);
                    seen.lock().unwrap().insert(at, client);
                }
            });
        }
    });
    // When the gateways are gone, so are their connections, and nothing is on its way.
    drop(peers);
    let mut now = BTreeMap::new();
    for (at, client) in seen.into_inner().unwrap() {
        let whole = format!("{client}{}", services[at].told());
        now.insert(format!("{}.txt", forms[at].name), text::masked(&whole));
    }
    compare(&now);
}

fn ask(peers: &Peers, form: &Form) -> String {
    let front = peers.front(form);
    let expand = |text: &str| peers.expand(form, text);
    match &form.client {
        Client::Http1(turns) => client::ask(form.source, front, turns, &expand),
        Client::Http2(calls) => http2::ask(front, calls, &expand),
        Client::Frames => client::ask_in_frames(front, &expand("{path}")),
    }
}

/// Holds what was seen against the files, or writes them.
fn compare(now: &BTreeMap<String, String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<_> = files.filter(|name| name != "README.md").collect();
    if env::var(VARIABLE).is_ok_and(|word| word == "write") {
        files
            .iter()
            .filter(|name| !now.contains_key(*name))
            .for_each(|name| fs::remove_file(folder.join(name)).unwrap());
        return now.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
    }
    let gone = files.iter().filter(|name| !now.contains_key(*name)).map(|name| format!("{name}: no such form\n"));
    let other = now.iter().filter_map(|(name, now)| {
        let known = fs::read_to_string(folder.join(name)).unwrap_or_default();
        (known != *now).then(|| format!("{name}:\n{}", text::difference(&known, now)))
    });
    let differences: Vec<_> = gone.chain(other).collect();
    assert!(
        differences.is_empty(),
        "{} forms are otherwise on the wire; {FOLDER}/README.md says how a change is recorded.\n\n{}",
        differences.len(),
        differences.join("\n")
    );
}
