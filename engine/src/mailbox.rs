//! Messages between an instance and its owner. Owns: the two bounded queues of an instance, and that
//! each carries one type. Does not own: who holds their ends (`service/handle.rs`, `work_context.rs`).

use std::any::{Any, TypeId, type_name};
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::InstanceId;
use crate::news::News;

/// Messages that wait in one direction; a sender waits for room beyond that.
pub const MAILBOX_CAPACITY: usize = 64;

/// Why a message was not sent, or none can come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The instance has ended.
    #[error("instance {instance} has ended: messages neither reach it nor come from it any more")]
    Gone {
        /// Which.
        instance: InstanceId,
    },
    /// [`MAILBOX_CAPACITY`] messages wait already, and this one was not to wait.
    #[error(
        "{waiting} messages wait for instance {instance} already; `send` waits until there is room"
    )]
    Full {
        /// Which.
        instance: InstanceId,
        /// How many.
        waiting: usize,
    },
    /// The messages in this direction are of another type: the first one, sent or waited for, decides.
    #[error("instance {instance} exchanges `{expected}` in this direction, not `{given}`")]
    WrongType {
        /// Which.
        instance: InstanceId,
        /// Name of the type that was used first.
        expected: &'static str,
        /// Name of the type that was given or asked for.
        given: &'static str,
    },
    /// A worker of a task list: it is given tasks, and has no mailbox.
    #[error("{instance} works off tasks and has no mailbox; only instances of services have one")]
    NoMailbox {
        /// Which worker.
        instance: InstanceId,
    },
}

/// Both directions of an instance.
pub(crate) struct Post {
    /// To the instance.
    pub(crate) inbox: Queue,
    /// From the instance.
    pub(crate) outbox: Queue,
}

impl Post {
    pub(crate) fn new(instance: &InstanceId) -> Self {
        Post {
            inbox: Queue::new(instance),
            outbox: Queue::new(instance),
        }
    }

    /// The instance ended. What it sent can still be read; what it did not read is dropped.
    pub(crate) fn close(&self) {
        self.inbox.close(true);
        self.outbox.close(false);
    }
}

/// One direction.
pub(crate) struct Queue {
    instance: InstanceId,
    inner: Mutex<Inner>,
    /// What was put in, taken out and closed.
    changed: News,
}

#[derive(Default)]
struct Inner {
    kind: Option<(TypeId, &'static str)>,
    waiting: VecDeque<Box<dyn Any + Send>>,
    closed: bool,
}

impl Queue {
    fn new(instance: &InstanceId) -> Self {
        Queue {
            instance: instance.clone(),
            inner: Mutex::default(),
            changed: News::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every statement leaves the queue consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, forget: bool) {
        let unread = {
            let mut inner = self.lock();
            inner.closed = true;
            if forget {
                std::mem::take(&mut inner.waiting)
            } else {
                VecDeque::new()
            }
        };
        // Users' `Drop` runs without the lock.
        drop(unread);
        self.changed.tell();
    }

    fn gone(&self) -> MessageError {
        MessageError::Gone {
            instance: self.instance.clone(),
        }
    }

    fn check<M: 'static>(&self, inner: &mut Inner) -> Result<(), MessageError> {
        let (kind, expected) = *inner
            .kind
            .get_or_insert_with(|| (TypeId::of::<M>(), type_name::<M>()));
        if kind == TypeId::of::<M>() {
            return Ok(());
        }
        Err(MessageError::WrongType {
            instance: self.instance.clone(),
            expected,
            given: type_name::<M>(),
        })
    }

    /// Gives the message back when there is no room.
    fn put<M: Send + 'static>(&self, message: M) -> Result<Option<M>, MessageError> {
        {
            let mut inner = self.lock();
            if inner.closed {
                return Err(self.gone());
            }
            self.check::<M>(&mut inner)?;
            if inner.waiting.len() >= MAILBOX_CAPACITY {
                return Ok(Some(message));
            }
            inner.waiting.push_back(Box::new(message));
        }
        self.changed.tell();
        Ok(None)
    }

    fn take<M: Send + 'static>(&self) -> Result<Option<M>, MessageError> {
        let taken = {
            let mut inner = self.lock();
            self.check::<M>(&mut inner)?;
            match inner.waiting.pop_front() {
                Some(message) => message,
                None if inner.closed => return Err(self.gone()),
                None => return Ok(None),
            }
        };
        self.changed.tell();
        // Its type was checked when it was put in.
        Ok(taken.downcast().ok().map(|message| *message))
    }

    pub(crate) fn try_send<M: Send + 'static>(&self, message: M) -> Result<(), MessageError> {
        match self.put(message)? {
            None => Ok(()),
            Some(_) => Err(MessageError::Full {
                instance: self.instance.clone(),
                waiting: MAILBOX_CAPACITY,
            }),
        }
    }

    pub(crate) async fn send<M: Send + 'static>(&self, message: M) -> Result<(), MessageError> {
        let mut message = Some(message);
        let sent = self.changed.until(|| match self.put(message.take()?) {
            Ok(None) => Some(Ok(())),
            Ok(back) => {
                message = back;
                None
            }
            Err(error) => Some(Err(error)),
        });
        sent.await
    }

    pub(crate) fn try_receive<M: Send + 'static>(&self) -> Result<Option<M>, MessageError> {
        self.take()
    }

    pub(crate) async fn receive<M: Send + 'static>(&self) -> Result<M, MessageError> {
        self.changed.until(|| self.take().transpose()).await
    }
}

/// Messages of one type that come to an instance, for its handlers; made by
/// [`WorkContext::mailbox`](crate::WorkContext::mailbox). Cheap to clone; clones take from the same
/// queue.
///
/// The queue belongs to the instance, not to a machine: what a failed `start` has not taken waits for
/// the next one. At most [`MAILBOX_CAPACITY`] messages wait.
pub struct Mailbox<M> {
    instance: InstanceId,
    post: Option<Arc<Post>>,
    messages: PhantomData<fn() -> M>,
}

impl<M: Send + 'static> Mailbox<M> {
    pub(crate) fn new(instance: InstanceId, post: Option<Arc<Post>>) -> Self {
        Mailbox {
            instance,
            post,
            messages: PhantomData,
        }
    }

    fn inbox(&self) -> Result<&Queue, MessageError> {
        let post = self.post.as_ref();
        post.map(|post| &post.inbox)
            .ok_or_else(|| no_mailbox(&self.instance))
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`MessageError::WrongType`] when the owner sends another type, [`MessageError::NoMailbox`] in a
    /// worker of tasks, [`MessageError::Gone`] once the instance has ended, for whoever kept the
    /// mailbox longer.
    ///
    /// # Cancel safety
    /// Cancel-safe: a receive that is dropped has taken nothing.
    pub async fn receive(&self) -> Result<M, MessageError> {
        self.inbox()?.receive().await
    }

    /// The next message, if there is one already.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn try_receive(&self) -> Result<Option<M>, MessageError> {
        self.inbox()?.try_receive()
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Mailbox {
            instance: self.instance.clone(),
            post: self.post.clone(),
            messages: PhantomData,
        }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

pub(crate) fn no_mailbox(instance: &InstanceId) -> MessageError {
    MessageError::NoMailbox {
        instance: instance.clone(),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn post() -> Post {
        Post::new(&InstanceId::new("service-1/1"))
    }

    #[tokio::test]
    async fn messages_come_in_order_and_a_sender_waits_for_room() {
        let post = post();
        for number in 0..MAILBOX_CAPACITY {
            post.inbox.send(number).await.expect("there is room");
        }
        let full = post.inbox.try_send(MAILBOX_CAPACITY);
        assert!(matches!(
            full,
            Err(MessageError::Full {
                waiting: MAILBOX_CAPACITY,
                ..
            })
        ));
        let mut waits = Box::pin(post.inbox.send(MAILBOX_CAPACITY));
        assert!(waits.as_mut().now_or_never().is_none());
        assert_eq!(post.inbox.receive().await, Ok(0usize));
        assert_eq!(waits.await, Ok(()));
        for number in 1..=MAILBOX_CAPACITY {
            assert_eq!(post.inbox.try_receive(), Ok(Some(number)));
        }
        assert_eq!(post.inbox.try_receive::<usize>(), Ok(None));
    }

    #[tokio::test]
    async fn a_send_and_a_receive_that_are_dropped_did_nothing() {
        let post = post();
        assert!(post.inbox.receive::<u8>().now_or_never().is_none());
        for number in 0..MAILBOX_CAPACITY {
            post.inbox.send(number as u8).await.expect("there is room");
        }
        assert!(post.inbox.send(99u8).now_or_never().is_none());
        for number in 0..MAILBOX_CAPACITY {
            assert_eq!(post.inbox.try_receive(), Ok(Some(number as u8)));
        }
        assert_eq!(post.inbox.try_receive::<u8>(), Ok(None));
    }

    #[tokio::test]
    async fn the_first_message_decides_the_type_of_a_direction() {
        let post = post();
        post.inbox.send("hello").await.expect("sent");
        let error = post.inbox.receive::<u32>().await.expect_err("another type");
        assert!(
            error.to_string().contains("`&str`") && error.to_string().contains("`u32`"),
            "{error}"
        );
        assert!(matches!(
            post.inbox.try_send(1u32),
            Err(MessageError::WrongType { .. })
        ));
        assert_eq!(post.inbox.receive::<&str>().await, Ok("hello"));
        // The other direction has a type of its own.
        post.outbox.send(1u32).await.expect("sent");
    }

    #[tokio::test]
    async fn an_instance_that_ended_takes_nothing_and_what_it_sent_can_be_read() {
        let post = post();
        post.outbox.send(1u8).await.expect("sent");
        post.inbox.send(2u8).await.expect("sent");
        let mut waits = Box::pin(post.inbox.receive::<u8>());
        assert_eq!(waits.as_mut().now_or_never(), Some(Ok(2)));
        let waits = post.inbox.receive::<u8>();
        tokio::pin!(waits);
        assert!(waits.as_mut().now_or_never().is_none());
        post.close();
        assert!(matches!(waits.await, Err(MessageError::Gone { .. })));
        assert!(matches!(
            post.inbox.send(3u8).await,
            Err(MessageError::Gone { .. })
        ));
        assert_eq!(post.outbox.receive().await, Ok(1u8));
        assert!(matches!(
            post.outbox.receive::<u8>().await,
            Err(MessageError::Gone { .. })
        ));
    }
}
