//! What a scenario would make endless or huge: steps without number, journals that
//! no disk holds.
//!
//! Does not own: limits of single providers (`mock_yagna`), of instances and tasks (`validate`).

use std::time::Duration;

use serde_saphyr::Spanned;

use super::{LONGEST, MOST_INSTANCES};
use crate::error::Error;
use crate::language::values::Span;
use crate::language::{Scenario, ServiceSection, Verb};

/// Most steps of a timeline.
const MOST_STEPS: usize = 10_000;
/// Most lines of a journal: some 300 GB.
const MOST_LINES: u64 = 1_000_000_000;
/// Lines of the journal for one poll of an instance, for one plot, and for one debit note.
const PER_POLL: u64 = 8;
const PER_PLOT: u64 = 12;
const PER_NOTE: u64 = 4;
/// Lines for one agreement with all that belongs to it but for polls and notes, and for one task.
const PER_AGREEMENT: u64 = 60;
/// Bytes of one line.
const PER_LINE: u64 = 300;
/// Providers negotiate an interval of debit notes of at least this, unless told otherwise.
const USUAL_INTERVAL: Duration = Duration::from_secs(120);
/// How large a run becomes, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines of its journal.
    pub lines: u64,
    /// Bytes of its journal.
    pub bytes: u64,
}

impl Scenario {
    /// How large the journal of a run that goes well becomes, roughly: within a factor of three.
    pub fn size(&self) -> Size {
        let services = self
            .all_services()
            .map(|(service, times)| self.lines_of(service).saturating_mul(times));
        let tasks = self.all_tasks().map(|(tasks, times)| {
            PER_AGREEMENT.saturating_mul(u64::from(tasks.count.value).saturating_mul(times))
        });
        let lines = services.chain(tasks).fold(0, u64::saturating_add);
        Size {
            lines,
            bytes: lines.saturating_mul(PER_LINE),
        }
    }

    /// Of all instances of a service that is started once.
    fn lines_of(&self, service: &ServiceSection) -> u64 {
        let times = |every: Duration| {
            let times = service
                .duration
                .value
                .0
                .div_duration_f64(every.max(MILLISECOND));
            times.ceil() as u64
        };
        let rounds = service.run.as_ref().and_then(|run| run.every.as_ref());
        let polls = times(rounds.unwrap_or(&service.stats_every).value.0);
        let plots = service.plot_every.as_ref();
        let plots = plots.map_or(polls, |every| times(every.value.0).min(polls));
        let notes = times(self.note_interval());
        let each = PER_POLL
            .saturating_mul(polls)
            .saturating_add(PER_PLOT.saturating_mul(plots))
            .saturating_add(PER_NOTE.saturating_mul(notes))
            .saturating_add(PER_AGREEMENT);
        each.saturating_mul(service.instances.value.into())
    }

    /// The shortest interval of debit notes.
    fn note_interval(&self) -> Duration {
        let own = self
            .providers
            .iter()
            .filter_map(|group| group.behaviour.debit_notes_every);
        own.chain([USUAL_INTERVAL]).min().unwrap_or(USUAL_INTERVAL)
    }

    pub(super) fn check_size(&self) -> Result<(), Error> {
        let all = self.all_steps();
        let mut number = 0;
        for step in &all {
            let times = step.times.as_ref().map_or(1, |times| times.value);
            number += times as usize;
            if number > MOST_STEPS {
                let message = format!("more than {MOST_STEPS} steps");
                return Err(self.mistake(step.verb.referenced, message));
            }
            self.not_after("at", &step.at)?;
        }
        let mut spawns = all
            .iter()
            .filter(|step| step.verb.value == Verb::SpawnInstance);
        let room = u64::from(MOST_INSTANCES).saturating_sub(self.most_instances());
        if let Some(step) = spawns.nth(usize::try_from(room).unwrap_or(usize::MAX)) {
            let message = format!(
                "the timeline adds instances beyond {MOST_INSTANCES}, the most there can be"
            );
            return Err(self.mistake(step.verb.referenced, message));
        }
        let size = self.size();
        if let Some((service, _)) = self.all_services().next()
            && size.lines > MOST_LINES
        {
            let message = format!(
                "{} instances, each polled every {} for {}, would make about {} million lines of journal; the \
                 most is {} million: fewer instances, a shorter `duration` or a longer `stats_every` will do",
                service.instances.value,
                service.stats_every.value,
                service.duration.value,
                size.lines / 1_000_000,
                MOST_LINES / 1_000_000
            );
            return Err(self.mistake(service.stats_every.referenced, message));
        }
        Ok(())
    }

    fn not_after(&self, what: &str, span: &Spanned<Span>) -> Result<(), Error> {
        if span.value.0 <= LONGEST {
            return Ok(());
        }
        let message = format!(
            "`{what}` is {}; a run lasts at most {}",
            span.value,
            Span(LONGEST)
        );
        Err(self.mistake(span.referenced, message))
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
