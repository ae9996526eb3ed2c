//! The requestor of Golem's "simple service" tutorial: rents three machines, lets the service run for
//! two minutes, stops it.
//!
//! Runs against any daemon: set `YAGNA_APPKEY` and, unless it is at the usual place, `YAGNA_API_URL`.
//! Without one, `cargo run --bin mock-yagna -- --app-key secret` is a daemon for rehearsals.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use golem_engine::service::ServiceState;
use golem_engine::{Glm, Golem};
use golem_scenarios::workload::simple_service::{Parameters, Received, SimpleService};
use tokio::time::{Instant, sleep};

const INSTANCES: u32 = 3;
const STARTING_TIMEOUT: Duration = Duration::from_secs(240);
const RUNNING_TIME: Duration = Duration::from_secs(120);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let folder = Path::new("plots");
    std::fs::create_dir_all(folder)?;
    let golem = Golem::builder().budget(Glm::from(1)).start().await?;
    let served = serve(&golem, folder).await;
    let report = golem.stop().await;
    say(&format!("{report}"));
    served
}

async fn serve(golem: &Golem, folder: &Path) -> anyhow::Result<()> {
    let parameters = (1..=INSTANCES).map(|n| Parameters {
        observer: Some(Arc::new(
            |name: &str, received: &Received<'_>| match received {
                Received::Statistics(stats) => say(&format!("{name}: {stats}")),
                Received::Usage(usage) => say(&format!("{name} has used {usage:?}")),
                Received::Plot(file) => say(&format!("{name}: {}", file.display())),
            },
        )),
        ..Parameters::new(format!("simple-service-{n}"), folder)
    });
    let cluster = golem
        .run_service::<SimpleService>()
        .instance_params(parameters)
        .expiration(Duration::from_secs(2 * 3600))
        .start()
        .await?;
    let states = || {
        let instances = cluster.instances().into_iter();
        let shown =
            instances.map(|i| format!("{} {}", i.provider_name.unwrap_or_default(), i.state));
        say(&format!("instances: {:?}", shown.collect::<Vec<_>>()));
    };

    cluster.wait_running(STARTING_TIMEOUT).await?;
    states();

    let end = Instant::now() + RUNNING_TIME;
    while Instant::now() < end {
        sleep(Duration::from_secs(5)).await;
        states();
    }

    say("stopping instances");
    cluster.stop();
    let ended = cluster.join().await;
    states();
    match ended
        .iter()
        .find(|instance| instance.state != ServiceState::Terminated)
    {
        Some(instance) => bail!("{} did not stop", instance.name),
        None => Ok(()),
    }
}

fn say(text: &str) {
    // A closed standard output is no reason to fail.
    drop(writeln!(std::io::stdout(), "{text}"));
}
