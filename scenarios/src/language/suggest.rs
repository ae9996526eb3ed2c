//! "Did you mean …": the known name nearest to a misspelt one.

/// The name among `known` that is nearest to `word`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(word, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// ` (did you mean ...?)`, or the whole list when nothing is near.
pub(crate) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(word, known.clone()) {
        return format!("; did you mean `{name}`?");
    }
    let mut names: Vec<&str> = known.into_iter().take(9).collect();
    let more = names.len() > 8;
    names.truncate(8);
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
