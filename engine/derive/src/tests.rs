//! What is refused, and with which words: whoever writes a payload reads them in the compiler's output. What is
//! accepted is compiled by the tests of `golem-engine`.

use quote::quote;
use syn::{DeriveInput, parse_quote};

fn refused(input: DeriveInput) -> String {
    match super::fields::expand(&input) {
        Err(error) => error.to_string(),
        Ok(code) => panic!("it is accepted: {code}"),
    }
}

#[test]
fn a_field_that_says_nothing_is_told_what_it_may_say() {
    let words = refused(parse_quote!(
        struct Mine {
            mine: String,
        }
    ));
    assert!(words.contains("say what `mine` is"), "{words}");
    assert!(words.contains("#[golem(skip)]"), "{words}");
}

#[test]
fn what_cannot_be_meant_is_refused_where_it_stands() {
    let cases: [(DeriveInput, &str); 14] = [
        (
            parse_quote!(
                enum Mine {
                    One,
                }
            ),
            "a payload is a struct whose fields have names",
        ),
        (
            parse_quote!(
                struct Mine(String);
            ),
            "a payload is a struct whose fields have names",
        ),
        (
            parse_quote!(
                struct Mine {
                    #[golem(constraint = "a", operator = "=>")]
                    a: u32,
                }
            ),
            "an operator is one of",
        ),
        (
            parse_quote!(
                struct Mine {
                    #[golem(constraint = "a", operator = 7)]
                    a: u32,
                }
            ),
            "an operator is one of",
        ),
        (
            parse_quote!(
                struct Mine {
                    #[golem(property = "a", operator = ">=")]
                    a: u32,
                }
            ),
            "only a constraint has an `operator`",
        ),
        (
            parse_quote!(
                struct Mine {
                    #[golem(property = "a", constraint = "b")]
                    a: u32,
                }
            ),
            "use two fields for two",
        ),
        (
            parse_quote!(
                struct Mine {
                    #[golem(property = "")]
                    a: u32,
                }
            ),
            "`` is no name of a property: it is empty",
        ),
        (
            parse_quote!(
                struct Mine {
                    #[golem(constraint = "mem>=1")]
                    a: u32,
                }
            ),
            "none of `=<>~[]$()` can be in it",
        ),
        (
            parse_quote!(
                struct Mine {
                    #[golem(constraint = " mem")]
                    a: u32,
                }
            ),
            "there is a blank beside it",
        ),
        (
            parse_quote!(
                struct Mine {
                    #[golem(property = 7)]
                    a: u32,
                }
            ),
            "the name of a property is a text",
        ),
        (
            parse_quote!(
                struct Mine {
                    #[golem(key = "a")]
                    a: u32,
                }
            ),
            "`key` means nothing here; there are `property`, `constraint`",
        ),
        (
            parse_quote!(
                struct Mine {
                    #[golem(property = "a", property = "b")]
                    a: u32,
                }
            ),
            "`property` is said twice",
        ),
        (
            parse_quote!(
                struct Mine {
                    #[golem(property = "a")]
                    a: u32,
                    #[golem(property = "a")]
                    b: u32,
                }
            ),
            "is another field's already",
        ),
        (
            parse_quote!(
                struct Mine {
                    #[golem(property = "a", default = 1)]
                    a: u32,
                    #[golem(property = "b")]
                    b: u32,
                }
            ),
            "`b` has no default, but other fields have",
        ),
    ];
    for (input, expected) in cases {
        let words = refused(input);
        assert!(words.contains(expected), "{words:?}, not {expected:?}");
    }
}

#[test]
fn a_type_that_is_no_single_value_is_refused() {
    let cases: [(DeriveInput, &str); 5] = [
        (
            parse_quote!(
                struct Pair {
                    a: u32,
                    b: u32,
                }
            ),
            "a struct of one field",
        ),
        (
            parse_quote!(
                enum Kind {
                    One(u32),
                }
            ),
            "`One` has fields",
        ),
        (
            parse_quote!(
                enum Kind {}
            ),
            "an enum without variants",
        ),
        (
            parse_quote!(
                enum Kind {
                    #[golem(value = 'c')]
                    One,
                }
            ),
            "a value is a text, a number",
        ),
        (
            parse_quote!(
                enum Kind {
                    #[golem(name = "one")]
                    One,
                }
            ),
            "`name` means nothing here",
        ),
    ];
    for (input, expected) in cases {
        let error = super::values::expand(&input).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn the_engine_is_found_under_another_name() {
    let input: DeriveInput = parse_quote! {
        #[golem(crate = my::engine)]
        struct Mine { #[golem(property = "a")] a: u32 }
    };
    let code = super::fields::expand(&input)
        .expect("a payload")
        .to_string();
    assert!(
        code.contains(&quote!(my::engine::payload::Payload).to_string()),
        "{code}"
    );
    assert!(!code.contains("golem_engine"), "{code}");
    assert!(!code.contains("default"), "no field has a default: {code}");
}

#[test]
fn variants_are_words_apart_by_dashes() {
    let input: DeriveInput = parse_quote!(
        enum Runtime {
            Vm,
            VmNvidia,
            #[golem(value = "x")]
            Other,
        }
    );
    let code = super::values::expand(&input).expect("a value").to_string();
    for word in ["\"vm\"", "\"vm-nvidia\"", "\"x\""] {
        assert!(code.contains(word), "{word}: {code}");
    }
}
