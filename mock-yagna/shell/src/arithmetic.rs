//! The arithmetic of `$((…))`: 64 bits that wrap, C's operators, assignments.

/// Deepest nesting of an expression.
const DEEPEST: usize = 50;

/// Where the values of names come from.
pub(crate) trait Names {
    /// The value, empty if there is none.
    fn get(&self, name: &str) -> String;
    /// Gives a name a value.
    fn set(&mut self, name: &str, value: i64);
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArithmeticError {
    #[error("arithmetic expression: expecting primary: \"{0}\"")]
    Primary(String),
    #[error("arithmetic expression: expecting EOF: \"{0}\"")]
    End(String),
    #[error("arithmetic expression: division by zero: \"{0}\"")]
    Zero(String),
    #[error("Illegal number: {0}")]
    Number(String),
}

/// The value of an expression; nothing is 0.
pub(crate) fn arithmetic(expression: &str, names: &mut dyn Names) -> Result<i64, ArithmeticError> {
    let mut reader = Reader {
        text: expression,
        chars: expression.chars().collect(),
        at: 0,
        depth: 0,
        idle: 0,
        names,
    };
    reader.blanks();
    if reader.chars.len() == reader.at {
        return Ok(0);
    }
    let value = reader.assignment()?;
    reader.blanks();
    if reader.at == reader.chars.len() {
        Ok(value)
    } else {
        Err(ArithmeticError::End(expression.to_owned()))
    }
}

/// A number as the shell reads it: decimal, octal after `0`, hexadecimal after `0x`.
pub(crate) fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        i64::from_str_radix(hex, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8).ok()?
    } else if digits.starts_with(|c: char| c.is_ascii_digit()) {
        digits.parse().ok()?
    } else {
        return None;
    };
    Some(if negative {
        value.wrapping_neg()
    } else {
        value
    })
}

struct Reader<'a> {
    text: &'a str,
    chars: Vec<char>,
    at: usize,
    depth: usize,
    /// Above 0 nothing is assigned or divided: the value is not needed.
    idle: usize,
    names: &'a mut dyn Names,
}

/// Operators from the weakest to the strongest; longer ones first.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Reader<'_> {
    fn blanks(&mut self) {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    fn starts(&self, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(i, c)| self.chars.get(self.at + i) == Some(&c))
    }

    fn eat(&mut self, text: &str) -> bool {
        self.blanks();
        let found = self.starts(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn primary_error<T>(&self) -> Result<T, ArithmeticError> {
        Err(ArithmeticError::Primary(self.text.to_owned()))
    }

    /// `NAME op= value`, or a condition.
    fn assignment(&mut self) -> Result<i64, ArithmeticError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.primary_error();
        }
        self.blanks();
        let begin = self.at;
        let name = self.name();
        let is_name = crate::syntax::is_name(&name);
        self.blanks();
        let operators = [
            "<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "=",
        ];
        let operator = operators
            .into_iter()
            .find(|op| is_name && self.starts(op) && !self.starts("=="));
        let value = match operator {
            Some(operator) => {
                self.at += operator.len();
                let right = self.assignment()?;
                let value = match operator {
                    "=" => right,
                    _ => {
                        let left = self.value(&name)?;
                        self.apply(&operator[..operator.len() - 1], left, right)?
                    }
                };
                if self.idle == 0 {
                    self.names.set(&name, value);
                }
                value
            }
            None => {
                self.at = begin;
                self.condition()?
            }
        };
        self.depth -= 1;
        Ok(value)
    }

    fn condition(&mut self) -> Result<i64, ArithmeticError> {
        let condition = self.level(0)?;
        if !self.eat("?") {
            return Ok(condition);
        }
        let yes = self.needed(condition != 0, Self::assignment)?;
        if !self.eat(":") {
            return self.primary_error();
        }
        let no = self.needed(condition == 0, Self::assignment)?;
        Ok(if condition != 0 { yes } else { no })
    }

    fn needed(
        &mut self,
        needed: bool,
        read: impl FnOnce(&mut Self) -> Result<i64, ArithmeticError>,
    ) -> Result<i64, ArithmeticError> {
        self.idle += usize::from(!needed);
        let value = read(self);
        self.idle -= usize::from(!needed);
        value
    }

    fn level(&mut self, level: usize) -> Result<i64, ArithmeticError> {
        let Some(operators) = LEVELS.get(level) else {
            return self.term();
        };
        let mut left = self.level(level + 1)?;
        loop {
            self.blanks();
            // `a | b` is not `a || b`, `<` not `<<`, and none of them an assignment.
            let found = operators.iter().find(|op| {
                let double = op.len() == 1 && self.starts(&op.repeat(2)) && "|&<>".contains(**op);
                self.starts(op) && !double
            });
            let Some(operator) = found else {
                return Ok(left);
            };
            self.at += operator.len();
            let needed = match *operator {
                "&&" => left != 0,
                "||" => left == 0,
                _ => true,
            };
            let right = self.needed(needed, |reader| reader.level(level + 1))?;
            left = self.apply(operator, left, right)?;
        }
    }

    fn apply(&self, operator: &str, left: i64, right: i64) -> Result<i64, ArithmeticError> {
        let shift = u32::try_from(right & 63).unwrap_or(0);
        Ok(match operator {
            "+" => left.wrapping_add(right),
            "-" => left.wrapping_sub(right),
            "*" => left.wrapping_mul(right),
            "/" | "%" if self.idle > 0 => 0,
            "/" | "%" if right == 0 => return Err(ArithmeticError::Zero(self.text.to_owned())),
            "/" => left.wrapping_div(right),
            "%" => left.wrapping_rem(right),
            "<<" => left.wrapping_shl(shift),
            ">>" => left.wrapping_shr(shift),
            "&" => left & right,
            "|" => left | right,
            "^" => left ^ right,
            "<" => i64::from(left < right),
            ">" => i64::from(left > right),
            "<=" => i64::from(left <= right),
            ">=" => i64::from(left >= right),
            "==" => i64::from(left == right),
            "!=" => i64::from(left != right),
            "&&" => i64::from(left != 0 && right != 0),
            _ => i64::from(left != 0 || right != 0),
        })
    }

    fn term(&mut self) -> Result<i64, ArithmeticError> {
        self.blanks();
        self.depth += 1;
        let Some(c) = self
            .chars
            .get(self.at)
            .copied()
            .filter(|_| self.depth <= DEEPEST)
        else {
            return self.primary_error();
        };
        let value = match c {
            '(' => {
                self.at += 1;
                let inner = self.assignment()?;
                if !self.eat(")") {
                    return self.primary_error();
                }
                inner
            }
            '-' => {
                self.at += 1;
                self.term()?.wrapping_neg()
            }
            '+' => {
                self.at += 1;
                self.term()?
            }
            '!' => {
                self.at += 1;
                i64::from(self.term()? == 0)
            }
            '~' => {
                self.at += 1;
                !self.term()?
            }
            _ => {
                let name = self.name();
                if name.is_empty() {
                    return self.primary_error();
                }
                if c.is_ascii_digit() {
                    let value = number(&name);
                    value.ok_or_else(|| ArithmeticError::End(self.text.to_owned()))?
                } else {
                    self.value(&name)?
                }
            }
        };
        self.depth -= 1;
        Ok(value)
    }

    fn value(&self, name: &str) -> Result<i64, ArithmeticError> {
        let value = self.names.get(name);
        if value.trim().is_empty() {
            return Ok(0);
        }
        number(&value).ok_or(ArithmeticError::Number(value))
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

    impl Names for i64 {
        fn get(&self, name: &str) -> String {
            match name {
                "x" => self.to_string(),
                "bad" => "abc".into(),
                _ => String::new(),
            }
        }

        fn set(&mut self, _: &str, value: i64) {
            *self = value;
        }
    }

    #[test]
    fn arithmetic_follows_precedence_and_refuses_nonsense() {
        for (expression, expected) in [
            ("1 + 2 * 3", Some(7)),
            ("(1+2)*3", Some(9)),
            ("-x + x - x", Some(-4)),
            ("x % 3 == 1 && !0", Some(1)),
            ("1 << 4 | 3 & 2 ^ 1", Some(19)),
            ("0x10 + 010", Some(24)),
            ("0 ? 1 / 0 : 5", Some(5)),
            ("1 || (x = 9)", Some(1)),
            ("x += 2, 1", None),
            ("nothing", Some(0)),
            ("", Some(0)),
            ("1 / 0", None),
            ("9223372036854775807 + 1", Some(i64::MIN)),
            (
                "-9223372036854775807 - 1 / -1",
                Some(-9_223_372_036_854_775_806),
            ),
            ("1 +", None),
            ("1 2", None),
            ("bad", None),
            ("08", None),
        ] {
            let value = arithmetic(expression, &mut 4_i64).ok();
            assert_eq!(value, expected, "{expression}");
        }
        let mut x = 4_i64;
        assert_eq!(arithmetic("x *= 1 + 2", &mut x), Ok(12));
        assert_eq!(x, 12);
    }
}
