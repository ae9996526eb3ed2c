//! Results that are still to come, one per command. Awaiting one needs its script to be executed: a
//! handle that is awaited while its script lies idle fails after [`NOBODY_EXECUTES`], for the script may
//! be in the hands of the one who waits.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::{CommandExecuted, ScriptError};
use crate::transfer::{Received, TransferError};

/// A command that ended, with the file it fetched into memory, if that was its purpose.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) executed: CommandExecuted,
    pub(super) received: Option<Received>,
}

pub(super) type Reply = oneshot::Sender<Result<Done, ScriptError>>;

/// How long a result is awaited whose script nobody executes.
const NOBODY_EXECUTES: Duration = Duration::from_secs(10);

/// Whether a script is executed, as its handles see it.
#[derive(Clone, Debug, Default)]
pub(super) struct Begun(Arc<AtomicBool>);

impl Begun {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Answer {
    reply: oneshot::Receiver<Result<Done, ScriptError>>,
    begun: Begun,
    /// The end of waiting for somebody to execute the script.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Answer {
    fn new(begun: &Begun) -> (Reply, Self) {
        let (sender, reply) = oneshot::channel();
        let answer = Answer {
            reply,
            begun: begun.clone(),
            patience: None,
        };
        (sender, answer)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Done, ScriptError>> {
        if let Poll::Ready(reply) = Pin::new(&mut self.reply).poll(cx) {
            return Poll::Ready(reply.unwrap_or(Err(ScriptError::NotExecuted)));
        }
        // Without a runtime there is no clock; the script cannot be executed either.
        if self.begun.is_set() || Handle::try_current().is_err() {
            self.patience = None;
            return Poll::Pending;
        }
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(sleep(NOBODY_EXECUTES)));
        ready!(patience.as_mut().poll(cx));
        Poll::Ready(Err(ScriptError::NotExecuted))
    }
}

/// The result of a command, to be awaited after its script is executed or beside it: who
/// awaits it for ten seconds while nobody calls [`Script::execute`](super::Script::execute) gets
/// [`ScriptError::NotExecuted`]. It may be dropped.
#[derive(Debug)]
pub struct CommandHandle(Answer);

/// A download into memory, to be awaited as a [`CommandHandle`] is. It may be dropped.
pub struct DownloadHandle<T = Bytes> {
    answer: Answer,
    content: PhantomData<fn() -> T>,
}

impl CommandHandle {
    pub(super) fn new(begun: &Begun) -> (Reply, Self) {
        let (reply, answer) = Answer::new(begun);
        (reply, CommandHandle(answer))
    }
}

impl<T> DownloadHandle<T> {
    pub(super) fn new(begun: &Begun) -> (Reply, Self) {
        let (reply, answer) = Answer::new(begun);
        let content = PhantomData;
        (reply, DownloadHandle { answer, content })
    }

    fn bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ScriptError>> {
        let done = ready!(self.answer.poll(cx));
        Poll::Ready(done.map(|done| done.received.map(|file| file.bytes).unwrap_or_default()))
    }
}

impl Future for CommandHandle {
    type Output = Result<CommandExecuted, ScriptError>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.0.poll(cx)).map(|done| done.executed))
    }
}

impl Future for DownloadHandle<Bytes> {
    type Output = Result<Bytes, ScriptError>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.bytes(cx)
    }
}

/// A download whose bytes are JSON.
#[derive(Debug)]
pub struct JsonHandle<T>(pub(super) DownloadHandle<T>);

impl<T: DeserializeOwned> Future for JsonHandle<T> {
    type Output = Result<T, ScriptError>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let bytes = ready!(self.0.bytes(cx))?;
        Poll::Ready(serde_json::from_slice(&bytes).map_err(|error| {
            ScriptError::Transfer(TransferError::NotJson {
                reason: error.to_string(),
            })
        }))
    }
}

impl<T> fmt::Debug for DownloadHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadHandle").finish_non_exhaustive()
    }
}
