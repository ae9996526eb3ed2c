//! Golem's "simple service" tutorial as a workload: the requestor's side of it ([`SimpleService`]), and
//! its payload (the crate `simple-service`) as a program in virtual time and as real executables.

mod executables;
mod program;
mod service;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture};
use golem_engine::Golem;
use mock_yagna::Image;
use serde_json::Value;

pub use self::executables::{run_as_executable, write_image};
pub use self::service::{Observer, Parameters, Plot, Received, SimpleService, payload};

use self::program::SimpleServiceProgram;
use super::written::{expiration, restart};
use super::{Job, Running, Section, StartError, WorkLog, Workload, running_service};
use crate::language::{PlotKind, ServiceSection};

/// The tutorial as scenarios run it.
pub(crate) struct SimpleServiceWorkload;

impl Workload for SimpleServiceWorkload {
    fn name(&self) -> &'static str {
        "simple-service"
    }

    fn has_public_image(&self) -> bool {
        false
    }

    fn section(&self) -> Section {
        Section::Service
    }

    fn image(&self) -> Option<Image> {
        Some(Image::Program(Arc::new(SimpleServiceProgram::new)))
    }

    fn image_hash(&self) -> Option<&'static str> {
        Some(service::IMAGE_HASH)
    }

    fn write_image(&self, folder: &Path) -> io::Result<()> {
        write_image(folder)
    }

    fn start<'a>(
        &'a self,
        golem: &'a Golem,
        job: &'a Job,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Running>, StartError>> {
        async { start(golem, job.service()?, job).await }.boxed_local()
    }
}

async fn start(
    golem: &Golem,
    section: &ServiceSection,
    job: &Job,
) -> Result<Box<dyn Running>, StartError> {
    let observer = observer(Arc::clone(&job.log));
    let first = parameters(section, &job.files, Arc::clone(&observer));
    let name = job.name.clone();
    let parameters = move |number: u32| Parameters {
        name: format!("{name}-{number}"),
        ..first.clone()
    };
    let instances = section.instances.value;
    let cluster = golem
        .run_service::<SimpleService>()
        .payload(payload(
            section.image_hash.as_deref(),
            section.image_url.as_deref(),
        ))
        .instance_params((1..=instances).map(&parameters))
        .resume(&job.name)
        .complete_params(move |parameters| Parameters {
            observer: Some(Arc::clone(&observer)),
            ..parameters
        })
        .expiration(expiration(section))
        .restart(restart(section))
        .start()
        .await?;
    let mut number = instances;
    Ok(running_service(cluster, move || {
        number += 1;
        parameters(number)
    }))
}

/// The parameters of all instances, but for the name.
fn parameters(section: &ServiceSection, files: &Path, observer: Observer) -> Parameters {
    Parameters {
        stats_every: section.stats_every.value.0,
        plot_every: section
            .plot_every
            .as_ref()
            .map_or(Duration::ZERO, |every| every.value.0),
        plot: match section.plot {
            PlotKind::Time => Plot::Time,
            PlotKind::Dist => Plot::Distribution,
        },
        show_usage: section.show_usage,
        observer: Some(observer),
        ..Parameters::new("", files)
    }
}

/// Tells the run what instances receive.
fn observer(log: Arc<dyn WorkLog>) -> Observer {
    Arc::new(move |name, received| match received {
        Received::Statistics(line) => {
            let parsed = serde_json::from_str::<Value>(line);
            let whole = parsed
                .as_ref()
                .is_ok_and(|stats| stats.get("size").is_some());
            if whole {
                log.statistics();
            }
            let value = parsed.unwrap_or_else(|_| Value::from(*line));
            log.note(name, "statistics", &value);
        }
        Received::Usage(usage) => {
            let value = serde_json::to_value(usage).unwrap_or_default();
            log.note(name, "usage", &value);
        }
        Received::Plot(path) => {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            log.note(name, "plot", &Value::from(file.as_ref()));
        }
    })
}
