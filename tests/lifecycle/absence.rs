//! A daemon that is away, answers 500, or restarts: nothing is given up for it.
//!
//! The providers here send no debit notes: ones that do end their agreements by themselves when no
//! note is accepted within the time that was agreed, and rightly so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use golem_engine::EventKind;
use golem_engine::service::ServiceState;
use mock_yagna::fault::{Effect, Fault};
use mock_yagna::journal::Event;
use mock_yagna::{Act, MockYagna};
use tokio::time::{Instant, sleep};

use crate::ticker::{assert_clean, running, unbilled as network};

const TEN_MINUTES: Duration = Duration::from_secs(600);

fn approved(network: &MockYagna) -> usize {
    let journal = network.journal_since(0);
    journal
        .iter()
        .filter(|entry| matches!(entry.event, Event::AgreementApproved { .. }))
        .count()
}

#[test]
fn services_outlive_ten_minutes_in_which_the_daemon_cannot_be_used() {
    for (seed, effect) in (1..).zip([
        Effect::Reset,
        Effect::Refuse(500),
        Effect::Refuse(503),
        Effect::Wedge,
    ]) {
        network(seed, &["alice", "bob"]).run(async |stage| {
            let (golem, cluster, diary) = running(stage, 2, |_| {}).await;
            let before = cluster.instances();
            let fault = Fault::new("*", effect.clone()).expect("a fault");
            let away = stage.network().inject(fault).expect("possible");
            sleep(TEN_MINUTES).await;
            away.lift();
            let ticks = diary.count("tick");
            sleep(Duration::from_secs(120)).await;
            let after = cluster.instances();
            for (before, after) in before.iter().zip(&after) {
                assert_eq!(after.state, ServiceState::Running, "{effect:?}: {after:?}");
                assert_eq!(before.activity_id, after.activity_id, "{effect:?}");
            }
            assert!(diary.count("tick") > ticks, "{effect:?}: work goes on");
            assert_eq!(
                approved(stage.network()),
                2,
                "{effect:?}: nothing is signed twice"
            );
            let report = golem.stop().await;
            assert!(report.is_clean(), "{effect:?}: {report}");
            assert_clean(stage);
        });
    }
}

#[test]
fn after_a_restart_of_the_daemon_negotiation_starts_anew_and_nothing_is_signed_twice() {
    network(1, &["alice", "bob", "carol"]).run(async |stage| {
        let (golem, cluster, diary) = running(stage, 2, |_| {}).await;
        let down = TEN_MINUTES;
        stage
            .network()
            .act(Act::RestartDaemon { down })
            .expect("possible");
        sleep(Duration::from_secs(5)).await;
        // Wanted while nobody listens.
        cluster.spawn_instances([diary.clone()]).expect("open");
        sleep(down).await;
        let waiting = cluster.wait_until(|all| {
            all.iter()
                .all(|instance| instance.state == ServiceState::Running)
        });
        let third = tokio::time::timeout(Duration::from_secs(120), waiting).await;
        assert!(third.is_ok(), "all three run: {:?}", cluster.instances());
        assert_eq!(approved(stage.network()), 3);
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
}

#[test]
fn a_daemon_that_never_comes_back_is_given_up_after_its_limit() {
    network(1, &["alice"]).run(async |stage| {
        let limit = Duration::from_secs(300);
        let (golem, cluster, _) = running(stage, 1, move |config| {
            config.daemon_away = limit;
        })
        .await;
        let fault = Fault::new("*", Effect::Reset).expect("a fault");
        let _away = stage.network().inject(fault).expect("possible");
        let began = Instant::now();
        cluster
            .wait_until(|all| all[0].state == ServiceState::Terminated)
            .await;
        let took = began.elapsed();
        let silence = golem.config().activity.silence;
        assert!(took >= limit && took <= limit + 3 * silence, "{took:?}");
        let report = golem.stop().await;
        assert!(!report.open_agreements.is_empty(), "{report}");
    });
}

#[test]
fn a_provider_that_is_silent_while_the_daemon_is_there_is_given_up_as_before() {
    network(1, &["alice"]).run(async |stage| {
        let (golem, cluster, _) = running(stage, 1, |_| {}).await;
        let fault = Fault::new("* /activity-api/*", Effect::Refuse(408)).expect("a fault");
        let silent = stage.network().inject(fault).expect("possible");
        let began = Instant::now();
        cluster
            .wait_until(|all| all[0].state == ServiceState::Terminated)
            .await;
        let silence = golem.config().activity.silence;
        assert!(began.elapsed() <= 2 * silence, "{:?}", began.elapsed());
        silent.lift();
        drop(golem.stop().await);
        assert_clean(stage);
    });
}

#[test]
fn an_absence_is_told_while_it_lasts_and_when_it_is_over() {
    let effects = [
        (Effect::Reset, 5),
        (Effect::Refuse(503), 5),
        (Effect::Wedge, 90),
    ];
    for (seed, (effect, within)) in (1..).zip(effects) {
        network(seed, &["alice"]).run(async |stage| {
            let told = Arc::new(Mutex::new(Vec::new()));
            let noted = Arc::clone(&told);
            let golem = stage.golem().event_observer(move |event| {
                let seconds = match event.kind {
                    EventKind::DaemonAway(ref away) => (false, away.seconds),
                    EventKind::DaemonBack(ref back) => (true, back.seconds),
                    _ => return,
                };
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                noted.push((Instant::now(), seconds));
            });
            let golem = golem.start().await.expect("the engine starts");
            let told = || told.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let fault = |count| {
                let mut fault = Fault::new("*", effect.clone()).expect("a fault");
                fault.count = count;
                stage.network().inject(fault).expect("possible")
            };
            // One request that fails is no absence.
            let _once = fault(Some(1));
            sleep(Duration::from_secs(120)).await;
            assert_eq!(told(), [], "{effect:?}");
            let away = fault(None);
            let began = Instant::now();
            sleep(TEN_MINUTES).await;
            let during = told();
            let first = during.first().expect("told");
            assert!(!first.1.0, "{effect:?}: {during:?}");
            let after = first.0 - began;
            assert!(
                after <= Duration::from_secs(within),
                "{effect:?}: {after:?}"
            );
            assert!((5..=12).contains(&during.len()), "{effect:?}: {during:?}");
            let pauses = during.windows(2).map(|two| two[1].0 - two[0].0);
            let longest = pauses.max().expect("several");
            assert!(
                longest <= Duration::from_secs(310),
                "{effect:?}: {longest:?}"
            );
            away.lift();
            sleep(Duration::from_secs(30)).await;
            let (at, (is_back, seconds)) = *told().last().expect("told");
            assert!(is_back && at - began <= TEN_MINUTES + Duration::from_secs(15));
            let summary = golem.summary();
            assert_eq!(summary.daemon_away.times, 1);
            assert_eq!(summary.daemon_away.seconds, seconds);
            assert!((500..=620).contains(&seconds), "{effect:?}: {seconds}");
            assert!(summary.to_string().contains("away 1 time"), "{summary}");
            drop(golem.stop().await);
        });
    }
}
