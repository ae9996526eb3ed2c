use std::sync::Mutex;
use std::sync::mpsc;

use golem_wire::NodeId;
use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::lifecycle::agreement::EndedBy;
use crate::model::InstanceId;

struct Epoch;

impl Clock for Epoch {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn emitter() -> Emitter {
    Emitter::new(Arc::new(Epoch), Vec::new())
}

fn event(context: EventContext, kind: impl Into<EventKind>) -> Event {
    Event::new(Timestamp::UNIX_EPOCH, context, kind)
}

fn about(agreement: &str) -> EventContext {
    EventContext::of_job(&JobId::new("service-1"))
        .with_agreement(&agreement.into())
        .with_provider(&"0xa".into(), "alice")
}

fn terminated() -> AgreementTerminated {
    AgreementTerminated {
        by: EndedBy::Provider,
        reason: "had enough".into(),
    }
}

fn back(seconds: u64) -> DaemonBack {
    DaemonBack { seconds }
}

fn seconds(event: &Event) -> u64 {
    event.get::<DaemonBack>().expect("of that kind").seconds
}

#[test]
fn an_event_belongs_to_the_groups_above_its_own_as_in_the_reference() {
    let command = event(
        EventContext::default(),
        CommandStarted {
            script: 1,
            command: 0,
            text: "deploy".into(),
        },
    );
    let above = [
        EventGroup::Command,
        EventGroup::Script,
        EventGroup::Activity,
        EventGroup::Agreement,
        EventGroup::Job,
    ];
    assert!(above.iter().all(|group| command.is_in(*group)));
    assert!(!command.is_in(EventGroup::Task) && !command.is_in(EventGroup::Engine));
    assert!(event(about("a"), terminated()).is_in(EventGroup::Job));
    assert!(!event(about("a"), back(1)).is_in(EventGroup::Job));
}

#[test]
fn a_filter_chooses_by_kind_group_and_what_an_event_is_about() {
    let ended = event(about("a"), terminated());
    let matches = |filter: EventFilter| filter.matches(&ended);
    assert!(matches(EventFilter::all()));
    assert!(matches(EventGroup::Agreement.into()));
    assert!(!matches(EventGroup::Activity.into()));
    assert!(matches(EventFilter::kind::<AgreementTerminated>()));
    assert!(!matches(EventFilter::kind::<AgreementConfirmed>()));
    assert!(matches(
        EventFilter::named("AgreementTerminated").expect("known")
    ));
    assert!(matches(EventFilter::all().of_agreement(&"a".into())));
    assert!(!matches(EventFilter::all().of_agreement(&"b".into())));
    assert!(matches(
        EventFilter::all().of_provider(&NodeId::from("0xa"))
    ));
    assert!(matches(EventFilter::all().of_job(&JobId::new("service-1"))));
    assert!(!matches(
        EventFilter::all().of_instance(&InstanceId::new("service-1/1"))
    ));
    assert!(!matches(EventFilter::all().of_activity(&"x".into())));
    // Each alternative has conditions of its own.
    let either = EventFilter::all().of_agreement(&"b".into());
    assert!(matches(
        either.or(EventFilter::kind::<AgreementTerminated>())
    ));
    let both = EventFilter::from(EventGroup::Task).or(EventGroup::Agreement);
    assert!(!matches(both.of_agreement(&"b".into())));
    assert!(!matches(EventFilter::custom("AgreementTerminated")));
    let custom = event(EventContext::default(), Custom::named("mine", 1));
    assert!(EventFilter::custom("mine").matches(&custom));
    assert!(EventFilter::from(EventGroup::Custom).matches(&custom));
}

#[test]
fn a_name_that_no_event_has_is_refused_and_named() {
    let refused = EventFilter::named("AgreementTerminatd").expect_err("no such event");
    assert!(
        refused.to_string().contains("`AgreementTerminatd`"),
        "{refused}"
    );
    assert!(EventFilter::named("").is_err());
}

#[test]
fn an_event_is_written_with_its_name_and_all_that_it_is_about() {
    let ended = event(
        about("a").with_instance(&InstanceId::new("service-1/2"), "two"),
        terminated(),
    );
    assert_eq!(
        serde_json::to_value(&ended).expect("JSON"),
        json!({
            "at": "1970-01-01T00:00:00Z",
            "event": "AgreementTerminated",
            "by": "Provider",
            "reason": "had enough",
            "job": "service-1",
            "agreement_id": "a",
            "provider_id": "0xa",
            "provider_name": "alice",
            "service": "service-1/2",
            "service_name": "two",
        })
    );
    let mine = event(
        EventContext::default(),
        Custom::named("mine", json!({"event": 7})),
    );
    let text = serde_json::to_string(&mine).expect("JSON");
    assert!(
        text.contains(r#""event":"Custom","name":"mine","data":{"event":7}"#),
        "{text}"
    );
}

#[tokio::test]
async fn a_stream_hears_what_happens_after_it_began_and_ends_with_the_engine() {
    let emitter = emitter();
    emitter.emit(EventContext::default(), back(1));
    let mut events = emitter.events(EventFilter::all());
    emitter.emit(EventContext::default(), back(2));
    assert_eq!(seconds(&events.next().await.expect("one")), 2);
    let mut closed = Box::pin(events.next());
    assert!(futures::poll!(&mut closed).is_pending());
    emitter.emit(EventContext::default(), back(3));
    assert_eq!(seconds(&closed.await.expect("one")), 3);
    emitter.emit(EventContext::default(), back(4));
    emitter.close();
    assert_eq!(seconds(&events.next().await.expect("one")), 4);
    assert!(events.next().await.is_none());
    // One that begins after the end is over at once.
    assert!(emitter.events(EventFilter::all()).next().await.is_none());
}

#[tokio::test]
async fn a_stream_ends_when_nobody_is_left_who_could_emit() {
    let emitter = emitter();
    let mut events = emitter.events(EventFilter::all());
    drop(emitter);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_slow_stream_misses_the_oldest_events_and_counts_them() {
    let emitter = emitter();
    let mut slow = emitter.events(EventFilter::kind::<DaemonBack>().queue(2));
    let mut quick = emitter.events(EventFilter::all());
    for number in 1..=5 {
        emitter.emit(EventContext::default(), back(number));
        emitter.emit(about("a"), terminated());
        assert_eq!(seconds(&quick.next().await.expect("one")), number);
        quick.next().await.expect("the other");
    }
    assert_eq!((slow.missed(), quick.missed()), (3, 0));
    assert_eq!(seconds(&slow.next().await.expect("one")), 4);
    assert_eq!(seconds(&slow.next().await.expect("one")), 5);
}

#[test]
fn a_queue_holds_at_least_one_event() {
    let emitter = emitter();
    let events = emitter.events(EventFilter::all().queue(0));
    emitter.emit(EventContext::default(), back(1));
    assert_eq!(events.missed(), 0);
}

#[tokio::test]
async fn a_consumer_that_hangs_holds_nobody_up_and_its_losses_are_counted() {
    let emitter = emitter();
    let (at_work, began) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let consumer = emitter.consume(
        EventFilter::all().queue(3),
        Box::new(move |_: &Event| {
            // A receiver that is gone is no reason to fail.
            let _ = at_work.send(());
            let _ = released.recv();
        }),
    );
    let consumer = consumer.expect("a thread");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&heard);
    let quick = Box::new(move |event: &Event| list.lock().expect("a list").push(seconds(event)));
    let _quick = emitter
        .consume(EventFilter::all(), quick)
        .expect("a thread");
    emitter.emit(EventContext::default(), back(0));
    began.recv().expect("it is at the first one");
    for number in 1..=10 {
        emitter.emit(EventContext::default(), back(number));
    }
    assert_eq!(consumer.missed(), 7);
    emitter.close();
    // It waits for the one that hangs no longer than its limit, and for the other until it is done.
    emitter.consumed().await;
    assert_eq!(*heard.lock().expect("a list"), (0..=10).collect::<Vec<_>>());
    drop(release);
}

#[tokio::test]
async fn a_consumer_that_panics_is_named_and_hears_the_next_event() {
    let emitter = emitter();
    let mut panics = emitter.events(EventFilter::kind::<CallbackPanicked>());
    let mut heard = 0;
    let (tell, told) = mpsc::channel();
    let consumer = Box::new(move |event: &Event| {
        if event.get::<DaemonBack>().is_some() {
            heard += 1;
            let _ = tell.send(heard);
            panic!("I am wrong about {}", seconds(event));
        }
    });
    emitter
        .consume(EventFilter::all(), consumer)
        .expect("a thread");
    for number in 1..=2 {
        emitter.emit(about("a"), back(number));
        let panic = panics.next().await.expect("told");
        let told = panic.get::<CallbackPanicked>().expect("of that kind");
        assert_eq!(told.message, format!("I am wrong about {number}"));
        assert!(told.callback.contains("consumer"), "{}", told.callback);
        assert_eq!(panic.agreement(), Some(&"a".into()));
    }
    assert_eq!(told.try_iter().last(), Some(2));
}

#[tokio::test]
async fn a_consumer_that_is_stopped_hears_nothing_more() {
    let emitter = emitter();
    let (tell, told) = mpsc::channel();
    let consumer = Box::new(move |event: &Event| {
        let _ = tell.send(seconds(event));
    });
    let consumer = emitter
        .consume(EventFilter::all(), consumer)
        .expect("a thread");
    emitter.emit(EventContext::default(), back(1));
    assert_eq!(told.recv(), Ok(1));
    consumer.stop();
    emitter.emit(EventContext::default(), back(2));
    emitter.close();
    emitter.consumed().await;
    assert!(told.recv().is_err());
}

#[test]
fn what_a_consumer_emits_comes_after_what_it_heard() {
    let emitter = emitter();
    let own = emitter.clone();
    let (tell, told) = mpsc::channel();
    let consumer = Box::new(move |event: &Event| {
        if let Some(back) = event.get::<DaemonBack>() {
            own.emit(
                (*event.context).clone(),
                Custom::named("again", back.seconds),
            );
        } else {
            let _ = tell.send(event.custom::<u64>().copied());
        }
    });
    emitter
        .consume(EventFilter::all(), consumer)
        .expect("a thread");
    emitter.emit(EventContext::default(), back(7));
    assert_eq!(told.recv(), Ok(Some(7)));
    emitter.close();
}
