//! Workloads: what a scenario runs on the machines that it rents.
//!
//! A [`Workload`] is a program like those that users write, with the name by which scenario files
//! call it. [`Workloads`] holds those that a run knows: the built-in ones, or your own. Owns: the
//! names, the images that they stand for. Does not own: when a workload starts and ends (`run`).

pub mod echo_service;
mod hello_pool;
pub mod hello_tasks;
mod image;
mod running;
#[cfg(feature = "simple-service")]
pub mod simple_service;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::LocalBoxFuture;
use golem_engine::Golem;
use golem_engine::service::{Instance, InstanceId};
use mock_yagna::Image;
use serde_json::Value;
use serde_saphyr::Spanned;

pub(crate) use self::image::StagedImage;
pub use self::running::{running_service, running_tasks};

use crate::error::Error;
use crate::language::{ImageSource, Scenario};

/// Why a workload did not start.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// Which section of a scenario names a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `service`.
    Service,
    /// `tasks`.
    Tasks,
}

/// Something that a scenario can run.
pub trait Workload: Send + Sync {
    /// As scenario files write it.
    fn name(&self) -> &'static str;

    /// Which section of a scenario names it.
    fn section(&self) -> Section;

    /// The program that stands for its image on a simulated network; `None`: the simulated shell.
    fn image(&self) -> Option<Image> {
        None
    }

    /// Writes its image as a folder of executables: `folder/golem/run/x` is `/golem/run/x`.
    ///
    /// # Errors
    /// When it has no executables, or the folder cannot be written.
    fn write_image(&self, folder: &Path) -> io::Result<()> {
        let _ = folder;
        let message = format!("{} has no executables", self.name());
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }

    /// Starts it.
    ///
    /// # Errors
    /// When the engine cannot start it.
    fn start<'a>(
        &'a self,
        golem: &'a Golem,
        job: &'a Job<'a>,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>>;
}

/// What a workload is told when it starts.
pub struct Job<'a> {
    /// The scenario, whose `service` or `tasks` section names the workload.
    pub scenario: &'a Scenario,
    /// The folder for downloads.
    pub files: PathBuf,
    /// Where it tells what it receives.
    pub log: Arc<dyn WorkLog>,
}

/// Where a workload tells what it receives from its providers.
pub trait WorkLog: Send + Sync {
    /// Writes a line into the journal of the run.
    fn note(&self, who: &str, event: &str, value: &Value);

    /// Counts one for the expectation `statistics`.
    fn statistics(&self);
}

/// A workload at work.
pub trait Running {
    /// The instances of a service, in order of creation; tasks have none.
    fn instances(&self) -> Vec<Instance> {
        Vec::new()
    }

    /// Begins the end: [`Running::join`] completes when everything is given back.
    fn stop(&mut self);

    /// Stops one instance.
    ///
    /// # Errors
    /// When there is none with this id.
    fn stop_instance(&mut self, id: &InstanceId) -> Result<(), String> {
        Err(format!("there is no instance {id}"))
    }

    /// Adds an instance.
    ///
    /// # Errors
    /// When that is not possible.
    fn spawn_instance(&mut self) -> Result<(), String> {
        Err("tasks have no instances".into())
    }

    /// Waits until it is over. Dropped before, it may be called again.
    fn join(&mut self) -> LocalBoxFuture<'_, Ended>;
}

/// How a workload ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Why it failed as a whole.
    pub error: Option<String>,
    /// The results of tasks, in order of their data.
    pub task_results: Vec<String>,
}

/// The workloads that a run knows; by default the built-in ones.
#[derive(Clone)]
pub struct Workloads(Vec<Arc<dyn Workload>>);

impl Default for Workloads {
    fn default() -> Self {
        Workloads(vec![
            Arc::new(hello_tasks::HelloTasks),
            Arc::new(hello_pool::HelloPool),
            Arc::new(echo_service::EchoServiceWorkload),
            #[cfg(feature = "simple-service")]
            Arc::new(simple_service::SimpleServiceWorkload),
        ])
    }
}

impl fmt::Debug for Workloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|workload| workload.name());
        f.debug_list().entries(names).finish()
    }
}

impl Workloads {
    /// One more; it takes the place of another with its name.
    #[must_use]
    pub fn with(mut self, workload: impl Workload + 'static) -> Self {
        self.0.retain(|other| other.name() != workload.name());
        self.0.push(Arc::new(workload));
        self
    }

    /// Whether a scenario can be run with these.
    ///
    /// # Errors
    /// When it names a workload or an image that is not among them.
    pub fn check(&self, scenario: &Scenario) -> Result<(), Error> {
        self.of(scenario)?;
        match &scenario.image {
            Some(ImageSource::Program(name) | ImageSource::Processes(name)) => {
                self.with_image(scenario, name).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// The workload of a scenario.
    pub(crate) fn of(&self, scenario: &Scenario) -> Result<&dyn Workload, Error> {
        let (what, name, section) = match (&scenario.service, &scenario.tasks) {
            (Some(service), _) => ("service", &service.name, Section::Service),
            (None, Some(tasks)) => ("tasks", &tasks.name, Section::Tasks),
            (None, None) => {
                let message = "nothing to run: write a `service` or a `tasks` section";
                return Err(scenario.mistake(scenario.name.referenced, message));
            }
        };
        self.find(scenario, what, name, |workload| {
            workload.section() == section
        })
    }

    /// The workload whose image a scenario names.
    fn with_image(
        &self,
        scenario: &Scenario,
        name: &Spanned<String>,
    ) -> Result<&dyn Workload, Error> {
        self.find(scenario, "image", name, |workload| {
            workload.image().is_some()
        })
    }

    fn find(
        &self,
        scenario: &Scenario,
        what: &str,
        name: &Spanned<String>,
        fits: impl Fn(&dyn Workload) -> bool,
    ) -> Result<&dyn Workload, Error> {
        let fitting = || {
            let all = self.0.iter().map(AsRef::as_ref);
            all.filter(|workload| fits(*workload))
        };
        if let Some(found) = fitting().find(|workload| workload.name() == name.value) {
            return Ok(found);
        }
        let known: Vec<&str> = fitting().map(Workload::name).collect();
        let hint = mock_yagna::network_file::hint(&name.value, known);
        let message = format!("unknown {what} `{}`{hint}", name.value);
        Err(scenario.mistake(name.referenced, message))
    }
}

#[cfg(test)]
mod tests;
