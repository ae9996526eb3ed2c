//! Values of properties as the daemon reads them: from their JSON, with a reader that does not know all
//! of it.

use std::borrow::Cow;

use serde_json::Value;

/// A value that can be compared.
#[derive(Debug, PartialEq)]
pub(super) enum Literal<'a> {
    /// Text, with its escapes: a quote is `\"` there, a line end `\n`.
    Text(Cow<'a, str>),
    Bool(bool),
    Number(f64),
    List(Vec<Literal<'a>>),
}

impl<'a> Literal<'a> {
    /// `None`: the daemon cannot read it, and behaves as if the property were missing. So it is with
    /// `null`, objects, texts with control characters other than `\n` and `\t`, and lists that have such.
    pub(super) fn read(value: &'a Value) -> Option<Literal<'a>> {
        match value {
            Value::String(text) => escaped(text).map(Literal::Text),
            Value::Bool(flag) => Some(Literal::Bool(*flag)),
            Value::Number(number) => number.as_f64().map(Literal::Number),
            Value::Array(members) => {
                let members = members.iter().map(Literal::read);
                members.collect::<Option<Vec<_>>>().map(Literal::List)
            }
            Value::Null | Value::Object(_) => None,
        }
    }
}

/// Blanks at the beginning are lost.
fn escaped(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim_start_matches(' ');
    let plain = |c: char| c != '"' && c != '\\' && c >= ' ';
    if text.chars().all(plain) {
        return Some(Cow::Borrowed(text));
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            control if control < ' ' => return None,
            other => escaped.push(other),
        }
    }
    Some(Cow::Owned(escaped))
}
