//! A computer whose clock is off: the engine goes by the daemon's, and says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use golem_engine::clock::{Clock, ClockDifference};
use golem_engine::service::ServiceState;
use golem_engine::{Event, EventKind};
use jiff::{SignedDuration, Timestamp};
use mock_yagna::Timebase;

use crate::ticker::{Diary, Ticker, assert_clean, network};

/// A clock of the computer's own.
struct Own(Timebase);

impl Clock for Own {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

#[test]
fn a_clock_that_is_hours_off_is_named_and_everything_works() {
    for hours in [-26, -2, -1, 1, 2, 26] {
        network(3, &["alice", "bob"]).run(async |stage| {
            let off = SignedDuration::from_hours(hours);
            let here = stage
                .network()
                .world()
                .now()
                .saturating_add(off)
                .expect("a date");
            let told: Arc<Mutex<Vec<ClockDifference>>> = Arc::default();
            let listener = Arc::clone(&told);
            let golem = stage.golem().clock(Own(Timebase::starting_at(here)));
            let golem = golem.event_observer(move |event: &Event| {
                if let EventKind::ClockDiffers(told) = &event.kind {
                    let difference = told.difference;
                    let mut told = listener.lock().unwrap_or_else(PoisonError::into_inner);
                    told.push(difference);
                }
            });
            let golem = golem.start().await.expect("starts");
            let service = golem
                .run_service::<Ticker>()
                .instance_params(vec![Diary::default(); 2]);
            let cluster = service.start().await.expect("a cluster");
            let waiting = cluster.wait_until(|instances| {
                instances
                    .iter()
                    .all(|instance| instance.state == ServiceState::Running)
            });
            let minutes = Duration::from_secs(300);
            let run = tokio::time::timeout(minutes, waiting).await;
            assert!(run.is_ok(), "{hours} h: {:?}", cluster.instances());
            tokio::time::sleep(minutes).await;
            cluster.stop();
            cluster.join().await;
            let report = golem.stop().await;
            assert!(report.is_clean(), "{hours} h: {report}");
            assert_clean(stage);
            let told = told.lock().unwrap_or_else(PoisonError::into_inner);
            let [difference] = told[..] else {
                panic!("{hours} h: {told:?}");
            };
            assert!(
                (difference.ahead_secs - hours * 3600).abs() <= 1,
                "{difference}"
            );
        });
    }
}
