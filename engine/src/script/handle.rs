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

use super::live::Live;
use super::{CommandExecuted, OutputStream, ProgressStream, ScriptError};
use crate::transfer::{Received, TransferError};

/// A command that ended, with the file it fetched into memory, if that was its purpose.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) executed: CommandExecuted,
    pub(super) received: Option<Received>,
}

/// The command's end of what its handle waits for.
#[derive(Debug)]
pub(super) struct Reply {
    answer: Option<oneshot::Sender<Result<Done, ScriptError>>>,
    live: Arc<Live>,
    begun: Begun,
}

impl Reply {
    /// Gives the answer. The handle may be gone.
    pub(super) fn send(mut self, answer: Result<Done, ScriptError>) {
        let end = match &answer {
            Ok(_) => Ok(()),
            Err(error) => Err(error.clone()),
        };
        self.live.end(&end);
        if let Some(reply) = self.answer.take() {
            let _ = reply.send(answer);
        }
    }

    pub(super) fn live(&self) -> &Arc<Live> {
        &self.live
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.live.end(&Err(match self.begun.is_set() {
            true => ScriptError::Cancelled,
            false => ScriptError::NotExecuted,
        }));
    }
}

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

/// Waits for somebody to execute a script.
#[derive(Debug)]
pub(super) struct Idle {
    begun: Begun,
    /// The end of waiting.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    fn new(begun: &Begun) -> Self {
        Idle {
            begun: begun.clone(),
            patience: None,
        }
    }

    /// Nothing to wait for is left when nobody does.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ScriptError> {
        // Without a runtime there is no clock; the script cannot be executed either.
        if self.begun.is_set() || Handle::try_current().is_err() {
            self.patience = None;
            return Poll::Pending;
        }
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(sleep(NOBODY_EXECUTES)));
        ready!(patience.as_mut().poll(cx));
        Poll::Ready(ScriptError::NotExecuted)
    }
}

#[derive(Debug)]
struct Answer {
    reply: oneshot::Receiver<Result<Done, ScriptError>>,
    idle: Idle,
    live: Arc<Live>,
}

impl Answer {
    fn new(begun: &Begun) -> (Reply, Self) {
        let (sender, reply) = oneshot::channel();
        let live = Arc::new(Live::default());
        let answer = Answer {
            reply,
            idle: Idle::new(begun),
            live: Arc::clone(&live),
        };
        let reply = Reply {
            answer: Some(sender),
            live,
            begun: begun.clone(),
        };
        (reply, answer)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Done, ScriptError>> {
        if let Poll::Ready(reply) = Pin::new(&mut self.reply).poll(cx) {
            return Poll::Ready(reply.unwrap_or(Err(ScriptError::NotExecuted)));
        }
        self.idle.poll(cx).map(Err)
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

    /// What the command writes to its standard output, while it runs; `None` when it was taken before. To be
    /// taken before the script is executed: later it has all of the output at the end.
    pub fn take_stdout(&mut self) -> Option<OutputStream> {
        let Answer { live, idle, .. } = &self.0;
        live.stdout.reader(Idle::new(&idle.begun))
    }

    /// What the command writes to its standard error; as [`take_stdout`](Self::take_stdout).
    pub fn take_stderr(&mut self) -> Option<OutputStream> {
        let Answer { live, idle, .. } = &self.0;
        live.stderr.reader(Idle::new(&idle.begun))
    }

    /// How far a `deploy` or a transfer has come. To be called before the script is executed, which then asks
    /// the provider to tell it every second, unless [`Command::progress_every`](super::Command::progress_every)
    /// or [`progress_step`](super::Command::progress_step) say otherwise. Other commands tell nothing of it.
    pub fn progress(&self) -> ProgressStream {
        self.0.live.progress()
    }
}

impl<T> DownloadHandle<T> {
    pub(super) fn new(begun: &Begun) -> (Reply, Self) {
        let (reply, answer) = Answer::new(begun);
        let content = PhantomData;
        (reply, DownloadHandle { answer, content })
    }

    /// How far it has come; as [`CommandHandle::progress`].
    pub fn progress(&self) -> ProgressStream {
        self.answer.live.progress()
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

impl<T> JsonHandle<T> {
    /// How far it has come; as [`CommandHandle::progress`].
    pub fn progress(&self) -> ProgressStream {
        self.0.progress()
    }
}

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
