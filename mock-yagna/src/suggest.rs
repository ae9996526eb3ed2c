//! The known word nearest to a misspelt one.

/// Most known words that a message lists.
const MOST_WORDS: usize = 8;

/// The name among `known` that is nearest to `word`, if one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(word, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

#[cfg_attr(
    not(feature = "files"),
    expect(unreachable_pub, reason = "it is for readers of files, too")
)]
/// `; did you mean …?`, or the known names when none is near.
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(word, known.clone()) {
        return format!("; did you mean `{name}`?");
    }
    let mut names: Vec<&str> = known.into_iter().take(MOST_WORDS + 1).collect();
    let more = names.len() > MOST_WORDS;
    names.truncate(MOST_WORDS);
    match (names.is_empty(), more) {
        (true, _) => "; there is none".into(),
        (false, false) => format!("; known: {}", names.join(", ")),
        (false, true) => format!("; known: {}, …", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognised_and_a_foreign_one_is_not() {
        let known = ["simple-service", "hello-tasks"];
        assert_eq!(nearest("simple-servcie", known), Some("simple-service"));
        assert_eq!(nearest("helo-tasks", known), Some("hello-tasks"));
        assert_eq!(nearest("database", known), None);
        assert_eq!(
            hint("database", known),
            "; known: simple-service, hello-tasks"
        );
    }
}
