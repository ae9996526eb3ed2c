//! The story with its repeats folded: what happens again and again, as the polls of a service, is told twice and then
//! counted.
//!
//! Owns: which lines are repeats, what is said in place of them. Does not own: the lines (`story`), where they go.

use std::collections::VecDeque;

/// A repeat is one of the last lines that differ, so many of them.
const RECENT: usize = 8;
/// A line is told so often before it is counted.
const TOLD: u64 = 2;
/// Whoever watches is told how many there were whenever there are ten times as many, from here on.
const NEWS: u64 = 100;

/// Folds the repeats among lines of a log. Two lines are alike when they differ only in times, amounts and ids.
///
/// ```
/// use mock_yagna::journal::FoldedStory;
///
/// let mut story = FoldedStory::default();
/// let line = |second: u32| format!("2026-01-01 00:00:{second:02}Z alice has done `run date` in activity 5656ee83");
/// assert_eq!(story.line(&line(1)), line(1) + "\n");
/// assert_eq!(story.line(&line(2)), line(2) + "\n");
/// assert_eq!(story.line(&line(3)), "");
/// assert_eq!(story.line(&line(4)), "");
/// assert_eq!(story.rest(), "  … 2 more like these until 2026-01-01 00:00:04Z\n");
/// ```
#[derive(Debug, Default)]
pub struct FoldedStory {
    /// The shapes of the last lines, the latest at the end, and how often each came.
    recent: VecDeque<(String, u64)>,
    folded: u64,
    /// When the last of them was.
    until: String,
}

impl FoldedStory {
    /// What is to be shown for a line (without its end): nothing for one that is counted, else the line, after what
    /// there is to say of those that were counted before it.
    pub fn line(&mut self, line: &str) -> String {
        let (time, words) = timed(line);
        let shape = shape(words);
        let known = self.recent.iter().position(|(known, _)| *known == shape);
        let times = known.and_then(|at| self.recent.remove(at));
        let times = times.map_or(1, |(_, times)| times + 1);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((shape, times));
        if times <= TOLD {
            return self.rest() + line + "\n";
        }
        self.folded += 1;
        time.clone_into(&mut self.until);
        let mut news = NEWS;
        while news < self.folded {
            news = news.saturating_mul(10);
        }
        match self.folded == news {
            true => self.more(),
            false => String::new(),
        }
    }

    /// What there is to say of those that were counted and not yet told.
    pub fn rest(&mut self) -> String {
        let said = match self.folded {
            0 => String::new(),
            _ => self.more(),
        };
        self.folded = 0;
        said
    }

    fn more(&self) -> String {
        let until = match self.until.as_str() {
            "" => String::new(),
            time => format!(" until {time}"),
        };
        format!("  … {} more like these{until}\n", self.folded)
    }
}

/// The time that a line of the story begins with, and the rest.
fn timed(line: &str) -> (&str, &str) {
    let is_time = |text: &str| {
        let digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
        digit(0) && text.get(4..5) == Some("-") && text.ends_with('Z')
    };
    let end = line
        .match_indices(' ')
        .nth(1)
        .map_or(line.len(), |(at, _)| at);
    let (time, words) = line.split_at(end);
    match is_time(time) {
        true => (time, words),
        false => ("", line),
    }
}

/// A line without what differs from one to the next of its kind.
fn shape(words: &str) -> String {
    let punctuation = |c: char| ",.:;()`".contains(c);
    let differs = |word: &str| {
        let word = word.trim_matches(punctuation);
        let number = word.chars().all(|c| c.is_ascii_digit() || c == '.');
        let id = word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        word.contains(|c: char| c.is_ascii_digit()) && (number || id)
    };
    let words = words.split_whitespace();
    let plain: Vec<&str> = words
        .map(|word| if differs(word) { "#" } else { word })
        .collect();
    plain.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of these lines, each at the next second.
    fn shown(lines: &[&str]) -> Vec<String> {
        let mut story = FoldedStory::default();
        let mut all = String::new();
        for (second, line) in lines.iter().enumerate() {
            all += &story.line(&format!(
                "2026-01-01 00:{:02}:{:02}Z {line}",
                second / 60,
                second % 60
            ));
        }
        all += &story.rest();
        all.lines()
            .map(|line| line.replace("2026-01-01 ", ""))
            .collect()
    }

    #[test]
    fn rounds_of_several_lines_are_folded_whatever_their_ids_and_amounts() {
        let round = [
            "me sends batch aa11bb22 with 1 command to activity 5656ee83",
            "alice issues a debit note over 0.001 GLM so far for activity 5656ee83",
        ];
        let other = [
            "me sends batch 00112233 with 1 command to activity 5656ee83",
            "alice issues a debit note over 0.25 GLM so far for activity 5656ee83",
        ];
        let mut lines = vec![];
        for at in 0..60 {
            lines.extend(if at % 2 == 0 { round } else { other });
        }
        lines.push("me terminates agreement 1e0c44a5");
        let told = shown(&lines);
        assert_eq!(told.len(), 7, "{told:#?}");
        assert_eq!(told[4], "  … 100 more like these until 00:01:43Z");
        assert_eq!(told[5], "  … 116 more like these until 00:01:59Z");
        assert_eq!(told[6], "00:02:00Z me terminates agreement 1e0c44a5");
    }

    #[test]
    fn lines_about_others_are_told() {
        let lines: Vec<String> = (1..6)
            .map(|number| format!("provider-{number} approves agreement 1e0c44a{number}"))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(shown(&lines).len(), 5);
    }

    #[test]
    fn lines_without_a_time_are_folded_too_and_nothing_is_as_it_was() {
        let mut story = FoldedStory::default();
        assert_eq!(story.line(""), "\n");
        let told: String = (0..5)
            .map(|_| story.line("warn no route `GET /x`"))
            .collect();
        assert_eq!(told, "warn no route `GET /x`\n".repeat(2));
        assert_eq!(story.rest(), "  … 3 more like these\n");
        assert_eq!(story.rest(), "");
    }
}
