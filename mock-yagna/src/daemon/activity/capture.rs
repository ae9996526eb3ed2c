//! What is kept of a command's output, and how it is shown.

use golem_wire::activity::{CaptureMode, Output};

/// Keeps nothing, everything, or the head and the tail of one output.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    /// Whether readers of the event stream see the output.
    streamed: bool,
    binary: bool,
    head_limit: usize,
    tail_limit: usize,
    head: Vec<u8>,
    tail: Vec<u8>,
}

fn size(limit: Option<u64>) -> usize {
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

fn is_binary(format: Option<&str>) -> bool {
    matches!(format, Some("bin" | "binary"))
}

impl Capture {
    /// Keeps and streams everything, as for commands that are not `run`.
    pub(crate) fn everything() -> Self {
        Capture {
            streamed: true,
            head_limit: usize::MAX,
            ..Capture::default()
        }
    }

    /// What a `run` command asked for; nothing asked, nothing kept.
    pub(crate) fn new(mode: Option<&CaptureMode>) -> Self {
        match mode {
            None => Capture::default(),
            Some(CaptureMode::Stream { limit, format }) => Capture {
                streamed: true,
                binary: is_binary(format.as_deref()),
                head_limit: size(*limit),
                ..Capture::default()
            },
            Some(CaptureMode::AtEnd {
                head,
                tail,
                head_tail,
                format,
            }) => {
                let (head_limit, tail_limit) = match (head, tail, head_tail) {
                    (_, _, Some(both)) => {
                        let both = size(Some(*both));
                        (both.div_ceil(2), both / 2)
                    }
                    (head, Some(tail), None) => {
                        (head.map_or(0, |head| size(Some(head))), size(Some(*tail)))
                    }
                    (head, None, None) => (size(*head), 0),
                };
                let binary = is_binary(format.as_deref());
                Capture {
                    binary,
                    head_limit,
                    tail_limit,
                    ..Capture::default()
                }
            }
        }
    }

    /// Takes the next bytes; answers what a reader of the event stream sees of them.
    pub(crate) fn write(&mut self, data: &[u8]) -> Option<Output> {
        let room = self
            .head_limit
            .saturating_sub(self.head.len())
            .min(data.len());
        self.head.extend_from_slice(&data[..room]);
        if self.tail_limit > 0 {
            // The tail sees all bytes, so that a short output shows up in both halves.
            self.tail.extend_from_slice(data);
            self.tail
                .drain(..self.tail.len().saturating_sub(self.tail_limit));
        }
        self.streamed.then(|| self.present(&data[..room])).flatten()
    }

    /// What the result shows.
    pub(crate) fn output(&self) -> Option<Output> {
        self.present(&[self.head.as_slice(), self.tail.as_slice()].concat())
    }

    fn present(&self, data: &[u8]) -> Option<Output> {
        if data.is_empty() {
            None
        } else if self.binary {
            Some(Output::Bytes(data.to_vec()))
        } else {
            Some(Output::Text(String::from_utf8_lossy(data).into_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(mode: serde_json::Value, data: &str) -> serde_json::Value {
        let mode: CaptureMode = serde_json::from_value(mode).expect("a mode");
        let mut capture = Capture::new(Some(&mode));
        for byte in data.as_bytes() {
            capture.write(&[*byte]);
        }
        serde_json::to_value(capture.output()).expect("serialises")
    }

    #[test]
    fn without_capture_there_is_no_output() {
        let mut capture = Capture::new(None);
        assert_eq!(capture.write(b"x"), None);
        assert_eq!(capture.output(), None);
    }

    #[test]
    fn head_tail_and_limits_are_kept_apart() {
        assert_eq!(kept(json!({"stream": {}}), "abcdef"), json!("abcdef"));
        assert_eq!(kept(json!({"stream": {"limit": 2}}), "abcdef"), json!("ab"));
        assert_eq!(kept(json!({"atEnd": {}}), "abcdef"), json!("abcdef"));
        assert_eq!(kept(json!({"atEnd": {"head": 2}}), "abcdef"), json!("ab"));
        assert_eq!(kept(json!({"atEnd": {"tail": 2}}), "abcdef"), json!("ef"));
        assert_eq!(
            kept(json!({"atEnd": {"headTail": 3}}), "abcdef"),
            json!("abf")
        );
        assert_eq!(kept(json!({"atEnd": {}}), ""), json!(null));
    }

    #[test]
    fn binary_output_is_a_list_of_bytes() {
        for format in ["bin", "binary"] {
            assert_eq!(
                kept(json!({"stream": {"format": format}}), "ab"),
                json!([97, 98])
            );
        }
        assert_eq!(
            kept(json!({"stream": {"format": "string"}}), "ab"),
            json!("ab")
        );
    }

    #[test]
    fn only_streamed_output_is_seen_while_it_comes() {
        let stream = CaptureMode::Stream {
            limit: Some(3),
            format: None,
        };
        let mut capture = Capture::new(Some(&stream));
        assert_eq!(capture.write(b"ab"), Some(Output::Text("ab".into())));
        assert_eq!(capture.write(b"cd"), Some(Output::Text("c".into())));
        assert_eq!(capture.write(b"e"), None);
    }
}
