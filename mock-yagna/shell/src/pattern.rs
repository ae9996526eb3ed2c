//! Patterns of paths and of `case`: `*`, `?`, `[…]`, and a backslash before what stands for itself.

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Any,
    One,
    Just(char),
    Of {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A pattern that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Step>);

/// `text` with a backslash before everything that a pattern would understand.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "*?[]\\-!^".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Whether an unescaped sign of a pattern is in `text`.
pub(crate) fn is_pattern(text: &str) -> bool {
    Pattern::new(text)
        .0
        .iter()
        .any(|step| !matches!(step, Step::Just(_)))
}

impl Pattern {
    /// Reads a pattern; a `[` that is not closed stands for itself.
    pub(crate) fn new(text: &str) -> Pattern {
        let chars: Vec<char> = text.chars().collect();
        let (mut steps, mut at) = (Vec::new(), 0);
        while let Some(&c) = chars.get(at) {
            at += 1;
            steps.push(match c {
                '*' if steps.last() == Some(&Step::Any) => continue,
                '*' => Step::Any,
                '?' => Step::One,
                '\\' => {
                    let next = chars.get(at).copied();
                    at += usize::from(next.is_some());
                    Step::Just(next.unwrap_or('\\'))
                }
                '[' => match set(&chars, at) {
                    Some((step, end)) => {
                        at = end;
                        step
                    }
                    None => Step::Just('['),
                },
                c => Step::Just(c),
            });
        }
        Pattern(steps)
    }

    /// How many steps it has.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all of `text` looks like this.
    pub(crate) fn matches(&self, text: &[char]) -> bool {
        let steps = &self.0;
        let (mut s, mut t, mut star) = (0, 0, None);
        while let Some(&c) = text.get(t) {
            match steps.get(s) {
                Some(Step::Any) => {
                    star = Some((s, t));
                    s += 1;
                }
                Some(step) if step.takes(c) => {
                    s += 1;
                    t += 1;
                }
                _ => match star {
                    Some((at, from)) => {
                        (s, t) = (at + 1, from + 1);
                        star = Some((at, from + 1));
                    }
                    None => return false,
                },
            }
        }
        steps[s..].iter().all(|step| *step == Step::Any)
    }

    /// Whether all of `text` looks like this.
    pub(crate) fn matches_text(&self, text: &str) -> bool {
        self.matches(&text.chars().collect::<Vec<_>>())
    }
}

impl Step {
    fn takes(&self, c: char) -> bool {
        match self {
            Step::Any => false,
            Step::One => true,
            Step::Just(just) => *just == c,
            Step::Of { negated, ranges } => {
                ranges
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&c))
                    != *negated
            }
        }
    }
}

/// The ranges of a named class.
fn class(name: &str) -> &'static [(char, char)] {
    match name {
        "digit" => &[('0', '9')],
        "lower" => &[('a', 'z')],
        "upper" => &[('A', 'Z')],
        "alpha" => &[('a', 'z'), ('A', 'Z')],
        "alnum" => &[('a', 'z'), ('A', 'Z'), ('0', '9')],
        "space" => &[(' ', ' '), ('\t', '\r')],
        "blank" => &[(' ', ' '), ('\t', '\t')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "xdigit" => &[('0', '9'), ('a', 'f'), ('A', 'F')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "print" => &[(' ', '~')],
        "graph" => &[('!', '~')],
        _ => &[],
    }
}

/// The characters of a named class of bytes, as `tr` counts them.
pub(crate) fn class_bytes(name: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = class(name)
        .iter()
        .flat_map(|(first, last)| *first as u8..=*last as u8)
        .collect();
    bytes.sort_unstable();
    bytes
}

/// The set that begins behind a `[`, and where it ends.
fn set(chars: &[char], mut at: usize) -> Option<(Step, usize)> {
    let negated = matches!(chars.get(at), Some('!' | '^'));
    at += usize::from(negated);
    let (mut ranges, begin) = (Vec::new(), at);
    loop {
        let mut first = *chars.get(at)?;
        if first == ']' && at > begin {
            return Some((Step::Of { negated, ranges }, at + 1));
        }
        if first == '[' && chars.get(at + 1) == Some(&':') {
            let rest = &chars[at + 2..];
            if let Some(length) = rest.windows(2).position(|two| two == [':', ']']) {
                let name: String = rest[..length].iter().collect();
                ranges.extend_from_slice(class(&name));
                at += length + 4;
                continue;
            }
        }
        if first == '\\' && chars.get(at + 1).is_some() {
            at += 1;
            first = chars[at];
        }
        at += 1;
        let mut last = first;
        if chars.get(at) == Some(&'-') && chars.get(at + 1).is_some_and(|c| *c != ']') {
            at += 1;
            if chars[at] == '\\' && chars.get(at + 1).is_some() {
                at += 1;
            }
            last = chars[at];
            at += 1;
        }
        ranges.push((first, last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).matches_text(text)
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text) in [
            ("*.txt", "a.txt"),
            ("a?c*", "abc"),
            ("*a*b*", "xaxxbx"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[[:digit:]]*", "7up"),
            ("\\*", "*"),
            ("[", "["),
            ("", ""),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("*.txt", "a.txt2"),
            ("?", ""),
            ("a", "b"),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("\\*", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_escaped_stands_for_itself() {
        for text in ["*", "a[b]c", "?", "\\", "[!x]"] {
            assert!(matches(&escape(text), text));
            assert!(!is_pattern(&escape(text)));
        }
    }
}
