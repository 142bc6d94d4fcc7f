//! Holds the floors of the house (see `docs/architecture.md`) against the sources: who may use
//! whom, no cycles between neighbours, hyper's types in few rooms, `unsafe` nowhere.
//!
//! It reads what is written: every `use` and every path that starts with `crate`, `self`, `super`
//! or `hyper`, those in macros too, and follows names that a module only passes on. Methods make
//! no path: `methods` finds an `impl` away from its type, and the calls of what stands there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use methods::{Block, Call, Item, Methods, called_in};
use syn::{UseTree, visit::Visit};

#[path = "layering/methods.rs"]
mod methods;
#[path = "layering/names.rs"]
mod names;

/// A module uses lower floors and its own folder.
const FLOORS: [(&str, u8); 20] = [
    ("aside", 0),
    ("wakes", 0),
    ("domain", 0),
    ("timer", 0),
    ("gather", 0),
    ("per_thread", 0),
    ("trust", 0),
    // Of the harness of the tests, and in no build of the product.
    ("memory", 0),
    ("port", 0),
    ("observe", 1),
    ("rules", 1),
    ("state", 2),
    ("upstream", 3),
    ("issuer", 3),
    ("verifier", 2),
    ("decision", 4),
    ("edge", 5),
    ("config", 6),
    ("app", 7),
    ("cli", 7),
];

/// The one neighbour on the same floor that may be used: the commands start the gateway.
const NEIGHBOURS: [(&str, &str); 1] = [("cli", "app")];

/// Neighbours in a folder that are one thing in two files: a value of the config may be a table,
/// and a table has values.
const ONE_THING: [&str; 2] = ["config::reader::item", "config::reader::section"];

/// Where hyper's types may be named: what decides knows the `http` crate's alone.
const HYPER: [&str; 7] = ["cli", "edge::admin", "edge::forward", "edge::front", "issuer", "upstream", "verifier"];

/// Lines of a folder's `mod.rs` with up to [`MAP_FILES`] files. Each further file may have three more: its line in the
/// map, its `mod` and the names that it passes on.
const MAP_LINES_MAX: usize = 40;
const MAP_FILES: usize = 12;

/// How often a name may be passed on from module to module.
const PASSED_ON_MAX: usize = 8;

#[test]
fn the_sources_keep_their_floors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = vec![];
    collect(&root.join("src"), root, &mut sources);
    assert!(sources.len() > 50, "only {} sources were found", sources.len());
    let problems = check(&sources);
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn no_code_outside_of_contracts_names_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = vec![];
    collect(&root.join("src"), root, &mut sources);
    let problems = names::check(&sources);
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// A stranger reads a folder's `mod.rs` first: it says which file does which step, and does nothing itself.
#[test]
fn each_folder_begins_with_a_map() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = vec![];
    collect(&root.join("src"), root, &mut sources);
    let maps: Vec<_> =
        sources.iter().filter(|(path, _)| path.ends_with("/mod.rs") && !path.contains("/tests/")).collect();
    assert!(maps.len() > 40, "only {} maps were found", maps.len());
    let is_map = |text: &str| {
        let items = syn::parse_file(text).expect("a source that compiles").items;
        items.iter().all(|item| match item {
            syn::Item::Use(_) => true,
            syn::Item::Mod(module) => module.content.is_none(),
            _ => false,
        })
    };
    let others: Vec<_> = maps.iter().filter(|(_, text)| !is_map(text)).map(|(path, _)| path).collect();
    assert!(others.is_empty(), "they do more than name their files: {others:?}");
    let is_long = |(_, text): &&(String, String)| {
        let items = syn::parse_file(text).expect("a source that compiles").items;
        let files = items.iter().filter(|item| matches!(item, syn::Item::Mod(_))).count();
        let lines_max = MAP_LINES_MAX + 3 * files.saturating_sub(MAP_FILES);
        text.lines().count() > lines_max
    };
    let long: Vec<_> = maps.into_iter().filter(is_long).map(|(path, _)| path).collect();
    assert!(long.is_empty(), "a map is read on one screen: {long:?}");
}

fn collect(folder: &Path, root: &Path, sources: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            collect(&path, root, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("a path below the root").to_string_lossy().into_owned();
            sources.push((name, fs::read_to_string(&path).expect("a source in UTF-8")));
        }
    }
}

/// A module by its names from the crate's root, or a path as it is written.
type Names = Vec<String>;

/// Everything that is wrong with these files, one line each.
fn check(sources: &[(String, String)]) -> Vec<String> {
    let mut house = House::default();
    house.modules.extend(FLOORS.map(|(name, _)| vec![name.to_owned()]));
    let mut problems = vec![];
    for (file, text) in sources {
        let ast = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let module = module_of(file);
        house.modules.insert(module.clone());
        let mut reader = Reader { house: &mut house, file, module, of: None, unsafe_found: false };
        reader.visit_file(&ast);
        if reader.unsafe_found {
            problems.push(format!("{file}: unsafe"));
        }
    }
    problems.extend(house.judge());
    problems
}

/// `src/state/store/mod.rs` is `state::store`.
fn module_of(file: &str) -> Names {
    let mut names: Names =
        file.trim_start_matches("src/").trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib")) {
        names.pop();
    }
    names
}

/// A path where it is written.
struct Reference {
    file: String,
    module: Names,
    path: Names,
}

/// What the sources say, before it is judged.
#[derive(Default)]
struct House {
    modules: BTreeSet<Names>,
    /// What a name stands for in a module that imports it.
    names: BTreeMap<(Names, String), Names>,
    /// The modules that a module imports whole.
    globs: BTreeMap<Names, Vec<Names>>,
    references: Vec<Reference>,
    methods: Methods,
}

/// What a path leads to: the innermost module of ours with what it names there, or another crate.
#[derive(PartialEq, Debug)]
enum Target {
    Module(Names, Option<String>),
    Crate(String),
}

/// The uses between the children of each folder, each with where it is written.
type Edges = BTreeMap<Names, BTreeMap<String, BTreeMap<String, String>>>;

impl House {
    fn resolve(&self, module: &[String], path: &[String], passed_on: usize) -> Target {
        let mut at = module.to_vec();
        let mut rest = path;
        match path[0].as_str() {
            "crate" => {
                at.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            first => {
                let child = [module, &[first.to_owned()]].concat();
                if !self.modules.contains(&child) && !self.names.contains_key(&(at.clone(), first.to_owned())) {
                    return Target::Crate(first.to_owned());
                }
            }
        }
        while let [name, behind @ ..] = rest {
            at.push(name.clone());
            if !self.modules.contains(&at) {
                at.pop();
                // `use a::a` would stand for itself.
                let meant = self.names.get(&(at.clone(), name.clone())).filter(|meant| meant[..] != *path);
                return match meant {
                    Some(meant) if passed_on < PASSED_ON_MAX => {
                        self.resolve(&at, &[meant, behind].concat(), passed_on + 1)
                    }
                    _ => Target::Module(at, Some(name.clone())),
                };
            }
            rest = behind;
        }
        Target::Module(at, None)
    }

    /// The type or trait of ours that a path in a module means.
    fn item(&self, module: &Names, path: &Names) -> Option<Item> {
        let known =
            |module: Names, name: String| Some((module, name)).filter(|item| self.methods.items.contains_key(item));
        let Target::Module(found, Some(name)) = self.resolve(module, path, 0) else {
            // A name alone: of this module, or of one that it imports whole.
            let [name] = &path[..] else { return None };
            let globs = self.globs.get(module).into_iter().flatten();
            let whole = globs.filter_map(|glob| match self.resolve(module, glob, 0) {
                Target::Module(found, None) => Some(found),
                _ => None,
            });
            return std::iter::once(module.clone()).chain(whole).find_map(|module| known(module, name.clone()));
        };
        known(found, name)
    }

    fn judge(&self) -> BTreeSet<String> {
        let item = |module: &Names, path: &Names| self.item(module, path);
        let mut problems = self.methods.orphans(&item);
        let mut edges = Edges::new();
        for Reference { file, module, path } in &self.references {
            let written = path.join("::");
            match self.resolve(module, path, 0) {
                Target::Crate(name) if name.starts_with("hyper") => {
                    let here = module.join("::");
                    if !HYPER.iter().any(|room| here == *room || here.starts_with(&format!("{room}::"))) {
                        problems.insert(format!("{file}: `{written}`: hyper belongs to {}", HYPER.join(" and ")));
                    }
                }
                Target::Crate(_) => {}
                Target::Module(target, _) => {
                    if let (Some(from), Some(to)) = (module.first(), target.first()) {
                        problems.extend(floors(from, to).map(|why| format!("{file}: `{written}`: {why}")));
                    }
                    connect(&mut edges, module, &target, format!("{file}: `{written}`"));
                }
            }
        }
        for methods::Use { call, defined_in, item } in self.methods.uses(&item) {
            let Call { file, module, method, .. } = call;
            connect(&mut edges, module, defined_in, format!("{file}: `{item}::{method}`, a method"));
        }
        for (folder, edges) in &edges {
            problems.extend(cycle(edges).map(|cycle| {
                let uses = cycle.iter().map(|(from, to)| format!("{from} uses {to} ({})", edges[from][to]));
                format!("src/{}: a cycle: {}", folder.join("/"), uses.collect::<Vec<_>>().join("; "))
            }));
        }
        problems
    }
}

/// Notes that a module uses another one, between the folders or files where their ways part.
fn connect(edges: &mut Edges, module: &Names, target: &Names, written: String) {
    let common = module.iter().zip(target).take_while(|(a, b)| a == b).count();
    // The crate's root has the floors; a parent and its children belong together.
    let ends = [module, target].map(|end| end[..end.len().min(common + 1)].join("::"));
    if ends.iter().all(|end| ONE_THING.contains(&end.as_str())) {
        return;
    }
    if let (1.., Some(from), Some(to)) = (common, module.get(common), target.get(common)) {
        let folder = edges.entry(module[..common].to_vec()).or_default();
        folder.entry(from.clone()).or_default().insert(to.clone(), written);
    }
}

/// Why `from` may not use `to`.
fn floors(from: &str, to: &str) -> Option<String> {
    let floor = |name: &str| FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor);
    if from == to || from == "main" || NEIGHBOURS.contains(&(from, to)) {
        return None;
    }
    match (floor(from), floor(to)) {
        (Some(above), Some(below)) if above > below => None,
        (Some(here), Some(there)) => Some(format!("{from} is on floor {here} and may not use {to}, on floor {there}")),
        (None, _) => Some(format!("{from} has no floor: give it one in tests/layering.rs")),
        (_, None) => Some(format!("{to} has no floor: give it one in tests/layering.rs")),
    }
}

/// A cycle, as the uses that make it.
fn cycle(edges: &BTreeMap<String, BTreeMap<String, String>>) -> Option<Vec<(String, String)>> {
    fn walk<'e>(
        at: &'e str,
        edges: &'e BTreeMap<String, BTreeMap<String, String>>,
        trail: &mut Vec<&'e str>,
        done: &mut BTreeSet<&'e str>,
    ) -> Option<Vec<(String, String)>> {
        if let Some(start) = trail.iter().position(|seen| *seen == at) {
            let ring = [&trail[start..], &[at]].concat();
            return Some(ring.windows(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect());
        }
        if !done.insert(at) {
            return None;
        }
        trail.push(at);
        let found = edges.get(at).into_iter().flat_map(BTreeMap::keys).find_map(|to| walk(to, edges, trail, done));
        trail.pop();
        found
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| walk(start, edges, &mut vec![], &mut done))
}

/// Reads one file into the house.
struct Reader<'h> {
    house: &'h mut House,
    file: &'h str,
    module: Names,
    /// The type of the `impl` that is being read.
    of: Option<Names>,
    unsafe_found: bool,
}

impl Reader<'_> {
    fn refer(&mut self, path: Names) {
        self.house.references.push(Reference { file: self.file.to_owned(), module: self.module.clone(), path });
    }

    fn import(&mut self, tree: &UseTree, prefix: &[String]) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        let (name, path) = match tree {
            UseTree::Path(path) => return self.import(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => return group.items.iter().for_each(|tree| self.import(tree, prefix)),
            UseTree::Glob(_) => {
                self.house.globs.entry(self.module.clone()).or_default().push(prefix.to_vec());
                return self.refer(prefix.to_vec());
            }
            UseTree::Name(leaf) if leaf.ident == "self" => (prefix.last().cloned(), prefix.to_vec()),
            UseTree::Name(leaf) => (Some(leaf.ident.to_string()), with(&leaf.ident)),
            UseTree::Rename(leaf) if leaf.ident == "self" => (Some(leaf.rename.to_string()), prefix.to_vec()),
            UseTree::Rename(leaf) => (Some(leaf.rename.to_string()), with(&leaf.ident)),
        };
        if let Some(name) = name {
            self.house.names.insert((self.module.clone(), name), path.clone());
        }
        self.refer(path);
    }

    fn path(&mut self, path: Names) {
        if matches!(path[0].as_str(), "crate" | "self" | "super") || path[0].starts_with("hyper") {
            self.refer(path);
        }
    }
}

impl Reader<'_> {
    fn define(&mut self, name: &syn::Ident) {
        self.house.methods.items.insert((self.module.clone(), name.to_string()), self.file.to_owned());
    }

    fn call(&mut self, of: Option<Names>, method: String) {
        self.house.methods.calls.push(Call { file: self.file.to_owned(), module: self.module.clone(), of, method });
    }
}

fn names_of(path: &syn::Path) -> Names {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// The path of a type; of what a reference refers to.
fn path_of(ty: &syn::Type) -> Option<&syn::Path> {
    match ty {
        syn::Type::Path(ty) => Some(&ty.path),
        syn::Type::Reference(reference) => path_of(&reference.elem),
        _ => None,
    }
}

/// The paths of a trait and of its arguments.
fn of_trait(path: &syn::Path) -> Vec<Names> {
    let mut paths = vec![names_of(path)];
    if let Some(syn::PathArguments::AngleBracketed(arguments)) = path.segments.last().map(|last| &last.arguments) {
        paths.extend(arguments.args.iter().filter_map(|argument| match argument {
            syn::GenericArgument::Type(ty) => path_of(ty).map(names_of),
            _ => None,
        }));
    }
    paths
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        if item.content.is_some() {
            self.house.modules.insert(self.module.clone());
        }
        syn::visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, &[]);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.define(&item.ident);
        syn::visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.define(&item.ident);
        syn::visit::visit_item_enum(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let of_self = matches!(&*call.receiver, syn::Expr::Path(path) if path.path.is_ident("self"));
        self.call(self.of.clone().filter(|_| of_self), call.method.to_string());
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let names = names_of(&path.path);
        if let [of @ .., name] = &names[..]
            && !of.is_empty()
        {
            let of = if of == ["Self"] { self.of.clone() } else { Some(of.to_vec()) };
            self.call(of, name.clone());
        }
        syn::visit::visit_expr_path(self, path);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path(names_of(path));
        syn::visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {
        // `pub(super)` uses nothing.
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        // A macro's arguments are no syntax tree: their paths are found by their looks.
        let text = call.tokens.to_string().replace(" :: ", "::");
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
            if word.contains("::") {
                self.path(word.split("::").map(str::to_owned).collect());
            }
        }
        for (method, of_self) in called_in(&text) {
            self.call(self.of.clone().filter(|_| of_self), method);
        }
        syn::visit::visit_macro(self, call);
    }

    fn visit_expr_unsafe(&mut self, _: &'ast syn::ExprUnsafe) {
        self.unsafe_found = true;
    }

    fn visit_item_foreign_mod(&mut self, _: &'ast syn::ItemForeignMod) {
        self.unsafe_found = true;
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.unsafe_found |= matches!(signature.safety, syn::Safety::Unsafe(_));
        syn::visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.unsafe_found |= item.unsafety.is_some();
        let methods = item.items.iter().filter_map(|item| match item {
            syn::ImplItem::Fn(method) => Some(method.sig.ident.to_string()),
            _ => None,
        });
        let methods: Vec<_> = methods.collect();
        for method in &methods {
            *self.house.methods.definitions.entry(method.clone()).or_default() += 1;
        }
        let of = path_of(&item.self_ty).map(names_of);
        if let Some(of) = &of {
            let traits = item.trait_.as_ref().map_or_else(Vec::new, |(path, _)| of_trait(path));
            let (file, module) = (self.file.to_owned(), self.module.clone());
            self.house.methods.blocks.push(Block { file, module, of: of.clone(), traits, methods });
        }
        let outer = std::mem::replace(&mut self.of, of);
        syn::visit::visit_item_impl(self, item);
        self.of = outer;
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.unsafe_found |= item.unsafety.is_some();
        self.define(&item.ident);
        for item in &item.items {
            if let syn::TraitItem::Fn(method) = item {
                *self.house.methods.definitions.entry(method.sig.ident.to_string()).or_default() += 1;
            }
        }
        syn::visit::visit_item_trait(self, item);
    }
}

/// The problems of a house of these files.
fn problems(sources: &[(&str, &str)]) -> Vec<String> {
    let owned: Vec<_> = sources.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    check(&owned)
}

/// The one problem that these files have.
fn problem(sources: &[(&str, &str)]) -> String {
    let problems = problems(sources);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].clone()
}

const DOMAIN: (&str, &str) = ("src/domain/mod.rs", "mod clock; pub use clock::Clock;");
const CLOCK: (&str, &str) = ("src/domain/clock.rs", "pub trait Clock {}");

#[test]
fn a_lower_floor_may_be_used_and_a_higher_one_not() {
    assert!(problems(&[DOMAIN, CLOCK, ("src/rules/mod.rs", "use crate::domain::Clock;")]).is_empty());
    let upwards = problem(&[("src/rules/route/mod.rs", "use crate::{domain, state::{store::Store}};")]);
    assert_eq!(
        upwards,
        "src/rules/route/mod.rs: `crate::state::store::Store`: rules is on floor 1 and may not use state, on floor 2"
    );
}

#[test]
fn neighbours_do_not_know_each_other_but_the_commands_start_the_gateway() {
    assert!(problem(&[("src/rules/mod.rs", "fn f() { crate::observe::g() }")]).contains("floor 1"));
    assert!(problem(&[("src/app.rs", "use crate::cli::Output;")]).contains("app is on floor 7"));
    assert!(problems(&[("src/cli/mod.rs", "use crate::app::Gateway;")]).is_empty());
    assert!(problem(&[("src/helpers.rs", "use crate::domain::Clock;")]).contains("helpers has no floor"));
}

#[test]
fn every_way_to_write_a_path_is_seen() {
    for text in [
        "use super::state::Store;",
        "mod inner { use super::super::state::Store; }",
        "type S = crate::state::Store;",
        "fn f() { let x = vec![crate::state::new()]; }",
        "macro_rules! m { () => { $crate::state::new() } }",
        "#[cfg(test)] mod tests { use crate::state as s; }",
        "fn f() { use crate::state::*; }",
    ] {
        assert!(problem(&[("src/rules/mod.rs", text)]).contains("may not use state"), "{text}");
    }
}

#[test]
fn a_name_that_is_passed_on_is_followed_home() {
    let state = ("src/state/mod.rs", "mod store; mod account; pub use store::Store; pub use account::Account;");
    let store = ("src/state/store.rs", "use super::Account; pub struct Store;");
    let account = ("src/state/account.rs", "pub struct Account;");
    assert!(problems(&[state, store, account]).is_empty());
    let circular = ("src/state/account.rs", "pub struct Account(super::Store);");
    let found = problem(&[state, store, circular]);
    assert!(
        found.starts_with("src/state: a cycle: account uses store (src/state/account.rs: `super::Store`)"),
        "{found}"
    );
    assert!(found.contains("store uses account (src/state/store.rs: `super::Account`)"), "{found}");
}

#[test]
fn an_impl_stands_with_its_type_or_its_trait() {
    let keys = ("src/state/keys/mod.rs", "pub mod vault;");
    let vault = ("src/state/keys/vault.rs", "pub struct Vault; pub trait Opens<T> {}");
    for (file, text) in [
        ("src/state/keys/import.rs", "use super::vault::Vault; impl Vault { fn f() {} }"),
        ("src/state/keys/tests/mod.rs", "use crate::state::keys::vault::*; impl Vault { fn f() {} }"),
        ("src/state/store.rs", "use super::keys::vault::Vault; trait Kept {} impl Kept for Vault {}"),
        ("src/state/store.rs", "use super::keys::vault::{Opens, Vault}; struct Key; impl Opens<Key> for Vault {}"),
        ("src/state/store.rs", "use super::keys::vault::Opens; impl Opens<u8> for String {}"),
    ] {
        assert!(problems(&[keys, vault, (file, text)]).is_empty(), "{file}: {text}");
    }
    for text in [
        "use super::keys::vault::Vault; impl Vault { fn f() {} }",
        "impl Drop for super::keys::vault::Vault { fn drop(&mut self) {} }",
        "use super::keys::vault as v; impl From<u8> for v::Vault { fn from(_: u8) -> Self { Self } }",
        "use super::keys::vault::*; impl<'a> PartialEq<&'a str> for &'a Vault {}",
        "use super::keys::vault::{Opens, Vault}; impl Opens<u8> for Vault {} impl Vault {}",
    ] {
        let found = problem(&[keys, vault, ("src/state/store.rs", text)]);
        assert!(found.contains("src/state/store.rs: an `impl` of `"), "{found}");
        assert!(found.ends_with("outside of the folder that defines it"), "{found}");
    }
}

#[test]
fn a_trait_for_a_neighbours_type_makes_a_cycle_where_the_neighbour_uses_it() {
    let keys = ("src/state/keys/mod.rs", "pub mod vault;");
    let kept = "use super::keys::vault::Vault; pub trait Kept { fn kept(&self) {} } impl Kept for Vault {}";
    let store = ("src/state/store.rs", kept);
    assert!(problems(&[keys, store, ("src/state/keys/vault.rs", "pub struct Vault;")]).is_empty());
    let uses = "use crate::state::store::Kept; pub struct Vault; impl Vault { fn f(&self) { self.kept() } }";
    let found = problem(&[keys, store, ("src/state/keys/vault.rs", uses)]);
    assert!(found.starts_with("src/state: a cycle: keys uses store"), "{found}");
}

#[test]
fn a_method_leads_to_the_module_that_defines_it() {
    let import = ("src/state/keys/import.rs", "use super::vault::Vault; impl Vault { pub fn import(&self) {} }");
    let vault = "pub struct Vault; impl Vault { fn open(&self) {} }";
    assert!(problems(&[("src/state/keys/vault.rs", vault), import]).is_empty());
    for call in [
        "impl Vault { fn f(&self) { self.import() } }",
        "impl Vault { fn f(&self) { Self::import(self) } }",
        "impl Vault { fn f(&self) { println!(\"{:?}\", self.import()) } }",
        "fn f(vault: &Vault) { Vault::import(vault) }",
        "fn f(vault: &Vault) { vault.import() }",
        "fn f(keys: &Keys) { println!(\"{:?}\", keys.vault.import()) }",
    ] {
        let text = format!("{vault} {call}");
        let found = problem(&[("src/state/keys/vault.rs", &text), import]);
        assert!(found.contains("vault uses import (src/state/keys/vault.rs: `Vault::import`, a method)"), "{found}");
    }
    // What may be another type's method, or is no call of one, says nothing.
    for call in [
        "struct Other; impl Other { fn import(&self) {} } fn f(other: &Other) { other.import() }",
        "fn f(vault: &Vault) { println!(\"{:?}\", Keys { vault, ..import(1) }) }",
        "fn f(vault: &Vault) { import(vault.import) }",
    ] {
        let text = format!("{vault} {call}");
        assert!(problems(&[("src/state/keys/vault.rs", &text), import]).is_empty(), "{call}");
    }
}

#[test]
fn hyper_stays_in_its_rooms() {
    assert!(problems(&[("src/edge/forward/mod.rs", "use hyper::body::Incoming;")]).is_empty());
    for text in ["use hyper::body::Incoming;", "fn f(_: hyper::Error) {}"] {
        let found = problem(&[("src/edge/respond.rs", text)]);
        assert!(found.contains("hyper belongs to cli and edge::admin and"), "{found}");
    }
}

#[test]
fn unsafe_is_found() {
    for text in ["fn f() { unsafe { g() } }", "unsafe fn f() {}", "unsafe impl Send for X {}", "unsafe trait T {}"] {
        assert_eq!(problem(&[("src/domain/mod.rs", text)]), "src/domain/mod.rs: unsafe");
    }
}
