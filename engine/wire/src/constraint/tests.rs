//! The constraint language: its rules one by one, and properties of its parser.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn properties(value: Value) -> Properties {
    value.as_object().expect("an object").clone()
}

fn verdict(text: &str, value: Value) -> Verdict {
    Constraint::parse(text)
        .expect("an expression")
        .verdict(&properties(value))
}

fn holds(text: &str, value: Value) -> bool {
    verdict(text, value) == Verdict::True
}

#[test]
fn empty_expressions_are_true_and_an_empty_text_is_none() {
    assert!(holds("()", json!({})));
    assert!(holds("(&)", json!({})));
    assert!(Constraint::parse("").is_err());
}

#[test]
fn the_type_of_a_comparison_comes_from_the_property() {
    assert!(holds("(a>=0.5)", json!({"a": 8.0})));
    assert!(holds("(a=8)", json!({"a": 8.0})));
    assert!(
        !holds("(a=8)", json!({"a": "8.0"})),
        "text is compared as text"
    );
    assert!(
        holds("(a>10)", json!({"a": "9"})),
        "text is ordered as text"
    );
    assert!(!holds("(a>10)", json!({"a": 9})));
    assert!(!holds("(a>x)", json!({"a": 9})), "not a number: no match");
    assert!(holds("(a=true)", json!({"a": true})));
    assert!(
        !holds("(a>=true)", json!({"a": true})),
        "truth has no order"
    );
}

#[test]
fn a_list_contains_a_scalar_and_equals_a_list_in_any_order() {
    let caps = json!({"caps": ["inet", "vpn"]});
    assert!(holds("(caps=vpn)", caps.clone()));
    assert!(holds("(&(caps=vpn)(caps=inet))", caps.clone()));
    assert!(!holds("(caps=sgx)", caps.clone()));
    assert!(holds("(caps=[vpn,inet])", caps.clone()));
    assert!(!holds("(caps=[vpn])", caps));
    assert!(holds("(caps=[])", json!({"caps": []})));
}

#[test]
fn a_star_inside_text_is_a_wildcard_and_alone_means_presence() {
    let name = json!({"name": "provider-12"});
    assert!(holds("(name=prov*)", name.clone()));
    assert!(holds("(name=*-1*)", name.clone()));
    assert!(!holds("(name=*-3*)", name.clone()));
    assert!(
        !holds("(name=provider-12*2)", name.clone()),
        "pieces do not overlap"
    );
    assert!(holds("(name=*)", name));
    assert!(holds("(n=*)", json!({"n": 7})));
    assert!(holds(r"(n=a\2ab)", json!({"n": "a*b"})));
    assert!(!holds(r"(n=a\2ab)", json!({"n": "a-b"})));
}

#[test]
fn a_missing_property_is_undefined_even_when_negated() {
    let missing = Verdict::Undefined(vec!["b".into()]);
    assert_eq!(verdict("(b=1)", json!({})), missing);
    assert_eq!(verdict("(!(b=1))", json!({})), missing);
    assert_eq!(verdict("(b=*)", json!({})), missing);
    assert_eq!(verdict("(&(a=1)(b=1))", json!({"a": 1})), missing);
    assert_eq!(
        verdict("(&(a=2)(b=1))", json!({"a": 1})),
        Verdict::False,
        "false decides"
    );
    assert_eq!(
        verdict("(|(a=1)(b=1))", json!({"a": 1})),
        Verdict::True,
        "true decides"
    );
    assert_eq!(verdict("(|(a=2)(b=1))", json!({"a": 1})), missing);
}

#[test]
fn spaces_and_newlines_may_stand_between_terms() {
    let text =
        "(&(golem.node.debug.subnet=public)\n\t(golem.!exp.x>1)\n\t(&( mem >= 0.5 )\n(b?=*)))";
    let all = json!({
        "golem.node.debug.subnet": "public", "golem.!exp.x": 2, "mem": 1, "b?": 0,
    });
    assert!(holds(text, all));
}

#[test]
fn broken_expressions_are_refused_with_their_place() {
    assert_eq!(Constraint::parse("(&(a=1)"), Err(ParseError::Incomplete(7)));
    assert!(matches!(
        Constraint::parse("(a=1)x"),
        Err(ParseError::Unexpected { at: 5, .. })
    ));
    for text in [
        "(",
        "a=1",
        "(a)",
        "(=1)",
        "(!)",
        "(!(a=1)(b=1))",
        "(a=(b))",
        "())",
    ] {
        assert!(Constraint::parse(text).is_err(), "{text}");
    }
    let deep = "(!".repeat(100_000);
    assert!(matches!(
        Constraint::parse(&deep),
        Err(ParseError::TooDeep(_))
    ));
}

fn constraints() -> impl Strategy<Value = Constraint> {
    let key = "[a-z][a-z0-9.!?_-]{0,12}";
    let operator = prop_oneof![
        Just(Operator::Equal),
        Just(Operator::Greater),
        Just(Operator::GreaterOrEqual),
        Just(Operator::Less),
        Just(Operator::LessOrEqual),
    ];
    // A value after `<` or `>` that begins with `=` would be read as part of the operator.
    let value = prop_oneof!["[^=*].{0,12}", "[0-9]{1,4}", "[a-z]*[*][a-z*]{1,3}"];
    let compare =
        (key, operator, value, any::<bool>()).prop_map(|(key, operator, text, literal)| {
            let value = if literal {
                Pattern::literal(&text)
            } else {
                Pattern::parse(&text)
            };
            match operator {
                Operator::Equal if value.is_presence() => Constraint::Present(key),
                operator => Constraint::Compare {
                    key,
                    operator,
                    value,
                },
            }
        });
    let leaf = prop_oneof![compare, key.prop_map(Constraint::Present)];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Constraint::And),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Constraint::Or),
            inner.prop_map(|part| Constraint::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(constraint in constraints()) {
        let text = constraint.to_string();
        prop_assert_eq!(Constraint::parse(&text), Ok(constraint), "{}", text);
    }

    #[test]
    fn the_parser_never_panics(text in ".{0,60}") {
        let _ = Constraint::parse(&text);
    }

    #[test]
    fn the_parser_never_panics_on_near_expressions(text in r"[()&|!=<>*\\a-c0-9 \n\[\],é]{0,60}") {
        if let Ok(constraint) = Constraint::parse(&text) {
            constraint.verdict(&properties(json!({"a": "x", "b": 1, "c": ["a", 2]})));
            prop_assert_eq!(Constraint::parse(&constraint.to_string()), Ok(constraint));
        }
    }
}
