//! What machines are asked for: graphics processors, images of this computer, manifests, runtimes that are begun by
//! hand, any subnet; and what a demand says before it is published.

use std::time::Duration;

use golem_engine::error::{PayloadError, chain};
use golem_engine::journal::MemoryJournal;
use golem_engine::payload::manifest::Manifest;
use golem_engine::payload::{IntoPayload, Payload, vm};
use golem_engine::pool::{OneOf, RentError, RentedMachine};
use golem_engine::recovery::Kind;
use golem_engine::script::Command;
use golem_engine::service::HandlerError;
use golem_engine::strategy::{DemandDraft, MarketStrategy};
use golem_engine::{Error, Golem, Recovery, props};
use golem_scenarios::workload::hello_tasks;
use golem_scenarios::{Offline, OfflineStage};
use mock_yagna::{Act, Gpu, ProviderSpec};

use crate::networks::left_by_the_crash;
use crate::ticker::{assert_clean, network};

const MINUTE: Duration = Duration::from_secs(60);
const HASH: &str = "9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae";

async fn engine(stage: &OfflineStage) -> Golem {
    stage.golem().start().await.expect("the engine starts")
}

async fn stopped(golem: Golem, stage: &OfflineStage) {
    let report = golem.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_clean(stage);
}

fn one(golem: &Golem, payload: impl Into<Payload>) -> OneOf {
    golem.one_of(payload).acquire_timeout(5 * MINUTE)
}

async fn rented(golem: &Golem, payload: impl Into<Payload>) -> RentedMachine {
    let machine = one(golem, payload).rent().await;
    machine.unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// Why there is no machine, with everything behind it.
async fn refused(golem: &Golem, payload: impl Into<Payload>) -> String {
    match one(golem, payload).rent().await {
        Ok(machine) => panic!("{} is rented", machine.provider_name()),
        Err(error) => chain(&error),
    }
}

#[test]
fn a_machine_with_a_graphics_processor_is_rented_by_what_it_has() {
    let rig = ProviderSpec::new("rig").with_gpu(Gpu::default());
    let big = ProviderSpec::new("big").with_gpu(Gpu {
        model: "NVIDIA GeForce RTX 4090".into(),
        memory_gib: 24.0,
        ..Gpu::default()
    });
    let providers = vec![ProviderSpec::new("plain"), rig, big];
    Offline::new(1).providers(providers).run(async |stage| {
        let golem = engine(stage).await;
        let gpu = || vm::Gpu::any().min_cuda_version("12.0");
        for (wanted, provider) in [
            (gpu().min_memory_gib(16.0), "big"),
            (gpu().model("*3060*").min_compute_capability("8.0"), "rig"),
        ] {
            let machine = rented(&golem, vm::repo(HASH).gpu(wanted)).await;
            assert_eq!(machine.provider_name(), provider);
            let offer = machine.offer().properties();
            assert_eq!(offer[props::runtime::NAME], "vm-nvidia");
            let said = hello_tasks::hello(&machine, 7).await.expect("words");
            assert_eq!(said, "Hello from task 7");
            machine.release().await;
        }
        let machine = rented(&golem, vm::repo(HASH)).await;
        assert_eq!(machine.provider_name(), "plain");
        machine.release().await;
        stopped(golem, stage).await;
    });
}

#[test]
fn an_image_of_this_computer_is_fetched_by_each_machine_and_compared_with_its_hash() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.gvmi");
    let content: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&path, &content).expect("a file");
    network(1, &["alice", "bob", "carol"]).run(async |stage| {
        let golem = engine(stage).await;
        let image = || vm::local(&path);
        let shown = golem
            .preview_demand(image(), MINUTE)
            .await
            .expect("a demand");
        let package = shown.properties[props::srv::TASK_PACKAGE].as_str();
        let package = package.expect("a text");
        assert!(
            package.starts_with("hash:sha3:") && package.contains(":gftp://"),
            "{package}"
        );
        // Two jobs offer it at the same time.
        let first = rented(&golem, image()).await;
        let second = rented(&golem, image()).await;
        for machine in [first, second] {
            let said = hello_tasks::hello(&machine, 7).await.expect("words");
            assert_eq!(said, "Hello from task 7");
            machine.release().await;
        }
        let late = rented(&golem, image()).await;
        std::fs::write(&path, vec![0; content.len()]).expect("another content");
        let error = hello_tasks::hello(&late, 7)
            .await
            .expect_err("another image");
        let said = format!("{error:#}");
        assert!(said.contains("calculated hash"), "{said}");
        late.release().await;
        let elsewhere = image().image_url("http://example.org/mine.gvmi");
        let shown = golem
            .preview_demand(elsewhere, MINUTE)
            .await
            .expect("a demand");
        let package = shown.properties[props::srv::TASK_PACKAGE].as_str();
        assert!(
            package.is_some_and(|it| it.ends_with(":http://example.org/mine.gvmi")),
            "{package:?}"
        );
        stopped(golem, stage).await;
    });
}

#[test]
fn an_image_is_offered_again_when_the_daemon_has_forgotten_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.gvmi");
    std::fs::write(&path, vec![7; 100_000]).expect("a file");
    network(1, &["alice", "bob"]).run(async |stage| {
        let golem = engine(stage).await;
        let pool = golem.many_of(vm::local(&path)).max(2).start().await;
        let pool = pool.expect("a pool");
        let first = pool.acquire().await.expect("a machine");
        hello_tasks::hello(&first, 1).await.expect("words");
        for number in 2..8 {
            let restart = Act::RestartDaemon {
                down: Duration::from_secs(20),
            };
            stage.network().act(restart).expect("possible");
            tokio::time::sleep(3 * MINUTE).await;
            let mut second = pool.acquire().await.expect("another machine");
            // It is deployed anew.
            second.restart().await.expect("another activity");
            let said = hello_tasks::hello(&second, number).await.expect("words");
            assert_eq!(said, format!("Hello from task {number}"));
            second.release().await;
        }
        first.release().await;
        pool.drain().await;
        stopped(golem, stage).await;
    });
}

#[test]
fn an_image_that_cannot_be_offered_is_refused_before_anything_is_published() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.gvmi");
    std::fs::write(&empty, "").expect("a file");
    let missing = folder.path().join("missing.gvmi");
    network(1, &["alice"]).run(async |stage| {
        let golem = engine(stage).await;
        for (path, why) in [
            (missing.as_path(), "cannot be read"),
            (folder.path(), "it is a folder"),
            (empty.as_path(), "it is empty"),
        ] {
            let error = one(&golem, vm::local(path)).rent().await.expect_err(why);
            let RentError::Start(Error::Payload(PayloadError::LocalImage { path: told, reason })) =
                error
            else {
                panic!("{error}");
            };
            assert_eq!(told, path);
            assert!(reason.contains(why), "{reason}");
        }
        assert_eq!(golem.gauges().markets, 0);
        stopped(golem, stage).await;
    });
}

#[test]
fn an_image_is_withdrawn_with_its_job_however_that_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.gvmi");
    std::fs::write(&path, "an image").expect("a file");
    network(1, &["alice", "bob"]).run(async |stage| {
        let golem = engine(stage).await;
        let before = golem.gauges().tasks;
        for milliseconds in [0, 1, 3, 10, 100, 1_000] {
            let renting = one(&golem, vm::local(&path)).rent();
            drop(tokio::time::timeout(Duration::from_millis(milliseconds), renting).await);
        }
        let cluster = golem
            .run_service_with(vm::local(&path), |ctx| async move {
                ctx.stop_requested().await;
                Ok(())
            })
            .start()
            .await
            .expect("a cluster");
        cluster.wait_running(10 * MINUTE).await.expect("running");
        cluster.stop();
        cluster.join().await;
        tokio::time::sleep(10 * MINUTE).await;
        assert_eq!(
            golem.gauges().tasks,
            before,
            "none offers an image any more"
        );
        stopped(golem, stage).await;
    });
}

#[test]
fn an_image_that_an_engine_offered_when_it_crashed_is_withdrawn_by_the_next_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.gvmi");
    std::fs::write(&path, "an image").expect("a file");
    network(1, &["alice"]).run(async |stage| {
        let journal = MemoryJournal::new();
        let golem = stage.golem().journal(journal.clone());
        let golem = golem.start().await.expect("an engine");
        let machine = rented(&golem, vm::local(&path)).await;
        let next = stage.golem().journal(left_by_the_crash(&journal));
        let next = next.recovery(Recovery::Settle).start().await;
        let next = next.expect("another engine");
        let report = next.recovered();
        let settled = report.settled.iter();
        let services = settled.filter(|item| item.kind == Kind::BusService);
        assert_eq!(services.count(), 1, "{report}");
        let error = hello_tasks::hello(&machine, 7).await;
        assert!(error.is_err(), "its machine is gone");
        drop(machine);
        // What it had rented was settled by the other one.
        drop(golem.stop().await);
        stopped(next, stage).await;
    });
}

fn manifest() -> Manifest {
    Manifest::new()
        .version("0.1.0")
        .image(HASH, ["http://images.invalid/hello.gvmi"])
        .command("run /bin/sh -c echo .*")
        .outbound_url("https://example.org")
}

#[test]
fn a_signed_manifest_is_taken_and_says_what_may_be_run() {
    network(1, &["alice"]).run(async |stage| {
        let golem = engine(stage).await;
        let sign = |text: &[u8]| Ok::<_, std::convert::Infallible>(text[..8].to_vec());
        let signed = vm::manifest(manifest())
            .sign_with("sha256", b"certificate", sign)
            .capabilities([props::runtime::INET, props::runtime::MANIFEST_SUPPORT]);
        let machine = rented(&golem, signed).await;
        let said = hello_tasks::hello(&machine, 7)
            .await
            .expect("it may be run");
        assert_eq!(said, "Hello from task 7");
        let error = machine
            .run("/bin/date", ["-u"])
            .await
            .expect_err("it may not");
        let said = chain(&error);
        assert!(
            said.contains("Manifest violation") && said.contains("'run /bin/date -u'"),
            "{said}"
        );
        let said = hello_tasks::hello(&machine, 8).await.expect("it goes on");
        assert_eq!(said, "Hello from task 8");
        machine.release().await;
        stopped(golem, stage).await;
    });
}

#[test]
fn a_manifest_that_wants_the_internet_and_that_nobody_signed_is_refused_with_the_providers_reason()
{
    network(1, &["alice"]).run(async |stage| {
        let golem = engine(stage).await;
        let said = refused(&golem, vm::manifest(manifest())).await;
        assert!(
            said.contains("Audited-Payload rule requires manifest signature"),
            "{said}"
        );
        let partner = serde_json::json!({"nodeDescriptor": {"nodeId": "0x00"}});
        let machine = rented(&golem, vm::manifest(manifest()).node_descriptor(partner)).await;
        machine.release().await;
        let said = refused(&golem, vm::manifest(manifest().version("one"))).await;
        assert!(
            said.contains("the manifest is refused: version: `one` is no version"),
            "{said}"
        );
        stopped(golem, stage).await;
    });
}

#[test]
fn without_the_implicit_init_nothing_is_put_in_front_of_a_script() {
    network(1, &["alice"]).run(async |stage| {
        let golem = engine(stage).await;
        let by_hand = || hello_tasks::payload().implicit_init(false);
        let mut machine = rented(&golem, by_hand()).await;
        assert!(!machine.implicit_init());
        for _ in 0..2 {
            let error = hello_tasks::hello(&machine, 7)
                .await
                .expect_err("nothing is deployed");
            let said = format!("{error:#}");
            assert!(said.contains("deploy() command is expected now"), "{said}");
            begun(&machine).await.expect("it begins");
            let said = hello_tasks::hello(&machine, 7).await.expect("words");
            assert_eq!(said, "Hello from task 7");
            // Another activity on the same agreement knows of it, too.
            machine.restart().await.expect("another activity");
        }
        machine.release().await;
        let cluster = golem
            .run_service_with(by_hand(), |ctx| async move {
                begun(&ctx).await?;
                ctx.send(hello_tasks::hello(&ctx, 1).await?).await?;
                Ok(())
            })
            .start()
            .await
            .expect("a cluster");
        let instance = &cluster.all()[0];
        assert_eq!(
            instance.receive::<String>().await.expect("words"),
            "Hello from task 1"
        );
        cluster.join().await;
        stopped(golem, stage).await;
    });
}

async fn begun(ctx: &golem_engine::WorkContext) -> Result<(), HandlerError> {
    let begin = [Command::deploy(), Command::start(["--flag"])];
    let script = begin
        .into_iter()
        .fold(ctx.script(), |script, command| script.then(command));
    script.execute().await?;
    Ok(())
}

#[test]
fn an_engine_of_any_subnet_rents_where_others_do_not_look() {
    let mut elsewhere = ProviderSpec::new("elsewhere");
    elsewhere.subnet = "other".into();
    elsewhere.constraints = Some("()".into());
    Offline::new(1)
        .providers(vec![elsewhere])
        .run(async |stage| {
            let golem = stage.golem().any_subnet().start().await.expect("an engine");
            let machine = rented(&golem, hello_tasks::payload()).await;
            assert_eq!(machine.provider_name(), "elsewhere");
            machine.release().await;
            let mut scan = golem.scan(Payload::new()).start().await.expect("a scan");
            assert_eq!(scan.within(MINUTE).await.expect("offers").len(), 1);
            drop(scan);
            stopped(golem, stage).await;
            let golem = engine(stage).await;
            assert!(
                refused(&golem, hello_tasks::payload())
                    .await
                    .contains("0 offers")
            );
            stopped(golem, stage).await;
        });
}

#[derive(IntoPayload)]
struct Painter {
    #[golem(property = "golem.srv.app.colour", default = "red")]
    colour: String,
    #[golem(constraint = props::inf::MEM, operator = ">=", default = 1)]
    min_mem_gib: f64,
    #[golem(flatten, default = hello_tasks::payload())]
    image: Payload,
}

struct Decorating;

impl MarketStrategy for Decorating {
    fn decorate_demand(&self, demand: &mut DemandDraft) {
        demand
            .properties
            .insert("golem.srv.app.by-strategy".into(), true.into());
        demand.constraints.push("(golem.inf.cpu.cores>=1)".into());
    }
}

#[test]
fn what_a_demand_will_say_is_shown_with_all_that_is_added_to_the_payload() {
    network(1, &["alice"]).run(async |stage| {
        let golem = stage
            .golem()
            .strategy(Decorating)
            .start()
            .await
            .expect("an engine");
        let shown = golem
            .preview_demand(Painter::default(), MINUTE)
            .await
            .expect("a demand");
        let properties = &shown.properties;
        assert_eq!(properties["golem.srv.app.colour"], "red");
        assert_eq!(properties["golem.srv.app.by-strategy"], true);
        assert_eq!(properties[props::node::SUBNET], "public");
        assert!(
            properties.contains_key(props::com::PROTOCOL_VERSION),
            "{shown}"
        );
        assert!(properties.contains_key(props::srv::TASK_PACKAGE), "{shown}");
        let text = shown.to_string();
        for term in [
            "(golem.node.debug.subnet=public)",
            "(golem.com.pricing.model=linear)",
            "(golem.inf.mem.gib>=1)",
            "(golem.inf.cpu.cores>=1)",
            "(golem.runtime.name=vm)",
        ] {
            assert!(text.contains(&format!("\n  {term}")), "{text}");
            assert!(shown.constraints.contains(term), "{text}");
        }
        assert!(shown.constraints.starts_with("(&("), "{text}");
        let json = serde_json::to_value(&shown).expect("JSON");
        assert_eq!(json["constraints"], shown.constraints);
        assert_eq!(golem.gauges().markets, 0, "nothing is published");
        let bad = Payload::new().constraint("(a>=)");
        let error = golem
            .preview_demand(bad, MINUTE)
            .await
            .expect_err("no constraint");
        assert!(
            matches!(error, Error::Payload(PayloadError::Constraint { .. })),
            "{error}"
        );
        let machine = rented(&golem, &Painter::default()).await;
        machine.release().await;
        stopped(golem.clone(), stage).await;
        let error = golem.preview_demand(Payload::new(), MINUTE).await;
        assert!(matches!(error, Err(Error::Stopped)), "{error:?}");
    });
}
