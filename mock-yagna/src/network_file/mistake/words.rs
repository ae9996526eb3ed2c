//! What people call what the reader of a file calls by the names of its types.

use serde_saphyr::Error;

/// What is expected, given the reader's name for it.
pub(super) fn expected(what: &str) -> String {
    let whole = |most: &str| format!("a whole number from 0 to {most}");
    match what {
        "u8" => whole("255"),
        "u16" => whole("65535"),
        "u32" => whole("4294967295"),
        "u64" | "u128" | "usize" => "a whole number, 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number".into(),
        "f32" | "f64" | "float" | "a float" | "floating point" => "a number".into(),
        "a number or formatted decimal string" => "an amount of GLM".into(),
        "bool" | "boolean" | "a boolean" => "`true` or `false`".into(),
        "char" | "a char" | "a character" => "one letter".into(),
        "string" | "a string" | "a borrowed string" | "string scalar" | "scalar" => "a text".into(),
        "mapping start" | "mapping" | "a map" | "a mapping" => "`key: value` pairs".into(),
        "sequence start" | "sequence" | "a sequence" => "a list".into(),
        "unit" | "null" => "no value".into(),
        "enum" => "a name, or one `name: value` pair".into(),
        other => described(other),
    }
}

/// The names that Serde makes of those of types.
fn described(what: &str) -> String {
    let of_length = ["an array of length ", "a tuple of size ", "tuple of "];
    if let Some(length) = of_length.iter().find_map(|begin| what.strip_prefix(begin)) {
        let digits: String = length.chars().take_while(char::is_ascii_digit).collect();
        return format!("a list of {digits}");
    }
    let begins = |words: &[&str]| words.iter().any(|word| what.starts_with(word));
    if begins(&["struct ", "a struct", "map"]) && !begins(&["struct variant"]) {
        return "`key: value` pairs".into();
    }
    if begins(&["tuple struct"]) {
        return "a list".into();
    }
    if begins(&["newtype variant", "struct variant", "tuple variant"]) {
        return "a value with this name, as `{name: value}`".into();
    }
    if begins(&["unit variant"]) {
        return "this name alone, without a value".into();
    }
    if begins(&["enum ", "variant identifier", "field identifier"]) {
        return "a name, or one `name: value` pair".into();
    }
    // A visitor of ours says it in words of the file.
    what.strip_prefix("expected ").unwrap_or(what).to_owned()
}

/// An error in the parser's words, where they are about YAML, and in ours where they are about its types.
pub(super) fn plain(error: &Error) -> String {
    let options = serde_saphyr::render_options! { snippets: serde_saphyr::SnippetMode::Off };
    let text = error.render_with_options(options);
    // The position is told already.
    let words = text.split(" at line ").next().unwrap_or_default();
    let words = words.strip_prefix("invalid type: ").unwrap_or(words);
    // What the parser advises its programmer is behind a comma.
    let advice = [", set ", "; use ", ". If you "];
    let end = advice.iter().filter_map(|advice| words.find(advice)).min();
    let words = &words[..end.unwrap_or(words.len())];
    match words {
        "unexpected sequence end" | "list or mapping end with no start" => {
            "a list or a pair of braces ends here that did not begin".into()
        }
        "unexpected mapping end" | "unexpected container end" => {
            "something ends here too early".into()
        }
        words => {
            let said = |words: String, (yaml, said): &(&str, &str)| words.replace(yaml, said);
            PARTS.iter().fold(words.to_owned(), said)
        }
    }
}

/// What YAML's own words for the parts of a file mean to those who write one.
const PARTS: [(&str, &str); 10] = [
    ("block mapping", "block of `key: value` pairs"),
    ("flow mapping", "pair of braces `{…}`"),
    ("flow sequence", "pair of brackets `[…]`"),
    ("block sequence", "list"),
    ("plain scalar", "text"),
    ("quoted scalar", "text in quotes"),
    ("block scalar", "text"),
    ("scalar", "text"),
    ("mapping", "`key: value` pairs"),
    ("sequence", "list"),
];
