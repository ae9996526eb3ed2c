//! The constraint language: its rules one by one, and properties of its parser. What the daemon says of
//! some 1,500 expressions is replayed by the workspace's fidelity tests.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::market::Properties;

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
fn the_type_of_a_comparison_comes_from_the_property() {
    assert!(holds("(a>=0.5)", json!({"a": 8.0})));
    assert!(holds("(a=8)", json!({"a": 8.0})));
    assert!(!holds("(a=8)", json!({"a": "8.0"})), "text is text");
    assert!(holds("(a>10)", json!({"a": "9"})), "text has its own order");
    assert!(!holds("(a>x)", json!({"a": 9})), "not a number: no match");
    assert!(holds("(a=true)", json!({"a": true})));
    assert!(!holds("(a=True)", json!({"a": true})));
    assert!(
        !holds("(a>=true)", json!({"a": true})),
        "truth has no order"
    );
}

#[test]
fn blanks_count_except_before_a_name_and_between_expressions() {
    let there = || json!({"a": 8, "s": "vm"});
    assert!(holds(" ( & ( a>=8) \n\t(s=vm) ) ", there()));
    for text in ["(a >=8)", "(a>= 8)", "(a>=8 )", "(s=vm )"] {
        assert!(!holds(text, there()), "{text}");
    }
}

#[test]
fn a_value_with_a_star_is_a_regular_expression_and_a_star_alone_means_presence() {
    let name = || json!({"name": "provider-12"});
    for text in [
        "(name=prov*)",
        "(name=provider.1*)",
        "(name=provider-[12]*)",
        "(name=*)",
    ] {
        assert!(holds(text, name()), "{text}");
    }
    assert!(!holds("(name=[*)", name()), "no pattern, no match");
    assert!(Constraint::parse("(name=*-12)").is_err());
}

#[test]
fn a_list_contains_a_value_and_equals_a_list_of_as_many_that_it_contains() {
    let caps = || json!({"caps": ["inet", "vpn"]});
    assert!(holds("(caps=vpn)", caps()));
    assert!(holds("(caps=[vpn,inet])", caps()));
    assert!(holds("(caps=[vpn,vpn])", caps()));
    assert!(!holds("(caps=[vpn])", caps()));
    assert!(!holds("(caps=[ vpn , inet ])", caps()));
    assert!(!holds(r#"(caps=["vpn","inet"])"#, caps()));
    assert!(holds("(c=[0.0,0.0])", json!({"c": [0.0, 0.0]})));
}

#[test]
fn a_name_can_say_as_what_its_text_is_read() {
    let there = || json!({"v": "0.10.0", "d": "1.50", "t": "2020-01-02T03:04:05Z"});
    assert!(holds("(v$v>=0.3.0)", there()));
    assert!(!holds("(v>=0.3.0)", there()));
    assert!(holds("(d$d=1.5)", there()));
    assert!(holds("(t$t=2020-01-02 04:04:05+01:00)", there()));
    assert_eq!(
        verdict("(x$v=1)", json!({"x": 1})),
        Verdict::Undefined(vec![])
    );
}

#[test]
fn a_missing_property_is_undefined_even_when_negated_but_never_present() {
    let missing = Verdict::Undefined(vec!["b".into()]);
    assert_eq!(verdict("(b=1)", json!({})), missing);
    assert_eq!(verdict("(!(b=1))", json!({})), missing);
    assert_eq!(
        verdict("(b=*)", json!({})),
        Verdict::False(vec!["b".into()])
    );
    assert_eq!(verdict("(!(b=*))", json!({})), Verdict::True);
    assert_eq!(verdict("(!(b[x]=*))", json!({"b": 1})), Verdict::True);
    for nothing in [json!(null), json!({}), json!([null]), json!("\r")] {
        assert!(!holds("(b=*)", json!({"b": nothing})));
    }
}

#[test]
fn broken_expressions_are_refused_in_the_daemons_words_and_with_their_place() {
    let refusal = |text: &str| Constraint::parse(text).expect_err("no expression");
    for (text, words, place) in [
        (
            "(&(a=1)",
            "Incomplete expression: Size(8)",
            "Incomplete expression: it ends at byte 7",
        ),
        (
            "(a~=1)",
            "Parsing error: Alternative",
            "expected `=`, `<`, `<=`, `>` or `>=` at byte 2",
        ),
        (
            "(a)",
            "Incomplete expression: Size(5)",
            "expected `=`, `<`, `<=`, `>` or `>=` at byte 2",
        ),
        (
            "a=1",
            "Parsing error: Alternative",
            "expected `(` at byte 0",
        ),
    ] {
        let refusal = refusal(text);
        assert_eq!(refusal.in_daemons_words(), words, "{text}");
        assert_eq!(refusal.to_string(), place, "{text}");
    }
    assert!(refusal("(a$x=1)").is_of_a_name());
    let deep = "(!".repeat(100_000);
    assert!(matches!(refusal(&deep), ParseError::TooDeep(_)));
}

#[test]
fn what_follows_the_first_expression_is_ignored_and_told() {
    let (first, rest) = Constraint::parse_with_rest("(a=1)(b=2)").expect("an expression");
    assert_eq!((first.to_string().as_str(), rest), ("(a=1)", "(b=2)"));
}

fn constraints() -> impl Strategy<Value = Constraint> {
    let key = "[a-z][a-z0-9.!?_ -]{0,12}";
    let operator = prop_oneof![
        Just(Operator::Equal),
        Just(Operator::Greater),
        Just(Operator::GreaterOrEqual),
        Just(Operator::Less),
        Just(Operator::LessOrEqual),
    ];
    // A value after `<` or `>` that begins with `=` would be read as part of the operator.
    let value = prop_oneof!["[^=*)][^)]{0,12}", "[0-9]{1,4}"];
    let compare = (key, operator, value)
        .prop_map(|(key, operator, value)| Constraint::compare(&key, operator, &value));
    let present = key.prop_map(|key| Constraint::Present(Property::named(&key)));
    prop_oneof![compare, present].prop_recursive(5, 40, 5, |inner| {
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
    fn neither_reading_nor_matching_panics_on_near_expressions(
        text in r"[()&|!=<>*\\a-e0-9$vdt \n\[\],.é]{0,60}"
    ) {
        if let Ok(constraint) = Constraint::parse(&text) {
            let there = json!({"a": "x", "b": 1, "c": ["a", 2], "d": "1.2.3", "e": true});
            constraint.verdict(&properties(there));
        }
    }

    #[test]
    fn typed_values_have_an_order_that_does_not_depend_on_how_they_are_asked(
        one in "[-+]?[0-9_]{1,6}([.][0-9]{0,4})?(e[-+]?[0-9]{1,3})?",
        other in "[-+]?[0-9]{1,6}([.][0-9]{0,4})?(E-?[0-9]{1,3})?"
    ) {
        let less = verdict(&format!("(a$d<{other})"), json!({"a": one}));
        let more = verdict(&format!("(a$d>{one})"), json!({"a": other}));
        if less != Verdict::Undefined(vec![]) {
            prop_assert_eq!(less, more);
        }
    }
}
