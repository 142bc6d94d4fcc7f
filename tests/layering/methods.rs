//! Methods couple modules without a path: an `impl` of a type that stands away from the type, and a call of what is
//! defined there. This finds both.

use std::collections::{BTreeMap, BTreeSet};

use super::Names;

/// The folder of a source: what stands in it, and below, is one room.
fn room(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Whether `file` stands in the room of `other`.
fn is_in_room_of(file: &str, other: &str) -> bool {
    file.strip_prefix(room(other)).is_some_and(|rest| rest.starts_with('/'))
}

/// A type or trait of ours: its module, and its name.
pub(crate) type Item = (Names, String);

/// An `impl` block as it is written.
pub(crate) struct Block {
    pub(crate) file: String,
    pub(crate) module: Names,
    /// The path of its type.
    pub(crate) of: Names,
    /// The paths of its trait and of the trait's arguments; empty for an inherent one.
    pub(crate) traits: Vec<Names>,
    pub(crate) methods: Vec<String>,
}

/// A call of a method.
pub(crate) struct Call {
    pub(crate) file: String,
    pub(crate) module: Names,
    /// The path of the type whose method it is, where that is written: `T::name`, `Self::name`, `self.name`.
    pub(crate) of: Option<Names>,
    pub(crate) method: String,
}

/// What the sources say of methods.
#[derive(Default)]
pub(crate) struct Methods {
    /// Where each type and trait is defined.
    pub(crate) items: BTreeMap<Item, String>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) calls: Vec<Call>,
    /// How many `impl` blocks and traits define a method of this name.
    pub(crate) definitions: BTreeMap<String, usize>,
}

/// That one module calls what another one defines.
pub(crate) struct Use<'m> {
    pub(crate) call: &'m Call,
    pub(crate) defined_in: &'m Names,
    pub(crate) item: String,
}

impl Methods {
    /// The blocks that stand where neither their type nor their trait, nor an argument of the trait, is at home. Rust
    /// has the same rule for crates.
    pub(crate) fn orphans(&self, item: &impl Fn(&Names, &Names) -> Option<Item>) -> BTreeSet<String> {
        let external = |block: &&Block| {
            let home = |path: &Names| {
                let defined = item(&block.module, path).and_then(|item| self.items.get(&item));
                defined.map(|defined| is_in_room_of(&block.file, defined))
            };
            // A type of another crate needs no room here.
            home(&block.of) == Some(false) && !block.traits.iter().any(|path| home(path) == Some(true))
        };
        let orphans = self.blocks.iter().filter(external);
        orphans
            .map(|block| {
                let (file, of) = (&block.file, block.of.join("::"));
                format!("{file}: an `impl` of `{of}` outside of the folder that defines it")
            })
            .collect()
    }

    /// Every call in a type's own folder of a method that stands in another module than the type.
    ///
    /// Where only the method's name is known, it counts if nothing else of ours has one of that name.
    pub(crate) fn uses(&self, item: &impl Fn(&Names, &Names) -> Option<Item>) -> Vec<Use<'_>> {
        let mut away: BTreeMap<&str, Vec<(Item, &Block)>> = BTreeMap::new();
        for block in self.blocks.iter().filter(|block| block.traits.is_empty()) {
            let Some(of) = item(&block.module, &block.of) else { continue };
            if of.0 == block.module || !self.items.contains_key(&of) {
                continue;
            }
            for method in &block.methods {
                away.entry(method).or_default().push((of.clone(), block));
            }
        }
        let mut uses = vec![];
        for call in &self.calls {
            let of = call.of.as_ref().and_then(|of| item(&call.module, of));
            for (defined, block) in away.get(call.method.as_str()).into_iter().flatten() {
                let is_meant = match (&call.of, &of) {
                    (Some(_), of) => of.as_ref() == Some(defined),
                    (None, _) => self.definitions.get(&call.method) == Some(&1),
                };
                if is_meant && is_in_room_of(&call.file, &self.items[defined]) {
                    uses.push(Use { call, defined_in: &block.module, item: defined.1.clone() });
                }
            }
        }
        uses
    }
}

/// The methods that a macro's arguments call: they are no syntax tree. True where the receiver is `self`.
pub(crate) fn called_in(tokens: &str) -> Vec<(String, bool)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let dots = tokens.match_indices('.').map(|(at, _)| (tokens[..at].trim_end(), tokens[at + 1..].trim_start()));
    let calls = dots.filter_map(|(before, after)| {
        let end = after.find(|c| !is_word(c))?;
        let (name, rest) = after.split_at(end);
        // `..rest(x)` is no call of a method.
        let called = rest.trim_start().starts_with('(') && !before.ends_with('.');
        let before = before.strip_suffix("self").map(str::trim_end);
        let of_self = before.is_some_and(|before| !before.ends_with(|c| is_word(c) || c == '.'));
        called.then(|| (name.to_owned(), of_self))
    });
    calls.collect()
}
