//! What a command tells while it runs. Owns: the ends in the hands of users, and what they share with the
//! command under way. Does not own: where it comes from (`activity/live.rs`), or what is to be believed of it
//! (`execute/hearing.rs`).

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use futures::Stream;
use tokio::io::{AsyncRead, ReadBuf};

use super::ScriptError;
use super::handle::Idle;
use crate::model::Progress;
use crate::watch;

/// What a handle and its command share.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) stdout: Arc<Pipe>,
    pub(super) stderr: Arc<Pipe>,
    /// How far it has come, and whether it has ended.
    progress: watch::Sender<(Option<Progress>, bool)>,
    wants_progress: AtomicBool,
}

impl Default for Live {
    fn default() -> Self {
        Live {
            stdout: Arc::default(),
            stderr: Arc::default(),
            progress: watch::Sender::new((None, false)),
            wants_progress: AtomicBool::new(false),
        }
    }
}

impl Live {
    pub(super) fn wants_progress(&self) -> bool {
        self.wants_progress.load(Ordering::Relaxed)
    }

    /// Whether somebody wants to hear of it while it runs.
    pub(super) fn is_wanted(&self) -> bool {
        self.stdout.is_wanted() || self.stderr.is_wanted() || self.wants_progress()
    }

    pub(super) fn has_come(&self, progress: Progress) {
        self.progress.send_modify(|it| it.0 = Some(progress));
    }

    /// The command ended, or never will; the first end counts.
    pub(super) fn end(&self, end: &Result<(), ScriptError>) {
        self.stdout.end(end.clone());
        self.stderr.end(end.clone());
        self.progress.send_modify(|it| it.1 = true);
    }

    pub(super) fn progress(&self) -> ProgressStream {
        self.wants_progress.store(true, Ordering::Relaxed);
        let mut told = self.progress.subscribe();
        told.mark_changed();
        ProgressStream(Box::pin(futures::stream::unfold(
            (told, false),
            |(mut told, over)| async move {
                if over {
                    return None;
                }
                loop {
                    told.changed().await.ok()?;
                    let (progress, over) = told.borrow_and_update().clone();
                    match progress {
                        Some(progress) => return Some((progress, (told, over))),
                        None if over => return None,
                        None => {}
                    }
                }
            },
        )))
    }
}

/// One output of a command on its way to who reads it.
#[derive(Debug, Default)]
pub(super) struct Pipe(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    held: BytesMut,
    end: Option<Result<(), ScriptError>>,
    reader: Reader,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reader {
    #[default]
    Nobody,
    There,
    Gone,
}

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the state consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end that reads, once.
    pub(super) fn reader(self: &Arc<Self>, idle: Idle) -> Option<OutputStream> {
        let mut state = self.state();
        if state.reader != Reader::Nobody {
            return None;
        }
        state.reader = Reader::There;
        Some(OutputStream {
            pipe: Arc::clone(self),
            idle,
        })
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.state().reader == Reader::There
    }

    pub(super) fn push(&self, bytes: &[u8]) {
        let mut state = self.state();
        if bytes.is_empty() || state.reader != Reader::There || state.end.is_some() {
            return;
        }
        state.held.extend_from_slice(bytes);
        wake(state);
    }

    pub(super) fn end(&self, end: Result<(), ScriptError>) {
        let mut state = self.state();
        if state.end.is_none() {
            state.end = Some(end);
            wake(state);
        }
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// One output of a program, while it runs: a stream of the bytes as they come, an
/// [`AsyncRead`](tokio::io::AsyncRead), or [`lines`](Self::lines). It ends when the program has ended, well or
/// badly; how, the program's own result tells.
///
/// The bytes are exactly those that the program wrote, each once and in order, as far as the output is
/// [captured](super::Capture). They are told while the program runs if it is captured from its beginning
/// ([`Capture::all`](super::Capture::all), [`Capture::limited`](super::Capture::limited)); of other captures what
/// is kept comes at the end. Daemons tell only what happens while somebody listens: where their stream breaks or
/// has a gap, what follows it is held back until the program has ended, and comes from its result, unless
/// [`lossy`](super::RunCommand::lossy) says that it is better to leave something out than to wait.
///
/// What is not read is held, up to the [limit](super::Script::max_result_bytes) of the script, beyond which the
/// program is given up as [`ScriptError::ResultTooLarge`]. Dropping the stream discards the output and changes
/// nothing else.
///
/// An error is given once, as the last item: the script's own, when there is no result
/// ([`ScriptError::Timeout`], [`ScriptError::ActivityLost`] …), or [`ScriptError::OutputMissing`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct OutputStream {
    pipe: Arc<Pipe>,
    idle: Idle,
}

impl OutputStream {
    /// The output line by line, without their ends (`\n` or `\r\n`); what is no UTF-8 is replaced. What
    /// follows the last end of a line is a line if it is not empty.
    pub fn lines(self) -> OutputLines {
        OutputLines {
            stream: self,
            held: BytesMut::new(),
            scanned: 0,
            over: false,
        }
    }

    fn poll_held(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<Option<Result<Bytes, ScriptError>>> {
        let mut state = self.pipe.state();
        if !state.held.is_empty() {
            let most = most.min(state.held.len());
            return Poll::Ready(Some(Ok(state.held.split_to(most).freeze())));
        }
        if let Some(end) = &mut state.end {
            let end = std::mem::replace(end, Ok(()));
            return Poll::Ready(end.err().map(Err));
        }
        state.waker = Some(cx.waker().clone());
        drop(state);
        self.idle.poll(cx).map(|error| Some(Err(error)))
    }
}

impl Stream for OutputStream {
    type Item = Result<Bytes, ScriptError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_held(cx, usize::MAX)
    }
}

impl AsyncRead for OutputStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.poll_held(cx, buf.remaining()).map(|held| match held {
            None => Ok(()),
            Some(Ok(bytes)) => {
                buf.put_slice(&bytes);
                Ok(())
            }
            Some(Err(error)) => Err(std::io::Error::other(error)),
        })
    }
}

impl Drop for OutputStream {
    fn drop(&mut self) {
        let mut state = self.pipe.state();
        state.reader = Reader::Gone;
        state.held = BytesMut::new();
    }
}

/// The lines of an output; made by [`OutputStream::lines`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct OutputLines {
    stream: OutputStream,
    held: BytesMut,
    /// Up to where `held` has no end of a line.
    scanned: usize,
    over: bool,
}

impl Stream for OutputLines {
    type Item = Result<String, ScriptError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let ends = this.held[this.scanned..].iter().position(|it| *it == b'\n');
            if let Some(found) = ends {
                let line = this.held.split_to(this.scanned + found);
                this.held.advance(1);
                this.scanned = 0;
                let line = line.strip_suffix(b"\r").unwrap_or(&line);
                return Poll::Ready(Some(Ok(String::from_utf8_lossy(line).into_owned())));
            }
            this.scanned = this.held.len();
            if this.over {
                let rest = std::mem::take(&mut this.held);
                this.scanned = 0;
                let rest = (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned());
                return Poll::Ready(rest.map(Ok));
            }
            match std::task::ready!(this.stream.poll_held(cx, usize::MAX)) {
                Some(Ok(bytes)) => this.held.extend_from_slice(&bytes),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => this.over = true,
            }
        }
    }
}

/// How far a command has come, each time the provider tells it; what was told twice before it was looked at
/// is shown once. Ends with the command.
#[must_use = "streams do nothing unless polled"]
pub struct ProgressStream(Pin<Box<dyn Stream<Item = Progress> + Send>>);

impl Stream for ProgressStream {
    type Item = Progress;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Progress>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for ProgressStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressStream")
    }
}
