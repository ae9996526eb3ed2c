//! What cannot be meant of workloads that are started over time: none or two in one place, times without number.
//!
//! Does not own: what a service, tasks or a function cannot mean (`validate`).

use std::time::Duration;

use serde_saphyr::Location;

use super::{LONGEST, MOST_INSTANCES};
use crate::error::Error;
use crate::language::values::Span;
use crate::language::{Arrivals, Scenario};

/// Most starts of one scenario.
const MOST_STARTS: u64 = 1000;

impl Scenario {
    pub(super) fn check_arrivals(&self) -> Result<(), Error> {
        let (mut starts, mut instances) = (0, 0);
        for arrivals in self.all_arrivals() {
            let at = self.check_one_workload(arrivals)?;
            starts += arrivals.number();
            if starts > MOST_STARTS {
                let message = format!("more than {MOST_STARTS} starts of workloads");
                return Err(self.mistake(at, message));
            }
            let service = arrivals.service.as_ref();
            let each = service.map_or(0, |service| service.instances.value);
            instances += arrivals.number() * u64::from(each);
            if instances > u64::from(MOST_INSTANCES) {
                let message =
                    format!("more than {MOST_INSTANCES} instances of all services together");
                return Err(self.mistake(at, message));
            }
        }
        Ok(())
    }

    /// The place of its name.
    fn check_one_workload(&self, arrivals: &Arrivals) -> Result<Location, Error> {
        let named = [
            arrivals
                .service
                .as_ref()
                .map(|it| ("service", it.name.referenced)),
            arrivals
                .tasks
                .as_ref()
                .map(|it| ("tasks", it.name.referenced)),
            arrivals
                .function
                .as_ref()
                .map(|it| ("function", it.name.referenced)),
        ];
        let program = arrivals
            .program
            .as_ref()
            .map(|it| ("program", it.run.referenced));
        let mut named = named.into_iter().chain([program]).flatten();
        let Some((first, at)) = named.next() else {
            let written = arrivals.at.as_ref().map(|at| at.referenced);
            let at = written.or(arrivals.times.as_ref().map(|it| it.referenced));
            let message = "an entry of `workloads` runs nothing: write `service`, `tasks`, `function` or `program`";
            return Err(self.mistake(at.unwrap_or(self.name.referenced), message));
        };
        if let Some((second, at)) = named.next() {
            let message = format!(
                "`{first}` and `{second}` in one entry of `workloads`: write two, each with its own `-`"
            );
            return Err(self.mistake(at, message));
        }
        for (key, number) in [("times", &arrivals.times), ("burst", &arrivals.burst)] {
            if let Some(number) = number {
                self.number(key, number, u32::try_from(MOST_STARTS).unwrap_or(u32::MAX))?;
            }
        }
        let again = arrivals.times.as_ref().filter(|times| times.value > 1);
        match (&arrivals.every, again) {
            (Some(every), None) => {
                let message = "`every` needs `times`: at how many times is it started?";
                return Err(self.mistake(every.referenced, message));
            }
            (None, Some(times)) => {
                let message = format!(
                    "`times` is {}, but not how long it is from one to the next: write `every`, or `burst` for all at once",
                    times.value
                );
                return Err(self.mistake(times.referenced, message));
            }
            _ => {}
        }
        let at_most = |key: &str, at: Location, span: Duration| {
            let message = format!(
                "`{key}` is {}; a run lasts at most {}",
                Span(span),
                Span(LONGEST)
            );
            if span > LONGEST {
                Err(self.mistake(at, message))
            } else {
                Ok(())
            }
        };
        if let Some(first) = &arrivals.at {
            at_most("at", first.referenced, first.value.0)?;
        }
        if let Some(every) = &arrivals.every {
            at_most("every", every.referenced, every.value.longest())?;
        }
        Ok(at)
    }
}
