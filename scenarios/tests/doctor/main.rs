//! A daemon that was left dirty on purpose: a second engine goes on with it, settles it or names it,
//! by policy; the doctor lists and settles it. After each the ledger is without debts.

mod approved;
mod unconfirmed;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use golem_engine::clock::Clock;
use golem_engine::doctor::Doctor;
use golem_engine::journal::{Journal, MemoryJournal};
use golem_engine::payload::{Payload, vm};
use golem_engine::recovery::{Item, Kind};
use golem_engine::service::{HandlerError, InstanceInfo, Service};
use golem_engine::tasks::TaskGroup;
use golem_engine::transport::{Body, BoxError, Io};
use golem_engine::{Error, Glm, Golem, GolemBuilder, Recovery, Transport};
use golem_scenarios::in_memory;
use jiff::Timestamp;
use mock_yagna::{AppKey, Config, MockYagna, ProviderSpec, Seed, Timebase};
use tower::ServiceExt;

const KEY: &str = "secret";

struct Idle;

impl Service for Idle {
    type Params = ();

    fn new((): &(), _: &InstanceInfo) -> Result<Self, HandlerError> {
        Ok(Idle)
    }

    async fn payload() -> Result<Payload, Error> {
        let image = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae");
        Ok(image.image_url("http://images.invalid/idle.gvmi").into())
    }
}

struct Virtual(Timebase);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

fn network() -> Config {
    Config {
        seed: Seed::from_u64(1),
        app_keys: vec![AppKey::new(KEY, "requestor")],
        providers: vec![ProviderSpec::new("alice"), ProviderSpec::new("bob")],
        ..Config::default()
    }
}

fn engine(url: &str) -> GolemBuilder {
    Golem::builder()
        .app_key(KEY)
        .api_url(url)
        .subnet("public")
        .payment_driver("erc20")
        .payment_network("hoodi")
        .budget(Glm::from(1))
}

async fn two_instances(golem: &Golem) {
    let cluster = golem
        .run_service::<Idle>()
        .instance_params([(), ()])
        .resume("idle")
        .start();
    let cluster = cluster.await.expect("a cluster");
    let running = cluster.wait_running(Duration::from_secs(60)).await;
    assert_eq!(running.expect("running").len(), 2);
}

/// The network's router, until `dead`: from then on nobody is there.
fn mortal(network: &MockYagna, dead: &Arc<AtomicBool>) -> Transport {
    let router = network.router();
    let (gone, gone_too) = (Arc::clone(dead), Arc::clone(dead));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (router, gone) = (router.clone(), Arc::clone(&gone));
        async move {
            if gone.load(Ordering::SeqCst) {
                return Err(BoxError::from("nobody is there"));
            }
            let answer = router.oneshot(request.map(axum::body::Body::new)).await;
            answer.map_err(BoxError::from)
        }
    });
    Transport::in_memory(service, move || {
        let _ = &gone_too;
        Err::<Box<dyn Io>, _>(std::io::ErrorKind::Unsupported.into())
    })
}

/// A network on which an engine died while two instances ran, and the engine's journal.
async fn dirty() -> (MockYagna, Timebase, MemoryJournal) {
    let timebase = Timebase::starting_at(Timestamp::from_second(1_800_000_000).expect("literal"));
    let network = MockYagna::start(network(), timebase);
    let dead = Arc::new(AtomicBool::new(false));
    let written = MemoryJournal::new();
    let golem = engine("http://memory.invalid")
        .transport(mortal(&network, &dead))
        .clock(Virtual(timebase))
        .seed(golem_engine::rng::Seed::from_u64(1))
        .journal(written.clone())
        .start()
        .await
        .expect("an engine");
    two_instances(&golem).await;
    dead.store(true, Ordering::SeqCst);
    // Nothing of what the dead engine still does counts.
    let kept = MemoryJournal::new();
    for entry in written.load().expect("readable") {
        kept.append(&entry).expect("written");
    }
    drop(golem);
    tokio::time::sleep(Duration::from_secs(60)).await;
    (network, timebase, kept)
}

#[tokio::test(start_paused = true)]
async fn the_doctor_names_a_clock_that_is_hours_off() {
    let (network, timebase, kept) = dirty().await;
    for (hours, words) in [
        (
            -2,
            "this computer's clock is 2h behind the daemon's: set it right",
        ),
        (
            26,
            "this computer's clock is 26h ahead of the daemon's: set it right",
        ),
        (0, ""),
    ] {
        let tasks = TaskGroup::new("test");
        let off = jiff::SignedDuration::from_hours(hours);
        let own = timebase.now().saturating_add(off).expect("a date");
        let doctor = Doctor::builder()
            .app_key(KEY)
            .api_url("http://memory.invalid")
            .transport(in_memory(&network, &tasks))
            .clock(Virtual(Timebase::starting_at(own)))
            .journal(kept.clone())
            .connect();
        let doctor = doctor.await.expect("a doctor");
        let found = doctor.examine().await.expect("findings").to_string();
        assert_eq!(found.contains("clock"), hours != 0, "{found}");
        assert!(hours == 0 || found.contains(words), "{found}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_set_aside_for_ever_or_to_too_many_digits_hides_nothing() {
    const STRANGE: [(&str, &str); 3] = [
        ("9999-12-31T23:59:59Z", "1"),
        (
            "+10000-01-01T00:00:00Z",
            "0.00000000000000000000000000000000001",
        ),
        ("9999-12-31T23:59:60Z", "1e-40"),
    ];
    let (network, timebase, kept) = dirty().await;
    let send = async |method: &str, body: String| {
        let request = http::Request::builder()
            .method(method)
            .uri("/payment-api/v1/allocations");
        let request = request.header("authorization", format!("Bearer {KEY}"));
        let request = request.header("content-type", "application/json");
        let request = request
            .body(axum::body::Body::from(body))
            .expect("a request");
        let answer = network.router().oneshot(request).await.expect("infallible");
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
        String::from_utf8(body.expect("a body").to_vec()).expect("text")
    };
    for (timeout, total) in STRANGE {
        let body = format!(
            r#"{{"totalAmount": "{total}", "makeDeposit": false, "timeout": "{timeout}"}}"#
        );
        send("POST", body).await;
    }
    let listed = send("GET", String::new()).await;
    for (timeout, _) in STRANGE {
        assert!(
            listed.contains(&format!(r#""timeout":"{timeout}""#)),
            "{listed}"
        );
    }
    let tasks = TaskGroup::new("test");
    let doctor = Doctor::builder()
        .app_key(KEY)
        .api_url("http://memory.invalid")
        .transport(in_memory(&network, &tasks))
        .clock(Virtual(timebase))
        .connect();
    let found = doctor.await.expect("a doctor").examine().await;
    let found = found.expect("findings");
    assert_eq!(found.allocations.len(), 4, "{found}");
    assert_eq!(found.agreements.len(), 2, "{found}");
    let golem = engine("http://memory.invalid")
        .transport(in_memory(&network, &tasks))
        .clock(Virtual(timebase))
        .seed(golem_engine::rng::Seed::from_u64(2))
        .journal(kept)
        .recovery(Recovery::Settle)
        .start();
    let golem = golem.await.expect("an engine");
    let report = golem.recovered();
    let agreements = report.found.iter().filter(|it| it.kind == Kind::Agreement);
    assert_eq!(agreements.count(), 2, "{report}");
    drop(golem.abort().await);
}

#[tokio::test(start_paused = true)]
async fn recovery_settles_or_only_names_what_is_open_as_the_policy_says() {
    for policy in [Recovery::Adopt, Recovery::Settle, Recovery::Report] {
        let (network, timebase, kept) = dirty().await;
        let tasks = TaskGroup::new("test");
        let golem = engine("http://memory.invalid")
            .transport(in_memory(&network, &tasks))
            .clock(Virtual(timebase))
            .seed(golem_engine::rng::Seed::from_u64(2))
            .journal(kept)
            .recovery(policy)
            .start()
            .await
            .expect("an engine");
        let report = golem.recovered();
        let count = |items: &[Item], kind| items.iter().filter(|it| it.kind == kind).count();
        assert_eq!(count(&report.found, Kind::Agreement), 2, "{report}");
        assert_eq!(count(&report.found, Kind::Allocation), 1, "{report}");
        let kept_budgets = usize::from(policy == Recovery::Adopt);
        assert_eq!(
            count(&report.adopted, Kind::Allocation),
            kept_budgets,
            "{report}"
        );
        let going = if policy == Recovery::Adopt { 2 } else { 0 };
        assert_eq!(count(&report.adopted, Kind::Instance), going, "{report}");
        let ended = if policy == Recovery::Settle { 2 } else { 0 };
        assert_eq!(count(&report.settled, Kind::Activity), ended, "{report}");
        if policy == Recovery::Report {
            assert_eq!(count(&report.left, Kind::Agreement), 2, "{report}");
            let report = golem.recover().await;
            assert_eq!(count(&report.settled, Kind::Activity), 2, "{report}");
        }
        // Instances that nobody resumes are given back meanwhile.
        tokio::time::sleep(Duration::from_secs(120)).await;
        let report = golem.recovered();
        assert_eq!(count(&report.adopted, Kind::Instance), 0, "{report}");
        assert!(report.is_settled(), "{policy:?}: {report}");
        let stopped = golem.stop().await;
        assert!(stopped.is_clean(), "{policy:?}: {stopped}");
        tokio::time::sleep(Duration::from_secs(600)).await;
        let summary = network.summary();
        assert!(
            summary.open.is_empty() && summary.violations.is_empty(),
            "{policy:?}: {summary}"
        );
        assert_eq!(
            summary.invoices, summary.invoices_paid,
            "{policy:?}: {summary}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_resumed_goes_on_with_its_machines() {
    let (network, timebase, kept) = dirty().await;
    let tasks = TaskGroup::new("test");
    let golem = engine("http://memory.invalid")
        .transport(in_memory(&network, &tasks))
        .clock(Virtual(timebase))
        .seed(golem_engine::rng::Seed::from_u64(2))
        .journal(kept)
        .start()
        .await
        .expect("an engine");
    two_instances(&golem).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let summary = network.summary();
    assert_eq!(
        (summary.agreements, summary.activities),
        (2, 2),
        "{summary}"
    );
    let stopped = golem.stop().await;
    assert!(stopped.is_clean(), "{stopped}");
    let summary = network.summary();
    assert_eq!(
        (summary.agreements, summary.activities),
        (2, 2),
        "{summary}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dirty_daemon_is_listed_and_settled_without_a_journal() {
    let (network, timebase, _) = dirty().await;
    let tasks = TaskGroup::new("test");
    let doctor = Doctor::builder()
        .app_key(KEY)
        .api_url("http://memory.invalid")
        .transport(in_memory(&network, &tasks))
        .clock(Virtual(timebase))
        .seed(golem_engine::rng::Seed::from_u64(2))
        .connect()
        .await
        .expect("a doctor");
    let found = doctor.examine().await.expect("findings");
    assert_eq!(found.demands.len(), 1, "{found}");
    assert_eq!(found.agreements.len(), 2, "{found}");
    assert!(
        found.agreements.iter().all(|it| it.activities.len() == 1),
        "{found}"
    );
    assert_eq!(found.allocations.len(), 1, "{found}");
    assert!(found.to_string().contains("session"), "{found}");

    let mut steps = Vec::new();
    let settled = doctor
        .settle(&mut |step: &str| steps.push(step.to_owned()))
        .await
        .expect("an answer");
    assert!(settled.is_clean() && settled.failed.is_empty(), "{settled}");
    assert_eq!(settled.done, steps);
    assert!(settled.accepted > Glm::ZERO, "{settled}");
    // The payment driver collects before it pays.
    tokio::time::sleep(Duration::from_secs(600)).await;
    let summary = network.summary();
    assert!(
        summary.open.is_empty() && summary.violations.is_empty(),
        "{summary}"
    );
    assert_eq!(summary.invoices, summary.invoices_paid, "{summary}");
    assert!(doctor.examine().await.expect("findings").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_doctor_looks_an_acceptance_up_whose_answer_was_lost_and_repeats_one_that_was_not_done()
{
    use mock_yagna::fault::{Effect, Fault};

    let (network, timebase, _) = dirty().await;
    // No answer ever comes: sending again could not tell anything either.
    let lost = Fault::new("acceptInvoice", Effect::LoseAnswer).expect("a fault");
    let _lost = network.inject(lost).expect("possible");
    let mut refused = Fault::new("acceptDebitNote", Effect::Refuse(503)).expect("a fault");
    refused.count = Some(1);
    let _refused = network.inject(refused).expect("possible");
    let tasks = TaskGroup::new("test");
    let doctor = Doctor::builder()
        .app_key(KEY)
        .api_url("http://memory.invalid")
        .transport(in_memory(&network, &tasks))
        .clock(Virtual(timebase))
        .seed(golem_engine::rng::Seed::from_u64(2))
        .connect()
        .await
        .expect("a doctor");
    let settled = doctor.settle(&mut |_: &str| {}).await.expect("an answer");
    assert!(settled.is_clean() && settled.failed.is_empty(), "{settled}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    let summary = network.summary();
    assert!(
        summary.open.is_empty() && summary.violations.is_empty(),
        "{summary}"
    );
    assert_eq!(summary.invoices, summary.invoices_paid, "{summary}");
}

/// A simulated daemon on a port of its own, in a thread of its own.
fn serve() -> String {
    let (tell, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async move {
            let network = MockYagna::start(network(), Timebase::wall_clock());
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
            let listener = listener.expect("a port");
            let address = listener.local_addr().expect("an address");
            tell.send(format!("http://{address}"))
                .expect("the test listens");
            network.serve(listener).await.expect("served");
        });
    });
    hear.recv().expect("an address")
}

fn doctor(url: &str, args: &[&str]) -> (Option<i32>, String) {
    command("doctor", url, args)
}

fn command(name: &str, url: &str, args: &[&str]) -> (Option<i32>, String) {
    ended(rehearse(name, url, args))
}

fn rehearse(name: &str, url: &str, args: &[&str]) -> Command {
    let mut rehearse = Command::new(env!("CARGO_BIN_EXE_rehearse"));
    rehearse.arg(name).args(args).env_remove("RUST_LOG");
    rehearse.env("YAGNA_API_URL", url).env("YAGNA_APPKEY", KEY);
    rehearse
}

fn ended(mut rehearse: Command) -> (Option<i32>, String) {
    let done = rehearse.output().expect("rehearse runs");
    let text = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    (done.status.code(), text.into_owned())
}

#[test]
fn the_command_cleans_what_a_dead_process_left_and_says_each_step() {
    let url = serve();
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("journal.db");
    let journal_arg = journal.to_str().expect("text");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let kept = golem_engine::journal::SqliteJournal::open(&journal).expect("a journal");
    let golem = runtime.block_on(async {
        let golem = engine(&url).journal(kept).start().await;
        let golem = golem.expect("an engine");
        two_instances(&golem).await;
        golem
    });
    let (code, text) = doctor(&url, &["--journal", journal_arg, "--clean"]);
    assert_eq!(code, Some(2), "its engine lives: {text}");
    assert!(text.contains("in use"), "{text}");

    let (code, text) = doctor(&url, &["--journal", journal_arg]);
    assert_eq!(code, Some(1), "looking is allowed: {text}");
    let holder = format!("in use by process {}", std::process::id());
    assert!(
        text.contains(&holder) && text.contains("activity"),
        "{text}"
    );

    // The end of the process, as far as the daemon is concerned.
    runtime.shutdown_background();
    drop(golem);

    let (code, text) = doctor(&url, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("agreement") && text.contains("activity"),
        "{text}"
    );
    let (code, text) = doctor(&url, &["--session", "another"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("there is no session `another`"), "{text}");
    let (code, text) = doctor(&url, &["--journal", journal_arg, "--clean"]);
    assert_eq!(code, Some(0), "{text}");
    for step in [
        "withdrawn",
        "destroyed",
        "terminated",
        "accepted",
        "released",
    ] {
        assert!(text.contains(step), "{step}: {text}");
    }
    let (code, text) = doctor(&url, &["--json"]);
    assert_eq!(code, Some(0), "{text}");
    let left: serde_json::Value = serde_json::from_str(&text).expect("json");
    assert_eq!(left["agreements"], serde_json::json!([]));

    let (code, text) = doctor("http://127.0.0.1:1", &[]);
    assert_eq!(code, Some(2), "{text}");
}

#[test]
fn what_is_no_file_is_not_read_as_a_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    for (path, words) in [
        (pipe.as_path(), "not a file"),
        (folder.path(), "is a folder"),
    ] {
        for more in [&[][..], &["--clean"]] {
            let arguments = [&["--journal", path.to_str().expect("text")], more].concat();
            let (code, text) = doctor("http://127.0.0.1:1", &arguments);
            assert_eq!(code, Some(2), "{text}");
            assert!(text.contains(words), "{text}");
        }
    }
}

#[test]
fn whoever_lists_offers_keeps_off_the_journal_of_a_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("of-a-program.journal");
    let mut offers = rehearse("offers", &serve(), &["--for", "1s", "--any-subnet"]);
    offers.env("GOLEM_JOURNAL", &journal);
    let (code, text) = ended(offers);
    assert_eq!(code, Some(0), "{text}");
    assert!(!journal.exists(), "{text}");
}

#[test]
fn offers_are_listed_with_their_price_and_nothing_is_left_open() {
    let url = serve();
    let listen = ["--for", "1s", "--any-subnet"];
    let (code, text) = command("offers", &url, &listen);
    assert_eq!(code, Some(0), "{text}");
    for word in ["PROVIDER", "alice", "bob", "at most ", "2 offers"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let mut args = vec!["--json", "--constraint", "(golem.node.id.name=bob)"];
    args.extend(listen);
    let (code, text) = command("offers", &url, &args);
    assert_eq!(code, Some(0), "{text}");
    let list: serde_json::Value = serde_json::from_str(&text).expect("json");
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{text}");
    assert_eq!(list[0]["provider_name"], "bob");
    let (code, text) = command("offers", &url, &["--subnet", "of-nobody", "--for", "200ms"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no offers came"), "{text}");
    let bad = ["--constraint", "(golem.inf.mem.gib>="];
    let (code, text) = command("offers", &url, &bad);
    assert_eq!(code, Some(2), "{text}");
    let (code, text) = doctor(&url, &[]);
    assert_eq!(code, Some(0), "nothing is left: {text}");
    let (code, text) = command("offers", "http://127.0.0.1:1", &[]);
    assert_eq!(code, Some(2), "{text}");
}
