//! What a person sees while a run or a sweep lasts, on standard error: a live line on a terminal, else a plain
//! line for what matters.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use golem_engine::EndedBy;
use golem_engine::event::{Event, EventKind};
use golem_engine::service::ServiceState;
use golem_wire::{ActivityId, Glm};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::paint::is_dumb;
use crate::explore;
use crate::language::Scenario;
use crate::language::values::Span;

/// State changes that are told one by one; larger clusters only show numbers.
const TOLD: usize = 24;
/// After so long, on the wall's clock, a rate is worth telling.
const RATED: Duration = Duration::from_secs(1);
/// How often, on the stage's clock, a plain line tells how things are.
const EVERY: Duration = Duration::from_secs(1800);

/// Follows the engine's events and shows them.
pub(crate) struct Progress(Mutex<View>);

/// How far a run is, as far as its scenario says what there is to do.
#[derive(Clone, Copy, Debug)]
enum Goal {
    /// The time of a service.
    Time(Duration),
    /// A number of tasks.
    Tasks(u64),
}

struct View {
    line: Line,
    goal: Option<Goal>,
    begin: std::time::Instant,
    told: Duration,
    states: BTreeMap<String, ServiceState>,
    providers: BTreeMap<String, u64>,
    due: BTreeMap<ActivityId, Glm>,
    billed: Glm,
    tasks: u64,
    /// How long the daemon has been away, if it is.
    away: Option<Duration>,
    lines: usize,
}

enum Line {
    Live(ProgressBar),
    Plain,
}

impl Progress {
    /// Begins to follow a run of a scenario.
    pub(crate) fn begin(scenario: &Scenario) -> Progress {
        let line = match std::io::stderr().is_terminal() && !is_dumb() {
            false => Line::Plain,
            true => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                    bar.set_style(style);
                }
                Line::Live(bar)
            }
        };
        let time = scenario
            .service
            .as_ref()
            .map(|service| Goal::Time(service.duration.value.0));
        let tasks = scenario
            .tasks
            .as_ref()
            .map(|tasks| Goal::Tasks(tasks.count.value.into()));
        Progress(Mutex::new(View {
            line,
            goal: time.or(tasks),
            begin: now(),
            told: Duration::ZERO,
            states: BTreeMap::new(),
            providers: BTreeMap::new(),
            due: BTreeMap::new(),
            billed: Glm::ZERO,
            tasks: 0,
            away: None,
            lines: 0,
        }))
    }

    /// Shows what an event changed, so long after the beginning.
    pub(crate) fn event(&self, since: Duration, event: &Event) {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        view.follow(since, event);
    }

    /// Shows what is done to the network on purpose.
    pub(crate) fn note(&self, since: Duration, what: &str) {
        let mut view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        view.tell(since, what);
    }

    /// Removes the live line.
    pub(crate) fn end(&self) {
        let view = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Line::Live(bar) = &view.line {
            bar.finish_and_clear();
        }
    }
}

impl View {
    fn follow(&mut self, since: Duration, event: &Event) {
        match &event.kind {
            EventKind::ServiceStateChanged(change) => {
                let service = event.instance().map_or("", |it| it.id.as_str());
                self.states.insert(service.to_owned(), change.new);
                let on = event
                    .provider()
                    .map(|provider| format!(" on {}", provider.name))
                    .unwrap_or_default();
                let why = change
                    .error
                    .as_ref()
                    .map(|why| format!(" ({why:#})"))
                    .unwrap_or_default();
                if self.states.len() <= TOLD {
                    self.tell(since, &format!("{service} {}{on}{why}", change.new));
                }
            }
            EventKind::AgreementConfirmed(_) => {
                let provider = event.provider_name().to_owned();
                *self.providers.entry(provider).or_default() += 1;
            }
            EventKind::AgreementTerminated(ended) if ended.by != EndedBy::Requestor => {
                let (provider, reason) = (event.provider_name(), &ended.reason);
                self.tell(since, &format!("agreement with {provider} ended: {reason}"));
            }
            EventKind::AgreementTerminationNotice(notice) => {
                let (provider, at) = (event.provider_name(), notice.deadline);
                let why = &notice.reason;
                self.tell(
                    since,
                    &format!("{provider} will end its agreement at {at}: {why}"),
                );
            }
            EventKind::ServiceMoved(moved) => {
                let service = event.instance().map_or("", |it| it.id.as_str());
                let (from, to) = (&moved.from_provider, &moved.to_provider);
                self.tell(since, &format!("{service} moves from {from} to {to}"));
            }
            EventKind::NoProposalsConfirmed(none) => {
                let (seen, summary) = (none.offers_seen, &none.summary);
                self.tell(
                    since,
                    &format!("no agreement; {seen} offers seen: {summary}"),
                );
            }
            EventKind::DebitNoteAccepted(note) => {
                if let Some(activity) = event.activity() {
                    self.due.insert(activity.clone(), note.amount);
                }
            }
            EventKind::ActivityDestroyed(_) => {
                if let Some(activity) = event.activity() {
                    self.due.remove(activity);
                }
            }
            EventKind::InvoiceAccepted(invoice) => self.billed = self.billed + invoice.amount,
            EventKind::TaskAccepted(_) => self.tasks += 1,
            EventKind::DaemonAway(away) => {
                let (reason, away) = (&away.reason, Duration::from_secs(away.seconds));
                self.away = Some(away);
                let text = format!("the daemon has been away for {}: {reason}", Span(away));
                self.tell(since, &text);
            }
            EventKind::DaemonBack(back) => {
                self.away = None;
                let away = Span(Duration::from_secs(back.seconds));
                self.tell(since, &format!("the daemon is back after {away}"));
            }
            _ => {}
        }
        match &self.line {
            Line::Live(bar) => {
                let left = self.left(since, now().duration_since(self.begin));
                bar.set_message(format!("{}{left}  {}", Span(since), self.state()));
                bar.tick();
            }
            Line::Plain if since >= self.told + EVERY => {
                self.told = since;
                let left = self.left(since, now().duration_since(self.begin));
                let state = format!("{}{left}", self.state());
                self.tell(since, &state);
            }
            Line::Plain => {}
        }
    }

    /// The share that is done after `since` on the stage's clock, and how long the rest takes where the
    /// people are, who have waited for `waited`.
    fn left(&self, since: Duration, waited: Duration) -> String {
        let (of, share) = match self.goal {
            Some(Goal::Time(all)) => (format!(" of {}", Span(all)), since.div_duration_f64(all)),
            Some(Goal::Tasks(all)) => (String::new(), self.tasks as f64 / all as f64),
            None => return String::new(),
        };
        let share = share.clamp(0.0, 1.0);
        let second = waited.as_secs_f64().max(f64::EPSILON);
        let rate = match self.goal {
            _ if waited < RATED => String::new(),
            Some(Goal::Time(_)) => match since.as_secs_f64() / second {
                rate if rate >= 2.0 => format!(", {rate:.0} × real time"),
                _ => String::new(),
            },
            Some(Goal::Tasks(_)) => format!(", {:.1} tasks/s", self.tasks as f64 / second),
            None => String::new(),
        };
        let rest = match share {
            share if share >= 1.0 => ", stopping".to_owned(),
            share if share > 0.01 => {
                let rest = waited.as_secs_f64() * (1.0 - share) / share;
                format!(", about {} left", Span::seconds(rest.ceil() as u64))
            }
            _ => String::new(),
        };
        format!("{of} ({:.0} %{rate}{rest})", (share * 100.0).floor())
    }

    /// All in one line.
    fn state(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for state in self.states.values() {
            *counts.entry(state.as_str()).or_default() += 1;
        }
        let order = ["pending", "starting", "running", "stopping", "terminated"];
        let states = order
            .iter()
            .filter_map(|state| counts.get(state).map(|count| format!("{count} {state}")));
        let away = self
            .away
            .map(|away| format!("daemon away for {}", Span(away)));
        let mut parts: Vec<String> = away.into_iter().chain(states).collect();
        if self.tasks > 0 {
            parts.push(format!("{} tasks done", self.tasks));
        }
        let names: Vec<&str> = self.providers.keys().take(4).map(String::as_str).collect();
        if !names.is_empty() {
            let more = if self.providers.len() > names.len() {
                ", …"
            } else {
                ""
            };
            parts.push(format!("on {}{more}", names.join(", ")));
        }
        let cost = self.billed + self.due.values().copied().sum();
        parts.push(format!("{} GLM", cost.normalized()));
        parts.join(" · ")
    }

    fn tell(&mut self, since: Duration, text: &str) {
        // Whatever goes wrong a thousand times need not be told a thousand times.
        self.lines += 1;
        if self.lines > 40 * TOLD {
            return;
        }
        let text = format!("{:>12}  {text}", Span(since).to_string());
        match &self.line {
            Line::Live(bar) => bar.println(text),
            // A closed standard error is no reason to fail.
            Line::Plain => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long people still wait is real time"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// The progress of a sweep, a line on a terminal.
pub(crate) struct SweepProgress {
    bar: Option<ProgressBar>,
    failed: AtomicUsize,
}

impl SweepProgress {
    pub(crate) fn begin(what: &str, points: usize) -> SweepProgress {
        let bar = (std::io::stderr().is_terminal() && !is_dumb()).then(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(Some(points as u64), target);
            let style = "{prefix} {bar:30} {pos}/{len} {per_sec} {eta} left {msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.with_prefix(what.to_owned())
        });
        SweepProgress {
            bar,
            failed: AtomicUsize::new(0),
        }
    }

    pub(crate) fn done(&self, failed: bool) {
        let failed = self
            .failed
            .fetch_add(usize::from(failed), Ordering::Relaxed)
            + usize::from(failed);
        if let Some(bar) = &self.bar {
            if failed > 0 {
                bar.set_message(format!("{failed} failed"));
            }
            bar.inc(1);
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How far an exploration got, on a terminal.
pub(crate) struct ExploreProgress(Option<ProgressBar>);

impl ExploreProgress {
    pub(crate) fn begin(options: &explore::Options) -> ExploreProgress {
        ExploreProgress(std::io::stderr().is_terminal().then(|| {
            let seeds = &options.seeds;
            let seeds = (seeds.end - seeds.start).div_ceil(options.shard.1.max(1));
            let target = ProgressDrawTarget::stderr();
            let (length, style) = match options.time {
                Some(_) => (None, "{spinner} {elapsed} {pos} seeds, {msg}"),
                None => (Some(seeds), "{bar:20} {pos}/{len} seeds {eta}, {msg}"),
            };
            let bar = ProgressBar::with_draw_target(length, target);
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar
        }))
    }

    pub(crate) fn tell(&self, so_far: &explore::Explored) {
        let Some(bar) = &self.0 else { return };
        let seconds = so_far.wall.as_secs_f64().max(1e-9);
        let reached = so_far.goals.values().filter(|seeds| **seeds > 0).count();
        bar.set_position(so_far.seeds);
        bar.set_message(format!(
            "{:.0} seeds/s, {:.0} virtual s/s, {} failures, {reached} of {} goals, news by seed {}",
            so_far.seeds as f64 / seconds,
            so_far.virtual_time.as_secs_f64() / seconds,
            so_far.failures.len(),
            so_far.goals.len(),
            so_far.last_news.unwrap_or_default(),
        ));
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::{Origin, catalog};

    fn of(scenario: &Scenario, since: u64, waited: u64, tasks: u64) -> String {
        let progress = Progress::begin(scenario);
        let mut view = progress.0.lock().expect("no panic");
        view.tasks = tasks;
        view.left(Duration::from_secs(since), Duration::from_secs(waited))
    }

    #[test]
    fn the_share_that_is_done_and_the_time_that_is_left_are_told() {
        let service = catalog::get("simple-service").expect("valid");
        assert_eq!(of(&service, 0, 0, 0), " of 2h 00m 00s (0 %)");
        assert_eq!(
            of(&service, 1800, 2, 0),
            " of 2h 00m 00s (25 %, 900 × real time, about 6s left)"
        );
        assert_eq!(
            of(&service, 7300, 9, 0),
            " of 2h 00m 00s (100 %, 811 × real time, stopping)"
        );
        let text = "name: x\ntasks: {name: hello-tasks, count: 12}\n";
        let tasks = Scenario::parse(text, Origin::default()).expect("valid");
        assert_eq!(
            of(&tasks, 9, 30, 3),
            " (25 %, 0.1 tasks/s, about 1m 30s left)"
        );
    }
}
