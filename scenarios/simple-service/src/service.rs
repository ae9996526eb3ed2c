//! The service: what each command does to the database, and what it answers. Files and processes
//! are the business of its callers.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    Database, Error, Observation, PlotKind, Statistics, command::Command, plot, statistics::Summary,
};

/// Answers commands from a database.
#[derive(Debug)]
pub struct Service {
    database: Database,
    statistics: Statistics,
    /// The last row that the statistics know.
    row: i64,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done, nothing to say.
    Silent,
    /// Text for standard output.
    Text(String),
    /// A PNG file; its place is the caller's choice.
    Plot(PlotKind, Vec<u8>),
}

/// An observation as `--dump` shows it.
#[derive(Serialize)]
struct Dumped {
    value: f64,
    at: Timestamp,
}

impl Service {
    /// A service over a database.
    pub fn new(database: Database) -> Service {
        Service {
            database,
            statistics: Statistics::default(),
            row: 0,
        }
    }

    /// Carries out one command; `now` is when it arrives.
    ///
    /// # Errors
    /// Those of the database, and [`Error::Drawing`] for a plot.
    pub fn perform(&mut self, command: Command, now: Timestamp) -> Result<Answer, Error> {
        match command {
            // The table was made when the database was opened.
            Command::Init => Ok(Answer::Silent),
            Command::Add(value) => {
                self.add([Observation { value, at: now }])?;
                Ok(Answer::Silent)
            }
            Command::Plot(kind) => Ok(Answer::Plot(kind, self.plot(kind)?)),
            Command::Dump => Ok(Answer::Text(self.dump()?)),
            Command::Stats => Ok(Answer::Text(self.stats()?.to_json())),
        }
    }

    /// Stores observations, all or none.
    ///
    /// # Errors
    /// Those of the database.
    pub fn add(
        &mut self,
        observations: impl IntoIterator<Item = Observation>,
    ) -> Result<(), Error> {
        self.database.add_all(observations)
    }

    /// Statistics of everything stored, by whomever.
    ///
    /// # Errors
    /// Those of the database.
    pub fn stats(&mut self) -> Result<Summary, Error> {
        let statistics = &mut self.statistics;
        self.row = self
            .database
            .values_after(self.row, |value| statistics.add(value))?;
        Ok(self.statistics.summary())
    }

    /// Everything stored, as a JSON array.
    ///
    /// # Errors
    /// Those of the database.
    pub fn dump(&self) -> Result<String, Error> {
        let observations = self.database.observations()?;
        let dumped: Vec<_> = observations
            .into_iter()
            .map(|Observation { value, at }| Dumped { value, at })
            .collect();
        Ok(serde_json::to_string(&dumped).expect("numbers and times always serialize"))
    }

    /// A plot of everything stored, as a PNG file.
    ///
    /// # Errors
    /// Those of the database, and [`Error::Drawing`].
    pub fn plot(&mut self, kind: PlotKind) -> Result<Vec<u8>, Error> {
        let summary = self.stats()?;
        match kind {
            PlotKind::Dist => plot::distribution(self.statistics.sorted(), &summary),
            PlotKind::Time => plot::over_time(&self.database.observations()?, &summary),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dump_tells_value_and_time_of_each_observation() -> Result<(), Error> {
        let mut service = Service::new(Database::in_memory()?);
        let noon = "2026-01-01T12:00:00Z".parse().expect("a time");
        service.perform(Command::Add(13.25), noon)?;
        assert_eq!(
            service.perform(Command::Dump, noon)?,
            Answer::Text(r#"[{"value":13.25,"at":"2026-01-01T12:00:00Z"}]"#.into()),
        );
        Ok(())
    }

    #[test]
    fn an_empty_database_answers_every_question() -> Result<(), Error> {
        let mut service = Service::new(Database::in_memory()?);
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(
            service.perform(Command::Dump, now)?,
            Answer::Text("[]".into())
        );
        assert_eq!(service.stats()?.size, 0);
        for kind in [PlotKind::Time, PlotKind::Dist] {
            assert!(matches!(
                service.perform(Command::Plot(kind), now)?,
                Answer::Plot(_, _)
            ));
        }
        Ok(())
    }
}
