//! What happens, in words a person reads while it does: a line for what matters, nothing twice. Owns: which events
//! have a line, and folding lines that repeat themselves. Does not own: the numbers (`summary.rs`), where lines go.

use std::fmt::Write as _;

use indexmap::IndexMap;

use crate::event::{Event, EventKind};
use crate::lifecycle::service::ServiceState;
use crate::model::JobId;

/// Where lines go.
pub(super) type Say = Box<dyn FnMut(&str) + Send>;

/// Jobs whose tasks are counted at the same time; of more, the first are forgotten.
const MAX_JOBS: usize = 1000;
/// Longest line, in characters.
const MAX_LINE: usize = 400;

/// Speaks.
pub(super) struct Voice {
    say: Say,
    folding: Folding,
}

impl Voice {
    pub(super) fn new(say: Say) -> Self {
        Voice {
            say,
            folding: Folding::default(),
        }
    }

    /// Says what is new of these lines.
    pub(super) fn say(&mut self, lines: Vec<String>) {
        for line in lines {
            for said in self.folding.fold(line) {
                (self.say)(&said);
            }
        }
    }

    /// Nothing follows.
    pub(super) fn end(&mut self) {
        if let Some(said) = self.folding.end() {
            (self.say)(&said);
        }
    }
}

/// The line that was said last, and how often it would have been said again.
#[derive(Default)]
struct Folding {
    last: String,
    again: u64,
}

impl Folding {
    fn fold(&mut self, line: String) -> Vec<String> {
        if line == self.last {
            self.again += 1;
            return Vec::new();
        }
        let mut said: Vec<String> = self.end().into_iter().collect();
        self.last.clone_from(&line);
        said.push(line);
        said
    }

    fn end(&mut self) -> Option<String> {
        let again = std::mem::take(&mut self.again);
        self.last.clear();
        let times = if again == 1 { "time" } else { "times" };
        (again > 0).then(|| format!("… the same {again} more {times}"))
    }
}

/// What was told of, as far as lines depend on it.
#[derive(Default)]
pub(super) struct Told {
    /// Tasks done of each job that has not ended.
    tasks: IndexMap<JobId, u64>,
    confirmed: u64,
    /// Providers that confirmed, up to which it was said.
    said: u64,
}

impl Told {
    /// What is said of an event, if it matters.
    pub(super) fn lines(&mut self, event: &Event) -> Vec<String> {
        let line = self.line(event).into_iter();
        line.map(|line| cut(&line)).collect()
    }

    #[expect(clippy::too_many_lines, reason = "a line for each kind of event")]
    fn line(&mut self, event: &Event) -> Option<String> {
        let who = event.provider_name();
        let job = event.job().map_or("a job", JobId::as_str);
        Some(match &event.kind {
            EventKind::SubscriptionCreated(_) => format!("{job}: offers are asked for"),
            EventKind::SubscriptionFailed(failed) => {
                format!("{job}: no offers can be asked for: {:#}", failed.reason)
            }
            EventKind::CollectFailed(failed) => {
                format!("{job}: offers cannot be collected: {:#}", failed.reason)
            }
            EventKind::NoProposalsConfirmed(none) => format!(
                "{job}: no provider agreed within {} s: {}",
                none.timeout_secs, none.summary
            ),
            EventKind::ProposalConfirmed(_) => {
                self.confirmed += 1;
                // The first, the tenth, the hundredth, …
                if self.confirmed < self.said {
                    return None;
                }
                self.said = self.confirmed.max(1).saturating_mul(10);
                match self.confirmed {
                    1 => format!("{who} is ready to sign"),
                    many => format!("{many} offers were confirmed so far"),
                }
            }
            EventKind::AgreementConfirmed(_) => format!("agreement with {who} is in force"),
            EventKind::AgreementRejected(rejected) => {
                format!("{who} did not sign: {}", rejected.reason)
            }
            EventKind::AgreementTerminationNotice(notice) => format!(
                "{who} announces the end of its agreement at {:.0}: {}",
                notice.deadline, notice.reason
            ),
            EventKind::AgreementTerminated(ended) => {
                format!("agreement with {who} is over: {}", ended.reason)
            }
            EventKind::ActivityCreateFailed(failed) => {
                format!("{who} starts no machine: {:#}", failed.reason)
            }
            EventKind::ProviderDistrusted(why) => {
                format!("{who} is not rented from any more: {}", why.reason)
            }
            EventKind::TaskStarted(_) => {
                let task = event.task()?;
                let again = match task.attempt {
                    1 => String::new(),
                    attempt => format!(", attempt {attempt}"),
                };
                format!("task {} began on {who}{again}", task.index + 1)
            }
            EventKind::TaskAccepted(_) => {
                if let Some(job) = event.job() {
                    let done = self.tasks.entry(job.clone()).or_default();
                    *done += 1;
                    if self.tasks.len() > MAX_JOBS {
                        self.tasks.shift_remove_index(0);
                    }
                }
                format!("task {} done by {who}", event.task()?.index + 1)
            }
            EventKind::TaskRejected(rejected) => format!(
                "task {} failed on {who}: {:#}",
                event.task()?.index + 1,
                rejected.reason
            ),
            EventKind::ScriptFinished(script) => {
                let error = script.error.as_ref()?;
                format!("a script failed on {who}: {error:#}")
            }
            EventKind::ServiceStateChanged(changed) => {
                let name = &event.instance()?.name;
                match changed.new {
                    ServiceState::Starting => format!("{name} is starting on {who}"),
                    ServiceState::Running => format!("{name} is running on {who}"),
                    ServiceState::Suspended => format!("{name} is suspended on {who}"),
                    ServiceState::Stopping => format!("{name} is stopping on {who}"),
                    ServiceState::Pending | ServiceState::Terminated => return None,
                }
            }
            EventKind::ServiceRestarted(again) => format!(
                "{} begins anew for the {}. time{}",
                event.instance()?.name,
                again.restarts,
                because(again.error.as_ref())
            ),
            EventKind::ServiceMoved(moved) => format!(
                "{} moves from {} to {}",
                event.instance()?.name,
                moved.from_provider,
                moved.to_provider
            ),
            EventKind::ServiceFinished(finished) => format!(
                "{} ended{}",
                event.instance()?.name,
                because(finished.error.as_ref())
            ),
            EventKind::InvoiceReceived(invoice) => {
                format!("invoice of {who}: {} GLM", invoice.amount.normalized())
            }
            EventKind::InvoiceAccepted(invoice) => {
                format!("{who} is paid {} GLM", invoice.amount.normalized())
            }
            EventKind::PaymentFailed(failed) => {
                format!(
                    "{} of {who} is not paid: {:#}",
                    failed.document, failed.reason
                )
            }
            EventKind::BudgetLow(budget) => format!(
                "four fifths of the budget of {} GLM are used",
                budget.total.normalized()
            ),
            EventKind::BudgetExhausted(budget) => format!(
                "the budget of {} GLM is used up: no more machines are rented",
                budget.total.normalized()
            ),
            EventKind::DaemonAway(away) => {
                format!(
                    "the daemon is away since {} s: {}",
                    away.seconds, away.reason
                )
            }
            EventKind::DaemonBack(back) => {
                format!("the daemon is back after {} s", back.seconds)
            }
            EventKind::JobFinished(finished) => {
                let tasks = event.job().and_then(|job| self.tasks.shift_remove(job));
                let mut line = match &finished.error {
                    None => format!("{job} is done"),
                    Some(error) => format!("{job} failed: {error:#}"),
                };
                if let Some(tasks) = tasks {
                    // Writing into a text does not fail.
                    let _ = write!(line, "; {tasks} tasks done");
                }
                line
            }
            EventKind::ExecutionInterrupted(why) => {
                format!("the program failed, and the engine stops: {:#}", why.reason)
            }
            EventKind::CallbackPanicked(panic) => {
                format!("{} panicked: {}", panic.callback, panic.message)
            }
            _ => return None,
        })
    }
}

fn because(error: Option<&crate::cause::Cause>) -> String {
    error.map_or_else(String::new, |error| format!(": {error:#}"))
}

/// One line, and no longer than lines are.
fn cut(line: &str) -> String {
    let one_line: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_LINE)
        .collect();
    if line.chars().count() > MAX_LINE {
        one_line + "…"
    } else {
        one_line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_repeat_themselves_are_counted_instead() {
        let mut folding = Folding::default();
        let mut said = Vec::new();
        for line in ["a", "b", "b", "b", "c", "c"] {
            said.extend(folding.fold(line.to_owned()));
        }
        said.extend(folding.end());
        assert_eq!(
            said,
            [
                "a",
                "b",
                "… the same 2 more times",
                "c",
                "… the same 1 more time"
            ]
        );
    }

    #[test]
    fn a_line_is_one_line_and_has_an_end() {
        assert_eq!(cut("a\nb\x1b[31m"), "a b [31m");
        let long = cut(&"x".repeat(MAX_LINE + 1));
        assert_eq!(long.chars().count(), MAX_LINE + 1);
        assert!(long.ends_with('…'));
    }
}
