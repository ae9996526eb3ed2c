//! The service on the daemon of `YAGNA_API_URL`, until Ctrl-C. It costs what its providers ask for, and a tenth of a
//! GLM at the most.

use std::time::Duration;

use golem_engine::Golem;
use my_service::Counter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let golem = Golem::builder().budget("0.1".parse()?).start().await?;
    let service = golem.run_service::<Counter>();
    let every = Duration::from_secs(60);
    let cluster = service.instance_params([every, every]).start().await;
    if let Ok(cluster) = &cluster {
        tokio::signal::ctrl_c().await?;
        cluster.stop();
        cluster.join().await;
    }
    // Whatever happened: what is owed is paid, and nothing is left open.
    println!("{}", golem.stop().await);
    cluster?;
    Ok(())
}
