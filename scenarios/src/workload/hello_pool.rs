//! A rental pool at work: each of its users says hello from the machine that it was handed.

use std::time::Duration;

use futures::StreamExt;
use futures::future::{FutureExt, LocalBoxFuture};
use futures::stream::FuturesUnordered;
use golem_engine::Golem;
use golem_engine::error::chain as error_chain;
use golem_engine::pool::MachinePool;
use golem_engine::service::HandlerError;
use tokio::time::{Instant, timeout, timeout_at};

use super::hello_tasks::{hello, payload};
use super::{Ended, Job, Running, Section, StartError, Workload};
use crate::language::LONGEST;
use crate::language::values::Span;

/// How often a user tries again, on another machine.
const ATTEMPTS: u32 = 10;
/// Time for all users together, as for tasks.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The pool as a workload: so many users as the scenario wants tasks, on so many machines as it wants workers.
pub(crate) struct HelloPool;

impl Workload for HelloPool {
    fn name(&self) -> &'static str {
        "hello-pool"
    }

    fn has_public_image(&self) -> bool {
        false
    }

    fn section(&self) -> Section {
        Section::Tasks
    }

    fn start<'a>(
        &'a self,
        golem: &'a Golem,
        job: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async {
            let section = job.tasks()?;
            let whole = section.timeout.map_or(TIMEOUT, |Span(timeout)| timeout);
            let pool = golem
                .many_of(payload())
                .min(1)
                .max(section.max_workers.value as usize)
                .fresh(true)
                .acquire_timeout(whole);
            let users = section.count.value;
            let running = RunningPool {
                pool: pool.start().await?,
                users: None,
                time: Time {
                    over: Instant::now() + whole.min(LONGEST),
                    whole,
                    attempt: section.attempt_timeout.map(|Span(timeout)| timeout),
                },
                open: (1..=users).collect(),
                said: Vec::new(),
                error: None,
            };
            Ok(Box::new(running) as Box<dyn Running>)
        }
        .boxed_local()
    }
}

type Said = (u32, Result<String, String>);

struct RunningPool {
    pool: MachinePool,
    users: Option<FuturesUnordered<LocalBoxFuture<'static, Said>>>,
    time: Time,
    /// Users that have not said anything.
    open: Vec<u32>,
    said: Vec<(u32, String)>,
    error: Option<String>,
}

/// How long users have.
#[derive(Clone, Copy)]
struct Time {
    /// When the time of all together is over.
    over: Instant,
    whole: Duration,
    attempt: Option<Duration>,
}

/// As a user does within the time of all; else it says so.
async fn in_time(pool: MachinePool, number: u32, time: Time) -> Said {
    let late = || format!("user {number} was not done within {}", Span(time.whole));
    let used = timeout_at(time.over, use_machine(pool, number, time.attempt));
    used.await.unwrap_or_else(|_| (number, Err(late())))
}

/// Says hello from a machine; from another one if that one is lost, or takes too long.
async fn use_machine(pool: MachinePool, number: u32, attempt_time: Option<Duration>) -> Said {
    let patience = attempt_time.unwrap_or(LONGEST);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let machine = match pool.acquire().await {
            Ok(machine) => machine,
            Err(error) => return (number, Err(error_chain(&error))),
        };
        let said = tokio::select! {
            biased;
            said = timeout(patience, hello(&machine, number)) => said.unwrap_or_else(|_| {
                Err(HandlerError::msg(format!("it did not end within {}", Span(patience))))
            }),
            why = machine.lost() => Err(HandlerError::from(why)),
        };
        match said {
            Ok(said) => {
                machine.release().await;
                return (number, Ok(said));
            }
            Err(error) if attempt >= ATTEMPTS => return (number, Err(error.to_string())),
            Err(error) => machine.discard(error).await,
        }
    }
}

impl Running for RunningPool {
    fn stop(&mut self) {
        self.open.clear();
        self.users = None;
    }

    fn join(&mut self) -> LocalBoxFuture<'_, Ended> {
        async {
            let pool = &self.pool;
            let waiting = || {
                let users = self.open.iter();
                users.map(|number| in_time(pool.clone(), *number, self.time).boxed_local())
            };
            // Dropped before its end, they are there still when it is called again.
            let users = self.users.get_or_insert_with(|| waiting().collect());
            while let Some((number, said)) = users.next().await {
                match said {
                    Ok(said) => self.said.push((number, said)),
                    Err(error) => drop(self.error.get_or_insert(error)),
                }
            }
            self.pool.drain().await;
            self.said.sort();
            let said = std::mem::take(&mut self.said);
            Ended {
                error: self.error.take(),
                task_results: said.into_iter().map(|(_, said)| said).collect(),
            }
        }
        .boxed_local()
    }
}
