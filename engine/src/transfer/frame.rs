//! Frames of a bound service's websocket: FlexBuffers maps. Owns: their members. Does not own: what
//! is answered.

use bytes::Bytes;

use golem_wire::flex::{Flex, FlexError};

/// A message from the bus.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// To be repeated in the answer.
    pub(crate) id: String,
    /// Kind, such as `GetChunk`.
    pub(crate) component: String,
    /// Arguments; null when there are none.
    pub(crate) payload: Flex,
}

/// Why a message is refused; the variant's name is the one of the daemon's gftp errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Read(String),
    Write(String),
    Integrity(String),
    Internal(String),
}

/// Why a frame cannot even be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error(transparent)]
    Flex(#[from] FlexError),
    #[error("a frame without the text `{0}`")]
    Missing(&'static str),
}

impl Request {
    pub(crate) fn decode(frame: &Bytes) -> Result<Request, FrameError> {
        let map = Flex::decode(frame)?;
        let text = |key| {
            let value = map.get(key).and_then(Flex::as_str);
            value.map(str::to_owned).ok_or(FrameError::Missing(key))
        };
        Ok(Request {
            id: text("id")?,
            component: text("component")?,
            payload: map.get("payload").cloned().unwrap_or(Flex::Null),
        })
    }

    /// A number of the payload.
    pub(crate) fn number(&self, key: &str) -> Result<u64, Fault> {
        self.payload
            .get(key)
            .and_then(Flex::as_u64)
            .ok_or_else(|| self.missing(key))
    }

    pub(crate) fn missing(&self, key: &str) -> Fault {
        Fault::Internal(format!("{} needs `{key}`", self.component))
    }

    pub(crate) fn unknown(&self) -> Fault {
        Fault::Internal(format!("this file does not answer {}", self.component))
    }

    /// The answer's frame.
    pub(crate) fn reply(&self, answer: Result<Flex, Fault>) -> Bytes {
        let id = ("id".to_owned(), Flex::Text(self.id.clone()));
        let body = match answer {
            Ok(payload) => ("payload".to_owned(), payload),
            Err(fault) => {
                let (kind, message) = match fault {
                    Fault::Read(message) => ("ReadError", message),
                    Fault::Write(message) => ("WriteError", message),
                    Fault::Integrity(message) => ("IntegrityError", message),
                    Fault::Internal(message) => ("InternalError", message),
                };
                let error = Flex::Map(vec![(kind.to_owned(), Flex::Text(message))]);
                ("error".to_owned(), error)
            }
        };
        Flex::Map(vec![id, body]).encode()
    }
}

#[cfg(test)]
pub(super) fn request(component: &str, payload: Flex) -> Request {
    Request {
        id: "1".into(),
        component: component.into(),
        payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_payload_is_a_request() {
        let frame = Flex::Map(vec![
            ("component".into(), Flex::Text("GetMetadata".into())),
            ("id".into(), Flex::Text("a".into())),
        ]);
        let request = Request::decode(&frame.encode()).expect("a request");
        assert_eq!(request.payload, Flex::Null);
    }

    #[test]
    fn a_frame_that_is_no_map_is_refused() {
        assert_eq!(
            Request::decode(&Flex::UInt(3).encode()),
            Err(FrameError::Missing("id"))
        );
        assert!(Request::decode(&Bytes::from_static(b"\0\0")).is_err());
    }

    #[test]
    fn an_error_is_named_by_its_kind() {
        let reply = request("GetChunk", Flex::Null).reply(Err(Fault::Read("gone".into())));
        let reply = Flex::decode(&reply).expect("a reply");
        let error = reply.get("error").and_then(|error| error.get("ReadError"));
        assert_eq!(error.and_then(Flex::as_str), Some("gone"));
        assert_eq!(reply.get("payload"), None);
    }
}
