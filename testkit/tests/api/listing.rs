//! The listing of a crate: its public modules, and in each the public items by name.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
};

use syn::{Item, ItemImpl, Type};

use super::{
    render,
    tree::{Crate, Import, ModuleId, Target, is_for_tests, name_of},
};

/// An item of the crate: the module in which it is defined, and its name there.
type ItemId = (ModuleId, String);

struct Listing<'a> {
    source: &'a Crate,
    /// The items that are reachable, each with the path by which it was reached first.
    listed: BTreeMap<ItemId, String>,
    seen_modules: BTreeSet<ModuleId>,
    /// Public modules that are not listed yet, with their paths.
    queue: VecDeque<(ModuleId, String)>,
    /// By module path and name: the lines of the listing.
    entries: BTreeMap<(String, String), Vec<String>>,
}

/// The public API of the crate in a directory, which its users import as `library`.
pub(crate) fn of(package: &Path, library: &str) -> String {
    let source = Crate::read(package);
    let mut listing = Listing {
        source: &source,
        listed: BTreeMap::new(),
        seen_modules: BTreeSet::from([0]),
        queue: VecDeque::from([(0, library.to_owned())]),
        entries: BTreeMap::new(),
    };
    while let Some((module, path)) = listing.queue.pop_front() {
        listing.module(module, &path);
    }
    listing.impls();
    listing.text()
}

impl Listing<'_> {
    /// Lists a module's own public items first, then what it re-exports.
    fn module(&mut self, id: ModuleId, path: &str) {
        let module = &self.source.modules[id];
        let attrs = render::attributes(&module.attrs);
        self.entries.insert((path.to_owned(), String::new()), vec![format!("{attrs}mod {path}\n")]);
        self.contents(id, path);
    }

    fn contents(&mut self, id: ModuleId, path: &str) {
        let module = &self.source.modules[id];
        for item in module.items.iter().filter(|item| render::is_public(item)) {
            if let Some(name) = name_of(item) {
                self.item((id, name.clone()), path, &name);
            }
        }
        for import in module.imports.iter().filter(|import| import.is_public) {
            self.reexport(id, import, path);
        }
        for (name, child) in &module.children {
            if self.source.modules[*child].is_public {
                self.enqueue(*child, format!("{path}::{name}"));
            }
        }
    }

    fn enqueue(&mut self, module: ModuleId, path: String) {
        if self.seen_modules.insert(module) {
            self.queue.push_back((module, path));
        }
    }

    fn reexport(&mut self, at: ModuleId, import: &Import, path: &str) {
        let targets = self.source.resolve(at, &import.path);
        if targets.is_empty() {
            let foreign = import.path.join("::");
            let text = match import.path.last() {
                Some(last) if *last == import.name => format!("pub use {foreign};\n"),
                _ if import.name == "*" => format!("pub use {foreign}::*;\n"),
                _ => format!("pub use {foreign} as {};\n", import.name),
            };
            self.entry(path, &import.name, text);
        }
        for target in targets {
            match target {
                Target::Item(module, name) => self.item((module, name), path, &import.name),
                Target::Module(id) if import.name == "*" => self.contents(id, path),
                Target::Module(id) if self.source.modules[id].is_public => {
                    self.enqueue(id, format!("{path}::{}", import.name));
                }
                Target::Module(_) => {}
            }
        }
    }

    /// Lists an item in full where it is reached first, and as a re-export elsewhere.
    fn item(&mut self, id: ItemId, path: &str, name: &str) {
        let public = format!("{path}::{name}");
        if let Some(first) = self.listed.get(&id) {
            if *first != public {
                let text = format!("pub use {first};\n");
                self.entry(path, name, text);
            }
            return;
        }
        let source = self.source;
        let items = source.modules[id.0].items.iter();
        let same = items.filter(|item| name_of(item).as_ref() == Some(&id.1));
        let texts: Vec<_> = same.filter(|item| render::is_public(item)).map(render::item).collect();
        if texts.is_empty() {
            return;
        }
        if id.1 != name {
            self.entry(path, name, format!("// under the name {name}:\n"));
        }
        self.listed.insert(id, public);
        for text in texts {
            self.entry(path, name, text);
        }
    }

    fn entry(&mut self, path: &str, name: &str, text: String) {
        self.entries.entry((path.to_owned(), name.to_owned())).or_default().push(text);
    }

    /// Adds the impl blocks of what is listed, wherever in the crate they are.
    fn impls(&mut self) {
        let mut blocks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut inherent: BTreeMap<String, ItemImpl> = BTreeMap::new();
        for (id, module) in self.source.modules.iter().enumerate() {
            for item in &module.items {
                let Item::Impl(block) = item else { continue };
                let Some(owner) = self.owner(id, block) else { continue };
                if block.trait_.is_some() {
                    blocks.entry(owner).or_default().insert(render::trait_impl(block));
                } else {
                    let head = format!("{owner} {}", render::head(block));
                    let whole = inherent.entry(head).or_insert_with(|| render::empty(block));
                    whole.items.extend(render::public_items(block));
                }
            }
        }
        for (head, whole) in inherent {
            let Some((owner, _)) = head.split_once(' ') else { continue };
            if !whole.items.is_empty() {
                blocks.entry(owner.to_owned()).or_default().insert(render::inherent_impl(whole));
            }
        }
        for (owner, texts) in blocks {
            let Some((path, name)) = owner.rsplit_once("::") else { continue };
            for text in texts {
                self.entry(path, name, text);
            }
        }
    }

    /// The public path of the item with which an impl block is listed: its type, or else its trait.
    fn owner(&self, at: ModuleId, block: &ItemImpl) -> Option<String> {
        if is_for_tests(&block.attrs) {
            return None;
        }
        let of_type = self.public(at, type_path(&block.self_ty));
        let Some((_, path, _)) = &block.trait_ else { return of_type };
        let of_trait = self.public(at, Some(path));
        let is_foreign = self.source.resolve(at, &segments(path)).is_empty();
        if is_foreign { of_type } else { of_trait.and_then(|of_trait| of_type.or(Some(of_trait))) }
    }

    fn public(&self, at: ModuleId, path: Option<&syn::Path>) -> Option<String> {
        let targets = self.source.resolve(at, &segments(path?));
        targets.into_iter().find_map(|target| match target {
            Target::Item(module, name) => self.listed.get(&(module, name)).cloned(),
            Target::Module(_) => None,
        })
    }

    fn text(self) -> String {
        let blocks: Vec<_> = self.entries.into_values().map(|texts| texts.concat()).collect();
        blocks.join("\n")
    }
}

fn type_path(ty: &Type) -> Option<&syn::Path> {
    match ty {
        Type::Path(ty) => Some(&ty.path),
        Type::Reference(ty) => type_path(&ty.elem),
        _ => None,
    }
}

fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}
