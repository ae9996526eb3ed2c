//! Workloads: what a scenario runs on the machines that it rents.
//!
//! A [`Workload`] is a program like those that users write, with the name by which scenario files
//! call it. [`Workloads`] holds those that a run knows: the built-in ones, or your own. Owns: the
//! names, the images that they stand for. Does not own: when a workload starts and ends (`run`).

mod by_hand;
pub mod echo_service;
mod hello_image;
mod hello_pool;
pub mod hello_tasks;
mod image;
#[cfg(unix)]
mod program;
mod running;
#[cfg(feature = "simple-service")]
pub mod simple_service;
mod written;
mod yours;

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
use crate::language::commands::PayloadSection;
use crate::language::{
    FunctionSection, ImageSource, ProgramSection, Scenario, ServiceSection, SignalName,
    TasksSection,
};

/// Why a workload did not start.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// Which section of a scenario names a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `service`.
    Service,
    /// `tasks`.
    Tasks,
    /// `function`.
    Function,
    /// `program`.
    Program,
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

    /// The hash of its image, by which a simulated network tells it from those of other workloads that run at the
    /// same time; `None`: the hash that the file gives, or any.
    fn image_hash(&self) -> Option<&'static str> {
        None
    }

    /// Whether providers of the public network can fetch its image, where the file names none: the built-in workloads'
    /// is on simulated and test networks only.
    fn has_public_image(&self) -> bool {
        true
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
        job: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>>;
}

/// What a workload is told when it starts.
#[derive(Clone)]
#[non_exhaustive]
pub struct Job {
    /// The scenario, with the section alone that names the workload.
    pub scenario: Arc<Scenario>,
    /// What this workload is called in the run: its name, and a number where it is started several times.
    pub name: String,
    /// The folder for downloads.
    pub files: PathBuf,
    /// Where it tells what it receives.
    pub log: Arc<dyn WorkLog>,
    /// Variables by which programs of any language find the simulated daemon: `YAGNA_API_URL`, `YAGNA_APPKEY` and
    /// `YAGNA_SUBNET`. Nothing in memory, where no other process finds it; nothing on a real network, whose daemon
    /// the environment of this process names.
    pub environment: Vec<(String, String)>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Job {
    /// The section `service` of the scenario.
    ///
    /// # Errors
    /// When it has none.
    pub fn service(&self) -> Result<&ServiceSection, StartError> {
        let section = self.scenario.service.as_ref();
        Ok(section.ok_or("the scenario has no `service` section")?)
    }

    /// The section `tasks` of the scenario.
    ///
    /// # Errors
    /// When it has none.
    pub fn tasks(&self) -> Result<&TasksSection, StartError> {
        let section = self.scenario.tasks.as_ref();
        Ok(section.ok_or("the scenario has no `tasks` section")?)
    }

    /// The section `function` of the scenario.
    ///
    /// # Errors
    /// When it has none.
    pub fn function(&self) -> Result<&FunctionSection, StartError> {
        let section = self.scenario.function.as_ref();
        Ok(section.ok_or("the scenario has no `function` section")?)
    }

    /// The section `program` of the scenario.
    ///
    /// # Errors
    /// When it has none.
    pub fn program(&self) -> Result<&ProgramSection, StartError> {
        let section = self.scenario.program.as_ref();
        Ok(section.ok_or("the scenario has no `program` section")?)
    }

    /// What a function is given; nothing, unless its section says.
    pub fn arguments(&self) -> &Value {
        let section = self.scenario.function.as_ref();
        section.map_or(&Value::Null, |section| &section.arguments)
    }
}

/// Where a workload tells what it receives from its providers.
pub trait WorkLog: Send + Sync {
    /// Writes a line into the journal of the run.
    fn note(&self, who: &str, event: &str, value: &Value);

    /// Counts one for the expectation `statistics`.
    fn statistics(&self);

    /// A value of a metric of the workload's own, for the report: how long something took, how large it was.
    fn measure(&self, metric: &str, value: f64) {
        let _ = (metric, value);
    }
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

    /// Sends a signal to the program that it is.
    ///
    /// # Errors
    /// When it is no program of its own.
    fn signal(&mut self, signal: SignalName) -> Result<(), String> {
        Err(format!("{} is for external programs", signal.name()))
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
            Arc::new(hello_image::HelloImage),
            Arc::new(hello_pool::HelloPool),
            Arc::new(by_hand::ByHand),
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
    /// None at all, not even those that are built in.
    pub fn none() -> Self {
        Workloads(Vec::new())
    }

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
        for planned in scenario.planned(scenario.seed) {
            self.of(&planned.scenario)?;
        }
        match &scenario.image {
            Some(ImageSource::Program(name) | ImageSource::Processes(name)) => {
                self.with_image(scenario, name).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Every mistake in a scenario file, or in one of the catalog; none if it can be run with these.
    pub fn mistakes(&self, name_or_file: &str) -> Vec<Error> {
        match Scenario::with_mistakes(name_or_file) {
            Err(error) => vec![error],
            Ok((scenario, mut mistakes)) => {
                mistakes.extend(self.check(&scenario).err());
                mistakes
            }
        }
    }

    /// The workloads of a scenario whose images no provider of the public network can fetch, each once.
    pub(crate) fn without_image(&self, scenario: &Scenario) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for planned in scenario.planned(scenario.seed) {
            let workload = self.of(&planned.scenario)?;
            let (service, tasks) = (&planned.scenario.service, &planned.scenario.tasks);
            let payload = match (service, tasks) {
                (Some(service), _) => service.payload.as_ref(),
                (None, Some(tasks)) => tasks.payload.as_ref(),
                (None, None) => None,
            };
            let named_by_payload = payload.is_some_and(PayloadSection::names_an_image);
            let named = service
                .as_ref()
                .is_some_and(|it| it.image_hash.is_some() || it.image_url.is_some());
            let name = workload.name().to_owned();
            if !workload.has_public_image() && !named && !named_by_payload && !names.contains(&name)
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The workload of a scenario with one.
    pub(crate) fn of(&self, scenario: &Scenario) -> Result<&dyn Workload, Error> {
        let (service, tasks) = (&scenario.service, &scenario.tasks);
        let (what, name, section) = match (service, tasks, &scenario.function) {
            (Some(service), ..) if service.is_written() => return Ok(&written::WrittenServices),
            (None, Some(tasks), _) if tasks.is_written() => return Ok(&written::WrittenTasks),
            (Some(service), ..) => ("service", &service.name, Section::Service),
            (None, Some(tasks), _) => ("tasks", &tasks.name, Section::Tasks),
            (None, None, Some(function)) => ("function", &function.name, Section::Function),
            #[cfg(unix)]
            (None, None, None) if scenario.program.is_some() => return Ok(&program::Programs),
            (None, None, None) => {
                let message = "nothing to run";
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
