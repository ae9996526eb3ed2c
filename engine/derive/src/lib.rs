//! Derives of `golem-engine`: a struct becomes a payload, a type becomes a value of one.
//!
//! Owns: reading the attributes (`fields.rs`, `values.rs`), refusing what cannot be meant, and the code that
//! comes of them. Does not own: what payloads, properties and constraints are; that is in `golem-engine`, which
//! re-exports both derives and documents them there.

mod attributes;
mod fields;
#[cfg(test)]
mod tests;
mod values;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct a payload: each field is a property or a constraint of the demand.
///
/// The struct turns `Into` a `Payload`, by value and by reference, so that it can be given wherever a
/// payload is asked for.
///
/// ```ignore
/// use golem_engine::payload::IntoPayload;
/// use golem_engine::props;
///
/// #[derive(IntoPayload)]
/// struct MyPayload {
///     #[golem(property = "golem.srv.app.myprop", default = "myvalue")]
///     myprop: String,
///     #[golem(constraint = props::runtime::NAME, default = "my-runtime")]
///     runtime: String,
///     #[golem(constraint = props::inf::MEM, operator = ">=", default = 16)]
///     min_mem_gib: f64,
/// }
///
/// let payload = MyPayload { min_mem_gib: 32.0, ..MyPayload::default() };
/// ```
///
/// | attribute of a field | meaning |
/// |---|---|
/// | `property = NAME` | the field is this property of the demand |
/// | `constraint = NAME` | providers must have a property of this name that compares to the field |
/// | `operator = ">="` | how a constraint compares: `=` unless set, `!=`, `<`, `<=`, `>`, `>=` |
/// | `default = VALUE` | what the field is in `Default`, which is written when any field has one. Literals and constants are converted as by `Into` |
/// | `default` | the same, by the `Default` of the field's type |
/// | `flatten` | the field is a payload itself: what it asks for is asked for, too |
/// | `skip` | the field says nothing of the demand |
///
/// A name is a text or a constant. Values are `PayloadValue`s: texts, numbers, truth values, lists, what is derived
/// by `PayloadValue`. `None` says nothing; a list is a property with its members, or one constraint for each of
/// them. With `#[golem(crate = PATH)]` on the struct the engine is found under another name.
#[proc_macro_derive(IntoPayload, attributes(golem))]
pub fn into_payload(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    fields::expand(&input)
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}

/// Makes an enum without fields, or a struct of one field, a value of properties and constraints.
///
/// A variant is its name in lower case, words apart by `-`, or what `#[golem(value = LITERAL)]` says: a text, a
/// number or a truth value. A struct of one field is that field.
///
/// ```ignore
/// use golem_engine::payload::PayloadValue;
///
/// #[derive(PayloadValue)]
/// enum Runtime {
///     Vm,
///     #[golem(value = "vm-nvidia")]
///     Gpu,
/// }
/// ```
#[proc_macro_derive(PayloadValue, attributes(golem))]
pub fn payload_value(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    values::expand(&input)
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}
