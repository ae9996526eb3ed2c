//! Machines that are given up: what comes to life again is ended, and paid for no longer than it was
//! ours.

use std::time::Duration;

use golem_engine::service::ServiceState;
use mock_yagna::journal::Event;
use mock_yagna::{Act, MockYagna};
use tokio::time::sleep;

use crate::ticker::{assert_clean, network, running, unbilled};

fn set_online(network: &MockYagna, provider: &str, online: bool) {
    let provider = provider.to_owned();
    network
        .act(Act::SetOnline { provider, online })
        .expect("possible");
}

fn count(network: &MockYagna, wanted: impl Fn(&Event) -> bool) -> usize {
    let journal = network.journal_since(0);
    journal.iter().filter(|entry| wanted(&entry.event)).count()
}

#[test]
fn a_machine_that_was_given_up_is_ended_at_its_first_debit_note_and_not_paid_for_longer() {
    network(1, &["alice", "bob"]).run(async |stage| {
        let (golem, cluster, _) = running(stage, 1, |_| {}).await;
        let provider = cluster.instances()[0].provider_name.clone();
        let provider = provider.expect("it runs");
        sleep(Duration::from_secs(600)).await;
        set_online(stage.network(), &provider, false);
        sleep(Duration::from_secs(240)).await;
        assert_eq!(cluster.instances()[0].state, ServiceState::Terminated);
        let is_end = |event: &Event| matches!(event, Event::AgreementTerminated { .. });
        assert_eq!(count(stage.network(), is_end), 0);
        let is_accepted = |event: &Event| matches!(event, Event::DebitNoteAccepted { .. });
        let accepted = count(stage.network(), is_accepted);
        set_online(stage.network(), &provider, true);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(count(stage.network(), is_end), 1, "at its first note");
        let more = count(stage.network(), is_accepted) - accepted;
        assert!(more <= 2, "{more} notes of a machine that nobody uses");
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_clean(stage);
    });
}

#[test]
fn what_was_given_up_is_settled_like_any_other_when_stopping() {
    unbilled(1, &["alice", "bob"]).run(async |stage| {
        let (golem, cluster, _) = running(stage, 1, |_| {}).await;
        let provider = cluster.instances()[0].provider_name.clone();
        let provider = provider.expect("it runs");
        sleep(Duration::from_secs(600)).await;
        set_online(stage.network(), &provider, false);
        sleep(Duration::from_secs(240)).await;
        assert_eq!(cluster.instances()[0].state, ServiceState::Terminated);
        set_online(stage.network(), &provider, true);
        sleep(Duration::from_secs(10)).await;
        let report = golem.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.invoices_accepted, 1, "{report}");
        assert_clean(stage);
    });
}
