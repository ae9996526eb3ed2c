//! What the Python API promises of events, tasks, files and services, each shown in a whole run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use golem_engine::event::{
    AgreementTerminated, CommandExecuted, DownloadFinished, EventFilter, InvoiceAccepted,
    PaymentFailed, ProposalReceived, ProposalRejected, ScriptSent, SubscriptionCreated,
    SubscriptionFailed,
};
use golem_engine::model::OfferProposal;
use golem_engine::service::{HandlerError, InstanceInfo, Service, ServiceState};
use golem_engine::strategy::{DemandDraft, LeastExpensiveLinearPayu, MarketStrategy, Score};
use golem_engine::wire::activity::ActivityState;
use golem_engine::{EndedBy, Error, Event, GolemBuilder, RefusedBy, RefusedFor, WorkContext};
use golem_scenarios::Offline;
use golem_scenarios::workload::hello_tasks;
use mock_yagna::{Act, Effect, Fault, ProviderSpec};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::ticker::{Diary, Ticker, assert_clean, network};

const SH: &str = "/bin/sh";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

type Heard = Arc<Mutex<Vec<Event>>>;

fn hearing(golem: GolemBuilder) -> (GolemBuilder, Heard) {
    let heard = Heard::default();
    let list = Arc::clone(&heard);
    let golem = golem.event_observer(move |event: &Event| {
        let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(event.clone());
    });
    (golem, heard)
}

fn all(heard: &Heard) -> Vec<Event> {
    heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Files both ways, as JSON and as bytes.
async fn files(ctx: &WorkContext) -> Result<(), HandlerError> {
    let mut script = ctx.script();
    drop(script.upload_json(&json!({"frames": [1, 2]}), "/golem/work/order.json"));
    drop(script.run(
        SH,
        ["-c", "cp /golem/work/order.json /golem/work/copy.json"],
    ));
    let copy = script.download_json::<serde_json::Value>("/golem/work/copy.json");
    let bytes = script.download_bytes("/golem/work/copy.json");
    script.execute().await?;
    assert_eq!(copy.await?, json!({"frames": [1, 2]}));
    assert!(!bytes.await?.is_empty());
    Ok(())
}

#[test]
fn a_run_tells_each_event_of_the_reference_and_what_it_is_about() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, heard) = hearing(stage.golem());
        let golem = golem.start().await.expect("an engine");
        let tasks = golem
            .execute_tasks(hello_tasks::payload())
            .data([1, 2])
            .worker(|ctx, task| async move {
                files(&ctx).await?;
                match task.data {
                    1 => Ok(()),
                    _ => Err(HandlerError::reject("odd one out")),
                }
            });
        let done: Vec<_> = tasks
            .max_workers(1)
            .start()
            .await
            .expect("tasks")
            .collect()
            .await;
        assert_eq!(done.iter().filter(|done| done.is_ok()).count(), 1);
        let service = golem
            .run_service::<Ticker>()
            .instance_params([Diary::default()]);
        let cluster = service.start().await.expect("a cluster");
        let running = cluster.wait_running(MINUTE).await.expect("it runs");
        sleep(10 * MINUTE).await;
        let provider = running[0].provider_name.clone().expect("a provider");
        let act = Act::TerminateAgreement {
            provider: provider.clone(),
            reason: Some("had enough".into()),
        };
        stage.network().act(act).expect("possible");
        cluster.join().await;
        assert!(golem.stop().await.is_clean());

        let heard = all(&heard);
        let names: Vec<_> = heard.iter().map(Event::name).collect();
        for name in [
            "JobStarted",
            "JobFinished",
            "SubscriptionCreated",
            "ProposalReceived",
            "ProposalResponded",
            "ProposalConfirmed",
            "AgreementCreated",
            "AgreementConfirmed",
            "AgreementTerminated",
            "DebitNoteReceived",
            "DebitNoteAccepted",
            "InvoiceReceived",
            "InvoiceAccepted",
            "WorkerStarted",
            "ActivityCreated",
            "TaskStarted",
            "TaskFinished",
            "TaskAccepted",
            "TaskRejected",
            "ServiceStateChanged",
            "ServiceFinished",
            "WorkerFinished",
            "ScriptSent",
            "GettingResults",
            "ScriptFinished",
            "CommandStarted",
            "CommandExecuted",
            "DownloadStarted",
            "DownloadFinished",
            "ShutdownFinished",
        ] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        for event in &heard {
            if event.get::<SubscriptionCreated>().is_some() {
                assert!(event.context.demand.is_some(), "{event:?}");
            } else if let Some(received) = event.get::<ProposalReceived>() {
                assert!(event.context.proposal.is_some(), "{event:?}");
                assert_eq!(received.offer.provider_name(), event.provider_name());
            } else if let Some(ended) = event.get::<AgreementTerminated>() {
                let by_provider = ended.by == EndedBy::Provider;
                assert_eq!(
                    by_provider,
                    ended.reason.contains("had enough"),
                    "{event:?}"
                );
            } else if let Some(accepted) = event.get::<InvoiceAccepted>() {
                assert!(!accepted.amount.is_zero(), "{event:?}");
            } else if let Some(came) = event.get::<DownloadFinished>() {
                assert!(
                    came.bytes > 0 && came.path == "/golem/work/copy.json",
                    "{event:?}"
                );
            }
        }
        let scripts = heard.iter().filter_map(|event| event.get::<ScriptSent>());
        let numbers: Vec<_> = scripts.map(|sent| sent.script).collect();
        assert_eq!(numbers[..2], [1, 2], "two tasks of one machine");
        assert_clean(stage);
    });
}

/// Refuses one provider.
struct NotAlice(LeastExpensiveLinearPayu);

impl MarketStrategy for NotAlice {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.0)
    }

    fn score_offer(&self, offer: &OfferProposal) -> Score {
        match offer.provider_name() {
            "alice" => Score::reject("I do not like alice"),
            _ => self.0.score_offer(offer),
        }
    }
}

#[test]
fn what_goes_wrong_is_an_event_with_its_reason() {
    let mut silent = ProviderSpec::new("carol");
    silent.behaviour.silent = true;
    let mut refusing = ProviderSpec::new("dave");
    refusing.behaviour.refuse = Some("no room".into());
    let mut dear = ProviderSpec::new("eve");
    dear.behaviour.invoice_factor = serde_json::from_value(json!("5")).expect("a factor");
    let providers = vec![ProviderSpec::new("alice"), silent, refusing, dear];
    Offline::new(2).providers(providers).run(async |stage| {
        let strategy = NotAlice(LeastExpensiveLinearPayu::with_usual_caps());
        let (golem, heard) = hearing(stage.golem().strategy(strategy));
        let golem = golem.start().await.expect("an engine");
        let service = || {
            golem
                .run_service::<Ticker>()
                .instance_params([Diary::default()])
        };
        let inject = |on, status| {
            let fault = Fault::new(on, Effect::Refuse(status)).expect("a fault");
            stage.network().inject(fault).expect("possible")
        };
        let refusing = inject("subscribeDemand", 400);
        assert!(service().start().await.is_err());
        drop(refusing);
        let failing = inject("collectOffers", 500);
        let cluster = service().start().await.expect("a cluster");
        sleep(10 * SECOND).await;
        drop(failing);
        cluster.wait_running(5 * MINUTE).await.expect("it runs");
        sleep(10 * MINUTE).await;
        drop(golem.stop().await);

        let heard = all(&heard);
        let told = |filter: EventFilter| heard.iter().filter(|it| filter.matches(it)).count();
        for name in [
            "SubscriptionFailed",
            "CollectFailed",
            "ProposalFailed",
            "PaymentFailed",
        ] {
            assert!(
                told(EventFilter::named(name).expect("a name")) > 0,
                "{name}"
            );
        }
        for event in &heard {
            if event.get::<SubscriptionFailed>().is_some() || event.get::<PaymentFailed>().is_some()
            {
                assert!(event.error().is_some(), "{event:?}");
            }
        }
        let whys = heard.iter().filter_map(|event| {
            let refused = event.get::<ProposalRejected>()?;
            Some((event.provider_name(), refused.why))
        });
        let whys: Vec<_> = whys.collect();
        for why in [
            ("alice", RefusedFor::Strategy),
            ("dave", RefusedFor::Provider),
        ] {
            assert!(whys.contains(&why), "{whys:?}");
        }
        let refusals = heard.iter().filter_map(|event| {
            let refused = event.get::<ProposalRejected>()?;
            Some((event.provider_name(), refused.by, refused.reason.as_str()))
        });
        let refusals: Vec<_> = refusals.collect();
        assert!(
            refusals.contains(&("alice", RefusedBy::Requestor, "I do not like alice")),
            "{refusals:?}"
        );
        let by_dave = |it: &&(&str, RefusedBy, &str)| it.0 == "dave" && it.1 == RefusedBy::Provider;
        assert!(
            refusals
                .iter()
                .any(|it| by_dave(&it) && it.2.contains("no room")),
            "{refusals:?}"
        );
    });
}

#[test]
fn a_task_that_is_done_tells_how_long_its_last_attempt_took() {
    network(3, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let tasks = golem.execute_tasks(hello_tasks::payload()).data([()]);
        let tasks = tasks.worker(|ctx, task| async move {
            ctx.run(SH, ["-c", "sleep 20"]).await?;
            match task.attempt {
                1 => Err(HandlerError::reject_result("once more", true)),
                _ => Ok(()),
            }
        });
        let mut tasks = tasks.start().await.expect("tasks");
        let done = tasks.next().await.expect("a result").expect("done");
        assert!(
            (20 * SECOND..30 * SECOND).contains(&done.running_time),
            "{done:?}"
        );
        assert!(tasks.next().await.is_none());
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

#[test]
fn a_handler_sees_the_state_of_its_activity_and_what_the_provider_offers() {
    network(4, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let tasks = golem.execute_tasks(hello_tasks::payload()).data([()]);
        let tasks = tasks.worker(|ctx, _| async move {
            ctx.run(SH, ["-c", "true"]).await?;
            assert_eq!(ctx.get_raw_state().await?.state.0, ActivityState::Ready);
            assert_eq!(ctx.offer().provider_name(), ctx.provider_name());
            assert!(ctx.offer().properties().contains_key("golem.inf.mem.gib"));
            assert!(ctx.offer().prices().is_ok());
            Ok(())
        });
        let mut tasks = tasks.start().await.expect("tasks");
        tasks.next().await.expect("a result").expect("done");
        assert!(golem.stop().await.is_clean());
    });
}

#[test]
fn one_script_writes_downloads_and_ends_the_machine() {
    network(6, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let renting = golem.one_of(hello_tasks::payload()).rent();
        let machine = renting.await.expect("a machine");
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("note.txt");
        let mut script = machine.script();
        drop(script.upload_bytes("written here", "/golem/work/note.txt"));
        drop(script.download_file("/golem/work/note.txt", &target));
        drop(script.terminate());
        script.execute().await.expect("all three");
        let copy = std::fs::read_to_string(&target).expect("a file");
        assert_eq!(copy, "written here");
        machine.release().await;
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

/// Everything by default, but for a number that says how often it was made.
struct Plain;

impl Service for Plain {
    type Params = Arc<Mutex<u32>>;

    fn new(made: &Arc<Mutex<u32>>, _: &InstanceInfo) -> Result<Self, HandlerError> {
        *made.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Ok(Plain)
    }
}

#[test]
fn a_service_by_default_deploys_starts_waits_and_terminates_and_is_made_anew_for_each_machine() {
    let mut alice = ProviderSpec::new("alice");
    alice.behaviour.fail_start_first = 1;
    alice.prices.duration_sec = "0.00001".parse().expect("a price");
    Offline::new(5)
        .providers(vec![alice, ProviderSpec::new("bob")])
        .run(async |stage| {
            let (golem, heard) = hearing(stage.golem());
            let golem = golem.start().await.expect("an engine");
            let none = golem
                .run_service::<Plain>()
                .instance_params([Arc::default()]);
            assert!(matches!(
                none.start().await.map(drop),
                Err(Error::NoPayload)
            ));
            let made = Arc::new(Mutex::new(0));
            let service = golem.run_service::<Plain>().payload(hello_tasks::payload());
            let service = service.instance_params([Arc::clone(&made)]).job_id("plain");
            let began = Instant::now();
            let cluster = service.start().await.expect("a cluster");
            assert_eq!(cluster.payload(), &hello_tasks::payload());
            let running = cluster.wait_running(5 * MINUTE).await.expect("it runs");
            assert_eq!(running[0].id.as_str(), "plain/1");
            assert_eq!(running[0].provider_name.as_deref(), Some("bob"));
            assert_eq!(*made.lock().expect("a number"), 2);
            // Three hours, and stopped a minute before.
            sleep(178 * MINUTE).await;
            assert_eq!(cluster.instances()[0].state, ServiceState::Running);
            cluster.join().await;
            let took = began.elapsed();
            assert!((179 * MINUTE..180 * MINUTE).contains(&took), "{took:?}");
            let commands = all(&heard);
            let commands = commands.iter().filter_map(|event| {
                let done = event.get::<CommandExecuted>()?;
                (event.provider_name() == "bob").then(|| done.text.clone())
            });
            assert_eq!(
                commands.collect::<Vec<_>>(),
                ["deploy", "start", "terminate"]
            );
            assert!(golem.stop().await.is_clean());
            assert_clean(stage);
        });
}

#[test]
fn a_service_ends_at_the_time_that_it_was_given() {
    network(6, &["alice"]).run(async |stage| {
        let golem = stage.golem().start().await.expect("an engine");
        let service = |golem: &golem_engine::Golem| {
            let service = golem.run_service::<Ticker>();
            service.instance_params([Diary::default()])
        };
        let first = service(&golem).expiration(30 * MINUTE);
        let first = first.start().await.expect("a cluster");
        let at = first.expiration();
        first.stop();
        first.join().await;
        let second = service(&golem)
            .expires_at(at)
            .start()
            .await
            .expect("a cluster");
        assert_eq!(second.expiration(), at);
        let began = Instant::now();
        second.join().await;
        assert!(began.elapsed() < 30 * MINUTE && began.elapsed() > 25 * MINUTE);
        assert!(golem.stop().await.is_clean());
        assert_clean(stage);
    });
}

/// Wants much memory, and says something in its answers.
struct Demanding(LeastExpensiveLinearPayu, Arc<Mutex<Vec<String>>>);

impl MarketStrategy for Demanding {
    fn base(&self) -> Option<&dyn MarketStrategy> {
        Some(&self.0)
    }

    fn decorate_demand(&self, demand: &mut DemandDraft) {
        demand.constraints.push("(golem.inf.mem.gib>=16)".into());
    }

    fn respond_to_offer(&self, offer: &OfferProposal, counter: &mut DemandDraft) {
        let answered = offer.provider_name().to_owned();
        self.1
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(answered);
        // A platform that nobody takes: the answer is what the provider gets.
        if offer.provider_name() == "large-1" {
            let platform = json!("erc20-none-tglm");
            counter
                .properties
                .insert("golem.com.payment.chosen-platform".into(), platform);
        }
    }
}

#[test]
fn what_a_strategy_adds_to_demands_and_answers_reaches_providers() {
    let machine = |name: &str, mem: f64| {
        let mut provider = ProviderSpec::new(name);
        provider.resources.mem_gib = mem;
        provider
    };
    let providers = vec![
        machine("small", 2.0),
        machine("large-1", 32.0),
        machine("large-2", 32.0),
    ];
    Offline::new(7).providers(providers).run(async |stage| {
        let answered = Arc::default();
        let strategy = Demanding(
            LeastExpensiveLinearPayu::with_usual_caps(),
            Arc::clone(&answered),
        );
        let golem = stage
            .golem()
            .strategy(strategy)
            .start()
            .await
            .expect("an engine");
        let service = golem
            .run_service::<Ticker>()
            .instance_params([Diary::default()]);
        let cluster = service.start().await.expect("a cluster");
        let running = cluster.wait_running(5 * MINUTE).await.expect("it runs");
        assert_eq!(running[0].provider_name.as_deref(), Some("large-2"));
        let answered = answered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        assert!(!answered.contains(&"small".to_owned()), "{answered:?}");
        drop(golem.stop().await);
    });
}
