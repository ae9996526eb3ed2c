//! The watchdog of a run: whatever hangs or spins in it, the run comes to an end.
//!
//! Owns: noticing, on the wall's clock, that the stage's clock stands still, and, on the stage's clock,
//! that a run goes on long after its limit. Does not own: the limit of the work (`work`), which ends it
//! in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use golem_engine::tasks::TaskGroup;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::at_work::AtWork;
use crate::backend::Backend;
use crate::language::values::Span;

/// How long, on the wall's clock, the stage's clock may stand still unless told otherwise.
const USUAL: Duration = Duration::from_secs(300);
/// A sign of life comes so often on the stage's clock.
const BEAT: Duration = Duration::from_secs(1);
/// The wall's clock is looked at so often meanwhile: a process that was suspended goes on with one look
/// too many, not with all of them.
const LOOKS: u32 = 10;
/// How long, on the wall's clock, a run may take to be given up.
const GRACE: Duration = Duration::from_secs(10);

/// Watches one run.
pub(super) struct Watchdog {
    after: Duration,
    beats: Arc<AtomicU64>,
    stuck: CancellationToken,
    at_work: AtWork,
    tasks: TaskGroup,
    /// Its end is that of the watch.
    _watched: Option<SyncSender<()>>,
}

/// The thread that looks at the wall's clock.
struct Watch {
    after: Duration,
    beats: Arc<AtomicU64>,
    stuck: CancellationToken,
    at_work: AtWork,
    hung: Option<fn(&str)>,
    over: Receiver<()>,
}

impl Watchdog {
    /// Begins to watch: after so long without a sign of life the run is given up, and where it does not
    /// even end then, `hung` is called with the reason.
    pub(super) fn begin(
        after: Option<Duration>,
        hung: Option<fn(&str)>,
        at_work: &AtWork,
    ) -> Watchdog {
        let after = after.unwrap_or(USUAL);
        let (beats, stuck) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let (watched, over) = sync_channel(1);
        let watch = Watch {
            after,
            beats: beats.clone(),
            stuck: stuck.clone(),
            at_work: at_work.clone(),
            hung,
            over,
        };
        let thread = std::thread::Builder::new().name("watchdog".into());
        // Without a thread nobody watches, which harms no run that comes to its end.
        let watching = thread.spawn(move || watch.keep());
        Watchdog {
            after,
            beats,
            stuck,
            at_work: at_work.clone(),
            tasks: TaskGroup::new("watchdog"),
            _watched: watching.is_ok().then_some(watched),
        }
    }

    /// Performs a run whose work has this limit, or tells why it was given up.
    pub(super) async fn guard<T>(
        &self,
        backend: Backend,
        limit: Duration,
        run: impl Future<Output = T>,
    ) -> Result<T, String> {
        let beats = self.beats.clone();
        self.tasks.spawn_until_cancelled("beat", async move {
            loop {
                sleep(BEAT).await;
                beats.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Starting, stopping and paying take minutes at most, but a simulated daemon may be away for long.
        let around = match backend {
            Backend::Memory => Duration::from_secs(3600),
            Backend::Http | Backend::Yagna => Duration::from_secs(900),
        };
        let longest = limit.saturating_add(around);
        let done = tokio::select! {
            biased;
            () = self.stuck.cancelled() => Err(standstill(self.after, &self.at_work)),
            done = timeout(longest, run) => done.map_err(|_| {
                let at_work = self.at_work.told();
                format!("it went on for {} after its limit of {}{at_work}", Span(around), Span(limit))
            }),
        };
        self.tasks.cancel();
        done
    }
}

fn standstill(after: Duration, at_work: &AtWork) -> String {
    format!(
        "its clock stood still for {} (something in it spins or blocks the thread{})",
        Span(after),
        at_work.told()
    )
}

impl Watch {
    fn keep(self) {
        let (mut known, mut still) = (0, 0);
        loop {
            match self.over.recv_timeout(self.after / LOOKS) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
            let beats = self.beats.load(Ordering::Relaxed);
            still = if beats == known { still + 1 } else { 0 };
            known = beats;
            if still >= LOOKS {
                break;
            }
        }
        self.stuck.cancel();
        if let Err(RecvTimeoutError::Timeout) = self.over.recv_timeout(GRACE)
            && let Some(hung) = self.hung
        {
            hung(&standstill(self.after, &self.at_work));
        }
    }
}
