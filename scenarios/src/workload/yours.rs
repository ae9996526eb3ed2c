//! Services, lists of tasks and functions of a program's own, registered by a name.
//!
//! Owns: what a registration needs. Does not own: the registry (`workload`), what runs (`running`).

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::future::{FutureExt, LocalBoxFuture};
use golem_engine::Golem;
use golem_engine::error::chain as error_chain;
use golem_engine::payload::Payload;
use golem_engine::service::Service;
use golem_engine::task::Tasks;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::written::{expiration, restart};
use super::{
    Ended, Job, Running, Section, StartError, Workload, Workloads, running_service, running_tasks,
};
use crate::language::values::Span;

impl Workloads {
    /// One more service, run by the section `service` of a file with this name: `instances` of it, for its
    /// `duration`. `params` makes the parameters of each instance; they are counted from 1.
    #[must_use]
    pub fn service<S: Service>(
        self,
        name: &'static str,
        params: impl Fn(&Job, u32) -> S::Params + Send + Sync + 'static,
    ) -> Self {
        self.with(OwnService::<S, _, _> {
            name,
            params: Arc::new(params),
            resume: NoResume,
            service: PhantomData,
        })
    }

    /// As [`service`](Self::service), for one whose instances are gone on with when the program is started again
    /// (a crash of the requestor in a sweep, say): its parameters are kept in the engine's journal.
    #[must_use]
    pub fn resumable_service<S: Service>(
        self,
        name: &'static str,
        params: impl Fn(&Job, u32) -> S::Params + Send + Sync + 'static,
    ) -> Self
    where
        S::Params: Serialize + DeserializeOwned,
    {
        self.with(OwnService::<S, _, _> {
            name,
            params: Arc::new(params),
            resume: Resumes,
            service: PhantomData,
        })
    }

    /// One more list of tasks, run by the section `tasks` of a file with this name. `start` starts it; what a
    /// task returns is its result.
    #[must_use]
    pub fn tasks<D, F>(self, name: &'static str, start: F) -> Self
    where
        D: Send + 'static,
        F: AsyncFn(&Golem, &Job) -> Result<Tasks<D, String>, StartError> + Send + Sync + 'static,
    {
        self.with(OwnTasks {
            name,
            start,
            data: PhantomData::<fn() -> D>,
        })
    }

    /// One more function, called by the section `function` of a file with this name: any program that uses an
    /// engine. What it returns are results, as those of tasks. It is dropped when the run is told to stop.
    ///
    /// ```
    /// use golem_scenarios::workload::Workloads;
    ///
    /// let workloads = Workloads::default().function("count-offers", async |golem, job| {
    ///     let wanted = job.arguments().get("runtime").cloned();
    ///     println!("{} looks for {wanted:?} with {:?}", job.name, golem.node_id());
    ///     Ok(vec!["done".to_owned()])
    /// });
    /// ```
    #[must_use]
    pub fn function<F>(self, name: &'static str, function: F) -> Self
    where
        F: AsyncFn(Golem, Job) -> Result<Vec<String>, StartError> + Send + Sync + 'static,
    {
        self.with(OwnFunction {
            name,
            function: Arc::new(function),
        })
    }
}

/// A service that does not go on when its program is started again.
struct NoResume;

/// One that does.
struct Resumes;

/// Whether instances are gone on with.
trait Resume<S: Service>: Send + Sync {
    fn apply<I>(
        &self,
        service: golem_engine::service::RunService<S, I>,
        name: &str,
    ) -> golem_engine::service::RunService<S, I>;
}

impl<S: Service> Resume<S> for NoResume {
    fn apply<I>(
        &self,
        service: golem_engine::service::RunService<S, I>,
        _: &str,
    ) -> golem_engine::service::RunService<S, I> {
        service
    }
}

impl<S: Service> Resume<S> for Resumes
where
    S::Params: Serialize + DeserializeOwned,
{
    fn apply<I>(
        &self,
        service: golem_engine::service::RunService<S, I>,
        name: &str,
    ) -> golem_engine::service::RunService<S, I> {
        service.resume(name)
    }
}

struct OwnService<S, P, R> {
    name: &'static str,
    params: Arc<P>,
    resume: R,
    service: PhantomData<fn() -> S>,
}

impl<S, P, R> Workload for OwnService<S, P, R>
where
    S: Service,
    P: Fn(&Job, u32) -> S::Params + Send + Sync + 'static,
    R: Resume<S>,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn section(&self) -> Section {
        Section::Service
    }

    fn start<'a>(
        &'a self,
        golem: &'a Golem,
        job: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async {
            let section = job.service()?;
            let (params, job_of_all) = (Arc::clone(&self.params), job.clone());
            let params = move |number: u32| params(&job_of_all, number);
            let instances = section.instances.value;
            let first: Vec<S::Params> = (1..=instances).map(&params).collect();
            let mut service = golem.run_service::<S>().instance_params(first);
            if let Some(payload) = job.image_of_the_file() {
                service = service.payload(payload);
            }
            let service = self.resume.apply(service, &job.name);
            let service = service
                .expiration(expiration(section))
                .restart(restart(section));
            let cluster = service.start().await?;
            let mut number = instances;
            Ok(running_service(cluster, move || {
                number += 1;
                params(number)
            }))
        }
        .boxed_local()
    }
}

impl Job {
    /// The image that the section `service` names, where it does.
    fn image_of_the_file(&self) -> Option<Payload> {
        let section = self.scenario.service.as_ref()?;
        let hash = section.image_hash.as_deref()?;
        let image = golem_engine::payload::vm::repo(hash);
        Some(match &section.image_url {
            Some(url) => image.image_url(url.as_str()).into(),
            None => image.into(),
        })
    }
}

struct OwnTasks<F, D> {
    name: &'static str,
    start: F,
    data: PhantomData<D>,
}

impl<D, F> Workload for OwnTasks<F, fn() -> D>
where
    D: Send + 'static,
    F: AsyncFn(&Golem, &Job) -> Result<Tasks<D, String>, StartError> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn section(&self) -> Section {
        Section::Tasks
    }

    fn start<'a>(
        &'a self,
        golem: &'a Golem,
        job: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async { Ok(running_tasks((self.start)(golem, job).await?)) }.boxed_local()
    }
}

struct OwnFunction<F> {
    name: &'static str,
    function: Arc<F>,
}

impl<F> Workload for OwnFunction<F>
where
    F: AsyncFn(Golem, Job) -> Result<Vec<String>, StartError> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn section(&self) -> Section {
        Section::Function
    }

    fn start<'a>(
        &'a self,
        golem: &'a Golem,
        job: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async {
            let (function, golem, job) = (Arc::clone(&self.function), golem.clone(), job.clone());
            let limit = job.function()?.timeout.as_ref().map(|limit| limit.value);
            let call = async move {
                let called = function(golem, job);
                match limit {
                    None => called.await,
                    Some(limit) => match timeout(limit.0, called).await {
                        Ok(done) => done,
                        Err(_) => Err(OutOfTime(limit).into()),
                    },
                }
            };
            Ok(Box::new(RunningFunction {
                call: Some(call.boxed_local()),
            }) as Box<dyn Running>)
        }
        .boxed_local()
    }
}

/// A function was not done in time.
#[derive(Debug)]
struct OutOfTime(Span);

impl fmt::Display for OutOfTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the function did not end within {}", self.0)
    }
}

impl std::error::Error for OutOfTime {}

struct RunningFunction {
    call: Option<LocalBoxFuture<'static, Result<Vec<String>, StartError>>>,
}

impl Running for RunningFunction {
    fn stop(&mut self) {
        self.call = None;
    }

    fn join(&mut self) -> LocalBoxFuture<'_, Ended> {
        async {
            let Some(call) = &mut self.call else {
                return Ended::default();
            };
            let done = call.await;
            self.call = None;
            match done {
                Ok(task_results) => Ended {
                    error: None,
                    task_results,
                },
                Err(error) => Ended {
                    error: Some(error_chain(error.as_ref())),
                    task_results: Vec::new(),
                },
            }
        }
        .boxed_local()
    }
}
