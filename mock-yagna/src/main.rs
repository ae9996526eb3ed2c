//! `mock-yagna`: a yagna daemon with a simulated network behind it, on a local port.
//!
//! Owns the command line, the signals and the log. Everything else is the library's.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use clap_complete::Shell;
use golem_wire::Glm;
use mock_yagna::config::impossible_amount;
use mock_yagna::journal::FoldedStory;
use mock_yagna::network_file::{NetworkFile, NetworkFileError};
use mock_yagna::{
    AppKey, Config, ConfigError, DaemonVersion, Image, MOST_PROVIDERS, MockYagna, ProviderSpec,
    Seed, Timebase,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What `--help` ends with.
const EXAMPLES: &str = "\
Examples:
  A network of eight providers; give the two lines it prints to any client's shell:
      mock-yagna --providers 8
  A network with a misbehaving provider and a lost answer, written in a file:
      mock-yagna --scenario network.yaml
      # network.yaml
      fleet: 2
      providers:
        - { name: bob, prices: { cpu_sec: 0.0001 }, behaviour: { approve_after: 30s, invoices: 2 } }
      faults:
        - { on: confirmAgreement, do: lose_answer, count: 1 }
      web: # what `transfer` gets from there; nothing else leaves this computer
        https://example.com/model.bin: { size: 10000000, takes: 20s } # or text, or file
  Directing it while it runs, through the control API (described at /mock-api/v1/openapi.yaml):
      curl -H 'Authorization: Bearer secret' http://127.0.0.1:7465/mock-api/v1/providers
      curl -H 'Authorization: Bearer secret' -H 'Content-Type: application/json' \\
           -d '{\"die\": {\"provider\": \"bob\"}}' http://127.0.0.1:7465/mock-api/v1/acts

  A daemon that restarts: its own port refuses connections meanwhile, the control port does not:
      mock-yagna --control-listen 127.0.0.1:7466
      curl -H 'Authorization: Bearer secret' -H 'Content-Type: application/json' \\
           -d '{\"restart_daemon\": {\"down\": \"10s\"}}' http://127.0.0.1:7466/mock-api/v1/acts

  A page that shows the network as it lives, and time that moves when told to:
      mock-yagna --inspector --time held
      curl -H 'Authorization: Bearer secret' -H 'Content-Type: application/json' \\
           -d '{\"advance\": \"2h\"}' http://127.0.0.1:7465/mock-api/v1/time

  golem-js in a browser, on a page served at port 8080 of this computer:
      mock-yagna --allow-origin http://localhost:8080

The first lines of the output are for a shell; the story of the network goes to standard error.
RUST_LOG=warn keeps it quiet.";

/// A yagna daemon with a simulated Golem Network behind it, for clients of any language.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES)]
struct Options {
    /// Address to serve on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:7465", value_name = "ADDRESS:PORT", value_parser = address)]
    listen: SocketAddr,
    /// Serve the control API alone on this address, too; there it can be reached while the daemon
    /// restarts.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    control_listen: Option<SocketAddr>,
    /// Serve on an address that other machines can reach; whoever knows the key may then run
    /// commands here.
    #[arg(long)]
    allow_remote: bool,
    /// The app key that clients must present; repeated, each key is an identity of its own.
    #[arg(
        long,
        default_value = "secret",
        env = "YAGNA_APPKEY",
        hide_env_values = true
    )]
    app_key: Vec<String>,
    /// Let the pages of this origin call from a browser, as `yagna service run --api-allow-origin`
    /// does: scheme, host and port, or * for every page; repeat it for more.
    #[arg(
        long,
        alias = "api-allow-origin",
        env = "YAGNA_API_ALLOW_ORIGIN",
        value_name = "ORIGIN"
    )]
    allow_origin: Vec<String>,
    /// How many providers the network has.
    #[arg(long, default_value_t = 4, value_parser = fleet_size)]
    providers: usize,
    /// Which daemon is simulated: 0.17, or 0.18 with its notices of termination.
    #[arg(long, default_value_t = DaemonVersion::default(), value_name = "VERSION")]
    daemon: DaemonVersion,
    /// Money on the account of each requestor, in GLM. Clients set aside what they may spend; golem-js does so
    /// for each of its pools.
    #[arg(long, default_value = "1000", value_name = "GLM", value_parser = funds)]
    funds: Glm,
    /// A file that describes the network: providers, faults, images, latencies; it wins over the
    /// options here.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run the programs of this image folder as real processes, instead of a simulated shell.
    #[arg(long, value_name = "DIR")]
    image_dir: Option<PathBuf>,
    /// Serve a page at /mock-api/inspector that shows the network as it lives and lets you act on it; for this computer
    /// alone.
    #[arg(long, conflicts_with = "allow_remote")]
    inspector: bool,
    /// How time passes: as the computer's, or not at all until it is told to advance (see the examples).
    #[arg(long, value_enum, default_value_t = Time::Real)]
    time: Time,
    /// Tell every line of the story; else what happens again and again is told twice and then counted.
    #[arg(long)]
    whole_story: bool,
    /// Ask the daemon at this address whether it answers, and end with 0 if so: the health check of a container.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address, exclusive = true)]
    is_healthy: Option<SocketAddr>,
    /// Print completions for this shell.
    #[arg(long, value_name = "SHELL", exclusive = true)]
    completions: Option<Shell>,
    /// Print the manual page.
    #[arg(long, exclusive = true)]
    man: bool,
}

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Time {
    /// As the computer's.
    Real,
    /// It stands until it is told to advance.
    Held,
}

/// An address that was given as an option.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected the number of an address and a port, as in 127.0.0.1:7465 or [::1]:7465; port 0 \
         takes a free one, names are not looked up"
            .to_owned()
    })
}

/// How many providers there may be.
fn fleet_size(text: &str) -> Result<usize, String> {
    let size = text
        .parse::<usize>()
        .ok()
        .filter(|size| *size <= MOST_PROVIDERS);
    size.ok_or_else(|| format!("expected a number from 0 to {MOST_PROVIDERS}"))
}

/// An amount that was given as an option.
fn funds(text: &str) -> Result<Glm, String> {
    let amount: Glm = text
        .parse()
        .map_err(|_| "expected an amount of GLM, as 1000 or 0.5".to_owned())?;
    if amount < Glm::ZERO {
        return Err("an account holds no less than nothing".to_owned());
    }
    impossible_amount(amount).map_or(Ok(amount), Err)
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(
        "{0} can be reached by other machines; give --allow-remote if that is meant, or listen on \
         127.0.0.1"
    )]
    Remote(SocketAddr),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Scenario(#[from] NetworkFileError),
    #[error("--image-dir {dir}: {error}")]
    ImageDir { dir: PathBuf, error: io::Error },
    #[error("port {} of {} is in use by another program; choose one with {option}", .address.port(), .address.ip())]
    PortInUse {
        address: SocketAddr,
        option: &'static str,
    },
    #[error("cannot listen on {address}: {error}")]
    Listen {
        address: SocketAddr,
        error: io::Error,
    },
    #[error(
        "images of real processes live in real time: --image-dir and --time held exclude each other"
    )]
    HeldProcesses,
    #[error("serving ended: {0}")]
    Serve(io::Error),
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(told) => return shown(&told),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Time that is held is the runtime's, and begins with it.
        .start_paused(options.time == Time::Held)
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(options)),
        Err(error) => {
            say_on_stderr(&format!("mock-yagna: cannot begin: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> ExitCode {
    if let Some(code) = beside_serving(&options).await {
        return code;
    }
    let asked = std::env::var("RUST_LOG").ok();
    let filter = asked.and_then(|asked| asked.parse::<Targets>().ok());
    let log = Log::begin((!options.whole_story).then(FoldedStory::default));
    let writer = log.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || writer.clone())
        .with_ansi(io::stderr().is_terminal())
        // It would write to standard error that it cannot write to standard error, and panic.
        .log_internal_errors(false)
        .event_format(Lines);
    tracing_subscriber::registry()
        .with(lines)
        .with(filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO)))
        .init();
    let code = match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log.say(format!("mock-yagna: {failure}\n").as_bytes());
            ExitCode::FAILURE
        }
    };
    log.end();
    code
}

/// What is asked for in place of a network, if something is: the exit code of it.
async fn beside_serving(options: &Options) -> Option<ExitCode> {
    let mut text = Vec::new();
    if let Some(address) = options.is_healthy {
        return Some(
            match tokio::time::timeout(HEALTHY, answers(address)).await {
                Ok(Ok(true)) => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            },
        );
    } else if let Some(shell) = options.completions {
        clap_complete::generate(shell, &mut Options::command(), "mock-yagna", &mut text);
    } else if options.man {
        // Writing to memory cannot fail.
        let _ = clap_mangen::Man::new(Options::command()).render(&mut text);
    } else {
        return None;
    }
    Some(match io::stdout().write_all(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

/// A daemon that needs longer for its version is not well.
const HEALTHY: Duration = Duration::from_secs(2);

/// Whether the daemon at this address tells its version.
async fn answers(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = b"GET /version/get HTTP/1.1\r\nhost: mock-yagna\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    Ok(answer == *b"HTTP/1.1 200")
}

/// Lines of the log that may wait for standard error.
const WAITING: usize = 10_000;
/// How long they are waited for at the end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Standard error, written in a thread of its own: whoever holds its other end and does not read costs
/// nobody an answer. Lines that find no room are dropped.
#[derive(Clone)]
struct Log(SyncSender<Message>);

enum Message {
    Line(Vec<u8>),
    End(SyncSender<()>),
}

impl Log {
    /// The log, with its repeats folded if that is wanted.
    fn begin(mut folded: Option<FoldedStory>) -> Log {
        let (sender, messages) = sync_channel(WAITING);
        // It ends with the process.
        std::thread::spawn(move || {
            let write = |text: &[u8]| drop(io::stderr().write_all(text));
            for message in messages {
                match (message, &mut folded) {
                    (Message::Line(line), None) => write(&line),
                    (Message::Line(line), Some(story)) => {
                        let line = String::from_utf8_lossy(&line);
                        write(story.line(line.trim_end_matches('\n')).as_bytes());
                    }
                    (Message::End(heard), story) => {
                        let rest = story.as_mut().map(FoldedStory::rest);
                        write(rest.unwrap_or_default().as_bytes());
                        let _ = heard.send(());
                    }
                }
            }
        });
        Log(sender)
    }

    fn say(&self, line: &[u8]) {
        drop(self.0.try_send(Message::Line(line.to_vec())));
    }

    /// Waits until all is written, if somebody reads it.
    fn end(&self) {
        let (heard, all_written) = sync_channel(1);
        if self.0.try_send(Message::End(heard)).is_ok() {
            let _ = all_written.recv_timeout(LAST_LINES);
        }
    }
}

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.say(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Shows what was asked for, as the help, or what is wrong with the command line.
fn shown(told: &clap::Error) -> ExitCode {
    let printed = told.print().and_then(|()| io::stdout().flush());
    match printed {
        Err(error) if told.exit_code() == 0 && error.kind() != io::ErrorKind::BrokenPipe => {
            say_on_stderr(&format!(
                "mock-yagna: cannot write to standard output: {error}"
            ));
            ExitCode::FAILURE
        }
        _ => u8::try_from(told.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

async fn run(options: Options) -> Result<(), Failure> {
    for address in [Some(options.listen), options.control_listen] {
        if let Some(address) = address
            && !address.ip().is_loopback()
            && !options.allow_remote
        {
            return Err(Failure::Remote(address));
        }
    }
    let config = config(&options)?;
    let (listener, address) = listen(options.listen, "--listen").await?;
    let control = match options.control_listen {
        Some(address) => Some(listen(address, "--control-listen").await?),
        None => None,
    };

    // Handlers first: whoever reads the lines below may already send a signal.
    let stop = signals().map_err(Failure::Serve)?;
    let key = config.app_keys.first().map(|first| first.key.clone());
    let (providers, faults) = (config.providers.len(), config.faults.len());
    let mock = MockYagna::start(config, Timebase::wall_clock());
    if options.time == Time::Held {
        mock.hold_time().await;
    }
    say(&format!("export YAGNA_API_URL=http://{address}"));
    say(&format!(
        "export YAGNA_APPKEY={}",
        quoted(key.as_deref().unwrap_or_default())
    ));
    tracing::info!("{providers} providers, {faults} faults, on {address}");
    tracing::info!(
        "images are resolved here, too: vm.repo(image_hash=…, repository_url=\"http://{address}\")"
    );
    if let Some((_, address)) = &control {
        say(&format!("export MOCK_YAGNA_CONTROL_URL=http://{address}"));
    }
    if options.inspector {
        let address = control.as_ref().map_or(address, |(_, address)| *address);
        let link = mock_yagna::inspector_link(address, key.as_deref().unwrap_or_default());
        say(&format!("export MOCK_YAGNA_INSPECTOR={}", quoted(&link)));
    }

    let control = async {
        match control {
            Some((listener, _)) => mock.serve_control(listener).await,
            None => Ok(()),
        }
    };
    let mut serving = pin!(futures::future::try_join(mock.serve(listener), control));
    let served = tokio::select! {
        biased;
        () = stop => {
            mock.stop().await;
            serving.await
        }
        served = &mut serving => served,
    };
    tracing::info!("stopped: {}", mock.summary());
    served.map(drop).map_err(Failure::Serve)
}

/// A listener, and the address it has got.
async fn listen(
    wanted: SocketAddr,
    option: &'static str,
) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => Failure::PortInUse {
            address: wanted,
            option,
        },
        _ => Failure::Listen {
            address: wanted,
            error,
        },
    };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn config(options: &Options) -> Result<Config, Failure> {
    if options.time == Time::Held && options.image_dir.is_some() {
        return Err(Failure::HeldProcesses);
    }
    let seed = Seed::from_u64(options.seed);
    let mut app_keys: Vec<AppKey> = Vec::new();
    for key in &options.app_key {
        let name = match app_keys.len() {
            0 => "requestor".to_owned(),
            others => format!("requestor-{}", others + 1),
        };
        app_keys.push(AppKey::new(key, name));
    }
    let default_image = match &options.image_dir {
        None => Image::Shell,
        Some(dir) => {
            let failed = |error| Failure::ImageDir {
                dir: dir.clone(),
                error,
            };
            let dir = dir.canonicalize().map_err(failed)?;
            if !dir.is_dir() {
                return Err(failed(io::ErrorKind::NotADirectory.into()));
            }
            Image::Process { dir }
        }
    };
    let config = Config {
        daemon: options.daemon,
        seed,
        app_keys,
        allow_origins: options.allow_origin.clone(),
        providers: ProviderSpec::fleet(options.providers, seed),
        funds: options.funds,
        default_image: Some(default_image),
        inspector: options.inspector,
        ..Config::default()
    };
    let config = match &options.scenario {
        None => config,
        Some(path) => {
            let folder = path.parent().unwrap_or(Path::new(""));
            NetworkFile::load(path)?.config(config, folder)?
        }
    };
    config.check()?;
    Ok(config)
}

/// Log lines for people: the story as it is told, anything else with its level.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        let level = *event.metadata().level();
        if level != tracing::Level::INFO {
            write!(writer, "{} ", level.as_str().to_lowercase())?;
        }
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Resolves at the first Ctrl-C or SIGTERM.
#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves at the first Ctrl-C.
#[cfg(not(unix))]
fn signals() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// That a line cannot be written is no reason to stop serving; that a reader went away is no news.
fn say(line: &str) {
    if let Err(error) = writeln!(io::stdout(), "{line}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        tracing::warn!("cannot write to standard output: {error}: {line}");
    }
}

fn say_on_stderr(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
