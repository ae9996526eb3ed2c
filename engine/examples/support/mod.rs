//! Where an example runs, which is not the example's business.
//!
//! | set | it runs on |
//! |---|---|
//! | nothing | the embedded network, in virtual time: no daemon, no socket, no waiting |
//! | `EXAMPLE_BACKEND=http` | the embedded network behind a loopback port, in real time |
//! | `YAGNA_APPKEY` | the daemon at `YAGNA_API_URL` |

use golem_engine::transport::Io;
use golem_engine::{Glm, Golem, GolemBuilder};
use golem_scenarios::Offline;
use tokio::net::TcpStream;

/// Where an example runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Everything is in this process, and time is virtual: there are no sockets.
    Memory,
    /// There are sockets, and time is real.
    Sockets,
}

impl Ground {
    /// A client's connection: to a local port, or what stands for one in virtual time.
    #[allow(dead_code, reason = "not every example listens")]
    pub(crate) async fn client<E>(
        self,
        port: std::net::SocketAddr,
        in_memory: impl Future<Output = Result<impl Io + 'static, E>>,
    ) -> anyhow::Result<Box<dyn Io>>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        Ok(match self {
            Ground::Memory => Box::new(in_memory.await?),
            Ground::Sockets => Box::new(TcpStream::connect(port).await?),
        })
    }
}

/// Runs an example with an engine that is still to be started.
///
/// # Errors
/// The example's; or that it left something open on the embedded network.
#[allow(dead_code, reason = "some examples need a network of their own")]
pub(crate) fn run(
    example: impl AsyncFnOnce(GolemBuilder, Ground) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    run_on(|usual| usual, example)
}

/// The same, on an embedded network of its own.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_on(
    network: impl FnOnce(Offline) -> Offline,
    example: impl AsyncFnOnce(GolemBuilder, Ground) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if std::env::var_os("YAGNA_APPKEY").is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let builder = Golem::builder().budget(Glm::from(1));
        return runtime.block_on(example(builder, Ground::Sockets));
    }
    let is_http = std::env::var("EXAMPLE_BACKEND").is_ok_and(|backend| backend == "http");
    let offline = network(Offline::new(7));
    let (offline, ground) = match is_http {
        true => (offline.real_time(), Ground::Sockets),
        false => (offline, Ground::Memory),
    };
    offline.run(async |stage| {
        example(stage.golem(), ground).await?;
        let summary = stage.network().summary();
        anyhow::ensure!(
            summary.open.is_empty() && summary.violations.is_empty(),
            "something is left on the network: {summary}"
        );
        Ok(())
    })
}

/// Prints a line; whoever reads may have gone.
pub(crate) fn say(line: impl std::fmt::Display) {
    use std::io::Write as _;
    drop(writeln!(std::io::stdout(), "{line}"));
}
