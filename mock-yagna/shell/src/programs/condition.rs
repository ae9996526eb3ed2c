//! `test`, `[` and `expr`.

use super::{Call, Status};
use crate::arithmetic::number;

/// Deepest nesting of a condition.
const DEEPEST: usize = 50;

impl Call<'_, '_, '_> {
    pub(super) fn condition(&mut self) -> Status {
        if self.name == "expr" {
            return self.expr();
        }
        let mut words = self.args;
        if self.name == "[" {
            match words.split_last() {
                Some((last, rest)) if last == "]" => words = rest,
                _ => return Err(self.fail(2, "missing ]")),
            }
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut test = Test {
            words: &words,
            at: 0,
            depth: 0,
        };
        let holds = match words.as_slice() {
            [] => Ok(false),
            // Few words have a meaning by their number, whatever they look like.
            [word] => Ok(!word.is_empty()),
            ["!", word] => Ok(word.is_empty()),
            [a, op, b] if BINARY.contains(op) => self.binary(a, op, b),
            ["!", a, op, b] if BINARY.contains(op) => self.binary(a, op, b).map(|holds| !holds),
            _ => test.or(self).and_then(|holds| match words.get(test.at) {
                None => Ok(holds),
                Some(_) => {
                    let before = test.at.checked_sub(1).and_then(|at| words.get(at));
                    Err(format!("{}: unexpected operator", before.unwrap_or(&"")))
                }
            }),
        };
        match holds {
            Ok(holds) => Ok(i32::from(!holds)),
            Err(why) => Err(self.fail(2, why)),
        }
    }

    fn unary(&self, operator: &str, text: &str) -> bool {
        let path = self.session.path(text);
        let exists = !text.is_empty() && self.session.exists(&path);
        match operator {
            "-n" => !text.is_empty(),
            "-z" => text.is_empty(),
            "-e" | "-r" | "-w" | "-O" | "-G" => exists,
            "-f" => exists && !self.session.is_dir(&path) && !path.starts_with("/dev/"),
            "-d" => exists && self.session.is_dir(&path),
            "-s" => exists && self.size_of(&path) > 0,
            "-x" => exists && self.session.is_executable(&path),
            "-c" => exists && path.starts_with("/dev/"),
            // Nothing is a terminal, a link, a pipe or a socket.
            _ => false,
        }
    }

    fn binary(&self, a: &str, operator: &str, b: &str) -> Result<bool, String> {
        let integer = |text: &str| {
            let trimmed = text.trim();
            let value = trimmed.parse::<i64>().ok();
            value.ok_or_else(|| format!("Illegal number: {text}"))
        };
        let modified = |text: &str| self.session.modified(&self.session.path(text));
        Ok(match operator {
            "=" | "==" => a == b,
            "!=" => a != b,
            "<" => a < b,
            ">" => a > b,
            "-nt" => modified(a) > modified(b),
            "-ot" => modified(a) < modified(b),
            "-ef" => self.session.path(a) == self.session.path(b),
            _ => {
                let (a, b) = (integer(a)?, integer(b)?);
                match operator {
                    "-eq" => a == b,
                    "-ne" => a != b,
                    "-lt" => a < b,
                    "-le" => a <= b,
                    "-gt" => a > b,
                    _ => a >= b,
                }
            }
        })
    }

    /// Sums, comparisons, and lengths of texts.
    fn expr(&mut self) -> Status {
        let words: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let shown = match words.as_slice() {
            [] => return Err(self.usage(2, "missing operand")),
            ["length", text] => Some(text.chars().count().to_string()),
            [text] => Some((*text).to_owned()),
            [a, operator @ ("=" | "!=" | "<" | ">" | "<=" | ">="), b] => {
                let order = match (number(a), number(b)) {
                    (Some(a), Some(b)) => a.cmp(&b),
                    _ => a.cmp(b),
                };
                let holds = match *operator {
                    "=" => order.is_eq(),
                    "!=" => order.is_ne(),
                    "<" => order.is_lt(),
                    ">" => order.is_gt(),
                    "<=" => order.is_le(),
                    _ => order.is_ge(),
                };
                Some(i32::from(holds).to_string())
            }
            [text, ":", pattern] => {
                match super::regex::compile(&format!("^{pattern}"), false, false) {
                    Err(why) => return Err(self.fail(2, why)),
                    Ok(regex) => {
                        let found = regex.captures(text.as_bytes());
                        Some(match found.as_ref().and_then(|found| found.get(1)) {
                            Some(part) => String::from_utf8_lossy(part.as_bytes()).into_owned(),
                            None if regex.captures_len() > 1 => String::new(),
                            None => found.map_or(0, |f| f[0].len()).to_string(),
                        })
                    }
                }
            }
            words => {
                for pair in words.windows(2) {
                    let operator = |word: &str| "+-*/%()".contains(word);
                    if !operator(pair[0]) && !operator(pair[1]) {
                        let what = format!("syntax error: unexpected argument '{}'", pair[1]);
                        return Err(self.fail(2, what));
                    }
                }
                let text = words.join(" ");
                let operands = words.iter().filter(|word| !"+-*/%()".contains(**word));
                if operands.clone().any(|word| word.parse::<i64>().is_err()) {
                    return Err(self.fail(2, "non-integer argument"));
                }
                match crate::arithmetic::arithmetic(&text, self.session) {
                    Ok(value) => Some(value.to_string()),
                    Err(error) if error.to_string().contains("division") => {
                        return Err(self.fail(2, "division by zero"));
                    }
                    Err(_) => return Err(self.fail(2, "syntax error")),
                }
            }
        };
        let shown = shown.unwrap_or_default();
        let status = i32::from(shown.is_empty() || shown == "0");
        self.out(format!("{shown}\n"));
        Ok(status)
    }
}

const BINARY: [&str; 14] = [
    "=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef",
];

const UNARY: [&str; 19] = [
    "-n", "-z", "-e", "-f", "-d", "-s", "-r", "-w", "-x", "-h", "-L", "-p", "-S", "-b", "-c", "-t",
    "-O", "-G", "-k",
];

/// A longer condition.
struct Test<'w> {
    words: &'w [&'w str],
    at: usize,
    depth: usize,
}

impl Test<'_> {
    fn or(&mut self, call: &Call<'_, '_, '_>) -> Result<bool, String> {
        let mut holds = self.and(call)?;
        while self.words.get(self.at) == Some(&"-o") {
            self.at += 1;
            holds |= self.and(call)?;
        }
        Ok(holds)
    }

    fn and(&mut self, call: &Call<'_, '_, '_>) -> Result<bool, String> {
        let mut holds = self.not(call)?;
        while self.words.get(self.at) == Some(&"-a") {
            self.at += 1;
            holds &= self.not(call)?;
        }
        Ok(holds)
    }

    fn not(&mut self, call: &Call<'_, '_, '_>) -> Result<bool, String> {
        let mut negated = false;
        while self.words.get(self.at) == Some(&"!") {
            self.at += 1;
            negated = !negated;
        }
        Ok(self.primary(call)? != negated)
    }

    fn primary(&mut self, call: &Call<'_, '_, '_>) -> Result<bool, String> {
        self.depth += 1;
        let rest = &self.words[self.at.min(self.words.len())..];
        match rest {
            _ if self.depth > DEEPEST => Err("too deep".into()),
            [] => Err("argument expected".into()),
            [a, operator, b, ..] if BINARY.contains(operator) => {
                self.at += 3;
                call.binary(a, operator, b)
            }
            ["(", ..] => {
                self.at += 1;
                let holds = self.or(call)?;
                if self.words.get(self.at) != Some(&")") {
                    return Err("closing paren expected".into());
                }
                self.at += 1;
                Ok(holds)
            }
            [operator, text, ..] if UNARY.contains(operator) => {
                self.at += 2;
                Ok(call.unary(operator, text))
            }
            [text, ..] => {
                self.at += 1;
                Ok(!text.is_empty())
            }
        }
    }
}
