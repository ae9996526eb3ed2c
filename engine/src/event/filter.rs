//! Which events somebody wants to hear. Owns: saying and deciding it; pure.

use golem_wire::{ActivityId, AgreementId, NodeId};

use super::{Event, EventGroup, EventKind, EventType};
use crate::model::{InstanceId, JobId};

/// Events that wait for a receiver, unless [`EventFilter::queue`] says otherwise.
const QUEUE: usize = 16_384;

/// Which events a stream or a consumer gets, and how many may wait for it.
///
/// ```
/// use golem_engine::event::{AgreementTerminated, EventFilter, EventGroup};
/// # use golem_engine::model::JobId;
///
/// # fn example(job: &JobId) -> Result<(), golem_engine::event::UnknownEvent> {
/// // Everything about payments, and the ends of agreements, of one job.
/// let filter = EventFilter::group(EventGroup::Invoice)
///     .or(EventGroup::DebitNote)
///     .or(EventFilter::kind::<AgreementTerminated>())
///     .or(EventFilter::named("PaymentFailed")?)
///     .of_job(job)
///     .queue(100);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter {
    /// One of them has to hold.
    wanted: Vec<Wanted>,
    queue: usize,
}

/// What an event has to be, and to be about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    kinds: Kinds,
    job: Option<JobId>,
    agreement: Option<AgreementId>,
    provider: Option<NodeId>,
    activity: Option<ActivityId>,
    instance: Option<InstanceId>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Kinds {
    #[default]
    All,
    Group(EventGroup),
    Named(&'static str),
    Custom(String),
}

/// There is no event of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no event `{name}`; `EventKind::NAMES` lists them, and events of your own are chosen by `EventFilter::custom`"
)]
#[non_exhaustive]
pub struct UnknownEvent {
    /// The name.
    pub name: String,
}

impl Default for EventFilter {
    fn default() -> Self {
        EventFilter::all()
    }
}

impl EventFilter {
    fn of(kinds: Kinds) -> Self {
        let wanted = Wanted {
            kinds,
            ..Wanted::default()
        };
        EventFilter {
            wanted: vec![wanted],
            queue: QUEUE,
        }
    }

    /// All events.
    pub fn all() -> Self {
        EventFilter::of(Kinds::All)
    }

    /// The events of a group, and of the groups below it.
    pub fn group(group: EventGroup) -> Self {
        EventFilter::of(Kinds::Group(group))
    }

    /// The events of one kind.
    pub fn kind<T: EventType>() -> Self {
        EventFilter::of(Kinds::Named(T::NAME))
    }

    /// The events of this name, one of [`EventKind::NAMES`].
    ///
    /// # Errors
    /// [`UnknownEvent`].
    pub fn named(name: &str) -> Result<Self, UnknownEvent> {
        let known = EventKind::NAMES.iter().find(|known| **known == name);
        match known {
            Some(known) => Ok(EventFilter::of(Kinds::Named(known))),
            None => Err(UnknownEvent {
                name: name.to_owned(),
            }),
        }
    }

    /// Events of users' own with this name.
    pub fn custom(name: impl Into<String>) -> Self {
        EventFilter::of(Kinds::Custom(name.into()))
    }

    /// What another filter lets through as well. The longer of both queues holds.
    #[must_use]
    pub fn or(mut self, other: impl Into<EventFilter>) -> Self {
        let other = other.into();
        self.wanted.extend(other.wanted);
        self.queue = self.queue.max(other.queue);
        self
    }

    /// Only what is about this job.
    #[must_use]
    pub fn of_job(self, job: &JobId) -> Self {
        self.all_of(|wanted| wanted.job = Some(job.clone()))
    }

    /// Only what is about this agreement.
    #[must_use]
    pub fn of_agreement(self, agreement: &AgreementId) -> Self {
        self.all_of(|wanted| wanted.agreement = Some(agreement.clone()))
    }

    /// Only what is about this provider.
    #[must_use]
    pub fn of_provider(self, provider: &NodeId) -> Self {
        self.all_of(|wanted| wanted.provider = Some(provider.clone()))
    }

    /// Only what is about this activity.
    #[must_use]
    pub fn of_activity(self, activity: &ActivityId) -> Self {
        self.all_of(|wanted| wanted.activity = Some(activity.clone()))
    }

    /// Only what is about the instance of a service with this id.
    #[must_use]
    pub fn of_instance(self, id: &InstanceId) -> Self {
        self.all_of(|wanted| wanted.instance = Some(id.clone()))
    }

    fn all_of(mut self, narrow: impl Fn(&mut Wanted)) -> Self {
        self.wanted.iter_mut().for_each(narrow);
        self
    }

    /// How many events wait at the most for a receiver that is slow; 16,384 unless set, and at least one.
    /// Beyond that the oldest is dropped and counted as missed.
    #[must_use]
    pub fn queue(mut self, events: usize) -> Self {
        self.queue = events.max(1);
        self
    }

    pub(super) fn capacity(&self) -> usize {
        self.queue
    }

    /// Whether an event is let through.
    pub fn matches(&self, event: &Event) -> bool {
        self.wanted.iter().any(|wanted| wanted.matches(event))
    }
}

impl Wanted {
    fn matches(&self, event: &Event) -> bool {
        let about = &event.context;
        let instance = about.instance.as_ref().map(|instance| &instance.id);
        let provider = about.provider.as_ref().map(|provider| &provider.id);
        let is_of_kind = match &self.kinds {
            Kinds::All => true,
            Kinds::Group(group) => event.is_in(*group),
            Kinds::Named(name) => event.name() == *name,
            Kinds::Custom(name) => {
                matches!(&event.kind, EventKind::Custom(custom) if custom.name() == name)
            }
        };
        is_of_kind
            && is(&self.job, about.job.as_ref())
            && is(&self.agreement, about.agreement.as_ref())
            && is(&self.provider, provider)
            && is(&self.activity, about.activity.as_ref())
            && is(&self.instance, instance)
    }
}

/// Whether what is wanted is there, or nothing is wanted.
fn is<T: PartialEq>(wanted: &Option<T>, there: Option<&T>) -> bool {
    wanted.as_ref().is_none_or(|wanted| there == Some(wanted))
}

impl From<EventGroup> for EventFilter {
    fn from(group: EventGroup) -> Self {
        EventFilter::group(group)
    }
}
