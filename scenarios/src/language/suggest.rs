//! "Did you mean …": the known name nearest to a misspelt one.

/// The name among `known` that is nearest to `word`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|name| (distance(word, name), name))
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

/// Edits between two words: insertions, deletions, replacements, swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
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
