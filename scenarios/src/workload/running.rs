//! Services and tasks of the engine as running workloads.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::future::{FutureExt, LocalBoxFuture};
use golem_engine::error::chain as error_chain;
use golem_engine::service::{Cluster, Instance, InstanceId, Service};
use golem_engine::task::Tasks;

use super::{Ended, Running};

/// A service that was started. `more` makes the parameters of one more instance.
pub fn running_service<S: Service>(
    cluster: Cluster<S>,
    more: impl FnMut() -> S::Params + Send + 'static,
) -> Box<dyn Running> {
    Box::new(RunningService { cluster, more })
}

struct RunningService<S: Service, P> {
    cluster: Cluster<S>,
    more: P,
}

impl<S: Service, P: FnMut() -> S::Params + Send> Running for RunningService<S, P> {
    fn instances(&self) -> Vec<Instance> {
        self.cluster.instances()
    }

    fn stop(&mut self) {
        self.cluster.stop();
    }

    fn stop_instance(&mut self, id: &InstanceId) -> Result<(), String> {
        let stopped = self.cluster.stop_instance(id);
        stopped.map_err(|error| error.to_string())
    }

    fn spawn_instance(&mut self) -> Result<(), String> {
        let spawned = self.cluster.spawn_instances([(self.more)()]);
        spawned.map(drop).map_err(|error| error.to_string())
    }

    fn join(&mut self) -> LocalBoxFuture<'_, Ended> {
        async {
            let instances = self.cluster.join().await;
            let mut failures = instances.into_iter().map(|instance| instance.failure);
            // When nothing ever worked, that is what the run has to say.
            let first = failures.next().flatten();
            let first = first.filter(|_| failures.all(|failure| failure.is_some()));
            let error = first.map(|why| format!("{why:#}"));
            Ended {
                error,
                task_results: Vec::new(),
            }
        }
        .boxed_local()
    }
}

/// Tasks that were started.
pub fn running_tasks<D: Send + 'static>(tasks: Tasks<D, String>) -> Box<dyn Running> {
    Box::new(RunningTasks {
        tasks: Some(tasks),
        results: BTreeMap::new(),
        error: None,
    })
}

struct RunningTasks<D> {
    tasks: Option<Tasks<D, String>>,
    results: BTreeMap<usize, String>,
    error: Option<String>,
}

impl<D: Send + 'static> Running for RunningTasks<D> {
    fn stop(&mut self) {
        self.tasks = None;
    }

    fn join(&mut self) -> LocalBoxFuture<'_, Ended> {
        async {
            while let Some(tasks) = &mut self.tasks {
                match tasks.next().await {
                    Some(Ok(done)) => drop(self.results.insert(done.task.index, done.result)),
                    Some(Err(error)) => {
                        self.error.get_or_insert_with(|| error_chain(&error));
                    }
                    None => self.tasks = None,
                }
            }
            Ended {
                error: self.error.take(),
                task_results: std::mem::take(&mut self.results).into_values().collect(),
            }
        }
        .boxed_local()
    }
}
