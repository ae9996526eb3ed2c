//! A table of figures. Owns: how it is printed, and what is beyond a bound.

use std::time::Duration;

/// One line.
#[derive(Debug)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: String,
    /// What is told of it, under the headings.
    pub(crate) cells: Vec<String>,
    /// What is judged.
    pub(crate) ratio: f64,
    /// It may not be more than this.
    pub(crate) at_most: f64,
}

/// Lines with the same headings, printed as README has them and as they come.
#[derive(Debug)]
pub(crate) struct Table {
    title: &'static str,
    figures: Vec<Figure>,
}

impl Table {
    pub(crate) fn new(title: &'static str, headings: &[&str]) -> Self {
        say(&format!(
            "\n| {title} | {} | ratio | at most |",
            headings.join(" | ")
        ));
        say(&format!("|{}", "---|".repeat(headings.len() + 3)));
        Table {
            title,
            figures: Vec::new(),
        }
    }

    /// Adds a line that is judged.
    pub(crate) fn add(&mut self, figure: Figure) {
        let Figure {
            what,
            cells,
            ratio,
            at_most,
        } = &figure;
        say(&format!(
            "| {what} | {} | {ratio:.2} | {at_most} |",
            cells.join(" | ")
        ));
        self.figures.push(figure);
    }

    /// Adds a line that is not judged.
    pub(crate) fn tell(&mut self, what: &str, cells: [String; 2]) {
        say(&format!("| {what} | {} | | |", cells.join(" | ")));
    }

    /// Says which figures are beyond their bounds; whether any is.
    #[expect(clippy::print_stderr, reason = "it is a program's verdict")]
    pub(crate) fn tell_what_is_beyond(&self) -> bool {
        let beyond = self
            .figures
            .iter()
            .filter(|figure| figure.ratio > figure.at_most);
        let mut any = false;
        for Figure {
            what,
            ratio,
            at_most,
            ..
        } in beyond
        {
            eprintln!(
                "beyond its bound: {}: {what}: {ratio:.2}, more than {at_most}",
                self.title
            );
            any = true;
        }
        any
    }
}

/// In milliseconds.
pub(crate) fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    match millis < 10.0 {
        true => format!("{millis:.2} ms"),
        false => format!("{millis:.0} ms"),
    }
}

/// In megabytes a second.
pub(crate) fn rate(bytes: usize, time: Duration) -> String {
    format!("{:.0} MB/s", bytes as f64 / 1e6 / time.as_secs_f64())
}

#[expect(clippy::print_stdout, reason = "it is a program's output")]
fn say(line: &str) {
    println!("{line}");
}
