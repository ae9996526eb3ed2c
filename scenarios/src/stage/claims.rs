//! What a test claims about its stage, and waiting for it. Each claim that does not hold panics with the lines of
//! the journal that matter.
//!
//! Owns: the claims and their messages. Does not own: what happened (`record`), the books (`mock_yagna`).

use std::fmt::Write as _;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::time::Duration;

use golem_engine::{Event, Glm};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::offline::OfflineStage;
use super::record::{Line, check_name};

/// How often a condition is looked at, in the stage's time.
const LOOK: Duration = Duration::from_millis(100);
/// Lines of the journal that a message shows.
const SHOWN: usize = 12;
/// Characters of a line that a message shows.
const WIDTH: usize = 400;
/// Set, it writes the journals that tests compare with.
const UPDATE: &str = "REHEARSE_UPDATE";

/// # What happened
impl OfflineStage {
    /// Calendar time on the stage.
    pub fn now(&self) -> Timestamp {
        self.stage().clock().now()
    }

    /// Everything that happened so far, engines and network in one order. The oldest of more than 100,000 lines are
    /// not kept.
    pub fn journal(&self) -> Vec<Line> {
        self.record().lines().0
    }

    /// The events of the stage's engines so far, as far as they are kept.
    pub fn events(&self) -> Vec<Event> {
        let lines = self.journal().into_iter();
        let event = |line| match line {
            Line::Engine(event) => Some(event),
            Line::Network(_) => None,
        };
        lines.filter_map(event).collect()
    }

    /// How often something of this name happened: an event of an engine (`AgreementConfirmed`) or an entry of the
    /// network's journal (`agreement_approved`).
    ///
    /// # Panics
    /// When nothing is called so.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        if let Err(unknown) = check_name(name) {
            panic!("{unknown}");
        }
        self.record().count(name)
    }
}

/// # Time
impl OfflineStage {
    /// Lets so much time pass: everything that is due until then happens.
    pub async fn advance(&self, time: Duration) {
        sleep(time).await;
    }

    /// Lets time pass until `condition` holds; it is looked at ten times a second.
    ///
    /// # Panics
    /// When it does not hold within `limit`; `what` is what the message calls it.
    pub async fn until(
        &self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut(&OfflineStage) -> bool,
    ) {
        let begin = Instant::now();
        while !condition(self) {
            let left = limit.saturating_sub(begin.elapsed());
            if left.is_zero() {
                self.fail(&format!("{what}: not within {limit:?}"), |_| true);
            }
            sleep(LOOK.min(left)).await;
        }
    }

    /// Lets time pass until something of this name happened; at once, if it did already.
    ///
    /// # Panics
    /// When it does not happen within `limit`, and when nothing is called so.
    pub async fn until_seen(&self, name: &str, limit: Duration) {
        let seen = |stage: &OfflineStage| stage.count(name) > 0;
        self.until(&format!("`{name}`"), limit, seen).await;
    }

    /// Lets time pass until nothing happened for as long as `quiet`. A machine that is at work is billed every now and
    /// then, and so never quiet for long.
    ///
    /// # Panics
    /// When something happens again and again for as long as `limit`.
    pub async fn until_quiet(&self, quiet: Duration, limit: Duration) {
        let begin = Instant::now();
        let (mut length, mut since) = (self.record().length(), begin);
        while since.elapsed() < quiet {
            if begin.elapsed() >= limit {
                self.fail(
                    &format!("it was not quiet for {quiet:?} within {limit:?}"),
                    |_| true,
                );
            }
            sleep(LOOK.min(quiet)).await;
            let now = self.record().length();
            if now != length {
                (length, since) = (now, Instant::now());
            }
        }
    }
}

/// # Claims
impl OfflineStage {
    /// Claims that something of this name happened.
    ///
    /// # Panics
    /// When it did not, or nothing is called so.
    #[track_caller]
    pub fn assert_seen(&self, name: &str) {
        self.assert_count(name, 1..);
    }

    /// Claims that nothing of this name happened.
    ///
    /// # Panics
    /// When it did, or nothing is called so.
    #[track_caller]
    pub fn assert_never(&self, name: &str) {
        self.assert_count(name, ..=0);
    }

    /// Claims how often something of this name happened: `2..=2`, `1..`.
    ///
    /// # Panics
    /// When it happened less or more often, or nothing is called so.
    #[track_caller]
    pub fn assert_count(&self, name: &str, times: impl RangeBounds<u64>) {
        let count = self.count(name);
        if times.contains(&count) {
            return;
        }
        let wanted = in_words(&times);
        let claim = format!("`{name}` happened {count} times, and it should be {wanted}");
        // What there is too much of, or what there was instead.
        self.fail(&claim, |line| count == 0 || line.name() == name);
    }

    /// Claims that an engine told of an event for which `holds` is true; `what` is what the message calls it.
    ///
    /// # Panics
    /// When none did.
    #[track_caller]
    pub fn assert_event(&self, what: &str, mut holds: impl FnMut(&Event) -> bool) {
        let mut is_it = |line: &Line| match line {
            Line::Engine(event) => holds(event),
            Line::Network(_) => false,
        };
        if self.record().newest(1, &mut is_it).is_empty() {
            let is_engine = |line: &Line| matches!(line, Line::Engine(_));
            self.fail(&format!("no event is {what}"), is_engine);
        }
    }

    /// Claims that these happened one after the other, with anything in between.
    ///
    /// # Panics
    /// When they did not, or nothing is called so.
    #[track_caller]
    pub fn assert_order<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let names: Vec<&str> = names.into_iter().collect();
        for name in &names {
            if let Err(unknown) = check_name(name) {
                panic!("{unknown}");
            }
        }
        let mut wanted = names.iter();
        let mut next = wanted.next();
        for line in self.journal() {
            if next.is_some_and(|name| *name == line.name()) {
                next = wanted.next();
            }
        }
        if let Some(missing) = next {
            let done = names.len() - wanted.len() - 1;
            let behind = match done {
                0 => "at all".to_owned(),
                done => format!("after `{}`", names[done - 1]),
            };
            let claim = format!("{}: `{missing}` did not happen {behind}", names.join(" → "));
            self.fail(&claim, |line| names.contains(&line.name()));
        }
    }

    /// Claims that nothing is left open on the network (demands, agreements, activities, allocations, unpaid
    /// documents), and that its books are right. For the end: after [`Golem::stop`](golem_engine::Golem::stop).
    ///
    /// # Panics
    /// When something is.
    #[track_caller]
    pub fn assert_clean(&self) {
        let summary = self.network().summary();
        if !summary.violations.is_empty() || !summary.open.is_empty() {
            self.fail(&format!("the network is not as it was: {summary}"), |_| {
                true
            });
        }
    }

    /// Claims what was paid for all invoices together, in GLM.
    ///
    /// # Panics
    /// When it was less or more.
    #[track_caller]
    pub fn assert_paid(&self, amount: impl RangeBounds<Glm>) {
        let summary = self.network().summary();
        if !amount.contains(&summary.paid) {
            let paid = summary.paid.normalized();
            let wanted = in_words(&amount);
            let claim = format!("{paid} GLM were paid, and it should be {wanted} ({summary})");
            self.fail(&claim, |line| line.name().starts_with("invoice_"));
        }
    }

    /// Claims that all that happened is what the file at `path` says, line by line: a program that is changed does what
    /// it did. The file is written with `REHEARSE_UPDATE=1` in the environment, and belongs beside the test.
    ///
    /// # Panics
    /// When it is not, with the first line that differs; in real time, where no run is as the other; when the file
    /// cannot be read or written; and when so much happened that not all of it is kept.
    #[track_caller]
    pub fn assert_journal(&self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        assert!(
            self.is_virtual(),
            "in real time no run is as the other: a journal is compared in virtual time"
        );
        let (lines, dropped) = self.record().lines();
        assert!(
            dropped == 0,
            "{dropped} lines are not kept any more: compare the journal of a shorter run"
        );
        let is: Vec<String> = lines.iter().map(Line::to_string).collect();
        if std::env::var_os(UPDATE).is_some_and(|value| !value.is_empty()) {
            let mut text = is.join("\n");
            text.push('\n');
            let written = std::fs::write(path, text);
            return written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; with {UPDATE}=1 in the environment it is written",
                path.display()
            )
        });
        let was: Vec<&str> = text.lines().collect();
        let same = |(was, is): &(&&str, &String)| **was == is.as_str();
        let alike = was.iter().zip(&is).take_while(same).count();
        if alike == was.len() && alike == is.len() {
            return;
        }
        let mut message = format!(
            "{}: the journal differs from line {} on ({} lines there, {} now; {UPDATE}=1 writes it anew)\n",
            path.display(),
            alike + 1,
            was.len(),
            is.len()
        );
        for line in &is[alike.saturating_sub(3)..alike] {
            let _ = writeln!(message, "  {}", cut(line));
        }
        let _ = writeln!(message, "- {}", cut(was.get(alike).unwrap_or(&"(its end)")));
        let now = is.get(alike).map_or("(its end)", String::as_str);
        let _ = writeln!(message, "+ {}", cut(now));
        panic!("{message}");
    }

    /// Ends the test with a claim that does not hold, and the newest of the lines that matter.
    #[track_caller]
    pub(crate) fn fail(&self, claim: &str, matters: impl FnMut(&Line) -> bool) -> ! {
        let lines = self.record().newest(SHOWN, matters);
        let mut message = format!("{claim}\n");
        message.push_str(match lines.is_empty() {
            true => "nothing of the kind happened\n",
            false => "the last of the journal:\n",
        });
        for line in lines {
            let _ = writeln!(message, "  {}", cut(&line.to_string()));
        }
        panic!("{message}");
    }
}

/// The beginning of a line.
fn cut(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn in_words<T: std::fmt::Display>(range: &impl RangeBounds<T>) -> String {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(least), Bound::Unbounded) => format!("{least} or more"),
        (Bound::Excluded(least), Bound::Unbounded) => format!("more than {least}"),
        (Bound::Unbounded, Bound::Included(most)) => format!("{most} at most"),
        (Bound::Unbounded, Bound::Excluded(most)) => format!("less than {most}"),
        (Bound::Unbounded, Bound::Unbounded) => "anything".into(),
        (Bound::Included(least) | Bound::Excluded(least), Bound::Included(most)) => {
            format!("from {least} to {most}")
        }
        (Bound::Included(least) | Bound::Excluded(least), Bound::Excluded(most)) => {
            format!("from {least} to less than {most}")
        }
    }
}
