//! Items as lines of the listing: their signatures, without bodies, documentation and private parts.

use syn::{
    Attribute, Expr, Field, Fields, FnArg, ImplItem, Item, ItemImpl, Meta, Pat, Signature,
    TraitItem, Visibility, parse_quote,
};

/// Attributes that a caller notices.
const KEPT: [&str; 6] = ["cfg", "deprecated", "derive", "must_use", "non_exhaustive", "repr"];
/// Stands for the private fields of a struct until the item is printed.
const PRIVATE: &str = "private_fields: _,";

/// Whether an item is `pub` and not only for tests.
pub(crate) fn is_public(item: &Item) -> bool {
    let (vis, attrs) = match item {
        Item::Const(item) => (&item.vis, &item.attrs),
        Item::Enum(item) => (&item.vis, &item.attrs),
        Item::Fn(item) => (&item.vis, &item.attrs),
        Item::Static(item) => (&item.vis, &item.attrs),
        Item::Struct(item) => (&item.vis, &item.attrs),
        Item::Trait(item) => (&item.vis, &item.attrs),
        Item::Type(item) => (&item.vis, &item.attrs),
        Item::Union(item) => (&item.vis, &item.attrs),
        Item::Macro(item) => return item.attrs.iter().any(|a| a.path().is_ident("macro_export")),
        _ => return false,
    };
    matches!(vis, Visibility::Public(_)) && !super::tree::is_for_tests(attrs)
}

/// An item that is not an impl block.
pub(crate) fn item(item: &Item) -> String {
    let mut item = item.clone();
    match &mut item {
        Item::Const(item) => {
            keep(&mut item.attrs);
            *item.expr = placeholder();
        }
        Item::Enum(item) => {
            keep(&mut item.attrs);
            for variant in &mut item.variants {
                keep(&mut variant.attrs);
                variant.fields.iter_mut().for_each(|field| keep(&mut field.attrs));
            }
        }
        Item::Fn(item) => {
            keep(&mut item.attrs);
            bare(&mut item.sig);
            item.block.stmts.clear();
        }
        Item::Static(item) => {
            keep(&mut item.attrs);
            *item.expr = placeholder();
        }
        Item::Struct(item) => {
            keep(&mut item.attrs);
            hide_private(&mut item.fields);
        }
        Item::Trait(item) => {
            keep(&mut item.attrs);
            item.items.iter_mut().for_each(bare_trait_item);
        }
        Item::Type(item) => keep(&mut item.attrs),
        Item::Union(item) => keep(&mut item.attrs),
        Item::Macro(item) => {
            let name = item.ident.as_ref().map(ToString::to_string).unwrap_or_default();
            return format!("macro_rules! {name}\n");
        }
        _ => {}
    }
    let is_function = matches!(item, Item::Fn(_));
    let text = print(item).replace(PRIVATE, "// and private fields");
    if is_function { without_bodies(&text) } else { text }
}

/// The first line of an impl block.
pub(crate) fn head(block: &ItemImpl) -> String {
    print(Item::Impl(empty(block)))
}

/// An impl block without its items.
pub(crate) fn empty(block: &ItemImpl) -> ItemImpl {
    let mut block = block.clone();
    keep(&mut block.attrs);
    block.items.clear();
    block
}

/// The public items of an inherent impl block, without bodies.
pub(crate) fn public_items(block: &ItemImpl) -> Vec<ImplItem> {
    let mut public = Vec::new();
    for item in block.items.clone() {
        match item {
            ImplItem::Fn(mut item) if matches!(item.vis, Visibility::Public(_)) => {
                keep(&mut item.attrs);
                bare(&mut item.sig);
                item.block.stmts.clear();
                public.push(ImplItem::Fn(item));
            }
            ImplItem::Const(mut item) if matches!(item.vis, Visibility::Public(_)) => {
                keep(&mut item.attrs);
                item.expr = placeholder();
                public.push(ImplItem::Const(item));
            }
            _ => {}
        }
    }
    public
}

/// All public items of the inherent impl blocks of a type, by name.
pub(crate) fn inherent_impl(mut block: ItemImpl) -> String {
    block.items.sort_by_key(|item| match item {
        ImplItem::Const(item) => (0, item.ident.to_string()),
        ImplItem::Fn(item) => (1, item.sig.ident.to_string()),
        _ => (2, String::new()),
    });
    without_bodies(&print(Item::Impl(block)))
}

/// A trait impl: its head and its associated types.
pub(crate) fn trait_impl(block: &ItemImpl) -> String {
    let mut whole = empty(block);
    let types = block.items.iter().filter(|item| matches!(item, ImplItem::Type(_)));
    whole.items.extend(types.cloned().map(|mut item| {
        if let ImplItem::Type(item) = &mut item {
            keep(&mut item.attrs);
        }
        item
    }));
    print(Item::Impl(whole))
}

/// The attributes of a module that a caller notices, one per line.
pub(crate) fn attributes(attrs: &[Attribute]) -> String {
    let mut attrs = attrs.to_vec();
    keep(&mut attrs);
    if attrs.is_empty() {
        return String::new();
    }
    let item: Item = parse_quote! { #(#attrs)* struct Module; };
    print(item).replace("struct Module;\n", "")
}

fn keep(attrs: &mut Vec<Attribute>) {
    attrs.retain(|attr| {
        let hides = matches!(&attr.meta, Meta::List(list)
            if list.path.is_ident("doc") && list.tokens.to_string() == "hidden");
        hides || KEPT.iter().any(|kept| attr.path().is_ident(kept))
    });
}

/// Drops what a signature has only for its own body: attributes of its arguments, and `mut` before their names.
fn bare(sig: &mut Signature) {
    for input in &mut sig.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                receiver.attrs.clear();
                if receiver.reference.is_none() {
                    receiver.mutability = None;
                }
            }
            FnArg::Typed(typed) => {
                typed.attrs.clear();
                if let Pat::Ident(name) = &mut *typed.pat {
                    name.mutability = None;
                }
            }
        }
    }
}

fn bare_trait_item(item: &mut TraitItem) {
    match item {
        TraitItem::Fn(item) => {
            keep(&mut item.attrs);
            bare(&mut item.sig);
            // An empty body: a default exists.
            if let Some(default) = &mut item.default {
                default.stmts.clear();
            }
        }
        TraitItem::Type(item) => keep(&mut item.attrs),
        TraitItem::Const(item) => keep(&mut item.attrs),
        _ => {}
    }
}

fn hide_private(fields: &mut Fields) {
    let is_private = |field: &Field| !matches!(field.vis, Visibility::Public(_));
    match fields {
        Fields::Named(fields) => {
            let all = fields.named.len();
            let public = fields.named.iter().filter(|field| !is_private(field)).cloned();
            fields.named = public.collect();
            if fields.named.len() < all {
                fields.named.push(parse_quote! { private_fields: _ });
            }
            fields.named.iter_mut().for_each(|field| keep(&mut field.attrs));
        }
        Fields::Unnamed(fields) => {
            for field in &mut fields.unnamed {
                keep(&mut field.attrs);
                if is_private(field) {
                    field.ty = parse_quote! { _ };
                }
            }
        }
        Fields::Unit => {}
    }
}

fn placeholder() -> Expr {
    parse_quote! { _ }
}

fn print(item: Item) -> String {
    prettyplease::unparse(&syn::File { shebang: None, attrs: Vec::new(), items: vec![item] })
}

/// Functions end with a semicolon instead of an empty body, which has its own line after a `where` clause.
fn without_bodies(text: &str) -> String {
    let mut bare = String::new();
    for line in text.lines() {
        if line.trim() == "{}" {
            let head = bare.trim_end_matches([',', '\n']).len();
            bare.truncate(head);
            bare.push_str(";\n");
            continue;
        }
        match line.strip_suffix(" {}") {
            Some(head) if !line.starts_with("impl") => bare.push_str(&format!("{head};\n")),
            _ => bare.push_str(&format!("{line}\n")),
        }
    }
    bare
}
