//! Suites as Markdown, for the summaries that CI systems show.

use std::fmt::Write as _;

use super::suite::{Case, CaseResult, Suite};

/// How it begins; by it a file is known to be one.
pub(crate) const BEGIN: &str = "<!-- rehearse -->\n";
/// Rows of a table; the failed ones first.
const ROWS: usize = 200;

/// The Markdown of some suites.
pub(crate) fn markdown(suites: &[Suite]) -> String {
    let mut out = BEGIN.to_owned();
    for suite in suites {
        // Writing to a string cannot fail.
        let _ = write(&mut out, suite);
    }
    out
}

fn write(out: &mut String, suite: &Suite) -> std::fmt::Result {
    let (failures, errors) = suite.count();
    let name = plain(&suite.name);
    match (failures, errors) {
        (0, 0) => writeln!(out, "## ✅ {name} passed\n")?,
        (0, _) => writeln!(out, "## ❌ {name} could not be run\n")?,
        (failures, _) => {
            writeln!(
                out,
                "## ❌ {name} failed: {failures} of {}\n",
                suite.cases.len()
            )?;
        }
    }
    writeln!(out, "| | claim | found |\n|---|---|---|")?;
    let rank = |case: &&Case| match case.result {
        CaseResult::Failed(_) | CaseResult::Broken => 0,
        CaseResult::Passed | CaseResult::Skipped => 1,
    };
    let mut cases: Vec<&Case> = suite.cases.iter().collect();
    cases.sort_by_key(rank);
    for case in cases.iter().take(ROWS) {
        let mark = match case.result {
            CaseResult::Passed => "✅",
            CaseResult::Failed(_) | CaseResult::Broken => "❌",
            CaseResult::Skipped => "⏭️",
        };
        writeln!(
            out,
            "| {mark} | {} | {} |",
            plain(&case.name),
            plain(&case.found)
        )?;
    }
    if let Some(rest) = cases.len().checked_sub(ROWS).filter(|rest| *rest > 0) {
        writeln!(out, "| | … and {rest} more | |")?;
    }
    for case in &suite.cases {
        match &case.result {
            CaseResult::Failed(lines) if !lines.is_empty() => {
                let summary = plain(&case.name);
                writeln!(
                    out,
                    "\n<details><summary>{summary}: the lines before</summary>\n"
                )?;
                fenced(out, lines)?;
                writeln!(out, "\n</details>")?;
            }
            _ => {}
        }
    }
    let told = |wanted: &str| suite.properties.iter().find(|(key, _)| *key == wanted);
    if let Some((_, seed)) = told("seed") {
        write!(out, "\nSeed {}", plain(seed))?;
        if let Some((_, backend)) = told("backend") {
            write!(out, ", backend {}", plain(backend))?;
        }
        writeln!(out, ", {:.1} s.", suite.seconds)?;
    }
    if let Some((_, command)) = told("command") {
        writeln!(out, "\nThe same again:\n")?;
        fenced(out, command)?;
    }
    writeln!(out)
}

/// A block in which nothing means anything, whatever it holds.
fn fenced(out: &mut String, text: &str) -> std::fmt::Result {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(3.max(longest + 1));
    writeln!(out, "{fence}text\n{}\n{fence}", text.trim_end())
}

/// The text where nothing in it is Markdown, HTML, a mention or the end of a cell.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '@' => plain.push_str("&#64;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '!' => {
                plain.push('\\');
                plain.push(c);
            }
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}
