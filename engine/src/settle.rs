//! How things at the daemon come to their end, and how that is made sure of. Owns: what is asked
//! (`observe`), what follows from the answers (`plan`, pure), the requests that end something
//! (`perform`), the most that a provider may ask for (`ceiling`), what may still be spent
//! (`spending`), which usage can be true (`usage`), and the words for what was found and done (`report`). Does not own: when it is done and for whom; that is a policy of `recovery/`
//! (an earlier run), `shutdown/` (this run) and `doctor/` (a person).
//!
//! | question | answered by |
//! |---|---|
//! | whose is it? | [`observe::session_of`], [`Owner::owns`] |
//! | is it gone already? | [`perform::unless_gone`] |
//! | where does an agreement stand? | [`standing`] |
//! | how does a cancellation end that races an approval? | [`Ender::cancel`] |
//! | did a termination of unknown outcome work? | [`Ender::terminate`] |
//! | did an acceptance of unknown outcome work? | [`Ender::accept`] |
//! | which network is it whose creation had no answer? | [`unanswered_network`] |

pub(crate) mod ceiling;
pub(crate) mod observe;
pub(crate) mod perform;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod spending;
pub(crate) mod usage;

pub(crate) use ceiling::ceiling;
pub(crate) use observe::{
    Documents, OPEN_STATES, Observed, Observer, Owner, Scope, is_accepted, unanswered_network,
};
pub(crate) use perform::{Cancelled, Document, Ender};
pub(crate) use plan::{AgreementAction, AgreementPlan, Plan, Standing, standing};

use crate::api::{ApiError, Rest};
use crate::context::Context;
use crate::retry::Backoff;

/// The way to the daemon. An engine waits for a daemon that is away; without one, only the attempts
/// count.
#[derive(Clone, Copy)]
struct Daemon<'a> {
    rest: &'a Rest,
    engine: Option<&'a Context>,
}

impl Daemon<'_> {
    /// Repeats a call that does no harm when repeated.
    async fn insist<T, F>(
        self,
        backoff: &mut Backoff,
        attempts: u32,
        call: impl FnMut() -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        match self.engine {
            Some(engine) => engine.insist(backoff, attempts, call).await,
            None => backoff.read(attempts, call).await,
        }
    }

    /// Whether it is away, and worth waiting for.
    async fn is_away(self) -> bool {
        match self.engine {
            Some(engine) => engine.is_daemon_away().await,
            None => false,
        }
    }
}
