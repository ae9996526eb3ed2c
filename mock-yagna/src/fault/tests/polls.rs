//! Events that come again or late in other polls, for everything that is polled.

use std::time::Duration;

use serde_json::Value;

use super::client::{Client, fault};
use crate::fault::{Effect, Fault};

/// A client that pages through the events of `path`, one event at a time.
struct Pager<'a> {
    client: &'a Client,
    path: String,
    /// The latest stamp it has seen.
    seen: String,
}

impl Pager<'_> {
    async fn poll(&mut self) -> Vec<Value> {
        let path = &self.path;
        let path = format!(
            "{path}?timeout=5&maxEvents=1&afterTimestamp={}",
            self.seen.replace('+', "%2B")
        );
        let events = self.client.get(&path).await.json();
        let events = events.as_array().expect("a list").clone();
        for event in &events {
            let date = event["eventDate"].as_str().expect("a date");
            if *date > *self.seen {
                self.seen = date.to_owned();
            }
        }
        events
    }

    async fn polls(&mut self, times: usize) -> Vec<Vec<Value>> {
        let mut polls = Vec::new();
        for _ in 0..times {
            polls.push(self.poll().await);
        }
        polls
    }
}

const LOGS: [&str; 3] = [
    "/market-api/v1/agreementEvents",
    "/payment-api/v1/invoiceEvents",
    "/payment-api/v1/debitNoteEvents",
];

/// A network in which three agreements ended, so that each log has at least three events.
async fn history() -> Client {
    let client = Client::with_providers(3, Vec::new());
    for _ in 0..3 {
        let agreement = client.agree().await;
        client.activity(&agreement).await;
        tokio::time::sleep(Duration::from_secs(130)).await;
        client.terminate(&agreement).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    client
}

fn pager<'a>(client: &'a Client, path: &str) -> Pager<'a> {
    Pager {
        client,
        path: path.to_owned(),
        seen: "2020-01-01T00:00:00Z".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_of_an_earlier_poll_comes_again_in_a_later_one() {
    let client = history().await;
    for path in LOGS {
        let plain = pager(&client, path).polls(3).await.concat();
        let [a, b, c] = &plain[..] else {
            panic!("three events of {path}: {plain:?}")
        };
        let again = client.inject(path, Effect::RepeatEvents);
        let polls = pager(&client, path).polls(3).await;
        let expected = [
            vec![a.clone()],
            vec![a.clone(), b.clone()],
            vec![b.clone(), c.clone()],
        ];
        assert_eq!(polls, expected, "{path}");
        again.lift();
        assert_eq!(pager(&client, path).polls(3).await.concat(), plain);
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_event_comes_before_an_earlier_one_and_none_is_lost() {
    let client = history().await;
    for path in LOGS {
        let plain = pager(&client, path).polls(3).await.concat();
        let [a, b, c] = &plain[..] else {
            panic!("three events of {path}: {plain:?}")
        };
        let once = Fault {
            count: Some(1),
            ..fault(path, Effect::PostponeEvent)
        };
        let late = client.mock.inject(once).expect("a fault");
        let polls = pager(&client, path).polls(3).await;
        let expected = [vec![], vec![b.clone()], vec![a.clone(), c.clone()]];
        assert_eq!(polls, expected, "{path}");
        late.lift();
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_for_an_event_later_than_the_postponed_one() {
    let client = Client::with_providers(2, Vec::new());
    let path = LOGS[0];
    let late = client.inject(path, Effect::PostponeEvent);
    let first = client.agree().await;
    let mut pager = pager(&client, path);
    assert_eq!(pager.poll().await, Vec::<Value>::new());
    let begun = tokio::time::Instant::now();
    assert_eq!(pager.poll().await, Vec::<Value>::new());
    assert_eq!(begun.elapsed(), Duration::from_secs(5), "no busy loop");
    late.lift();
    let events = pager.poll().await;
    assert_eq!(events[0]["agreementId"], first.as_str());
}

#[tokio::test(start_paused = true)]
async fn proposals_come_again_or_late_in_other_polls() {
    for (effect, sizes) in [
        (None, [1, 1, 1, 0]),
        (Some(Effect::RepeatEvents), [1, 2, 2, 0]),
        (Some(Effect::PostponeEvent), [0, 1, 2, 0]),
    ] {
        let client = Client::with_providers(3, Vec::new());
        let once = |effect| Fault {
            count: (effect == Effect::PostponeEvent).then_some(1),
            ..fault("collectOffers", effect)
        };
        let guard = effect.map(|effect| client.mock.inject(once(effect)).expect("a fault"));
        let demand = client.demand().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let path = format!("/market-api/v1/demands/{demand}/events");
        let polls = pager(&client, &path).polls(4).await;
        let got: Vec<usize> = polls.iter().map(Vec::len).collect();
        assert_eq!(got, sizes);
        let mut ids: Vec<_> = polls.concat();
        ids.sort_by_key(|event| event["proposal"]["proposalId"].to_string());
        ids.dedup();
        assert_eq!(ids.len(), 3, "each of them comes");
        if let Some(guard) = guard {
            guard.lift();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_postponed_proposal_comes_when_its_fault_is_lifted() {
    let client = Client::with_providers(2, Vec::new());
    let late = client.inject("collectOffers", Effect::PostponeEvent);
    let demand = client.demand().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let path = format!("/market-api/v1/demands/{demand}/events");
    let mut pager = pager(&client, &path);
    assert_eq!(pager.poll().await.len(), 0);
    late.lift();
    assert_eq!(pager.poll().await.len(), 2);
}
