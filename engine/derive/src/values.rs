//! `PayloadValue`: what a variant or a wrapped field is as a value.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Fields, Lit, Result, Variant};

use super::attributes::{each, engine, refuse, unknown};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let engine = engine(input, &["crate"])?;
    let value = match &input.data {
        Data::Enum(data) => {
            if data.variants.is_empty() {
                return refuse(input.ident.span(), "an enum without variants has no value");
            }
            let variants = data.variants.iter().map(|it| variant(&engine, it));
            let variants = variants.collect::<Result<Vec<_>>>()?;
            quote! {
                ::core::result::Result::Ok(match self { #(#variants),* })
            }
        }
        Data::Struct(data) if data.fields.len() == 1 => {
            let field = match data.fields.iter().next().and_then(|it| it.ident.as_ref()) {
                Some(ident) => quote!(#ident),
                None => quote!(0),
            };
            quote!(#engine::payload::PayloadValue::value(&self.#field))
        }
        Data::Struct(_) | Data::Union(_) => {
            let words = "a value is an enum without fields or a struct of one field; implement `PayloadValue` by \
                         hand for anything else";
            return refuse(input.ident.span(), words);
        }
    };
    let (ident, generics) = (&input.ident, &input.generics);
    let (impls, types, bounds) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impls #engine::payload::PayloadValue for #ident #types #bounds {
            fn value(&self) -> ::core::result::Result<#engine::payload::Value, ::std::string::String> {
                #value
            }
        }
    })
}

fn variant(engine: &TokenStream, variant: &Variant) -> Result<TokenStream> {
    let ident = &variant.ident;
    if !matches!(variant.fields, Fields::Unit) {
        let words =
            format!("`{ident}` has fields, and a value has none; implement `PayloadValue` by hand");
        return refuse(variant.span(), words);
    }
    let mut value = None;
    each(&variant.attrs, |key, meta| match key {
        "value" => {
            let literal: Lit = meta.value()?.parse()?;
            if !matches!(
                literal,
                Lit::Str(_) | Lit::Int(_) | Lit::Float(_) | Lit::Bool(_)
            ) {
                return Err(meta.error("a value is a text, a number, `true` or `false`"));
            }
            value = Some(quote!(#literal));
            Ok(())
        }
        other => Err(unknown(meta, other, &["value"])),
    })?;
    let value = value.unwrap_or_else(|| {
        let words = kebab(&ident.to_string());
        quote!(#words)
    });
    Ok(quote!(Self::#ident => #engine::payload::Value::from(#value)))
}

/// `VmNvidia` as `vm-nvidia`.
fn kebab(name: &str) -> String {
    let mut words = String::new();
    for (at, letter) in name.trim_start_matches("r#").chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            words.push('-');
        }
        words.extend(letter.to_lowercase());
    }
    words
}
