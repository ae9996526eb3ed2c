//! From words to texts: variables, splitting, patterns of paths, and arithmetic.
//!
//! Owns the rules; the values come from the session that runs the script.

use super::files::Files;

/// A text that grows from the pieces of a word; unquoted blanks split it.
#[derive(Debug, Default)]
pub(super) struct Fields {
    fields: Vec<Field>,
    open: bool,
}

#[derive(Debug, Default)]
struct Field {
    text: String,
    /// An unquoted piece has a `*`, `?` or `[`.
    pattern: bool,
}

impl Fields {
    fn last(&mut self) -> &mut Field {
        if !self.open || self.fields.is_empty() {
            self.fields.push(Field::default());
            self.open = true;
        }
        let last = self.fields.len() - 1;
        &mut self.fields[last]
    }

    /// Adds text that is not split.
    pub(super) fn add(&mut self, text: &str, quoted: bool) {
        let field = self.last();
        field.text.push_str(text);
        field.pattern |= !quoted && text.contains(['*', '?']);
    }

    /// Adds text that blanks split.
    pub(super) fn split(&mut self, text: &str) {
        if text.starts_with(char::is_whitespace) {
            self.open = false;
        }
        for (index, part) in text.split_whitespace().enumerate() {
            if index > 0 {
                self.open = false;
            }
            self.add(part, false);
        }
        if text.ends_with(char::is_whitespace) {
            self.open = false;
        }
    }

    /// One text, whatever blanks it has.
    pub(super) fn joined(self) -> String {
        self.fields
            .into_iter()
            .map(|field| field.text)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The texts; a pattern that matches paths is replaced by them. `absolute` resolves a path.
    pub(super) fn texts(self, files: &Files, absolute: impl Fn(&str) -> String) -> Vec<String> {
        let mut texts = Vec::new();
        for field in self.fields {
            let (directory, name) = match field.text.rsplit_once('/') {
                Some((directory, name)) => (format!("{directory}/"), name),
                None => (String::new(), field.text.as_str()),
            };
            let mut found = Vec::new();
            if field.pattern && !directory.contains(['*', '?']) {
                let names = files.list(&absolute(if directory.is_empty() {
                    "."
                } else {
                    &directory
                }));
                let names = names
                    .iter()
                    .filter(|n| !n.starts_with('.') && matches(name, n));
                found.extend(names.map(|n| format!("{directory}{n}")));
            }
            if found.is_empty() {
                texts.push(field.text);
            } else {
                texts.extend(found);
            }
        }
        texts
    }
}

/// Whether `text` looks like `pattern`, in which `*` stands for anything and `?` for one character.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) && pattern[p] != '*' {
            p += 1;
            t += 1;
        } else if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if let Some((at, from)) = star {
            (p, t) = (at + 1, from + 1);
            star = Some((at, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The value of an arithmetic expression; `None` if it is none.
pub(super) fn arithmetic(expression: &str, value: impl Fn(&str) -> String) -> Option<i64> {
    let mut reader = Arithmetic {
        chars: expression.chars().collect(),
        at: 0,
        value,
        depth: 0,
    };
    let result = reader.level(0)?;
    reader.blanks();
    (reader.at == reader.chars.len()).then_some(result)
}

struct Arithmetic<V> {
    chars: Vec<char>,
    at: usize,
    value: V,
    depth: usize,
}

/// Operators from the weakest to the strongest.
const LEVELS: [&[&str]; 6] = [
    &["||"],
    &["&&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl<V: Fn(&str) -> String> Arithmetic<V> {
    fn blanks(&mut self) {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    fn level(&mut self, level: usize) -> Option<i64> {
        let Some(operators) = LEVELS.get(level) else {
            return self.term();
        };
        let mut left = self.level(level + 1)?;
        loop {
            self.blanks();
            let here = |op: &&&str| {
                op.chars()
                    .enumerate()
                    .all(|(i, c)| self.chars.get(self.at + i) == Some(&c))
            };
            let Some(op) = operators.iter().find(here) else {
                return Some(left);
            };
            self.at += op.len();
            let right = self.level(level + 1)?;
            left = match *op {
                "+" => left.checked_add(right)?,
                "-" => left.checked_sub(right)?,
                "*" => left.checked_mul(right)?,
                "/" => left.checked_div(right)?,
                "%" => left.checked_rem(right)?,
                "<" => i64::from(left < right),
                ">" => i64::from(left > right),
                "<=" => i64::from(left <= right),
                ">=" => i64::from(left >= right),
                "==" => i64::from(left == right),
                "!=" => i64::from(left != right),
                "&&" => i64::from(left != 0 && right != 0),
                _ => i64::from(left != 0 || right != 0),
            };
        }
    }

    fn term(&mut self) -> Option<i64> {
        self.blanks();
        self.depth += 1;
        let result = match self
            .chars
            .get(self.at)
            .copied()
            .filter(|_| self.depth < 100)?
        {
            '(' => {
                self.at += 1;
                let inner = self.level(0)?;
                self.blanks();
                (self.chars.get(self.at) == Some(&')')).then_some(())?;
                self.at += 1;
                inner
            }
            '-' => {
                self.at += 1;
                self.term()?.checked_neg()?
            }
            '!' => {
                self.at += 1;
                i64::from(self.term()? == 0)
            }
            c if c.is_ascii_digit() => self.name().parse().ok()?,
            _ => {
                if self.chars.get(self.at) == Some(&'$') {
                    self.at += 1;
                }
                let braces = self.chars.get(self.at) == Some(&'{');
                self.at += usize::from(braces);
                let name = self.name();
                if braces {
                    (self.chars.get(self.at) == Some(&'}')).then_some(())?;
                    self.at += 1;
                }
                if name.is_empty() {
                    return None;
                }
                let value = (self.value)(&name);
                if value.trim().is_empty() {
                    0
                } else {
                    value.trim().parse().ok()?
                }
            }
        };
        self.depth -= 1;
        Some(result)
    }

    fn name(&mut self) -> String {
        let begin = self.at;
        while self
            .chars
            .get(self.at)
            .is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_')
        {
            self.at += 1;
        }
        self.chars[begin..self.at].iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_follows_precedence_and_refuses_nonsense() {
        let value = |name: &str| {
            if name == "x" {
                "4".to_owned()
            } else {
                String::new()
            }
        };
        for (expression, expected) in [
            ("1 + 2 * 3", Some(7)),
            ("(1+2)*3", Some(9)),
            ("-x + ${x} - $x", Some(-4)),
            ("x % 3 == 1 && !0", Some(1)),
            ("nothing", Some(0)),
            ("1 / 0", None),
            ("9223372036854775807 + 1", None),
            ("1 +", None),
            ("1 2", None),
        ] {
            assert_eq!(arithmetic(expression, value), expected, "{expression}");
        }
    }

    #[test]
    fn patterns_match_whole_names() {
        assert!(matches("*.txt", "a.txt") && matches("a?c*", "abc") && matches("*a*b*", "xaxxbx"));
        assert!(!matches("*.txt", "a.txt2") && !matches("?", "") && !matches("a", "b"));
    }
}
