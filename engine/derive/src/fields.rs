//! `IntoPayload`: what each field says of the demand, and the code for it.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Expr, ExprLit, ExprUnary, Field, Fields, Ident, Lit, Result, Token, Type,
    UnOp,
};

use super::attributes::{each, engine, name, refuse, text, unknown};

/// What a field says of the demand.
#[derive(Clone)]
enum Says {
    Property(Expr),
    Constraint(Expr),
    Flatten,
    Nothing,
}

/// What a field is unless it is set.
enum Preset {
    /// The default of its type.
    OfType,
    Is(Expr),
}

struct Said<'a> {
    ident: &'a Ident,
    ty: &'a Type,
    says: Says,
    operator: TokenStream,
    preset: Option<Preset>,
}

const KEYS: [&str; 6] = [
    "property",
    "constraint",
    "operator",
    "default",
    "flatten",
    "skip",
];

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let engine = engine(input, &["crate"])?;
    let named = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(named) => Some(&named.named),
            Fields::Unnamed(_) | Fields::Unit => None,
        },
        Data::Enum(_) | Data::Union(_) => None,
    };
    let Some(named) = named else {
        let words = "a payload is a struct whose fields have names: `struct Mine { … }`";
        return refuse(input.ident.span(), words);
    };
    let fields = named.iter().map(read).collect::<Result<Vec<_>>>()?;
    no_property_twice(&fields)?;
    let steps = fields.iter().map(|field| step(&engine, field));
    let (ident, generics) = (&input.ident, &input.generics);
    let (impls, types, bounds) = generics.split_for_impl();
    let default = default(input, &fields)?;
    let has_steps = fields.iter().any(|it| !matches!(it.says, Says::Nothing));
    // A struct without anything to say makes an empty payload.
    let binding = match has_steps {
        true => quote!(let payload = #engine::payload::Payload::new();),
        false => quote!(let (payload, _) = (#engine::payload::Payload::new(), value);),
    };
    Ok(quote! {
        #[automatically_derived]
        impl #impls ::core::convert::From<&#ident #types> for #engine::payload::Payload #bounds {
            fn from(value: &#ident #types) -> Self {
                #binding
                #(#steps)*
                payload
            }
        }

        #[automatically_derived]
        impl #impls ::core::convert::From<#ident #types> for #engine::payload::Payload #bounds {
            fn from(value: #ident #types) -> Self {
                <Self as ::core::convert::From<&#ident #types>>::from(&value)
            }
        }

        #default
    })
}

fn read(field: &Field) -> Result<Said<'_>> {
    let Some(ident) = &field.ident else {
        return refuse(field.span(), "a field of a payload has a name");
    };
    let mut says = None;
    let mut operator = None;
    let mut preset = None;
    each(&field.attrs, |key, meta| {
        let said = match key {
            "property" | "constraint" => {
                let given: Expr = meta.value()?.parse()?;
                name(&given)?;
                match key {
                    "property" => Says::Property(given),
                    _ => Says::Constraint(given),
                }
            }
            "operator" => {
                let given: Expr = meta.value()?.parse()?;
                operator = Some(operator_of(&given)?);
                return Ok(());
            }
            "default" => {
                preset = Some(match meta.input.peek(Token![=]) {
                    true => Preset::Is(meta.value()?.parse()?),
                    false => Preset::OfType,
                });
                return Ok(());
            }
            "flatten" => Says::Flatten,
            "skip" => Says::Nothing,
            other => return Err(unknown(meta, other, &KEYS)),
        };
        match says.replace(said) {
            None => Ok(()),
            Some(_) => {
                Err(meta
                    .error("a field is one of `property`, `constraint`, `flatten` and `skip`; use two fields for two"))
            }
        }
    })?;
    let Some(says) = says else {
        let words = format!(
            "say what `{ident}` is: `#[golem(property = \"golem.srv.app.{ident}\")]`, `#[golem(constraint = \
             \"golem.inf.mem.gib\", operator = \">=\")]`, `#[golem(flatten)]` or `#[golem(skip)]`"
        );
        return refuse(ident.span(), words);
    };
    if operator.is_some() && !matches!(says, Says::Constraint(_)) {
        return refuse(
            ident.span(),
            "only a constraint has an `operator`; a property is what it is",
        );
    }
    Ok(Said {
        ident,
        ty: &field.ty,
        says,
        operator: operator.unwrap_or_else(|| quote!(Equal)),
        preset,
    })
}

fn operator_of(given: &Expr) -> Result<TokenStream> {
    Ok(match text(given).as_deref() {
        Some("=") => quote!(Equal),
        Some("!=") => quote!(NotEqual),
        Some(">") => quote!(Greater),
        Some(">=") => quote!(GreaterOrEqual),
        Some("<") => quote!(Less),
        Some("<=") => quote!(LessOrEqual),
        _ => {
            let words =
                "an operator is one of \"=\", \"!=\", \"<\", \"<=\", \">\" and \">=\", in quotes";
            return refuse(given.span(), words);
        }
    })
}

/// Of two fields with one property the demand would have the last one only.
fn no_property_twice(fields: &[Said<'_>]) -> Result<()> {
    let mut seen = Vec::new();
    for field in fields {
        if let Says::Property(name) = &field.says {
            let written = name.to_token_stream().to_string();
            if seen.contains(&written) {
                let words = format!("the property {written} is another field's already");
                return refuse(name.span(), words);
            }
            seen.push(written);
        }
    }
    Ok(())
}

fn step(engine: &TokenStream, field: &Said<'_>) -> TokenStream {
    let (ident, operator) = (field.ident, &field.operator);
    match &field.says {
        Says::Property(name) => {
            quote!(let payload = payload.property_value(#name, &value.#ident);)
        }
        Says::Constraint(name) => quote! {
            let payload = payload.compare(#name, #engine::payload::Comparison::#operator, &value.#ident);
        },
        Says::Flatten => quote! {
            let payload = payload.merge(::core::clone::Clone::clone(&value.#ident));
        },
        Says::Nothing => TokenStream::new(),
    }
}

/// `Default`, if any field has one of its own.
fn default(input: &DeriveInput, fields: &[Said<'_>]) -> Result<TokenStream> {
    if fields.iter().all(|field| field.preset.is_none()) {
        return Ok(TokenStream::new());
    }
    let mut presets = Vec::new();
    for field in fields {
        let (ident, ty) = (field.ident, field.ty);
        let value = match &field.preset {
            Some(Preset::Is(given)) => preset(given, ty),
            Some(Preset::OfType) => quote!(::core::default::Default::default()),
            None if of(ty, "Option").is_some() || of(ty, "Vec").is_some() => {
                quote!(::core::default::Default::default())
            }
            None => {
                let words = format!(
                    "`{ident}` has no default, but other fields have: give it one by `default` or `default = …`, \
                     make it an `Option`, or give none to the others"
                );
                return refuse(ident.span(), words);
            }
        };
        presets.push(quote!(#ident: #value));
    }
    let (ident, generics) = (&input.ident, &input.generics);
    let (impls, types, bounds) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impls ::core::default::Default for #ident #types #bounds {
            fn default() -> Self {
                Self { #(#presets),* }
            }
        }
    })
}

/// The default as its field takes it: literals and constants are converted, everything else is as it is.
fn preset(given: &Expr, ty: &Type) -> TokenStream {
    let Some(convertible) = convert(given, of(ty, "Option").unwrap_or(ty)) else {
        return quote!(#given);
    };
    match of(ty, "Option") {
        Some(_) => quote!(::core::option::Option::Some(#convertible)),
        None => convertible,
    }
}

/// `None`: it is neither a literal nor a constant.
fn convert(given: &Expr, ty: &Type) -> Option<TokenStream> {
    match given {
        Expr::Lit(ExprLit { lit, .. }) => Some(match lit {
            Lit::Int(number) if is_float(ty) => {
                let number: f64 = number.base10_parse().ok()?;
                Literal::f64_unsuffixed(number).into_token_stream()
            }
            Lit::Str(_) => quote!(::core::convert::Into::into(#given)),
            _ => quote!(#given),
        }),
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) => {
            let inner = convert(expr, ty)?;
            Some(quote!(-#inner))
        }
        Expr::Path(path) if is_constant(path.path.segments.last()?.ident.to_string().as_str()) => {
            Some(quote!(::core::convert::Into::into(#given)))
        }
        _ => None,
    }
}

fn is_constant(name: &str) -> bool {
    name.chars().all(|c| !c.is_lowercase()) && name.len() > 1
}

fn is_float(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    path.path.is_ident("f64") || path.path.is_ident("f32")
}

/// What an `Option` or a `Vec` is of.
fn of<'a>(ty: &'a Type, outer: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    if last.ident != outer {
        return None;
    }
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        syn::GenericArgument::Type(inner) => Some(inner),
        _ => None,
    })
}
