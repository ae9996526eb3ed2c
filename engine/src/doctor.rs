//! The doctor: lists what earlier runs left open at a daemon, and settles it, with a journal, with
//! the session of a run, or with neither. Owns: asking on behalf of a person. Does not own: what an
//! engine does by itself when it starts (`recovery/`).

mod examine;
mod findings;
mod settle;

use std::sync::Arc;

use golem_wire::NodeId;

pub use findings::{
    Findings, FoundActivity, FoundAgreement, FoundAllocation, FoundDemand, FoundInvoice,
    FoundNetwork, FoundNote, FoundUnconfirmed,
};
pub use settle::Settled;

use crate::api::{Limits, Rest};
use crate::clock::{Clock, DaemonClock, SystemClock};
use crate::config::Overrides;
use crate::error::Error;
use crate::journal::{Inspection, Journal, JournalError, Log, MemoryJournal};
use crate::rng::Seed;
use crate::transport::Transport;

/// Looks after a daemon; made by [`Doctor::builder`].
pub struct Doctor {
    rest: Rest,
    clock: Arc<DaemonClock>,
    seed: Seed,
    log: Option<Log>,
    in_use_by: Option<String>,
    session: Option<String>,
    patience: std::time::Duration,
}

/// Puts a [`Doctor`] together; what it is not told comes from the environment.
pub struct DoctorBuilder {
    overrides: Overrides,
    transport: Transport,
    clock: Arc<dyn Clock>,
    seed: Option<Seed>,
    journal: Option<Box<dyn Journal>>,
    in_use_by: Option<String>,
    session: Option<String>,
    patience: std::time::Duration,
}

impl DoctorBuilder {
    /// The daemon, instead of `YAGNA_API_URL`.
    pub fn api_url(mut self, url: impl Into<String>) -> Self {
        self.overrides.api_url = Some(url.into());
        self
    }

    /// The requestor's key, instead of `YAGNA_APPKEY`.
    pub fn app_key(mut self, key: impl Into<String>) -> Self {
        self.overrides.app_key = Some(key.into());
        self
    }

    /// The way to the daemon; real sockets unless set.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Tells the calendar time; the computer's clock unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where random choices (pauses) come from; the operating system unless set.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The journal of a run that has ended: only what belongs to it is looked at.
    pub fn journal(mut self, journal: impl Journal) -> Self {
        self.journal = Some(Box::new(journal));
        self
    }

    /// What a journal holds, be its run alive or not: only what belongs to it is looked at. To
    /// [`examine`](Doctor::examine); settling needs the journal itself.
    ///
    /// # Errors
    /// [`Error::Journal`], when the entries cannot be kept.
    pub fn inspected(mut self, inspection: Inspection) -> Result<Self, Error> {
        let copy = MemoryJournal::new();
        for entry in &inspection.entries {
            copy.append(entry)?;
        }
        self.journal = Some(Box::new(copy));
        self.in_use_by = inspection.in_use_by;
        Ok(self)
    }

    /// The session of a run: only what belongs to it is looked at.
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// How long final invoices are waited for when agreements are ended; a minute unless set.
    pub fn invoice_wait(mut self, patience: std::time::Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Connects to the daemon.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Api`] when the daemon does not answer or refuses the key,
    /// [`Error::Journal`] when the journal belongs to another requestor, [`Error::NoEntropy`].
    ///
    /// # Cancel safety
    /// Cancel-safe: it asks whose key it is and reads the journal, and changes nothing.
    pub async fn connect(self) -> Result<Doctor, Error> {
        let config = self.overrides.resolve(|name| std::env::var(name).ok())?;
        let rest = Rest::new(self.transport, &config, &config.app_key, Limits::default());
        let clock = Arc::new(DaemonClock::new(self.clock));
        let rest = rest.with_clock(Arc::clone(&clock));
        let seed = self.seed.map_or_else(Seed::from_os, Ok)?;
        let me: NodeId = rest.me().await?.identity;
        let mut session = self.session;
        let log = match self.journal {
            Some(journal) => {
                let log = Log::open(journal, Arc::clone(&clock) as Arc<dyn Clock>)?;
                if let Some(owner) = log.open_state().owner {
                    if owner.node != me {
                        return Err(Error::Journal(JournalError::Foreign {
                            theirs: owner.node,
                            ours: me,
                        }));
                    }
                    session = session.or(Some(owner.session));
                }
                Some(log)
            }
            None => None,
        };
        let rest = match &log {
            Some(log) => rest.with_log(log.clone()),
            None => rest,
        };
        Ok(Doctor {
            rest,
            clock,
            seed,
            log,
            in_use_by: self.in_use_by,
            session,
            patience: self.patience,
        })
    }
}

impl Doctor {
    /// A doctor that takes what it is not told from the environment.
    pub fn builder() -> DoctorBuilder {
        DoctorBuilder {
            overrides: Overrides::default(),
            transport: Transport::http(),
            clock: Arc::new(SystemClock),
            seed: None,
            journal: None,
            in_use_by: None,
            session: None,
            patience: std::time::Duration::from_secs(60),
        }
    }
}

impl std::fmt::Debug for Doctor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doctor")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for DoctorBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DoctorBuilder")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
