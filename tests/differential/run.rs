//! Plays sequences one after the other, and judges in what the answers differ.

use std::fs::File;
use std::time::Duration;

use jiff::Timestamp;
use workspace_tests::fidelity::asked::Question;
use workspace_tests::fidelity::compare::Difference;
use workspace_tests::fidelity::explained::Explained;
use workspace_tests::fidelity::identifiers::is_time;
use workspace_tests::fidelity::lockstep::{Foreign, Played, Setting, play};
use workspace_tests::fidelity::network::Devnet;
use workspace_tests::fidelity::recorded::{Recorded, Recordings};
use workspace_tests::fidelity::sequence::Sequence;

use crate::daemon::Daemon;
use crate::report::{Report, Verdict};
use crate::{now, script};

/// How often a difference must be seen again.
const AGAIN: usize = 6;

/// On a machine with other work a call is late by no more than this many times what two others take just then.
const MUCH_OF_A_LAG: u32 = 4;

/// A daemon, and what was found of it.
pub(crate) struct Run<'a> {
    pub(crate) daemon: Daemon,
    pub(crate) devnet: &'a Devnet,
    pub(crate) explained: Explained,
    pub(crate) report: Report,
    /// Gets the shortest sequence of each difference with the daemon's answers.
    pub(crate) keep: Option<File>,
    /// How often a difference is tried with fewer calls.
    pub(crate) tries: usize,
    foreign: Foreign,
}

/// Whether two times differ, which can only be in how many digits they have.
fn is_of_digits(aspect: &str, how: &str) -> bool {
    let mut texts = how.split('`').skip(1).step_by(2);
    aspect == "words" && texts.by_ref().take(2).filter(|text| is_time(text)).count() == 2
}

/// By how much the daemon was later than the mock, if that is what differs.
fn lateness(difference: &Difference) -> Option<Duration> {
    let mut numbers = difference
        .how
        .split_whitespace()
        .filter_map(|word| word.parse::<u64>().ok());
    let (daemon, ours) = (numbers.next()?, numbers.next()?);
    (difference.aspect == "time").then(|| Duration::from_millis(daemon.saturating_sub(ours)))
}

/// What a difference is called: those of one kind have the same name.
fn kind(operation: &str, difference: &Difference) -> String {
    let mut words = String::new();
    for word in difference.how.split_whitespace() {
        let id = word.bytes().filter(u8::is_ascii_hexdigit).count() >= 24;
        let number = word
            .trim_matches(['`', ',', '.', ';', '"', ':', '[', ']', '(', ')'])
            .parse::<f64>()
            .is_ok();
        let short = word.len() == 3 && number && difference.aspect == "status";
        let time = is_time(word.trim_matches(['`', ',', '.', ';', '"', ':']));
        words += if time {
            "<time>"
        } else if id {
            "<id>"
        } else if number && !short {
            "<n>"
        } else {
            word
        };
        words.push(' ');
    }
    let words: String = words
        .chars()
        .take(if difference.aspect == "time" { 0 } else { 110 })
        .collect();
    format!("{operation} {}: {}", difference.aspect, words.trim_end())
}

/// A sequence that was made to both.
struct Made {
    sequence: Sequence,
    start: Timestamp,
    played: Played,
}

impl Made {
    /// What the daemon answered to its first `count` calls.
    fn recorded(&self, count: usize) -> (Sequence, Recorded) {
        let mut played = self.played.clone();
        played.steps.retain(|step| step.index < count);
        let sequence = self.sequence.first(count);
        let recorded = Recorded::of(&sequence, self.start, &played);
        (sequence, recorded)
    }

    /// How the last of `count` calls differs in this, if both answered it.
    fn last(&self, count: usize, aspect: &str) -> Option<Vec<&Difference>> {
        let step = self
            .played
            .steps
            .iter()
            .find(|step| step.index + 1 == count)?;
        let differences = step.differences.iter();
        Some(differences.filter(|it| it.aspect == aspect).collect())
    }
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        daemon: Daemon,
        devnet: &'a Devnet,
        tries: usize,
        keep: Option<File>,
    ) -> Run<'a> {
        Run {
            daemon,
            devnet,
            explained: Explained::read(),
            report: Report::default(),
            keep,
            tries,
            foreign: Foreign::new(),
        }
    }

    /// Makes a sequence to both, counts it, and judges what differs; or records the daemon's answers only, which
    /// the replay judges, a part of them unseen.
    pub(crate) async fn one(
        &mut self,
        sequence: Sequence,
        number: u64,
        record: Option<&mut File>,
    ) -> anyhow::Result<()> {
        let made = self.play(sequence, false).await;
        self.report.sequences += 1;
        self.report.void += usize::from(made.played.void.is_some());
        for step in &made.played.steps {
            self.report.called(&step.daemon.note, step.daemon.status);
        }
        match record {
            Some(out) => {
                Recordings::add(out, &Recorded::of(&made.sequence, made.start, &made.played))
            }
            None => self.judge(&made, number).await,
        }
    }

    /// Puts a question that people wrote down, records the daemon's answers, and tells in what the mock's differ.
    pub(crate) async fn question(
        &mut self,
        question: Question,
        out: &mut File,
    ) -> anyhow::Result<()> {
        let mut made = self.play(question.sequence.clone(), true).await;
        for _ in 0..AGAIN {
            if made.played.void.is_none() {
                break;
            }
            made = self.play(question.sequence.clone(), true).await;
        }
        let recorded = Recorded::of(&made.sequence, made.start, &made.played);
        Recordings::add(out, &recorded.claiming(&question.claim))?;
        self.report.sequences += 1;
        if let Some(at) = made.played.void {
            self.report.void += 1;
            println!(
                "## {}: call {} was never answered as it needs to be",
                question.claim,
                at + 1
            );
        }
        for step in &made.played.steps {
            let operation = &step.daemon.note;
            self.report.called(operation, step.daemon.status);
            for difference in &step.differences {
                let verdict = match self.explained.of_drawn(operation, difference) {
                    Some(reason) => Verdict::Reason(reason.to_owned()),
                    None => Verdict::Unexplained,
                };
                let kind = format!(
                    "{}, call {} ({} {}) {}: {}",
                    question.claim,
                    step.index + 1,
                    step.daemon.method,
                    step.daemon.path,
                    difference.aspect,
                    difference.how
                );
                self.report.found(verdict, &kind, 1);
            }
        }
        Ok(())
    }

    /// Brings the daemon to where the mock begins.
    pub(crate) async fn begin(&mut self) {
        let daemon = self.daemon.clone();
        daemon.begin(self.devnet, &mut self.foreign).await;
    }

    async fn play(&mut self, sequence: Sequence, to_the_end: bool) -> Made {
        let start = now();
        let mock = self.devnet.start(start);
        let setting = Setting {
            devnet: self.devnet,
            start,
            foreign: &self.foreign,
            to_the_end,
        };
        let played = play(&sequence, &self.daemon, &mock.router(), setting).await;
        mock.stop().await;
        self.foreign.extend(played.ids.iter().cloned());
        let services: Vec<String> = played
            .steps
            .iter()
            .filter(|step| {
                step.daemon.note == "bindServices"
                    && step.daemon.status.is_some_and(|status| status < 300)
            })
            .filter_map(|step| {
                let body: serde_json::Value = serde_json::from_str(&step.daemon.body).ok()?;
                body["servicesId"].as_str().map(str::to_owned)
            })
            .collect();
        let daemon = self.daemon.clone();
        let rests = daemon
            .clear(self.devnet, start, &services, &mut self.foreign)
            .await;
        self.report.restless += usize::from(!rests);
        Made {
            sequence,
            start,
            played,
        }
    }

    /// Counts what differs; what nobody knows is made again, shortened and printed.
    async fn judge(&mut self, made: &Made, number: u64) -> anyhow::Result<()> {
        for step in &made.played.steps {
            for difference in &step.differences {
                let operation = step.daemon.note.as_str();
                let kind = kind(operation, difference);
                let reason = self.explained.of_drawn(operation, difference);
                if let Some(reason) = reason {
                    let verdict = Verdict::Reason(reason.to_owned());
                    self.report.found(verdict, &kind, 1);
                    continue;
                }
                if self.report.is_open(&kind) {
                    self.report.found(Verdict::Unexplained, &kind, 1);
                    continue;
                }
                let aspect = difference.aspect;
                let what = (aspect, difference.how.as_str());
                let (verdict, how) = self.verdict(made, step.index + 1, what).await;
                let unexplained = verdict == Verdict::Unexplained;
                self.report.found(verdict, &kind, 1);
                if !unexplained {
                    continue;
                }
                let whole = made.sequence.first(step.index + 1);
                let shortest = self.shorten(whole, &kind, operation).await;
                let (sequence, recorded) =
                    shortest.unwrap_or_else(|| made.recorded(step.index + 1));
                if let Some(out) = &mut self.keep {
                    Recordings::add(out, &recorded)?;
                }
                println!(
                    "## {operation} {aspect} (sequence {number}, {how})\n# {}\n{}",
                    difference.how.replace('\n', " "),
                    script::script(&sequence)
                );
            }
        }
        Ok(())
    }

    /// Makes the first `count` calls again, and says why the last one differed.
    async fn verdict(
        &mut self,
        made: &Made,
        count: usize,
        (aspect, what): (&'static str, &str),
    ) -> (Verdict, String) {
        let (sequence, first) = made.recorded(count);
        let (mut seen, mut tried) = (0, 0);
        for _ in 0..AGAIN {
            let again = self.play(sequence.clone(), false).await;
            if again.played.void.is_some() {
                let daemon = self.daemon.clone();
                daemon.let_go(self.devnet, again.start).await;
                continue;
            }
            tried += 1;
            match again.last(count, aspect) {
                Some(differences) if !differences.is_empty() => {
                    let late = differences.iter().filter_map(|it| lateness(it)).min();
                    let daemon = self.daemon.clone();
                    if late.is_some_and(|late| late > Duration::ZERO)
                        && late < Some(daemon.lag(self.devnet).await * MUCH_OF_A_LAG)
                    {
                        // As late as any call just now.
                        return (Verdict::Slow, String::new());
                    }
                    seen += 1;
                    continue;
                }
                _ => {}
            }
            // Both agree now, or came to part before: what did the daemon say, then and now?
            let (_, second) = again.recorded(count);
            let length = |recorded: &Recorded| recorded.sequence().calls.len();
            let both = length(&first).min(length(&second));
            let sequence = sequence.first(both);
            let setting = Setting {
                devnet: self.devnet,
                start: made.start,
                foreign: &Foreign::new(),
                to_the_end: false,
            };
            let itself = play(&sequence, &first, &second, setting).await;
            let at_last = both == length(&first);
            let differs = itself.steps.iter().any(|step| {
                step.differences.iter().any(|it| match at_last {
                    true => step.index + 1 == count && it.aspect == aspect,
                    false => it.aspect != "time",
                })
            });
            if differs {
                return (Verdict::Itself, String::new());
            }
            if at_last && aspect == "time" {
                return (Verdict::Slow, String::new());
            }
        }
        if seen * 2 < tried && is_of_digits(aspect, what) {
            return (Verdict::Chance, String::new());
        }
        (
            Verdict::Unexplained,
            format!("seen again {seen} times of {tried}"),
        )
    }

    /// The shortest sequence that still shows it, none if it is not seen again.
    async fn shorten(
        &mut self,
        whole: Sequence,
        kind_wanted: &str,
        operation: &str,
    ) -> Option<(Sequence, Recorded)> {
        let shows = async |run: &mut Self, sequence: &Sequence| {
            let count = sequence.calls.len();
            let made = run.play(sequence.clone(), false).await;
            let last = made
                .played
                .steps
                .iter()
                .find(|step| step.index + 1 == count)?;
            let same = last
                .differences
                .iter()
                .any(|it| kind(operation, it) == kind_wanted);
            same.then(|| made.recorded(count))
        };
        let essence = whole.essence();
        let mut shortest = match shows(self, &essence).await {
            Some(shortest) => shortest,
            None => shows(self, &whole).await?,
        };
        let mut left = self.tries;
        let mut at = shortest.0.calls.len().saturating_sub(1);
        while at > 0 && left > 0 {
            at -= 1;
            let shorter = shortest.0.without(at);
            left -= 1;
            if shorter.calls.len() < shortest.0.calls.len()
                && let Some(shorter) = shows(self, &shorter).await
            {
                at = at.min(shorter.0.calls.len().saturating_sub(1));
                shortest = shorter;
            }
        }
        Some(shortest)
    }
}
