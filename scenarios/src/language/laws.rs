//! Laws that a scenario sets aside: by name, and with a reason.
//!
//! Owns: the names of all laws, and which of them does not hold in a scenario. Does not own: judging them
//! (`mock_yagna::ledger`, `report::verdict`, `sweep::verdict`, `explore::laws`).

use mock_yagna::ledger;
use mock_yagna::network_file::hint;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::Scenario;
use crate::error::Error;

/// All laws of the network's books at once.
pub(crate) const BOOKS: &str = "books-are-right";
/// That nothing is left open at the end of a run.
pub(crate) const NOTHING_OPEN: &str = "nothing-left-open";

/// What is beside the laws of the books: name, what it says, and whether a run judges it; otherwise only `rehearse
/// explore` does.
pub(crate) const OTHERS: [(&str, &str, bool); 9] = [
    (
        NOTHING_OPEN,
        "nothing is left open on the network or by the engine",
        true,
    ),
    (BOOKS, "all of the following", true),
    ("ends", "every run comes to its end", false),
    (
        "nobody-panics",
        "neither a handler nor a consumer nor the engine panics",
        false,
    ),
    (
        "nothing-forgotten",
        "what is left open is told by the engine, or is in its journal",
        false,
    ),
    ("within-budget", "no more is paid than the budget", false),
    (
        "instances-end",
        "every instance is terminated at the end",
        false,
    ),
    (
        "invoices-paid",
        "where nothing is said to be owed, everything is paid",
        false,
    ),
    (
        "same-seed-same-journal",
        "one seed gives one journal",
        false,
    ),
];

/// The names of all laws.
pub(crate) fn names() -> impl Iterator<Item = &'static str> + Clone {
    let books = ledger::Law::ALL.iter().map(|law| law.name());
    OTHERS.iter().map(|(name, ..)| *name).chain(books)
}

/// The laws of a scenario.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LawsSection {
    /// Those that do not hold here.
    pub except: Vec<Exception>,
}

/// A law that is set aside.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Its name.
    pub law: Spanned<LawName>,
    /// Why it does not hold here.
    pub because: Spanned<String>,
}

/// The name of a law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LawName(&'static str);

impl LawName {
    /// As it is written.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// Whether a run judges it; otherwise only `rehearse explore` does.
    pub(crate) fn is_judged_by_a_run(self) -> bool {
        let other = OTHERS.iter().find(|(name, ..)| *name == self.0);
        other.is_none_or(|(_, _, judged)| *judged)
    }
}

impl<'de> Deserialize<'de> for LawName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let known = names().find(|name| *name == text);
        known.map(LawName).ok_or_else(|| {
            let hint = hint(&text, names());
            D::Error::custom(format!("there is no law `{text}`{hint}"))
        })
    }
}

impl LawsSection {
    /// Whether the law of this name is set aside.
    pub(crate) fn sets_aside(&self, law: &str) -> bool {
        self.except.iter().any(|it| it.law.value.0 == law)
    }

    /// Whether a law of the books is set aside, by its own name or with all of them.
    pub(crate) fn sets_aside_of_the_books(&self, law: ledger::Law) -> bool {
        self.sets_aside(law.name()) || self.sets_aside(BOOKS)
    }
}

impl Scenario {
    /// What an exception cannot be.
    pub(super) fn check_laws(&self) -> Vec<Error> {
        let mut wrong = Vec::new();
        let all = &self.laws.except;
        for (at, exception) in all.iter().enumerate() {
            let (law, because) = (&exception.law, &exception.because);
            let name = law.value.0;
            if because.value.trim().is_empty() {
                let message = format!("`because` is empty: why does `{name}` not hold here?");
                wrong.push(self.mistake(because.referenced, message));
            }
            let earlier = all[..at].iter().find(|it| it.law.value == law.value);
            if let Some(first) = earlier {
                let line = self.sources.line(first.law.referenced.line());
                let message =
                    format!("`{name}` is set aside a second time; the first is in {line}");
                wrong.push(self.mistake(law.referenced, message));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Origin;

    fn scenario(laws: &str) -> Result<Scenario, String> {
        let text = format!("name: x\ntasks: {{name: hello-tasks, count: 1}}\nlaws:\n{laws}\n");
        let origin = Origin {
            file: "x.yaml".into(),
            folder: None,
        };
        Scenario::parse(&text, origin).map_err(|error| error.to_string())
    }

    #[test]
    fn a_law_is_set_aside_by_its_name_and_with_a_reason() {
        let scenario = scenario("  except: [{law: accepted-within-used, because: it is a test}]");
        let laws = scenario.expect("a scenario").laws;
        assert!(laws.sets_aside_of_the_books(ledger::Law::AcceptedWithinUsed));
        assert!(!laws.sets_aside_of_the_books(ledger::Law::EndedOnce));
        assert!(!laws.sets_aside(NOTHING_OPEN));
    }

    #[test]
    fn an_unknown_law_an_empty_reason_and_a_second_exception_are_refused_where_they_stand() {
        for (laws, told) in [
            (
                "  except: [{law: accepted-within-usd, because: x}]",
                "x.yaml:4:18: `laws.except[0].law`: there is no law `accepted-within-usd`; did you mean `accepted-within-used`?",
            ),
            (
                "  except: [{law: ended-once, because: ' '}]",
                "`because` is empty: why does `ended-once` not hold here?",
            ),
            (
                "  except:\n  - {law: ended-once, because: x}\n  - {law: ended-once, because: y}",
                "x.yaml:6:11: `ended-once` is set aside a second time; the first is in line 5",
            ),
            ("  except: [{law: ended-once}]", "because"),
            ("  except: [ended-once]", "x.yaml:4"),
            ("  exept: []", "exept"),
        ] {
            let error = scenario(laws).expect_err(laws);
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn every_law_of_the_books_has_a_name_of_its_own() {
        let all: std::collections::BTreeSet<_> = names().collect();
        assert_eq!(all.len(), names().count());
        for law in ledger::Law::ALL {
            let written = serde_json::to_value(law).expect("a word");
            let written = written.as_str().expect("a word").replace('_', "-");
            assert_eq!(law.name(), written);
        }
    }
}
