//! Signals of the operating system: the first stops the engine in order, the second at once. Owns:
//! listening, and what each signal means. Does not own: stopping (`shutdown/`).

use std::io;
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt, unfold};

use crate::Golem;
use crate::shutdown::Urgency;
use crate::tasks::TaskGroup;

impl Golem {
    /// Stops the engine when the process is told to end: by SIGINT (Ctrl-C) and SIGTERM, on Windows
    /// by Ctrl-C. The first signal is [`stop`](Self::stop), the second [`abort`](Self::abort);
    /// later ones change nothing, since by then the end is seconds away. The process itself ends
    /// when `main` does, so await [`stopped`](Self::stopped) there:
    ///
    /// ```no_run
    /// # async fn work(golem: &golem_engine::Golem) {}
    /// # async fn example() -> Result<std::process::ExitCode, Box<dyn std::error::Error>> {
    /// let golem = golem_engine::Golem::builder().start().await?;
    /// golem.stop_on_signals()?;
    /// tokio::select! {
    ///     () = work(&golem) => {}
    ///     _ = golem.stopped() => {}
    /// }
    /// let report = golem.stop().await;
    /// eprintln!("{report}");
    /// Ok(report.exit_code().into())
    /// # }
    /// ```
    ///
    /// Listening does not keep an engine alive that was dropped. From this call on these signals do
    /// not end the process by themselves any more, also after the engine's end.
    ///
    /// # Errors
    /// When the operating system does not let the process listen.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub fn stop_on_signals(&self) -> io::Result<()> {
        self.stop_on(signals()?);
        Ok(())
    }

    /// Takes each item as a signal.
    fn stop_on(&self, mut signals: BoxStream<'static, &'static str>) {
        // Weak: who listens must not keep an engine alive that was dropped.
        let shutdown = Arc::downgrade(&self.engine().shutdown);
        TaskGroup::new("signals").spawn("listen", async move {
            for urgency in [Urgency::Drain, Urgency::Abort] {
                let Some(name) = signals.next().await else {
                    return;
                };
                let Some(shutdown) = shutdown.upgrade() else {
                    return;
                };
                if urgency == Urgency::Drain {
                    tracing::warn!("{name}: stopping in order; once more stops at once");
                } else {
                    tracing::warn!("{name}: stopping at once");
                }
                shutdown.begin(urgency);
            }
        });
    }
}

#[cfg(unix)]
fn signals() -> io::Result<BoxStream<'static, &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};

    let listening = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    Ok(unfold(listening, async |(mut interrupt, mut terminate)| {
        let name = tokio::select! {
            biased;
            signal = interrupt.recv() => signal.map(|()| "SIGINT"),
            signal = terminate.recv() => signal.map(|()| "SIGTERM"),
        };
        Some((name?, (interrupt, terminate)))
    })
    .boxed())
}

#[cfg(not(unix))]
fn signals() -> io::Result<BoxStream<'static, &'static str>> {
    Ok(unfold((), async |()| {
        tokio::signal::ctrl_c().await.ok()?;
        Some(("Ctrl-C", ()))
    })
    .boxed())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::payload::Payload;
    use crate::service::{HandlerError, InstanceInfo};
    use crate::testing::{Daemon, all_well};
    use crate::{Error, WorkContext};

    /// A service whose shutdown takes a minute and a half.
    struct Slow;

    impl crate::service::Service for Slow {
        type Params = ();

        fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
            Ok(Slow)
        }

        async fn payload() -> Result<Payload, Error> {
            Ok(Payload::new())
        }

        async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
            ctx.stop_requested().await;
            Ok(())
        }

        async fn shutdown(&mut self, _: &WorkContext) -> Result<(), HandlerError> {
            sleep(Duration::from_secs(40)).await;
            Ok(())
        }
    }

    fn by(receiver: mpsc::Receiver<&'static str>) -> BoxStream<'static, &'static str> {
        unfold(receiver, async |mut receiver| {
            Some((receiver.recv().await?, receiver))
        })
        .boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_signal_drains_and_the_second_aborts() {
        for twice in [false, true] {
            let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
            let (golem, _) = daemon.golem().await;
            let (send, receiver) = mpsc::channel(2);
            golem.stop_on(by(receiver));
            let cluster = golem.run_service::<Slow>().instance_params([()]).start();
            let cluster = cluster.await.expect("a cluster");
            cluster
                .wait_running(Duration::from_secs(60))
                .await
                .expect("running");
            let began = Instant::now();
            send.send("SIGINT").await.expect("listening");
            sleep(Duration::from_secs(10)).await;
            if twice {
                send.send("SIGINT").await.expect("listening");
            }
            let report = golem.stopped().await;
            assert_eq!(report.aborted, twice, "{report}");
            assert_eq!(report.cut_off.is_empty(), !twice, "{report}");
            assert_eq!(began.elapsed() < Duration::from_secs(20), twice);
            assert!(daemon.is_empty(), "the agreement is terminated either way");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn listening_does_not_keep_an_engine_alive() {
        let daemon = Daemon::new(&["alice"], |_, commands| all_well(commands));
        let (golem, _) = daemon.golem().await;
        let (send, receiver) = mpsc::channel(2);
        golem.stop_on(by(receiver));
        let alive = Arc::downgrade(golem.context());
        drop(golem);
        sleep(Duration::from_secs(60)).await;
        assert!(alive.upgrade().is_none(), "the dropped engine is gone");
        send.send("SIGINT").await.expect("somebody listens");
    }
}
