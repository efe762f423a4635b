//! The modules of a crate, read from its source, and the resolution of paths in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Item, ItemMod, UseTree, Visibility};

/// Imports are followed this far. Real chains are shorter; a cycle ends here.
const DEPTH_MAX: usize = 16;

/// An index into [`Crate::modules`]. The root is 0.
pub(crate) type ModuleId = usize;

/// The modules of a crate, without those that exist in tests only.
pub(crate) struct Crate {
    pub(crate) modules: Vec<Module>,
}

/// A module: its items, its child modules and its imports.
pub(crate) struct Module {
    parent: Option<ModuleId>,
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) is_public: bool,
    pub(crate) children: Vec<(String, ModuleId)>,
    pub(crate) items: Vec<Item>,
    pub(crate) imports: Vec<Import>,
}

/// One name, or all names (`*`), that a module imports.
pub(crate) struct Import {
    pub(crate) is_public: bool,
    /// The name in the importing module; `*` for all names.
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
}

/// The target of a path. An empty list of targets means an item of another crate.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Item(ModuleId, String),
    Module(ModuleId),
}

impl Crate {
    /// Reads the crate whose `Cargo.toml` is in this directory.
    pub(crate) fn read(package: &Path) -> Self {
        let mut read = Self { modules: Vec::new() };
        let src = package.join("src");
        let items = parse(&src.join("lib.rs"));
        read.add(None, (Vec::new(), true), &src, items);
        read
    }

    fn add(
        &mut self,
        parent: Option<ModuleId>,
        (attrs, is_public): (Vec<Attribute>, bool),
        dir: &Path,
        items: Vec<Item>,
    ) -> ModuleId {
        let id = self.modules.len();
        let module = Module {
            parent,
            attrs,
            is_public,
            children: Vec::new(),
            items: Vec::new(),
            imports: Vec::new(),
        };
        self.modules.push(module);
        for item in items {
            match item {
                Item::Mod(child) => self.add_child(id, dir, child),
                Item::Use(item) => {
                    let is_public = matches!(item.vis, Visibility::Public(_));
                    let imports = &mut self.modules[id].imports;
                    flatten(&item.tree, &mut Vec::new(), is_public, imports);
                }
                item => self.modules[id].items.push(item),
            }
        }
        id
    }

    fn add_child(&mut self, parent: ModuleId, dir: &Path, child: ItemMod) {
        if is_for_tests(&child.attrs) {
            return;
        }
        let name = child.ident.to_string();
        let dir = dir.join(&name);
        let items = child.content.map_or_else(|| parse(&module_file(&dir)), |(_, items)| items);
        let is_public = matches!(child.vis, Visibility::Public(_));
        let id = self.add(Some(parent), (child.attrs, is_public), &dir, items);
        self.modules[parent].children.push((name, id));
    }

    /// The targets of a path in a module. One name may be a module, a type and a function at once.
    pub(crate) fn resolve(&self, at: ModuleId, path: &[String]) -> Vec<Target> {
        self.resolve_within(at, path, DEPTH_MAX)
    }

    fn resolve_within(&self, at: ModuleId, path: &[String], depth: usize) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else { return vec![Target::Module(at)] };
        let found = match first.as_str() {
            "crate" => vec![Target::Module(0)],
            "self" => vec![Target::Module(at)],
            "super" => self.modules[at].parent.map(Target::Module).into_iter().collect(),
            name => self.find(at, name, depth),
        };
        if rest.is_empty() {
            return found;
        }
        let modules = found.into_iter().filter_map(|target| match target {
            Target::Module(id) => Some(id),
            Target::Item(..) => None,
        });
        modules.flat_map(|id| self.resolve_within(id, rest, depth)).collect()
    }

    fn find(&self, at: ModuleId, name: &str, depth: usize) -> Vec<Target> {
        let Some(depth) = depth.checked_sub(1) else { return Vec::new() };
        let module = &self.modules[at];
        let mut found = Vec::new();
        if module.items.iter().any(|item| name_of(item).as_deref() == Some(name)) {
            found.push(Target::Item(at, name.to_owned()));
        }
        let child = module.children.iter().find(|(child, _)| child == name);
        found.extend(child.map(|(_, id)| Target::Module(*id)));
        for import in &module.imports {
            let targets = if import.name == name {
                self.resolve_within(at, &import.path, depth)
            } else if import.name == "*" {
                self.find_in_all(at, &import.path, name, depth)
            } else {
                Vec::new()
            };
            for target in targets {
                if !found.contains(&target) {
                    found.push(target);
                }
            }
        }
        found
    }

    fn find_in_all(&self, at: ModuleId, path: &[String], name: &str, depth: usize) -> Vec<Target> {
        let modules = self.resolve_within(at, path, depth).into_iter();
        let found = modules.filter_map(|target| match target {
            Target::Module(id) if id != at => Some(self.find(id, name, depth)),
            Target::Module(_) | Target::Item(..) => None,
        });
        found.flatten().collect()
    }
}

/// The name of an item that has one.
pub(crate) fn name_of(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(ident.to_string())
}

/// Whether an item has `#[cfg(test)]`.
pub(crate) fn is_for_tests(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("cfg")
            && attr.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

fn module_file(dir: &Path) -> PathBuf {
    let file = dir.with_extension("rs");
    if file.exists() { file } else { dir.join("mod.rs") }
}

fn parse(file: &Path) -> Vec<Item> {
    let text = fs::read_to_string(file).unwrap_or_else(|err| panic!("{}: {err}", file.display()));
    let parsed = syn::parse_file(&text);
    parsed.unwrap_or_else(|err| panic!("{}: {err}", file.display())).items
}

fn flatten(tree: &UseTree, path: &mut Vec<String>, is_public: bool, imports: &mut Vec<Import>) {
    let mut import = |name: String, path: Vec<String>| {
        imports.push(Import { is_public, name, path });
    };
    match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            flatten(&tree.tree, path, is_public, imports);
            path.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, path, is_public, imports);
            }
        }
        // `use a::{self}` imports `a`.
        UseTree::Name(tree) if tree.ident == "self" => {
            import(path.last().cloned().unwrap_or_default(), path.clone());
        }
        UseTree::Name(tree) => {
            import(tree.ident.to_string(), [&path[..], &[tree.ident.to_string()]].concat());
        }
        UseTree::Rename(tree) if tree.ident == "self" => {
            import(tree.rename.to_string(), path.clone());
        }
        UseTree::Rename(tree) => {
            import(tree.rename.to_string(), [&path[..], &[tree.ident.to_string()]].concat());
        }
        UseTree::Glob(_) => import("*".to_owned(), path.clone()),
    }
}
