//! Going on with instances of an earlier life. Owns: parameters as JSON, which instances a cluster
//! begins with, and what is written down about them. Does not own: whether their machines are still
//! there (`recovery/`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Instance, Service};
use crate::activity::Machine;
use crate::context::Context;
use crate::error::Error;
use crate::event::{CallbackPanicked, EventContext};
use crate::journal::{Fact, InstanceRecord};
use crate::lifecycle::service::ServiceState;
use crate::model::JobId;
use crate::network::{Network, Node};
use crate::panics::caught;
use crate::recovery::{Claim, Claimed, Recovered};
use crate::tasks::TaskGroup;

/// Gives resumed parameters what JSON cannot carry.
type Complete<P> = Arc<dyn Fn(P) -> P + Send + Sync>;

/// The name under which a cluster is found again, and how its parameters are kept.
pub(super) struct Resume<P> {
    pub(super) name: String,
    pub(super) encode: fn(&P) -> Value,
    decode: fn(Value) -> Result<P, serde_json::Error>,
    pub(super) complete: Option<Complete<P>>,
}

impl<P: Serialize + DeserializeOwned> Resume<P> {
    pub(super) fn new(name: String) -> Self {
        Resume {
            name,
            // What cannot be kept is not resumed; it starts with the program's parameters.
            encode: |params| serde_json::to_value(params).unwrap_or(Value::Null),
            decode: |value| serde_json::from_value(value),
            complete: None,
        }
    }
}

/// An instance that a cluster begins with.
pub(super) enum Begin<P> {
    /// It ended in an earlier life, by itself or because it alone was stopped; with its failure.
    Ended(P, Option<String>),
    /// It starts.
    Fresh(P),
    /// It goes on with its machine, which it was stopping on if `stopping`.
    Going {
        params: P,
        machine: Machine,
        stopping: bool,
    },
}

/// The instances that a cluster begins with, by their index. Those of an earlier life that do not begin have
/// ended, and that is told.
pub(super) struct Beginnings<P> {
    recovered: Arc<Recovered>,
    all: BTreeMap<usize, Beginning<P>>,
}

struct Beginning<P> {
    begin: Begin<P>,
    /// Where it stood in an earlier life, if it is of one.
    before: Option<InstanceRecord>,
}

impl<P> Beginnings<P> {
    /// Instances that all start.
    pub(super) fn fresh(recovered: &Arc<Recovered>, params: Vec<P>) -> Self {
        let all = params.into_iter().map(Beginning::fresh).enumerate();
        Beginnings {
            recovered: Arc::clone(recovered),
            all: all.collect(),
        }
    }

    /// Lets those begin that are `wanted`, in the order of their indexes.
    pub(super) fn begin(
        &mut self,
        wanted: impl Fn(&Begin<P>) -> bool,
        mut spawn: impl FnMut(usize, Begin<P>) -> bool,
    ) {
        let wanted = self.all.extract_if(.., |_, it| wanted(&it.begin));
        for (index, Beginning { begin, before }) in wanted {
            if !spawn(index, begin)
                && let Some(before) = before
            {
                self.recovered.instance_ended(&before);
            }
        }
    }
}

impl<P> Beginning<P> {
    fn fresh(params: P) -> Self {
        Beginning {
            begin: Begin::Fresh(params),
            before: None,
        }
    }
}

impl<P> Drop for Beginnings<P> {
    fn drop(&mut self) {
        for Beginning { begin, before } in std::mem::take(&mut self.all).into_values() {
            // What has a machine gives it back.
            drop(begin);
            if let Some(before) = before {
                self.recovered.instance_ended(&before);
            }
        }
    }
}

impl<P> Resume<P> {
    /// The instances of the earlier life, for a cluster on its way.
    ///
    /// # Errors
    /// [`Error::NameInUse`].
    pub(super) fn claim(&self, recovered: &Arc<Recovered>) -> Result<Claimed, Error> {
        Claimed::of(recovered, &self.name).ok_or_else(|| Error::NameInUse {
            name: self.name.clone(),
        })
    }

    /// Instances to begin with, by index: those of the earlier life, and those of `given` beyond.
    pub(super) fn begin(
        &self,
        claimed: Claimed,
        recovered: &Arc<Recovered>,
        context: &Arc<Context>,
        (job, giving_back, network): (&JobId, &TaskGroup, Option<&Network>),
        given: Vec<P>,
    ) -> Beginnings<P> {
        let mut begin = Beginnings::fresh(recovered, Vec::new());
        let mut given: BTreeMap<_, _> = given.into_iter().enumerate().collect();
        for Claim { record, machine } in claimed.begin() {
            let before = record.clone();
            let InstanceRecord {
                index,
                params,
                state,
                failure,
                node,
                ..
            } = record;
            // One whose network is gone cannot be reached: it starts anew.
            let place = network.map(|network| {
                let there = node.filter(|node| node.network == *network.id());
                there.map(|node| (network, node.ip))
            });
            let kept = caught(|| {
                let params = (self.decode)(params).ok()?;
                Some(match &self.complete {
                    Some(complete) => complete(params),
                    None => params,
                })
            });
            let kept = kept.unwrap_or_else(|panicked| {
                let told = CallbackPanicked::of("complete_params", panicked);
                context.emit(EventContext::of_job(job), told);
                None
            });
            let machine = machine.and_then(|(rental, activity)| {
                let provider = rental.provider_id.clone();
                let mut machine = Machine::adopt(context, job, rental, activity, giving_back);
                match place {
                    None => Some(machine),
                    Some(Some((network, ip))) => {
                        machine.is_at(network.rejoin(&provider, ip));
                        Some(machine)
                    }
                    // Dropping the machine gives it back.
                    Some(None) => None,
                }
            });
            let Some(params) = kept.or_else(|| given.remove(&index)) else {
                // Dropping the machine gives it back.
                tracing::warn!(service = %self.name, index, "its parameters cannot be read; not resumed");
                recovered.instance_ended(&before);
                continue;
            };
            let stopping = state == ServiceState::Stopping;
            let instance = match machine {
                Some(machine) => Begin::Going {
                    params,
                    machine,
                    stopping,
                },
                None if stopping || state == ServiceState::Terminated => {
                    Begin::Ended(params, failure)
                }
                None => Begin::Fresh(params),
            };
            let instance = Beginning {
                begin: instance,
                before: Some(before),
            };
            begin.all.insert(index, instance);
        }
        for (index, params) in given {
            let fresh = || Beginning::fresh(params);
            begin.all.entry(index).or_insert_with(fresh);
        }
        begin
    }
}

/// Writes down where an instance stands, and whether its service `goes_on` besides.
pub(super) fn write_down<S: Service>(
    context: &Context,
    cluster: (&str, Option<&Resume<S::Params>>),
    index: usize,
    params: &S::Params,
    instance: &Instance,
    goes_on: bool,
) {
    // It is for a later life to read.
    if !context.log().is_kept() {
        return;
    }
    let (job, resume) = cluster;
    let machine = instance.state.is_available();
    let record = InstanceRecord {
        cluster: resume.map_or(job, |resume| &resume.name).to_owned(),
        index,
        params: resume.map_or(Value::Null, |resume| (resume.encode)(params)),
        state: instance.state,
        resumable: goes_on && resume.is_some(),
        agreement: instance.agreement_id.clone().filter(|_| machine),
        activity: instance.activity_id.clone().filter(|_| machine),
        node: instance.node.as_ref().filter(|_| machine).map(Node::record),
        failure: instance.failure.as_ref().map(|why| format!("{why:#}")),
        id: Some(instance.id.clone()),
        title: Some(instance.name.clone()),
    };
    context.log().fact(Fact::Instance { instance: record });
}
