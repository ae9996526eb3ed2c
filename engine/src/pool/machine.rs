//! A machine that is in use. Owns: that it comes back, whatever is dropped. Does not own: what is done with
//! it then (`upkeep.rs`).

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex as Guarded, PoisonError};

use tokio::sync::{Mutex, oneshot};

use super::handler::words_of;
use super::{AcquireError, MachinePool, Pool};
use crate::WorkContext;
use crate::activity::{Activity, Machine};
use crate::cause::Cause;
use crate::event::{EventContext, MachineAcquired, MachineReleased};
use crate::model::InstanceInfo;
use crate::work_context::Identity;

/// A machine of a pool, whoever has it.
pub(super) struct Slot {
    pub(super) number: usize,
    /// Locked while its activity is replaced by another one, and empty once it is given back.
    pub(super) machine: Mutex<Option<Machine>>,
    /// Its activity, also when that is over.
    activity: Guarded<Arc<Activity>>,
    pub(super) info: Guarded<InstanceInfo>,
}

impl Slot {
    pub(super) fn new(machine: Machine, number: usize, info: InstanceInfo) -> Self {
        Slot {
            number,
            activity: Guarded::new(Arc::clone(machine.activity())),
            machine: Mutex::new(Some(machine)),
            info: Guarded::new(info),
        }
    }

    pub(super) fn activity(&self) -> Arc<Activity> {
        let activity = self.activity.lock();
        Arc::clone(&activity.unwrap_or_else(PoisonError::into_inner))
    }

    /// Another activity runs on it from now on.
    pub(super) fn restarted(&self, activity: &Arc<Activity>) {
        let mut info = self.info.lock().unwrap_or_else(PoisonError::into_inner);
        info.attempt += 1;
        let mut own = self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        *own = Arc::clone(activity);
    }

    pub(super) fn info(&self) -> InstanceInfo {
        let info = self.info.lock().unwrap_or_else(PoisonError::into_inner);
        info.clone()
    }

    pub(super) fn about(&self) -> Arc<EventContext> {
        self.activity().about()
    }

    pub(super) fn context(&self, pool: &Pool) -> WorkContext {
        let identity = Identity {
            info: self.info(),
            post: None,
        };
        WorkContext::new(self.activity(), pool.draining.clone(), identity)
    }
}

/// The right to use a machine; it comes back when this is dropped.
pub(super) struct Lease {
    pub(super) pool: Arc<Pool>,
    pub(super) slot: Arc<Slot>,
    /// Whether its user has it, and has not given it back.
    handed_out: bool,
    returned: bool,
}

impl Lease {
    pub(super) fn new(pool: Arc<Pool>, slot: Arc<Slot>) -> Self {
        Lease {
            pool,
            slot,
            handed_out: false,
            returned: false,
        }
    }

    /// It is on its way to its user.
    pub(super) fn hand_out(mut self) -> Self {
        self.handed_out = true;
        let context = &self.pool.context;
        context.emit(self.slot.about(), MachineAcquired {});
        self
    }

    /// It was never lent.
    pub(super) fn forget(mut self) {
        self.returned = true;
    }

    /// Gives the machine back to its provider.
    pub(super) fn discard(mut self, reason: &str) -> oneshot::Receiver<()> {
        self.give_back(Some(reason.to_owned()))
    }

    pub(super) fn release(mut self) -> oneshot::Receiver<()> {
        self.give_back(None)
    }

    fn give_back(&mut self, fault: Option<String>) -> oneshot::Receiver<()> {
        self.returned = true;
        if self.handed_out {
            let context = &self.pool.context;
            context.emit(self.slot.about(), MachineReleased {});
        }
        // Users drop machines where they like, also outside of a runtime.
        let _runtime = self.pool.runtime.enter();
        self.pool.take_back(&self.slot, fault)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.returned {
            drop(self.give_back(None));
        }
    }
}

/// A machine to be used, by way of the [`WorkContext`] that it stands for: `machine.run(…)`,
/// `machine.script()`. It goes back to its pool when it is released or dropped, and to its provider when it is
/// lost or [discarded](Self::discard). Scripts of clones of its context that are kept fail then, or meet its next
/// user: keep none.
pub struct RentedMachine {
    context: WorkContext,
    /// `None` once it is given back.
    lease: Option<Lease>,
    /// The pool that it is alone in.
    own: Option<MachinePool>,
}

impl RentedMachine {
    pub(super) fn new(lease: Lease) -> Self {
        RentedMachine {
            context: lease.slot.context(&lease.pool),
            lease: Some(lease),
            own: None,
        }
    }

    /// It is alone in its pool, which ends with it.
    pub(super) fn with_own(mut self, own: MachinePool) -> Self {
        self.own = Some(own);
        self
    }

    /// The machine, to be handed to functions that take a [`WorkContext`].
    pub fn context(&self) -> &WorkContext {
        &self.context
    }

    /// Waits until the machine is lost, its agreement has ended, or it is taken away, and says why.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn lost(&self) -> Cause {
        let Some(lease) = &self.lease else {
            return "it was given back".into();
        };
        let activity = lease.slot.activity();
        tokio::select! {
            biased;
            health = activity.watch().troubled() => words_of(health),
            () = lease.pool.taken_away.cancelled() => lease.pool.ended().into_cause(),
        }
    }

    /// Ends what runs on the machine and begins anew: another activity on the same agreement, on which the
    /// [set-up](super::ManyOf::setup) runs again. Nothing of before is left on it, files included.
    /// [`context`](Self::context) is another one afterwards.
    ///
    /// # Errors
    /// [`AcquireError::Lost`] when the provider creates no other activity, [`AcquireError::SetupFailed`]; the machine is given
    /// back to its provider then.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task. The machine is of no use until then.
    pub async fn restart(&mut self) -> Result<(), AcquireError> {
        let Some(lease) = &self.lease else {
            return Ok(());
        };
        let (pool, slot) = (Arc::clone(&lease.pool), Arc::clone(&lease.slot));
        let tasks = lease.pool.context.tasks();
        let restarting = async move { pool.restart(&slot).await };
        let restarted = tasks.run("restart-machine", restarting).await;
        let restarted = restarted.unwrap_or_else(|_| Err(lease.pool.ended()));
        match restarted {
            Ok(()) => {
                self.context = lease.slot.context(&lease.pool);
                Ok(())
            }
            Err(error) => {
                if let Some(lease) = self.lease.take() {
                    let _ = lease.discard("it could not be restarted").await;
                }
                Err(error)
            }
        }
    }

    /// Gives the machine back, and waits until it is ready for its next user, or its provider has it.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn release(mut self) {
        self.end_own();
        if let Some(lease) = self.lease.take() {
            // It is done, or cut off with the engine.
            let _ = lease.release().await;
        }
        self.own_is_over().await;
    }

    /// Gives the machine back to its provider, since it is not good enough, and waits until that is done;
    /// its provider is the last resort from now on. `reason` is told in events and to the provider.
    ///
    /// # Cancel safety
    /// Runs to completion in an owned task.
    pub async fn discard(mut self, reason: impl fmt::Display) {
        self.end_own();
        if let Some(lease) = self.lease.take() {
            let _ = lease.discard(&reason.to_string()).await;
        }
        self.own_is_over().await;
    }

    fn end_own(&self) {
        if let Some(own) = &self.own {
            own.pool.draining.cancel();
        }
    }

    async fn own_is_over(&self) {
        if let Some(own) = &self.own {
            own.pool.wait_over().await;
        }
    }
}

impl Deref for RentedMachine {
    type Target = WorkContext;

    fn deref(&self) -> &WorkContext {
        &self.context
    }
}

impl Drop for RentedMachine {
    fn drop(&mut self) {
        // Before it comes back, so that it is not kept.
        self.end_own();
    }
}

impl fmt::Debug for RentedMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RentedMachine").field(&self.context).finish()
    }
}
