//! The store: a SQLite database of one table with two columns. Knows nothing of what the values
//! are used for.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};

use crate::Error;

/// How long a process waits for the others that use the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// `at` counts microseconds since 1970, UTC: exact, ordered, and short.
const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS observations (value REAL NOT NULL, at INTEGER NOT NULL)";

/// One observed value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// What was observed; always finite.
    pub value: f64,
    /// When.
    pub at: Timestamp,
}

/// The observations so far, in the order in which they were stored.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
}

impl Database {
    /// A database that lives and dies with this value.
    ///
    /// # Errors
    /// [`Error::Database`] when SQLite has no memory left.
    pub fn in_memory() -> Result<Database, Error> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(SCHEMA)?;
        Ok(Database { connection })
    }

    /// Opens the database file, made with its table on first use. What it holds is kept. Several
    /// processes may use one file at a time.
    ///
    /// # Errors
    /// [`Error::Open`] when the file can be neither opened nor made, or is no database.
    pub fn open(path: &Path) -> Result<Database, Error> {
        let open = || {
            let mut connection = Connection::open(path)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            // The rollback journal stays: write-ahead logging needs shared memory, which the 9p
            // volumes of a provider's virtual machine do not have. No wait for the disk, either:
            // the file dies with its activity, so it never has to outlive a loss of power.
            connection.pragma_update(None, "synchronous", "OFF")?;
            if !connection.table_exists(None, "observations")? {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                transaction.execute_batch(SCHEMA)?;
                transaction.commit()?;
            }
            Ok(connection)
        };
        match open() {
            Ok(connection) => Ok(Database { connection }),
            Err(source) => Err(Error::Open {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Stores one observation.
    ///
    /// # Errors
    /// [`Error::NotFinite`], or [`Error::Database`] when the file stayed locked or failed.
    pub fn add(&mut self, observation: Observation) -> Result<(), Error> {
        self.add_all([observation])
    }

    /// Stores observations in one transaction: all of them or none.
    ///
    /// # Errors
    /// As [`Database::add`].
    pub fn add_all(
        &mut self,
        observations: impl IntoIterator<Item = Observation>,
    ) -> Result<(), Error> {
        // Immediate: a transaction that turns from reading to writing could not wait for others.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO observations (value, at) VALUES (?, ?)")?;
            for Observation { value, at } in observations {
                if !value.is_finite() {
                    return Err(Error::NotFinite(value));
                }
                insert.execute((value, at.as_microsecond()))?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Hands out the values stored after `row` (0: all), oldest first; returns the last row seen,
    /// from which the next call can go on.
    ///
    /// # Errors
    /// [`Error::Database`] when the file stayed locked or failed.
    pub fn values_after(&self, row: i64, mut each: impl FnMut(f64)) -> Result<i64, Error> {
        let mut select = self.connection.prepare_cached(
            "SELECT rowid, value FROM observations WHERE rowid > ? ORDER BY rowid",
        )?;
        let mut rows = select.query([row])?;
        let mut last = row;
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            each(row.get(1)?);
        }
        Ok(last)
    }

    /// All observations, oldest first.
    ///
    /// # Errors
    /// [`Error::Database`] when the file stayed locked or failed, [`Error::Time`] when somebody
    /// else stored a time that is none.
    pub fn observations(&self) -> Result<Vec<Observation>, Error> {
        let mut select = self
            .connection
            .prepare_cached("SELECT value, at FROM observations ORDER BY rowid")?;
        let mut rows = select.query([])?;
        let mut observations = Vec::new();
        while let Some(row) = rows.next()? {
            let microseconds = row.get(1)?;
            let at =
                Timestamp::from_microsecond(microseconds).map_err(|_| Error::Time(microseconds))?;
            observations.push(Observation {
                value: row.get(0)?,
                at,
            });
        }
        Ok(observations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(value: f64) -> Observation {
        Observation {
            value,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn opening_again_keeps_what_was_stored() -> Result<(), Error> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("observations.db");
        Database::open(&path)?.add(observation(1.5))?;
        assert_eq!(Database::open(&path)?.observations()?, [observation(1.5)]);
        Ok(())
    }

    #[test]
    fn a_batch_with_a_bad_value_stores_nothing() -> Result<(), Error> {
        let mut database = Database::in_memory()?;
        let batch = [observation(1.0), observation(f64::NAN)];
        assert!(matches!(database.add_all(batch), Err(Error::NotFinite(_))));
        assert_eq!(database.observations()?, []);
        Ok(())
    }

    #[test]
    fn values_come_once_to_a_reader_that_goes_on_where_it_stopped() -> Result<(), Error> {
        let mut database = Database::in_memory()?;
        let mut seen = Vec::new();
        database.add_all([observation(1.0), observation(2.0)])?;
        let row = database.values_after(0, |value| seen.push(value))?;
        database.add(observation(3.0))?;
        database.values_after(row, |value| seen.push(value))?;
        assert_eq!(seen, [1.0, 2.0, 3.0]);
        Ok(())
    }

    #[test]
    fn a_file_that_is_no_database_is_named_in_the_error() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("observations.db");
        std::fs::write(
            &path,
            "certainly not a database, but long enough to be read as one",
        )
        .expect("a file");
        let error = Database::open(&path).expect_err("no database");
        assert!(error.to_string().contains("observations.db"), "{error}");
    }
}
