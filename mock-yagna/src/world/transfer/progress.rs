//! How far a transfer has come, told as its `progress` asks.
//!
//! The exe-unit's rule: at the beginning, at the end, and between them whenever `updateStep` more bytes have come
//! or `updateInterval` has passed; a second if it says neither.

use std::time::Duration;

use golem_wire::activity::Transfer;
use jiff::Timestamp;
use serde::Deserialize;

use crate::world::World;

/// What `progress` of a command may say.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    #[serde(with = "crate::duration::option")]
    update_interval: Option<Duration>,
    update_step: Option<u64>,
}

/// The reports of one transfer.
pub(super) struct Progress<'a> {
    tell: &'a (dyn Fn(u64, u64) + Sync),
    /// `None`: it is not asked for.
    asked: Option<Asked>,
    last: Option<(Timestamp, u64)>,
}

impl<'a> Progress<'a> {
    pub(super) fn of(transfer: &Transfer, tell: &'a (dyn Fn(u64, u64) + Sync)) -> Self {
        let asked = transfer.progress.clone().map(|asked| {
            let mut asked: Asked = serde_json::from_value(asked).unwrap_or_default();
            if asked.update_interval.is_none() && asked.update_step.is_none() {
                asked.update_interval = Some(Duration::from_secs(1));
            }
            asked
        });
        Progress {
            tell,
            asked,
            last: None,
        }
    }

    /// So many bytes of `total` have come.
    pub(super) fn has_come(&mut self, world: &World, done: u64, total: u64) {
        let Some(asked) = &self.asked else { return };
        let now = world.now();
        let due = match self.last {
            None => true,
            Some((_, last)) if last >= done => false,
            Some((at, last)) => {
                let passed = Duration::try_from(now.duration_since(at)).unwrap_or_default();
                done == total
                    || asked
                        .update_step
                        .is_some_and(|step| done - last.min(done) >= step)
                    || asked
                        .update_interval
                        .is_some_and(|interval| passed >= interval)
            }
        };
        if due {
            self.last = Some((now, done));
            (self.tell)(done, total);
        }
    }

    /// In how many pieces `total` bytes that take `takes` are best looked at: no more than a thousand.
    pub(super) fn pieces(&self, total: u64, takes: Duration) -> u64 {
        let Some(asked) = &self.asked else { return 1 };
        let by_time = asked.update_interval.filter(|it| !it.is_zero());
        let by_time =
            by_time.map(|it| u64::try_from(takes.as_nanos() / it.as_nanos()).unwrap_or(u64::MAX));
        let by_step = asked
            .update_step
            .filter(|step| *step > 0)
            .map(|step| total / step);
        by_time.max(by_step).unwrap_or(1).clamp(1, 1000)
    }
}
