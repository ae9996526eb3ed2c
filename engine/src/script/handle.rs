//! Results that are still to come, one per command. Awaiting one needs its script to be executed.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::{CommandExecuted, ScriptError};
use crate::transfer::{Received, TransferError};

/// A command that ended, with the file it fetched into memory, if that was its purpose.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) executed: CommandExecuted,
    pub(super) received: Option<Received>,
}

pub(super) type Reply = oneshot::Sender<Result<Done, ScriptError>>;
type Answer = oneshot::Receiver<Result<Done, ScriptError>>;

fn poll(answer: &mut Answer, cx: &mut Context<'_>) -> Poll<Result<Done, ScriptError>> {
    Poll::Ready(match ready!(Pin::new(answer).poll(cx)) {
        Ok(done) => done,
        Err(_) => Err(ScriptError::NotExecuted),
    })
}

/// The result of a command, to be awaited. It may be dropped.
#[derive(Debug)]
pub struct CommandHandle(Answer);

/// A download into memory, to be awaited. It may be dropped.
pub struct DownloadHandle<T = Bytes> {
    answer: Answer,
    content: PhantomData<fn() -> T>,
}

impl CommandHandle {
    pub(super) fn new() -> (Reply, Self) {
        let (reply, answer) = oneshot::channel();
        (reply, CommandHandle(answer))
    }
}

impl<T> DownloadHandle<T> {
    pub(super) fn new() -> (Reply, Self) {
        let (reply, answer) = oneshot::channel();
        let content = PhantomData;
        (reply, DownloadHandle { answer, content })
    }

    fn bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ScriptError>> {
        let done = ready!(poll(&mut self.answer, cx));
        Poll::Ready(done.map(|done| done.received.map(|file| file.bytes).unwrap_or_default()))
    }
}

impl Future for CommandHandle {
    type Output = Result<CommandExecuted, ScriptError>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(poll(&mut self.0, cx)).map(|done| done.executed))
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
