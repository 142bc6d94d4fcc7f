//! The words of the sources: read as syntax trees, tests left out.

use std::{fs, path::Path};

use syn::{
    Expr, ExprCall, ExprMethodCall, ExprTuple, ImplItemFn, ItemFn, ItemImpl, ItemMod, Lit, LitStr, Token, Type,
    parse::{ParseStream, Parser},
    visit::Visit,
};

use super::{WIDTH_MAX, Words};

/// The methods of `config::reader::Section` that make a key known.
const KEY_READERS: [&str; 8] =
    ["optional", "or", "checked", "required", "section", "sections", "named_sections", "number"];

/// Writes members of a metadata document, which are no config keys.
const NO_KEY_READER: &str = "put";

/// The levels that are written; `debug` and `trace` never are.
const LEVELS: [&str; 3] = ["info", "warn", "error"];

/// The methods of `decision::decide::explain` that name a step first.
const STEP_MAKERS: [&str; 6] = ["passed", "noted", "failed", "judge", "new", "refused"];

/// The function there that gives the name of a rule's step, before its text.
const RULES_STEPS: &str = "asked";

/// Every key that the config's readers ask for.
pub(crate) fn config_keys() -> Words {
    let mut keys = Keys::default();
    visit("src/config", &mut keys);
    keys.0
}

/// Every metric family that is registered.
pub(crate) fn metrics() -> Words {
    let mut literals = Literals::default();
    visit("src/observe/metrics", &mut literals);
    literals.0.retain(|text| text.starts_with("portero_"));
    literals.0
}

/// Every event's message.
pub(crate) fn events() -> Words {
    let mut events = Events::default();
    visit("src", &mut events);
    assert!(events.unnamed.is_empty(), "events whose message is not written where they are: {:#?}", events.unnamed);
    events.messages
}

/// What `name` of these types gives.
pub(crate) fn names_of(types: &[&str]) -> Words {
    let mut names = Names { types, ours: false, literals: Literals::default() };
    visit("src", &mut names);
    names.literals.0
}

/// Every step that `portero explain` names.
pub(crate) fn steps() -> Words {
    let mut steps = Steps::default();
    visit("src/decision/decide/explain", &mut steps);
    steps.0.0
}

/// Lines of comments that are too wide, of every file in Rust.
pub(crate) fn wide_comments() -> Vec<String> {
    let mut wide = vec![];
    for folder in ["src", "tests", "benches"] {
        collect_wide(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut wide);
    }
    wide
}

fn collect_wide(path: &Path, wide: &mut Vec<String>) {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        return entries.filter(|path| !path.ends_with("target")).for_each(|path| collect_wide(&path, wide));
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    let comments = text.lines().zip(1..).filter(|(line, _)| line.trim_start().starts_with("//"));
    let tables = ["//! |", "/// |"];
    let prose = comments.filter(|(line, _)| !tables.iter().any(|table| line.trim_start().starts_with(table)));
    let too_wide = prose.filter(|(line, _)| line.chars().count() > WIDTH_MAX);
    wide.extend(too_wide.map(|(line, at)| format!("{}:{at}: {}", path.display(), line.trim_start())));
}

/// Visits a file, or all files of a folder.
fn visit(path: &str, visitor: &mut impl for<'ast> Visit<'ast>) {
    visit_at(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path), visitor);
}

fn visit_at(path: &Path, visitor: &mut impl for<'ast> Visit<'ast>) {
    if path.is_dir() {
        let is_tests = |path: &Path| path.file_stem().is_some_and(|name| name == "tests");
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if !is_tests(&path) {
                visit_at(&path, visitor);
            }
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let file = syn::parse_file(&fs::read_to_string(path).unwrap());
        visitor.visit_file(&file.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    }
}

fn is_test(item: &ItemMod) -> bool {
    item.ident == "tests"
}

#[derive(Default)]
struct Keys(Words);

impl Keys {
    fn key(&mut self, argument: Option<&Expr>) {
        if let Some(Expr::Lit(literal)) = argument
            && let Lit::Str(key) = &literal.lit
        {
            self.0.insert(key.value());
        }
    }
}

impl<'ast> Visit<'ast> for Keys {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(item) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if KEY_READERS.iter().any(|reader| call.method == reader) {
            self.key(call.args.first());
        }
        syn::visit::visit_expr_method_call(self, call);
    }

    /// A closure or function that passes a key on, as `failures("name_failures", …)`.
    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(path) = &*call.func
            && let Some(name) = path.path.get_ident()
            && name != NO_KEY_READER
            && name.to_string().starts_with(char::is_lowercase)
        {
            // The section may come first.
            let first = call.args.iter().find(|argument| !matches!(argument, Expr::Reference(_)));
            self.key(first);
        }
        syn::visit::visit_expr_call(self, call);
    }
}

#[derive(Default)]
struct Steps(Keys);

impl<'ast> Visit<'ast> for Steps {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if STEP_MAKERS.iter().any(|maker| call.method == maker) {
            self.0.key(call.args.first());
        }
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(path) = &*call.func
            && let Some(name) = path.path.segments.last()
            && STEP_MAKERS.iter().any(|maker| name.ident == maker)
        {
            self.0.key(call.args.first());
        }
        syn::visit::visit_expr_call(self, call);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if item.sig.ident == RULES_STEPS {
            RuleSteps(&mut self.0).visit_block(&item.block);
        }
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(item) {
            syn::visit::visit_item_mod(self, item);
        }
    }
}

/// Pairs of a name and what is said of it.
struct RuleSteps<'k>(&'k mut Keys);

impl<'ast> Visit<'ast> for RuleSteps<'_> {
    fn visit_expr_tuple(&mut self, pair: &'ast ExprTuple) {
        self.0.key(pair.elems.first());
        syn::visit::visit_expr_tuple(self, pair);
    }
}

#[derive(Default)]
struct Literals(Words);

impl<'ast> Visit<'ast> for Literals {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(item) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_lit_str(&mut self, literal: &'ast LitStr) {
        self.0.insert(literal.value());
    }
}

#[derive(Default)]
struct Events {
    messages: Words,
    unnamed: Vec<String>,
}

impl<'ast> Visit<'ast> for Events {
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let path: Vec<_> = call.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let [library, level] = &path[..] else { return };
        if library != "tracing" || !LEVELS.contains(&level.as_str()) {
            return;
        }
        match message.parse2(call.tokens.clone()).unwrap().filter(|message| !message.contains('{')) {
            Some(message) => {
                self.messages.insert(message);
            }
            None => self.unnamed.push(call.tokens.to_string()),
        }
    }
}

/// The literal that stands alone among a macro's arguments.
fn message(input: ParseStream<'_>) -> syn::Result<Option<String>> {
    let mut message = None;
    let mut begins = true;
    while !input.is_empty() {
        if begins && input.peek(LitStr) {
            message = Some(input.parse::<LitStr>()?.value());
        }
        begins = input.peek(Token![,]);
        input.step(|cursor| Ok(((), cursor.token_tree().map_or(*cursor, |(_, rest)| rest))))?;
    }
    Ok(message)
}

struct Names<'t> {
    types: &'t [&'t str],
    /// Within an `impl` of one of the types.
    ours: bool,
    literals: Literals,
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        self.ours = matches!(&*item.self_ty, Type::Path(path)
            if path.path.segments.last().is_some_and(|name| self.types.iter().any(|ours| name.ident == ours)));
        syn::visit::visit_item_impl(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if self.ours && item.sig.ident == "name" {
            self.literals.visit_block(&item.block);
        }
    }
}
