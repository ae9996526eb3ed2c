//! Patterns of `grep` and `sed`: POSIX basic and extended ones, run by the `regex` crate.
//!
//! References back inside a pattern are not known; of several alternatives the first one wins, not the
//! longest.

use regex::bytes::{Regex, RegexBuilder};

/// Most bytes of a compiled pattern.
const LIMIT: usize = 1 << 20;

/// Compiles a pattern.
///
/// # Errors
/// What is wrong with it.
pub(super) fn compile(pattern: &str, extended: bool, fold: bool) -> Result<Regex, String> {
    let translated = translate(pattern, extended)?;
    RegexBuilder::new(&translated)
        .unicode(false)
        .case_insensitive(fold)
        .size_limit(LIMIT)
        .dfa_size_limit(LIMIT)
        .build()
        .map_err(|_| "Invalid regular expression".to_owned())
}

/// A pattern that means `text` itself.
pub(super) fn literal(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if "\\.*[]^$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn translate(pattern: &str, extended: bool) -> Result<String, String> {
    let chars: Vec<char> = pattern.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    let mut open = 0_usize;
    // Where nothing can be repeated.
    let mut begins = true;
    while let Some(&c) = chars.get(at) {
        at += 1;
        let escaped = c == '\\';
        let c = if escaped {
            let Some(&next) = chars.get(at) else {
                return Err("Trailing backslash".into());
            };
            at += 1;
            next
        } else {
            c
        };
        let operator = match c {
            '(' | ')' | '{' | '}' | '|' | '+' | '?' => escaped != extended,
            '*' | '.' | '[' | '^' | '$' => !escaped,
            _ => false,
        };
        let began = std::mem::take(&mut begins);
        match c {
            '(' if operator => {
                out.push('(');
                open += 1;
                begins = true;
            }
            ')' if operator => {
                if open == 0 {
                    if extended {
                        out.push_str("\\)");
                        continue;
                    }
                    return Err("Unmatched ) or \\)".into());
                }
                open -= 1;
                out.push(')');
            }
            '|' if operator => {
                out.push('|');
                begins = true;
            }
            '*' if operator && began => out.push_str("\\*"),
            '+' | '?' | '{' if operator && began => {
                out.push('\\');
                out.push(c);
            }
            '*' | '+' | '?' if operator => {
                // A second repetition changes nothing but would mean laziness.
                if !out.ends_with(['*', '+']) || out.ends_with("\\*") || out.ends_with("\\+") {
                    out.push(c);
                }
            }
            '{' if operator => {
                let rest: String = chars[at..].iter().collect();
                let closing = if extended { "}" } else { "\\}" };
                let (bounds, _) = rest.split_once(closing).ok_or("Unmatched { or \\{")?;
                let fine = bounds.chars().all(|c| c.is_ascii_digit() || c == ',');
                if !fine || bounds.is_empty() {
                    return Err("Invalid content of \\{\\}".into());
                }
                at += bounds.len() + closing.len();
                let bounds = match bounds.strip_prefix(',') {
                    Some(most) => format!("0,{most}"),
                    None => bounds.to_owned(),
                };
                out.push_str(&format!("{{{bounds}}}"));
            }
            '.' if operator => out.push('.'),
            '[' if operator => at = bracket(&chars, at, &mut out)?,
            '^' if operator && (extended || began) => {
                out.push('^');
                begins = true;
            }
            '$' if operator => {
                let rest: String = chars[at..].iter().take(2).collect();
                let ends = rest.is_empty() || rest == "\\)" || rest == "\\|" || extended;
                out.push_str(if ends { "$" } else { "\\$" });
            }
            '<' if escaped => out.push_str("\\b{start}"),
            '>' if escaped => out.push_str("\\b{end}"),
            'w' | 'W' | 's' | 'S' | 'b' | 'B' if escaped => {
                out.push('\\');
                out.push(c);
            }
            'n' if escaped => out.push_str("\\n"),
            't' if escaped => out.push_str("\\t"),
            '1'..='9' if escaped => return Err("Invalid back reference".into()),
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    if open > 0 {
        return Err("Unmatched ( or \\(".into());
    }
    Ok(out)
}

/// A bracket expression, which begins at `at`; answers where it ends.
fn bracket(chars: &[char], mut at: usize, out: &mut String) -> Result<usize, String> {
    let unmatched = || "Invalid regular expression".to_owned();
    out.push('[');
    if chars.get(at) == Some(&'^') {
        out.push('^');
        at += 1;
    }
    let begin = at;
    loop {
        let c = *chars.get(at).ok_or_else(unmatched)?;
        match c {
            ']' if at > begin => {
                out.push(']');
                return Ok(at + 1);
            }
            '[' if chars.get(at + 1) == Some(&':') => {
                let rest = &chars[at + 2..];
                let length = rest.windows(2).position(|two| two == [':', ']']);
                let length = length.ok_or_else(unmatched)?;
                let name: String = rest[..length].iter().collect();
                if !name.chars().all(|c| c.is_ascii_lowercase()) {
                    return Err("Invalid character class name".into());
                }
                out.push_str(&format!("[:{name}:]"));
                at += length + 4;
            }
            '-' if at > begin && chars.get(at + 1).is_some_and(|next| *next != ']') => {
                out.push('-');
                at += 1;
            }
            c => {
                if !c.is_alphanumeric() && !c.is_whitespace() {
                    out.push('\\');
                }
                out.push(c);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_and_extended_patterns_differ_in_their_backslashes() {
        for (pattern, extended, text, expected) in [
            ("a+", false, "aa", false),
            ("a+", true, "aa", true),
            ("a\\+", false, "aa", true),
            ("^[0-9]\\{2\\}$", false, "42", true),
            ("^[0-9]{2}$", true, "42", true),
            ("^(a|b)c$", true, "bc", true),
            ("\\(a\\|b\\)c", false, "bc", true),
            ("*a", false, "*a", true),
            ("a.c", false, "abc", true),
            ("a\\.c", false, "abc", false),
            ("[]x]", false, "]", true),
            ("[^]x]", false, "]", false),
            ("[[:upper:]_-]", false, "-", true),
            ("a$b", false, "a$b", true),
            ("\\<word\\>", false, "a word.", true),
            ("[\\n]", false, "\\", true),
        ] {
            let regex = compile(pattern, extended, false);
            let regex = regex.unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(regex.is_match(text.as_bytes()), expected, "{pattern}");
        }
        for (pattern, extended) in [
            ("[", false),
            ("(", true),
            ("\\(", false),
            ("a\\", false),
            ("(a)\\1", true),
        ] {
            assert!(compile(pattern, extended, false).is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_huge_pattern_is_refused() {
        assert!(compile("((a{1,999}){1,999}){1,999}", true, false).is_err());
    }
}
