//! Where two journals part.
//!
//! Owns: the first line that differs, with what stands around it, and how often each event is on either side.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, BufRead};

use super::history::line::Line;

/// Lines before the first one that differs, which both have.
const BEFORE: usize = 3;
/// Lines of either side from there on.
const AFTER: usize = 3;
/// Characters of a line that are shown.
const WIDE: usize = 600;

/// What two journals have in common, and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Number of the first line that differs, from 1; nothing when they are the same.
    pub(crate) at: Option<u64>,
    /// Bytes of that line that both have.
    pub(crate) column: usize,
    /// The lines before it.
    pub(crate) before: Vec<String>,
    /// The lines from there on, of either side; fewer where a journal ends.
    pub(crate) sides: [Vec<String>; 2],
    /// Lines of either journal.
    pub(crate) lines: [u64; 2],
    /// How often each event is in either journal, by `from` and name.
    pub(crate) events: BTreeMap<String, [u64; 2]>,
}

/// Compares two journals.
///
/// # Errors
/// When one cannot be read; 0 or 1 tells which.
pub(crate) fn compare(
    mut first: impl BufRead,
    mut second: impl BufRead,
) -> Result<Difference, (usize, io::Error)> {
    let mut told = Difference::default();
    let mut before = VecDeque::new();
    let (mut one, mut other) = (Vec::new(), Vec::new());
    loop {
        one.clear();
        other.clear();
        first.read_until(b'\n', &mut one).map_err(|e| (0, e))?;
        second.read_until(b'\n', &mut other).map_err(|e| (1, e))?;
        if one.is_empty() && other.is_empty() {
            break;
        }
        for (side, bytes) in [&one, &other].into_iter().enumerate() {
            if !bytes.is_empty() {
                told.count(side, bytes);
            }
        }
        if told.at.is_none() && one == other {
            if before.len() == BEFORE {
                before.pop_front();
            }
            before.push_back(cut(&one));
            continue;
        }
        if told.at.is_none() {
            let [a, b] = told.lines;
            told.at = Some(a.max(b));
            told.column = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
        }
        for (side, bytes) in told.sides.iter_mut().zip([&one, &other]) {
            if side.len() < AFTER && !bytes.is_empty() {
                side.push(cut(bytes));
            }
        }
    }
    told.before = before.into();
    Ok(told)
}

fn cut(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end().replace(|c: char| c.is_control(), " ");
    match text.char_indices().nth(WIDE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(&text)),
        None => text,
    }
}

impl Difference {
    fn count(&mut self, side: usize, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let name = match Line::read(text.trim_end()) {
            Some(line) => format!("{} {}", line.from(), line.event()),
            None => "(no line of a journal)".to_owned(),
        };
        let counts = self.events.entry(name).or_default();
        if let (Some(count), Some(lines)) = (counts.get_mut(side), self.lines.get_mut(side)) {
            *count += 1;
            *lines += 1;
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.lines;
        let Some(at) = self.at else {
            return writeln!(f, "the same: {a} lines");
        };
        let column = self.column + 1;
        writeln!(
            f,
            "they part at line {at}, character {column} ({a} and {b} lines)\n"
        )?;
        for (back, line) in self.before.iter().enumerate() {
            let number = at.saturating_sub((self.before.len() - back) as u64);
            writeln!(f, "  {number:>7}  {line}")?;
        }
        for (mark, side) in ['-', '+'].into_iter().zip(&self.sides) {
            for (number, line) in (at..).zip(side) {
                writeln!(f, "{mark} {number:>7}  {line}")?;
            }
            if side.is_empty() {
                writeln!(f, "{mark} {at:>7}  (the journal ends)")?;
            }
        }
        let differ = self.events.iter().filter(|(_, [a, b])| a != b);
        let differ: Vec<_> = differ.collect();
        if differ.is_empty() {
            return writeln!(f, "\nboth have the same number of each event");
        }
        writeln!(f, "\n  {:>8} {:>8}  event", "first", "second")?;
        for (name, [a, b]) in differ {
            writeln!(f, "  {a:>8} {b:>8}  {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &str, n: u32) -> String {
        format!(
            "{{\"from\":\"engine\",\"at\":\"2026-01-01T00:00:00Z\",\"event\":\"{event}\",\"n\":{n}}}\n"
        )
    }

    #[test]
    fn the_first_line_that_differs_is_told_with_what_stands_around_it() {
        let common: String = (0..5).map(|n| line("A", n)).collect();
        let one = format!("{common}{}{}", line("B", 1), line("C", 1));
        let other = format!("{common}{}", line("B", 2));
        let told = compare(one.as_bytes(), other.as_bytes()).expect("read");
        insta::assert_snapshot!(told, @r#"
        they part at line 6, character 62 (7 and 6 lines)

                3  {"from":"engine","at":"2026-01-01T00:00:00Z","event":"A","n":2}
                4  {"from":"engine","at":"2026-01-01T00:00:00Z","event":"A","n":3}
                5  {"from":"engine","at":"2026-01-01T00:00:00Z","event":"A","n":4}
        -       6  {"from":"engine","at":"2026-01-01T00:00:00Z","event":"B","n":1}
        -       7  {"from":"engine","at":"2026-01-01T00:00:00Z","event":"C","n":1}
        +       6  {"from":"engine","at":"2026-01-01T00:00:00Z","event":"B","n":2}

             first   second  event
                 1        0  engine C
        "#);
        let same = compare(one.as_bytes(), one.as_bytes()).expect("read");
        assert_eq!(
            (same.at, same.to_string().as_str()),
            (None, "the same: 7 lines\n")
        );
        let shorter = compare(common.as_bytes(), one.as_bytes()).expect("read");
        assert!(
            shorter.to_string().contains("(the journal ends)"),
            "{shorter}"
        );
    }
}
