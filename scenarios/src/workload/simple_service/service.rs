//! The requestor's side of Golem's "simple service" tutorial: starts the observations on the
//! provider, asks every ten seconds for statistics and a plot, downloads the plot, stops the
//! observations at the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use golem_engine::payload::{Payload, vm};
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::{Error, WorkContext};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

const SIMPLE_SERVICE: &str = "/golem/run/simple_service";
const SIMPLE_SERVICE_CTL: &str = "/golem/run/simulate_observations_ctl";

/// The tutorial's image.
pub(super) const IMAGE_HASH: &str = "8b11df59f84358d47fc6776d0bb7290b0054c15ded2d6f54cf634488";
/// A place for it that is never asked: simulated providers have the image, and so have those that
/// stand for real ones in a test network.
const IMAGE_URL: &str = "http://images.invalid/simple-service.gvmi";

/// Which plot is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plot {
    /// Observations over time.
    Time,
    /// Their distribution.
    Distribution,
}

/// Where an instance tells what it received.
pub type Observer = Arc<dyn Fn(&str, &Received<'_>) + Send + Sync>;

/// Something that an instance received from its provider.
#[derive(Clone, Copy, Debug)]
pub enum Received<'a> {
    /// The line that `--stats` printed.
    Statistics(&'a str),
    /// A plot, downloaded to this file.
    Plot(&'a Path),
    /// What the machine has used so far, by counter: seconds, mostly. Only with [`Parameters::show_usage`].
    Usage(&'a IndexMap<String, f64>),
}

/// What makes one instance different from another.
#[derive(Clone, Serialize, Deserialize)]
pub struct Parameters {
    /// Its name, also the beginning of its files' names.
    pub name: String,
    /// Time between two polls.
    pub stats_every: Duration,
    /// Time between two plots; zero: a plot with every poll.
    pub plot_every: Duration,
    /// Which plot.
    pub plot: Plot,
    /// Whether each poll also asks what the machine has used.
    #[serde(default)]
    pub show_usage: bool,
    /// Where plots are downloaded to.
    pub folder: PathBuf,
    /// Hears what the instance receives. Not kept in a journal.
    #[serde(skip)]
    pub observer: Option<Observer>,
}

impl Parameters {
    /// The tutorial's: a poll and a plot of the distribution every ten seconds.
    pub fn new(name: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Parameters {
            name: name.into(),
            stats_every: Duration::from_secs(10),
            plot_every: Duration::ZERO,
            plot: Plot::Distribution,
            show_usage: false,
            folder: folder.into(),
            observer: None,
        }
    }
}

/// One instance of the service.
pub struct SimpleService {
    parameters: Parameters,
    plots: u32,
}

/// The machine that the service asks for.
pub fn payload(image_hash: Option<&str>, image_url: Option<&str>) -> Payload {
    let image = vm::repo(image_hash.unwrap_or(IMAGE_HASH))
        .min_mem_gib(0.5)
        .min_storage_gib(2.0);
    match (image_hash, image_url) {
        (_, Some(url)) => image.image_url(url).into(),
        (None, None) => image.image_url(IMAGE_URL).into(),
        // The registry knows where an image with this hash is.
        (Some(_), None) => image.into(),
    }
}

impl Service for SimpleService {
    type Params = Parameters;

    fn new(parameters: &Parameters, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(SimpleService {
            parameters: parameters.clone(),
            plots: 0,
        })
    }

    fn name(parameters: &Parameters, _index: usize) -> String {
        parameters.name.clone()
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(payload(None, None))
    }

    async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        // As the first script of the activity it deploys and starts the image by itself.
        let mut script = ctx.script().repeatable();
        script.run(SIMPLE_SERVICE_CTL, ["--start"]);
        script.execute().await?;
        Ok(())
    }

    async fn resume(&mut self, _ctx: &WorkContext) -> Result<(), HandlerError> {
        // The plots of the run before are kept.
        while self.plot_file(self.plots + 1).exists() {
            self.plots += 1;
        }
        Ok(())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let mut next_plot = Instant::now() + self.parameters.plot_every;
        loop {
            tokio::time::sleep(self.parameters.stats_every).await;
            let plot_is_due = Instant::now() >= next_plot;

            // Looking twice does no harm, so a lost answer does not end the service.
            let mut script = ctx.script().repeatable();
            let stats = script.run(SIMPLE_SERVICE, ["--stats"]);
            let kind = match self.parameters.plot {
                Plot::Time => "time",
                Plot::Distribution => "dist",
            };
            let plot = plot_is_due.then(|| script.run(SIMPLE_SERVICE, ["--plot", kind]));
            script.execute().await?;

            let stats = stats.await?;
            self.tell(&Received::Statistics(stats.stdout_text().trim()));
            if self.parameters.show_usage {
                let usage = ctx.get_usage().await?;
                self.tell(&Received::Usage(&usage));
            }
            if let Some(plot) = plot {
                next_plot += self.parameters.plot_every;
                let plot = plot.await?;
                let source = plot.stdout_text();
                self.plots += 1;
                let target = self.plot_file(self.plots);
                let mut script = ctx.script().repeatable();
                script.download_file(source.trim().trim_matches('"'), &target);
                script.execute().await?;
                self.tell(&Received::Plot(&target));
            }
        }
    }

    async fn shutdown(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        let mut script = ctx.script().repeatable();
        script.run(SIMPLE_SERVICE_CTL, ["--stop"]);
        script.execute().await?;
        Ok(())
    }
}

impl SimpleService {
    fn plot_file(&self, number: u32) -> PathBuf {
        let name = format!("{}-{number:04}.png", self.parameters.name);
        self.parameters.folder.join(name)
    }

    fn tell(&self, received: &Received<'_>) {
        if let Some(observer) = &self.parameters.observer {
            observer(&self.parameters.name, received);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_the_tutorials_by_hash_memory_and_disk() {
        let expected = vm::repo("8b11df59f84358d47fc6776d0bb7290b0054c15ded2d6f54cf634488")
            .image_url(IMAGE_URL)
            .min_mem_gib(0.5)
            .min_storage_gib(2.0);
        assert_eq!(payload(None, None), expected.into());
    }
}
