//! What `#[golem(…)]` says: its keys, each at most once, and the path to the engine.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, DeriveInput, Error, Expr, ExprLit, Lit, Path, Result};

/// Goes through the keys of every `#[golem(…)]` of a list.
pub(crate) fn each(
    attributes: &[Attribute],
    mut take: impl FnMut(&str, &ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    let mut seen = Vec::new();
    let ours = attributes.iter().filter(|it| it.path().is_ident("golem"));
    for attribute in ours {
        attribute.parse_nested_meta(|meta| {
            let key = match meta.path.get_ident() {
                Some(key) => key.to_string(),
                // `crate` is no identifier of a path everywhere.
                None => String::new(),
            };
            if seen.contains(&key) {
                return Err(meta.error(format!("`{key}` is said twice")));
            }
            take(&key, &meta)?;
            seen.push(key);
            Ok(())
        })?;
    }
    Ok(())
}

/// The engine, as the derived code names it.
pub(crate) fn engine(input: &DeriveInput, others: &[&str]) -> Result<TokenStream> {
    let mut engine = quote!(::golem_engine);
    each(&input.attrs, |key, meta| {
        if key == "crate" {
            let path: Path = meta.value()?.parse()?;
            engine = quote!(#path);
            return Ok(());
        }
        Err(unknown(meta, key, others))
    })?;
    Ok(engine)
}

/// What to say to a key that means nothing there.
pub(crate) fn unknown(meta: &ParseNestedMeta<'_>, key: &str, known: &[&str]) -> Error {
    let known: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
    meta.error(format!(
        "`{key}` means nothing here; there are {}",
        known.join(", ")
    ))
}

/// The text of a literal.
pub(crate) fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text.value()),
        _ => None,
    }
}

/// The name of a property: a text, which can be checked, or a constant.
pub(crate) fn name(expr: &Expr) -> Result<()> {
    let is_constant = matches!(expr, Expr::Path(_));
    let Some(name) = text(expr) else {
        if is_constant {
            return Ok(());
        }
        let words = "the name of a property is a text, such as \"golem.inf.mem.gib\", or a constant, such as \
                     `props::inf::MEM`";
        return Err(Error::new(expr.span(), words));
    };
    fault(&name).map_or(Ok(()), |why| {
        Err(Error::new(
            expr.span(),
            format!("`{name}` is no name of a property: {why}"),
        ))
    })
}

fn fault(name: &str) -> Option<&'static str> {
    // As a term may name it: its type behind it.
    let kinds = ["$v", "$d", "$t"];
    let plain = kinds.iter().find_map(|kind| name.strip_suffix(kind));
    let plain = plain.unwrap_or(name);
    if plain.is_empty() {
        Some("it is empty")
    } else if plain.trim() != plain {
        Some("there is a blank beside it")
    } else if plain.contains(['=', '<', '>', '~', '[', ']', '$', '(', ')']) {
        Some("none of `=<>~[]$()` can be in it")
    } else {
        None
    }
}

/// An error at a place without tokens of its own.
pub(crate) fn refuse<T>(span: Span, words: impl std::fmt::Display) -> Result<T> {
    Err(Error::new(span, words))
}
