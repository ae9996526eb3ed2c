//! What happens on the network while several requestors are at work: the steps of the timeline that are nobody's.
//!
//! Does not own: the steps of one requestor, which its own run follows (`work`).

use std::sync::Mutex;

use serde_json::json;

use super::follower::Follower;
use super::setting::{Setting, WorkResult};
use super::timeline;
use crate::language::Step;

/// Waits until `all` are done, and takes the steps that are nobody's meanwhile; of the only requestor every step is its
/// own.
pub(crate) async fn beside<T>(
    setting: &Setting<'_>,
    all: impl Future<Output = T>,
) -> (T, WorkResult) {
    let mut result = WorkResult::default();
    let Some(scenario) = setting.scenario.of_nobody() else {
        return (all.await, result);
    };
    let progress = Mutex::default();
    let heard = (&setting.journal, &None);
    let mut steps = Follower::new(&scenario, None, heard, &progress);
    let mut all = Box::pin(all);
    loop {
        let came = tokio::select! {
            biased;
            done = &mut all => Err(done),
            step = steps.next() => Ok(step),
        };
        match came {
            Err(done) => {
                result.failed_steps.extend(steps.rest());
                return (done, result);
            }
            Ok(Err(why)) => result.failed_steps.push(why),
            Ok(Ok(step)) => take(setting, &step, &mut result),
        }
    }
}

fn take(setting: &Setting<'_>, step: &Step, result: &mut WorkResult) {
    let text = timeline::describe(step);
    setting.observer.tell(&format!("timeline: {text}"));
    // No instance is nobody's.
    match timeline::perform(step, setting.stage.network(), |_| None) {
        Ok(_) => result.steps.push(text.clone()),
        Err(reason) => result.failed_steps.push(format!("{text}: {reason}")),
    }
    setting.observer.stage("timeline", &text, &json!({}));
}
