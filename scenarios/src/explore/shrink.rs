//! A failing scenario made smaller: fewer providers, faults, steps, less time, simpler numbers, as long as the same class
//! of failure comes.
//!
//! Owns: the order of attempts and their limit. Does not own: the edits (`document`), the runs.

use std::collections::BTreeSet;

use super::document::Document;

/// What a failing scenario was reduced to.
pub(super) struct Shrunk {
    pub(super) document: Document,
    /// Runs that it took.
    pub(super) runs: usize,
}

/// Makes `whole` smaller while `fails` says so of the result, with at most so many runs.
/// What is no scenario (`None`) costs no run.
pub(super) fn shrink(
    whole: &Document,
    most: usize,
    mut fails: impl FnMut(&Document) -> Option<bool>,
) -> Shrunk {
    let mut smallest = whole.clone();
    let mut runs = 0;
    // A text that was tried is not tried again.
    let mut tried = BTreeSet::from([smallest.to_yaml()]);
    'again: loop {
        for edit in smallest.smaller() {
            if runs >= most {
                break 'again;
            }
            let Some(smaller) = smallest.after(&edit) else {
                continue;
            };
            if !tried.insert(smaller.to_yaml()) {
                continue;
            }
            let Some(fails) = fails(&smaller) else {
                continue;
            };
            runs += 1;
            if fails {
                smallest = smaller;
                continue 'again;
            }
        }
        break;
    }
    Shrunk {
        document: smallest,
        runs,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_matter_goes_and_numbers_get_simple() {
        let providers: Vec<_> = (0..8)
            .map(|n| json!({"name": format!("p{n}"), "behaviour": {"busy": true, "reject_first": 3}}))
            .collect();
        let whole = json!({
            "name": "x", "seed": 3, "faults": [{"on": "exec", "do": "reset", "count": 7}],
            "providers": providers, "latency": {"command": "300ms"},
        });
        let whole = Document(whole.as_object().cloned().unwrap_or_default());
        let fails = |document: &Document| {
            let text = document.to_yaml();
            Some(text.contains("name: p5") && text.contains("do: reset"))
        };
        let shrunk = shrink(&whole, 1000, fails);
        assert_eq!(
            shrunk.document.to_yaml(),
            "name: x\nseed: 3\nproviders:\n  - {name: p5}\nfaults:\n  - {do: reset}\n"
        );
        assert!(shrunk.runs < 60, "{}", shrunk.runs);
        assert_eq!(shrink(&whole, 5, fails).runs, 5);
    }
}
