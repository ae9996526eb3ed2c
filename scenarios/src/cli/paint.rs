//! Colours. Owns: when there are any, and which words of a summary have which.

use std::io::IsTerminal;

/// Whether a stream may have colours: a terminal that is not dumb, and nobody who asked for none (`NO_COLOR`).
pub(super) fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !is_dumb() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Whether the terminal understands text only.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty())
}

const GOOD: &str = "\u{1b}[32m";
const BAD: &str = "\u{1b}[31m";
const BOLD: &str = "\u{1b}[1m";
const FAINT: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

/// A summary with colours: its verdict, its marks, the lines of the journal.
pub(super) fn painted(summary: &str) -> String {
    let mut text = String::with_capacity(summary.len() + 256);
    for line in summary.split_inclusive('\n') {
        let (body, end) = line
            .strip_suffix('\n')
            .map_or((line, ""), |body| (body, "\n"));
        let numbered = body.trim_start().split_once("  ");
        let numbered = numbered.is_some_and(|(number, _)| number.parse::<u64>().is_ok());
        let colour = match body.trim_start() {
            rest if rest.starts_with("passed") && body.starts_with('p') => format!("{BOLD}{GOOD}"),
            rest if rest.starts_with("FAILED") && body.starts_with('F') => format!("{BOLD}{BAD}"),
            rest if rest.starts_with('✓') => GOOD.into(),
            rest if rest.starts_with('✗') => BAD.into(),
            _ if numbered => FAINT.into(),
            _ => String::new(),
        };
        match colour.as_str() {
            "" => text.push_str(body),
            colour => text.extend([colour, body, PLAIN]),
        }
        text.push_str(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_the_marks_and_the_journal_have_colours_and_nothing_else_has() {
        let text =
            "FAILED x · memory\n  ✓ one\n  ✗ two\n     12  1s  engine: A\n  passed by\n\nFAILED\n";
        assert_eq!(
            painted(text),
            "\u{1b}[1m\u{1b}[31mFAILED x · memory\u{1b}[0m\n\u{1b}[32m  ✓ one\u{1b}[0m\n\
             \u{1b}[31m  ✗ two\u{1b}[0m\n\u{1b}[2m     12  1s  engine: A\u{1b}[0m\n  passed by\n\n\
             \u{1b}[1m\u{1b}[31mFAILED\u{1b}[0m\n"
        );
    }
}
