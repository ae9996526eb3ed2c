//! Constraints one by one. That the daemon means the same by what is written here is asked of
//! `golem_wire::constraint`, which answers as the daemon did.

use serde_json::json;

use super::*;
use crate::payload::Payload;
use crate::payload::registry::PayloadError;

#[test]
fn a_constraint_that_no_provider_can_meet_is_told_before_it_is_sent() {
    for (text, why) in [
        ("(a>=)", "`a` is compared with nothing"),
        ("(&(a=b)(!(b<)))", "`b` is compared with nothing"),
        ("(&(a=b)", "Incomplete expression: it ends at byte 7"),
        ("a=b", "expected `(` at byte 0"),
        ("(a)", "expected `=`, `<`, `<=`, `>` or `>=` at byte 2"),
        ("(a=b)(c=d)", "expected the end of the expression at byte 5"),
        ("(=b)", "there is no name of a property before the operator"),
        ("((a=b))", "`(a` is no name: it begins with a parenthesis"),
        (
            "(golem.inf.mem.gib >= 0.5)",
            "the blank beside `golem.inf.mem.gib` is taken as part of the name",
        ),
        (
            "( a=vm )",
            "the blank beside `vm` is taken as part of the value",
        ),
        ("(a=*b)", "expected `)` at byte 4"),
        ("(a!~b)", "expected `=`, `<`, `<=`, `>` or `>=` at byte 3"),
        (
            "(a$x=1)",
            "Error parsing property reference a$x: Parse error Parsing no aspect no type error: unexpected text $x",
        ),
        ("", "Incomplete expression: it ends at byte 0"),
    ] {
        let error = Constraint::parse(text).expect_err(text);
        assert_eq!(error.why, why, "{text}");
        assert_eq!(error.text, text);
        let payload = Payload::new().constraint(text);
        assert!(
            matches!(payload.check(), Err(PayloadError::Constraint { .. })),
            "{text}"
        );
    }
    for text in [
        "(a=b)",
        "(a=)",
        "(a=*)",
        "()",
        " (&(a>=1.5)(|(b=x*)(!(c<2)))) ",
    ] {
        assert!(text.parse::<Constraint>().is_ok(), "{text}");
    }
}

#[test]
fn constraints_are_put_together_into_one_expression() {
    let memory = || Constraint::ge("golem.inf.mem.gib", 0.5);
    let vm = || Constraint::eq("golem.runtime.name", "vm");
    let named = || Constraint::present("golem.node.id.name");
    assert_eq!(
        memory().and(vm()).and(named()).to_string(),
        "(&(golem.inf.mem.gib>=0.5)(golem.runtime.name=vm)(golem.node.id.name=*))"
    );
    assert_eq!(
        memory().or(vm().and(named()).not()).to_string(),
        "(|(golem.inf.mem.gib>=0.5)(!(&(golem.runtime.name=vm)(golem.node.id.name=*))))"
    );
    assert_eq!((!vm()).to_string(), vm().not().to_string());
    assert_eq!(Constraint::all([vm()]), vm());
    assert_eq!(Constraint::all([] as [Constraint; 0]).to_string(), "()");
    assert_eq!(
        vm().and("(a>1)").to_string(),
        "(&(golem.runtime.name=vm)(a>1))"
    );
    assert_eq!(
        Constraint::eq("golem.runtime.capabilities", ["vpn", "inet"]).to_string(),
        "(&(golem.runtime.capabilities=vpn)(golem.runtime.capabilities=inet))"
    );
    assert_eq!(Constraint::ne("a", 1).to_string(), "(!(a=1))");
    assert_eq!(
        Constraint::lt("a", 1)
            .and(Constraint::le("b", -2))
            .to_string(),
        "(&(a<1)(b<=-2))"
    );
    assert_eq!(Constraint::eq("a", None::<u32>).to_string(), "()");
}

#[test]
fn what_cannot_be_written_or_met_is_refused_with_what_is_wrong() {
    let deep = (0..400).fold(Constraint::eq("a", 1), |inner, _| inner.not());
    for (constraint, why) in [
        (Constraint::ge("a", ""), "it is compared with nothing"),
        (Constraint::ge("a", "b)"), "`)` ends a value"),
        (Constraint::gt("a", true), "truth values have no order"),
        (Constraint::eq("a", f64::NAN), "NaN is no number"),
        (Constraint::eq("a", f64::INFINITY), "inf is no number"),
        (Constraint::eq("a", "b\u{1}"), "a control character"),
        (Constraint::like("a", "b\u{1}*"), "a control character"),
        (Constraint::eq("a", json!({"b": 1})), "an object"),
        (Constraint::eq("a", json!([["b"]])), "a list of lists"),
        (Constraint::eq("", 1), "there is no name"),
        (Constraint::eq(" a", 1), "a blank beside the name"),
        (Constraint::eq("a=b", 1), "'=' has a meaning of its own"),
        (Constraint::eq("a)(b", 1), "')' has a meaning of its own"),
        (Constraint::eq("&a", 1), "a sign that joins constraints"),
        (Constraint::present("a[b]"), "'[' has a meaning of its own"),
        (Constraint::ge("a$v", "1.2"), "`1.2` is no version"),
        (Constraint::ge("a$v", "1.02.3"), "`1.02.3` is no version"),
        (
            Constraint::ge("a$d", "a lot"),
            "`a lot` is no decimal number",
        ),
        (Constraint::any([] as [Constraint; 0]), "nobody meets it"),
        (
            Constraint::eq("a", 1).and("(b>=)"),
            "`b` is compared with nothing",
        ),
        (
            Constraint::eq("a", 1).or("(b").not(),
            "Incomplete expression",
        ),
        (deep, "nested more than 300 levels deep"),
    ] {
        let error = constraint.check().expect_err(why);
        assert!(error.why.contains(why), "{error}: {why}");
        assert!(
            Payload::new().constraint(constraint).check().is_err(),
            "{why}"
        );
    }
}

#[cfg(test)]
mod meaning {
    //! What is written is what is meant, by the rules that the daemon's answers gave.

    use golem_wire::constraint::Constraint as Read;
    use golem_wire::market::Properties;
    use proptest::prelude::*;

    use super::*;

    fn holds(constraint: &Constraint, properties: &Value) -> bool {
        constraint.check().expect("it can be asked for");
        let read = Read::parse(constraint.as_str()).expect("an expression");
        let properties: Properties = properties.as_object().expect("an object").clone();
        read.matches(&properties)
    }

    const ODD: [&str; 17] = [
        "a)b",
        "a(b",
        "*",
        "a*b",
        "**",
        "a\"b\\c",
        "a\nb",
        "a\tb",
        "[a]",
        "[a,b]",
        "  x ",
        "   ",
        "",
        "a.b",
        "$^",
        "{2}",
        "straße) Ω*",
    ];

    #[test]
    fn a_text_equals_itself_and_no_other_whatever_is_in_it() {
        for text in ODD {
            let wanted = Constraint::eq("a", text);
            assert!(holds(&wanted, &json!({"a": text})), "{text:?}: {wanted}");
            assert!(
                holds(&wanted, &json!({"a": ["other", text]})),
                "{text:?}: {wanted}"
            );
            for other in ODD.into_iter().chain(["axb", "a", "ab)", "vm"]) {
                let alike = other.trim_start_matches(' ') == text.trim_start_matches(' ');
                assert_eq!(
                    holds(&wanted, &json!({"a": other})),
                    alike,
                    "{other:?}: {wanted}"
                );
            }
            assert!(
                !holds(&Constraint::ne("a", text), &json!({"a": text})),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_form_fits_what_stands_around_its_stars() {
        for (form, text, fits) in [
            ("provider-*", "provider-12", true),
            ("provider-*", "a provider-12", false),
            ("*-12", "provider-12", true),
            ("p*-*2", "provider-12", true),
            ("*", "anything", true),
            ("a.b*", "a.bc", true),
            ("a.b*", "axbc", false),
            ("* (2)*", "one (2) three", true),
            ("*) *", "one) two", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            let wanted = Constraint::like("a", form);
            assert_eq!(
                holds(&wanted, &json!({"a": text})),
                fits,
                "{form}: {wanted}"
            );
        }
    }

    #[test]
    fn versions_and_decimal_texts_have_an_order_of_their_own() {
        let recent = Constraint::ge("v$v", "0.4.0");
        assert!(holds(&recent, &json!({"v": "0.10.0"})));
        assert!(!holds(&recent, &json!({"v": "0.3.9"})));
        let cuda = Constraint::ge("c$d", "8.6");
        assert!(holds(&cuda, &json!({"c": "12.2"})));
        assert!(!holds(&cuda, &json!({"c": "8.5"})));
    }

    proptest! {
        #[test]
        fn any_text_without_control_characters_equals_itself(text in "[ -~äΩ]{0,24}", other in "[ -~]{0,8}") {
            let wanted = Constraint::eq("a", text.as_str());
            prop_assert!(holds(&wanted, &json!({"a": text})), "{}", wanted);
            let alike = other.trim_start_matches(' ') == text.trim_start_matches(' ');
            prop_assert_eq!(holds(&wanted, &json!({"a": other})), alike, "{}", wanted);
        }

        #[test]
        fn any_number_is_met_by_itself(number in proptest::num::f64::NORMAL) {
            let wanted = Constraint::ge("a", number).and(Constraint::eq("a", number));
            prop_assert!(holds(&wanted, &json!({"a": number})), "{}", wanted);
        }
    }
}
