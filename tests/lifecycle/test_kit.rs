//! What users test their own services and tasks with: [`OfflineStage`]'s claims, and [`HandlerTest`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use golem_engine::event::AgreementTerminated;
use golem_engine::service::HandlerError;
use golem_engine::task::Task;
use golem_engine::{WorkContext, payload::vm};
use golem_scenarios::{HandlerTest, Offline, OfflineStage};
use mock_yagna::{Effect, Fault, Image};

use crate::ticker::{Diary, Ticker, network, running};

const MINUTE: Duration = Duration::from_secs(60);

/// What `claim` says when it does not hold.
fn refused(claim: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(claim)).expect_err("a claim that does not hold");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .expect("words")
}

/// Two instances, one of which loses its provider after ten minutes; all is over at the end.
async fn an_hour(stage: &OfflineStage) {
    let (golem, cluster, _) = running(stage, 2, |_| ()).await;
    stage.until_seen("AgreementTerminated", 30 * MINUTE).await;
    stage.advance(10 * MINUTE).await;
    cluster.stop();
    cluster.join().await;
    assert!(golem.stop().await.is_clean());
    stage.until_quiet(5 * MINUTE, 60 * MINUTE).await;
}

fn one_leaves(seed: u64) -> Offline {
    network(seed, &["alice", "bob", "carol"]).behaviour("alice", |alice| {
        alice.terminate_after = Some(10 * MINUTE);
    })
}

#[test]
fn claims_hold_where_they_are_true_and_time_passes_as_it_is_told() {
    one_leaves(1).run(async |stage| {
        let begin = stage.now();
        stage.advance(MINUTE).await;
        assert_eq!(stage.now().duration_since(begin).as_secs(), 60);
        an_hour(stage).await;
        stage.assert_clean();
        stage.assert_seen("AgreementTerminated");
        stage.assert_never("BudgetExhausted");
        stage.assert_count("agreement_approved", 2..);
        stage.assert_order([
            "agreement_approved",
            "agreement_terminated",
            "AgreementTerminated",
            "invoice_settled",
        ]);
        stage.assert_paid(golem_engine::Glm::from(0)..);
        stage.assert_event("an end by alice", |event| {
            event.provider_name() == "alice" && event.get::<AgreementTerminated>().is_some()
        });
        assert_eq!(
            stage.events().len() as u64,
            stage.journal().len() as u64 - network_lines(stage)
        );
    });
}

fn network_lines(stage: &OfflineStage) -> u64 {
    let names = mock_yagna::journal::Event::NAMES.iter();
    names.map(|name| stage.count(name)).sum()
}

#[test]
fn claims_that_do_not_hold_say_why_and_show_the_lines_that_matter() {
    one_leaves(1).run(async |stage| {
        an_hour(stage).await;
        let names = |stage: &OfflineStage, claim: &dyn Fn(&OfflineStage)| refused(|| claim(stage));
        let text = names(stage, &|stage| stage.assert_seen("AgreementTerminatd"));
        assert!(
            text.contains("did you mean `AgreementTerminated`?"),
            "{text}"
        );
        let text = names(stage, &|stage| stage.assert_never("AgreementTerminated"));
        assert!(
            text.contains("happened 2 times, and it should be 0 at most")
                && text.contains("\"alice\""),
            "{text}"
        );
        let text = names(stage, &|stage| stage.assert_seen("TaskAccepted"));
        assert!(
            text.contains("happened 0 times") && text.contains("{\"from\":"),
            "{text}"
        );
        let text = names(stage, &|stage| {
            stage.assert_order(["invoice_settled", "demand_subscribed"])
        });
        assert!(
            text.contains("`demand_subscribed` did not happen after `invoice_settled`"),
            "{text}"
        );
        let text = names(stage, &|stage| {
            stage.assert_paid(golem_engine::Glm::from(1)..)
        });
        assert!(
            text.contains("1 or more") && text.contains("invoice_"),
            "{text}"
        );
        let text = names(stage, &|stage| stage.assert_event("a miracle", |_| false));
        assert!(
            text.contains("no event is a miracle") && text.contains("\"from\":\"engine\""),
            "{text}"
        );
    });
    let text = refused(|| {
        network(1, &["alice"]).run(async |stage| {
            let (_golem, _cluster, _) = running(stage, 1, |_| ()).await;
            stage.assert_clean();
        });
    });
    assert!(text.contains("left open: agreement"), "{text}");
    let text = refused(|| {
        network(1, &["alice"]).run(async |stage| stage.until("a sign", MINUTE, |_| false).await);
    });
    assert!(text.contains("a sign: not within 60s"), "{text}");
    let text = refused(|| drop(Offline::new(1).behaviour("nobody", |_| ())));
    assert!(text.contains("no provider `nobody`; there are:"), "{text}");
}

#[test]
fn a_journal_that_was_kept_shows_that_a_program_does_what_it_did() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept.jsonl");
    let mut lines = Vec::new();
    one_leaves(3).run(async |stage| {
        an_hour(stage).await;
        lines = stage.journal().iter().map(ToString::to_string).collect();
    });
    std::fs::write(&kept, lines.join("\n") + "\n").expect("a journal");
    one_leaves(3).run(async |stage| {
        an_hour(stage).await;
        stage.assert_journal(&kept);
    });
    let text = refused(|| {
        one_leaves(3).run(async |stage| {
            an_hour(stage).await;
            stage.advance(MINUTE).await;
            let golem = stage.golem().start().await.expect("an engine");
            assert!(golem.stop().await.is_clean());
            stage.assert_journal(&kept);
        });
    });
    assert!(
        text.contains(&format!("differs from line {} on", lines.len() + 1)),
        "{text}"
    );
    assert!(
        text.contains("- (its end)") && text.contains("REHEARSE_UPDATE=1"),
        "{text}"
    );
    let text = refused(|| Offline::new(1).run(async |stage| stage.assert_journal("no/such/file")));
    assert!(
        text.contains("no/such/file") && text.contains("REHEARSE_UPDATE=1"),
        "{text}"
    );
}

#[test]
fn a_network_may_come_from_a_file_and_faults_from_the_test() {
    let text = "fleet: 0\nproviders:\n  - {name: dora, behaviour: {terminate_after: 10m}}\n  - {name: emil}\n";
    let offline = Offline::new(1).network_yaml(text).expect("a network");
    let mut refusing = Fault::new("getInvoice", Effect::Refuse(500)).expect("a fault");
    refusing.count = Some(2);
    offline.fault(refusing).run(async |stage| {
        an_hour(stage).await;
        stage.assert_clean();
        stage.assert_seen("fault_hit");
        stage.assert_event("dora's", |event| event.provider_name() == "dora");
    });
    let error = Offline::new(1)
        .network_yaml("fleet: 1\nprovidres: []\n")
        .expect_err("a misspelt key");
    assert!(error.to_string().contains("network:2:1"), "{error}");
    let error = Offline::new(1)
        .network_file("no/such/network.yaml")
        .expect_err("no file");
    assert!(
        error.to_string().contains("no/such/network.yaml"),
        "{error}"
    );
}

#[test]
fn handlers_of_a_service_are_called_one_by_one_on_one_machine() {
    use golem_engine::service::Service;
    let diary = Diary::default();
    HandlerTest::new(1).service::<Ticker, _>(diary.clone(), async |ticker, machine| {
        assert!(machine.commands().is_empty(), "nothing was run yet");
        ticker.start(machine).await.expect("it starts");
        let run = machine.commands().len();
        assert!(run >= 2, "{:?}", machine.commands());
        let stop = async {
            machine.stage().advance(10 * MINUTE).await;
            machine.request_stop();
        };
        let (ran, ()) = tokio::join!(ticker.run(machine), stop);
        ran.expect("it runs until it is stopped");
        ticker.shutdown(machine).await.expect("it ends");
        assert!(machine.commands().len() > run);
    });
    assert!(diary.count("tick") > 10);
}

#[test]
fn a_worker_of_tasks_is_called_with_a_machine() {
    async fn work(ctx: WorkContext, task: Task<u32>) -> Result<u32, HandlerError> {
        let said = ctx
            .run(
                "/bin/sh",
                ["-c".to_owned(), format!("echo {}", task.data * 2)],
            )
            .await?;
        Ok(said.stdout_text().trim().parse()?)
    }
    let four =
        HandlerTest::new(1).machine(async |machine| work((*machine).clone(), Task::new(2)).await);
    assert_eq!(four.expect("it works"), 4);
    let fails = HandlerTest::new(1).behaviour(|provider| {
        provider.fail_command = serde_json::from_value(serde_json::json!({"command": "run"})).ok();
    });
    let error = fails.machine(async |machine| work((*machine).clone(), Task::new(2)).await);
    let error = error.expect_err("its command fails").to_string();
    assert!(error.contains("/bin/sh"), "{error}");
}

#[test]
fn handlers_speak_with_their_owner() {
    HandlerTest::new(1).machine(async |machine| {
        let owner = machine.owner();
        owner.send("how much?".to_owned()).await.expect("a message");
        let heard: String = machine.mailbox().receive().await.expect("a message");
        machine.send(heard.len()).await.expect("an answer");
        assert_eq!(owner.receive::<usize>().await.expect("an answer"), 9);
    });
}

#[test]
fn a_payload_that_the_machine_is_not_made_for_is_said() {
    let text = refused(|| {
        let huge = vm::repo("9a3b5d67b0b27746283cb5f287c13eab1beaa12d92a9f536b747c7ae")
            .image_url("http://images.example/any.gvmi")
            .min_mem_gib(4096.0);
        HandlerTest::new(1).payload(huge).machine(async |_| ());
    });
    assert!(
        text.contains("not what the payload wants") && text.contains("mem"),
        "{text}"
    );
}

#[test]
fn the_same_seed_gives_the_same_run_of_a_handler() {
    let run = |seed| {
        HandlerTest::new(seed)
            .image(Image::Shell)
            .machine(async |machine| {
                machine
                    .run("/bin/sh", ["-c", "date"])
                    .await
                    .expect("it runs");
                let lines = machine.stage().journal();
                lines.iter().map(ToString::to_string).collect::<Vec<_>>()
            })
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
