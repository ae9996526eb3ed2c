//! What is kept of a program's output. Owns: the modes and their form on the wire.

use golem_wire::activity::CaptureMode;

/// What is kept of one output of a program, in bytes of the output as the program writes it, and how
/// it is given back. As text unless [`bytes`](Self::bytes) is asked for; the provider replaces what is
/// no UTF-8 in texts.
///
/// Whatever is kept counts towards [`Script::max_result_bytes`](super::Script::max_result_bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture {
    part: Part,
    bytes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    None,
    All { limit: Option<u64> },
    Head(u64),
    Tail(u64),
    HeadTail(u64),
}

impl Capture {
    const fn of(part: Part) -> Self {
        Capture { part, bytes: false }
    }

    /// All of it; what is used unless something else is asked for.
    pub const fn all() -> Self {
        Self::of(Part::All { limit: None })
    }

    /// Nothing: results carry no such output.
    pub const fn none() -> Self {
        Self::of(Part::None)
    }

    /// Up to this many bytes as they come; the provider may drop what is beyond.
    pub const fn limited(bytes: u64) -> Self {
        Self::of(Part::All { limit: Some(bytes) })
    }

    /// The first bytes of all the program wrote.
    pub const fn head(bytes: u64) -> Self {
        Self::of(Part::Head(bytes))
    }

    /// The last bytes of all the program wrote.
    pub const fn tail(bytes: u64) -> Self {
        Self::of(Part::Tail(bytes))
    }

    /// Both ends of what the program wrote, so many bytes in all, and nothing of its middle.
    pub const fn head_tail(bytes: u64) -> Self {
        Self::of(Part::HeadTail(bytes))
    }

    /// As bytes instead of text.
    pub const fn bytes(mut self) -> Self {
        self.bytes = true;
        self
    }

    pub(super) fn wire(self) -> Option<CaptureMode> {
        let format = self.bytes.then(|| "bin".to_owned());
        let at_end = |head, tail, head_tail| CaptureMode::AtEnd {
            head,
            tail,
            head_tail,
            format: format.clone(),
        };
        match self.part {
            Part::None => None,
            Part::All { limit } => Some(CaptureMode::Stream { limit, format }),
            Part::Head(bytes) => Some(at_end(Some(bytes), None, None)),
            Part::Tail(bytes) => Some(at_end(None, Some(bytes), None)),
            Part::HeadTail(bytes) => Some(at_end(None, None, Some(bytes))),
        }
    }
}

impl Default for Capture {
    fn default() -> Self {
        Self::all()
    }
}
