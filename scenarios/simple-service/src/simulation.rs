//! The service inside another program: what a machine with the three executables would do, in a
//! time that the caller tells with each call. Owns the simulated daemon; has no clock.

use chacha20::ChaCha8Rng;
use clap::Parser;
use jiff::{SignedDuration, Timestamp};

use crate::{
    Database, Error, Observation, Observations, PlotKind, Service,
    command::{Command, Control, SimpleService},
    daemon::Outcome,
    service::Answer,
};

/// Where a simulated machine shows its plots.
const OUTPUT: &str = "/golem/output";

/// The daemon's pause between two observations.
const INTERVAL: SignedDuration = SignedDuration::from_secs(1);

/// One simulated machine. Calls must come in the order of their times.
#[derive(Debug)]
pub struct Simulation {
    service: Service,
    observations: Observations,
    /// When the daemon observes next; nothing while it is stopped.
    next: Option<Timestamp>,
}

/// What a simulated executable did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit code.
    pub exit_code: i32,
    /// The files it wrote: absolute paths and contents.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Simulation {
    /// A machine whose observations are those of `seed`.
    ///
    /// # Errors
    /// [`Error::Database`] when there is no memory left.
    pub fn new(seed: u64) -> Result<Simulation, Error> {
        Simulation::observing(Observations::seeded(seed))
    }

    /// A machine that draws its observations from a generator that the caller has seeded.
    ///
    /// # Errors
    /// [`Error::Database`] when there is no memory left.
    pub fn with_rng(rng: ChaCha8Rng) -> Result<Simulation, Error> {
        Simulation::observing(Observations::new(rng))
    }

    fn observing(observations: Observations) -> Result<Simulation, Error> {
        let service = Service::new(Database::in_memory()?);
        Ok(Simulation {
            service,
            observations,
            next: None,
        })
    }

    /// Starts the daemon: it observes at once and then every second.
    ///
    /// # Errors
    /// Those of the database.
    pub fn start(&mut self, now: Timestamp) -> Result<Outcome, Error> {
        if self.next.is_some() {
            self.advance_to(now)?;
            return Ok(Outcome::AlreadyRunning);
        }
        self.next = Some(now);
        Ok(Outcome::Started)
    }

    /// Stops the daemon, after what it observed until `now`.
    ///
    /// # Errors
    /// Those of the database.
    pub fn stop(&mut self, now: Timestamp) -> Result<Outcome, Error> {
        self.advance_to(now)?;
        match self.next.take() {
            Some(_) => Ok(Outcome::Stopped),
            None => Ok(Outcome::NotRunning),
        }
    }

    /// Stores what the daemon observes until `now`, in one transaction.
    ///
    /// # Errors
    /// Those of the database.
    pub fn advance_to(&mut self, now: Timestamp) -> Result<(), Error> {
        let Some(mut next) = self.next.filter(|next| *next <= now) else {
            return Ok(());
        };
        // The last second that timestamps know has no successor: the daemon ends there.
        let mut daemon = Some(next);
        let due = std::iter::from_fn(|| {
            next = daemon.filter(|next| *next <= now)?;
            daemon = next.checked_add(INTERVAL).ok();
            let value = self.observations.next()?;
            Some(Observation { value, at: next })
        });
        self.service.add(due)?;
        self.next = daemon;
        Ok(())
    }

    /// The line of `--stats`.
    ///
    /// # Errors
    /// Those of the database.
    pub fn stats(&mut self, now: Timestamp) -> Result<String, Error> {
        self.advance_to(now)?;
        Ok(self.service.stats()?.to_json())
    }

    /// The JSON of `--dump`.
    ///
    /// # Errors
    /// Those of the database.
    pub fn dump(&mut self, now: Timestamp) -> Result<String, Error> {
        self.advance_to(now)?;
        self.service.dump()
    }

    /// The plot of `--plot`: its path and its content, a PNG file.
    ///
    /// # Errors
    /// Those of the database, and [`Error::Drawing`].
    pub fn plot(&mut self, kind: PlotKind, now: Timestamp) -> Result<(String, Vec<u8>), Error> {
        self.advance_to(now)?;
        Ok((plot_path(kind), self.service.plot(kind)?))
    }

    /// Runs one of the executables, found by the last part of its path, with or without the
    /// ending `.py` of the tutorial. Never fails itself: what goes wrong shows in the exit code
    /// and on standard error, as with a process.
    pub fn run<A: AsRef<str>>(&mut self, entry_point: &str, args: &[A], now: Timestamp) -> Run {
        let name = entry_point.rsplit('/').next().unwrap_or_default();
        let name = name.strip_suffix(".py").unwrap_or(name);
        let line = std::iter::once(name).chain(args.iter().map(AsRef::as_ref));
        let done = match name {
            "simple_service" => match SimpleService::try_parse_from(line) {
                Ok(parsed) => self.perform(parsed.command(), now),
                Err(refusal) => return Run::refused(&refusal),
            },
            "simulate_observations_ctl" => match Control::try_parse_from(line) {
                Ok(Control { start: true, .. }) => self.start(now).map(Run::said),
                Ok(Control { .. }) => self.stop(now).map(Run::said),
                Err(refusal) => return Run::refused(&refusal),
            },
            "simulate_observations" => {
                let hint =
                    "simulate_observations: never ends; use simulate_observations_ctl --start";
                return Run::failed(1, hint);
            }
            _ => return Run::failed(127, format!("{entry_point}: not found")),
        };
        done.unwrap_or_else(|error| {
            Run::failed(1, format!("{name}: {:#}", anyhow::Error::from(error)))
        })
    }

    fn perform(&mut self, command: Command, now: Timestamp) -> Result<Run, Error> {
        self.advance_to(now)?;
        Ok(match self.service.perform(command, now)? {
            Answer::Silent => Run::default(),
            Answer::Text(text) => Run::said(text),
            Answer::Plot(kind, png) => {
                let path = plot_path(kind);
                Run {
                    files: vec![(path.clone(), png)],
                    ..Run::said(path)
                }
            }
        })
    }
}

impl Run {
    fn said(text: impl std::fmt::Display) -> Run {
        Run {
            stdout: format!("{text}\n"),
            ..Run::default()
        }
    }

    fn failed(exit_code: i32, text: impl std::fmt::Display) -> Run {
        Run {
            stderr: format!("{text}\n"),
            exit_code,
            ..Run::default()
        }
    }

    /// Help goes to standard output and is a success, anything else is a wrong command line.
    fn refused(refusal: &clap::Error) -> Run {
        let text = refusal.render().to_string();
        let exit_code = refusal.exit_code();
        match refusal.use_stderr() {
            true => Run {
                stderr: text,
                exit_code,
                ..Run::default()
            },
            false => Run {
                stdout: text,
                exit_code,
                ..Run::default()
            },
        }
    }
}

fn plot_path(kind: PlotKind) -> String {
    format!("{OUTPUT}/{}", kind.file_name())
}

#[cfg(test)]
mod tests;
