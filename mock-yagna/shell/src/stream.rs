//! What flows between the commands of a script: bytes with the time at which they were written.
//!
//! An [`OutputBuffer`] takes what is written, an [`Input`] gives it to the next reader. Commands of a
//! pipeline run one after the other; the times make it look as if they ran side by side.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::machine::Stream;

/// A piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Since the beginning of the command.
    pub(crate) at: Duration,
    pub(crate) stream: Stream,
    pub(crate) data: Vec<u8>,
}

/// What was written, in the order in which it was.
#[derive(Debug, Default)]
pub(crate) struct OutputBuffer {
    chunks: Vec<Chunk>,
    size: usize,
}

impl OutputBuffer {
    /// Writes at the time `at`; what was written just before at the same time is continued.
    pub(crate) fn write(&mut self, at: Duration, stream: Stream, data: &[u8]) {
        self.size += data.len();
        match self.chunks.last_mut() {
            Some(last) if last.at == at && last.stream == stream => {
                last.data.extend_from_slice(data);
            }
            _ if data.is_empty() => {}
            _ => self.chunks.push(Chunk {
                at,
                stream,
                data: data.to_vec(),
            }),
        }
    }

    /// Bytes so far.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Takes everything in the order of time.
    pub(crate) fn take(&mut self) -> Vec<Chunk> {
        let mut chunks = std::mem::take(&mut self.chunks);
        self.size = 0;
        chunks.sort_by_key(|chunk| chunk.at);
        chunks
    }

    /// Takes everything as one text of bytes.
    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        let chunks = self.take().into_iter();
        chunks.flat_map(|chunk| chunk.data).collect()
    }
}

/// Devices that never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    Zero,
    Random,
}

/// What is still to be read.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub(crate) chunks: VecDeque<(Duration, Bytes)>,
    /// When its writers were done: a reader waits so long for its end.
    pub(crate) end: Duration,
    /// Its writer was cut short and would have gone on for ever.
    pub(crate) endless: bool,
    pub(crate) device: Option<Device>,
    /// Bytes that the device gave.
    pub(crate) given: usize,
    /// Bytes that its reader is known to want.
    pub(crate) wanted: Option<usize>,
    /// Bytes of the file that it is, if it is one.
    pub(crate) file: Option<usize>,
}

impl Input {
    /// Bytes that are there at once.
    pub(crate) fn of(data: impl Into<Bytes>) -> Shared {
        let chunks = VecDeque::from([(Duration::ZERO, data.into())]);
        Arc::new(Mutex::new(Input {
            chunks,
            ..Input::default()
        }))
    }

    /// A file.
    pub(crate) fn file(content: Bytes) -> Shared {
        let (size, input) = (content.len(), Input::of(content));
        input.lock().file = Some(size);
        input
    }

    /// A device.
    pub(crate) fn device(device: Device) -> Shared {
        Arc::new(Mutex::new(Input {
            device: Some(device),
            ..Input::default()
        }))
    }

    /// What the command before in a pipeline wrote until `end`.
    pub(crate) fn pipe(buffer: &mut OutputBuffer, end: Duration, endless: bool) -> Shared {
        let chunks = buffer.take().into_iter();
        Arc::new(Mutex::new(Input {
            chunks: chunks.map(|chunk| (chunk.at, chunk.data.into())).collect(),
            end,
            endless,
            ..Input::default()
        }))
    }
}

/// An input that several commands read one after the other.
pub(crate) type Shared = Arc<Mutex<Input>>;

/// What a file descriptor leads to.
#[derive(Clone, Debug)]
pub(crate) enum Handle {
    Input(Shared),
    Buffer(Arc<Mutex<OutputBuffer>>, Stream),
    /// Written to at its end.
    File(String),
    Null,
    /// A device on which no byte finds room.
    Full,
}

/// What is read or printed on meanwhile is another thing each time.
impl PartialEq for Handle {
    fn eq(&self, other: &Handle) -> bool {
        match (self, other) {
            (Handle::File(a), Handle::File(b)) => a == b,
            (Handle::Null, Handle::Null) | (Handle::Full, Handle::Full) => true,
            _ => false,
        }
    }
}
