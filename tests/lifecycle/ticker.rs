//! A service that does something every ten seconds, and what a test knows of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use golem_engine::payload::Payload;
use golem_engine::service::{Cluster, HandlerError, InstanceInfo, Service, ServiceState};
use golem_engine::{Error, Golem, GolemBuilder, WorkContext};
use golem_scenarios::{Offline, OfflineStage};
use mock_yagna::ProviderSpec;

/// What the instances did, in order.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(what.into());
    }

    /// How often it was noted.
    pub(crate) fn count(&self, what: &str) -> usize {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().filter(|note| *note == what).count()
    }
}

pub(crate) struct Ticker(Diary);

impl Service for Ticker {
    type Params = Diary;

    fn new(diary: &Diary, _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Ticker(diary.clone()))
    }

    async fn payload() -> Result<Payload, Error> {
        Ok(golem_scenarios::workload::hello_tasks::payload())
    }

    async fn start(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        ctx.script().repeatable().then(echo()).execute().await?;
        self.0.note("start");
        Ok(())
    }

    async fn run(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        loop {
            tokio::select! {
                biased;
                () = ctx.stop_requested() => return Ok(()),
                () = tokio::time::sleep(Duration::from_secs(10)) => {}
            }
            ctx.script().repeatable().then(echo()).execute().await?;
            self.0.note("tick");
        }
    }

    async fn shutdown(&mut self, ctx: &WorkContext) -> Result<(), HandlerError> {
        self.0.note("shutdown");
        // A stubborn handler: it goes on after its first failure.
        for _ in 0..3 {
            if ctx.script().then(echo()).execute().await.is_ok() {
                self.0.note("worked");
            }
        }
        Ok(())
    }
}

fn echo() -> golem_engine::script::Command {
    golem_engine::script::Command::run("/bin/sh", ["-c", "echo tick"])
}

/// A network of these providers.
pub(crate) fn network(seed: u64, providers: &[&str]) -> Offline {
    let providers = providers.iter().map(|name| ProviderSpec::new(*name));
    Offline::new(seed).providers(providers.collect())
}

/// A network of these providers, which send an invoice and no debit notes.
pub(crate) fn unbilled(seed: u64, providers: &[&str]) -> Offline {
    let quiet = |name: &&str| {
        let mut provider = ProviderSpec::new(*name);
        provider.behaviour.debit_notes = false;
        provider
    };
    Offline::new(seed).providers(providers.iter().map(quiet).collect())
}

/// An engine, and its cluster of running instances.
pub(crate) async fn running(
    stage: &OfflineStage,
    instances: usize,
    configure: impl FnOnce(&mut golem_engine::Config) + Send + 'static,
) -> (Golem, Cluster<Ticker>, Diary) {
    running_on(stage.golem().configure(configure), instances).await
}

/// The same on an engine that is set up otherwise.
pub(crate) async fn running_on(
    golem: GolemBuilder,
    instances: usize,
) -> (Golem, Cluster<Ticker>, Diary) {
    let golem = golem.start().await;
    let golem = golem.expect("the engine starts");
    let diary = Diary::default();
    let cluster = golem
        .run_service::<Ticker>()
        .instance_params(vec![diary.clone(); instances])
        .expiration(Duration::from_secs(6 * 3600))
        .start()
        .await
        .expect("a cluster");
    let all_run = |instances: &[golem_engine::service::Instance]| {
        instances
            .iter()
            .all(|instance| instance.state == ServiceState::Running)
    };
    let waiting = cluster.wait_until(all_run);
    tokio::time::timeout(Duration::from_secs(300), waiting)
        .await
        .expect("the instances run");
    (golem, cluster, diary)
}

/// Nothing is left on the network, and no law was broken.
pub(crate) fn assert_clean(stage: &OfflineStage) {
    let summary = stage.network().summary();
    assert!(summary.violations.is_empty(), "{summary}");
    assert!(summary.open.is_empty(), "{summary}\n{:?}", summary.open);
}
