//! Text in HTML and XML. Owns: the one place where text from outside becomes harmless in markup.

use std::borrow::Cow;

/// The text for elements and attributes of HTML and XML; control characters that XML cannot hold become
/// the replacement character.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let special = |c: char| {
        matches!(c, '&' | '<' | '>' | '"' | '\'' | '\u{fffe}' | '\u{ffff}')
            || (c.is_control() && !matches!(c, '\n' | '\t'))
    };
    if !text.contains(special) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if special(c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_markup_means_nothing_any_more() {
        let told = escape("<script>alert(\"1\" & '2')</script>\u{1b}[31m\u{0}\nü");
        assert_eq!(
            told,
            "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;\u{fffd}[31m\u{fffd}\nü"
        );
        assert!(matches!(escape("plain ü"), Cow::Borrowed("plain ü")));
    }
}
