//! FlexBuffers as plain values: what the frames of a bound service's websocket are made of.
//!
//! Writing uses the `flexbuffers` crate, which stores integers in their minimal width. Reading is
//! done here, because frames come from outside and every offset in them may be a lie.

use flexbuffers::{Blob, Builder, BuilderOptions, MapBuilder};

/// Deepest nesting that is read.
const DEPTH: usize = 16;
/// Most values in one frame.
const VALUES: usize = 65_536;

/// A FlexBuffers value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Text(String),
    Blob(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

/// Why a frame could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the frame ends early or points outside of itself")]
    OutOfBounds,
    #[error("a value has an unknown type or width")]
    UnknownType,
    #[error("the frame is nested too deeply or has too many values")]
    TooLarge,
    #[error("a text is not UTF-8")]
    NotText,
}

impl Value {
    /// A map of a fixed set of members.
    pub(crate) fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
        Value::Map(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// A member of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        let Value::Map(members) = self else { return None };
        members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// A text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// A number that is not negative.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Value::UInt(number) => Some(*number),
            Value::Int(number) => u64::try_from(*number).ok(),
            // JavaScript has one kind of number.
            Value::Float(number) if number.fract() == 0.0 && (0.0..9e15).contains(number) => {
                Some(*number as u64)
            }
            _ => None,
        }
    }

    /// Bytes: a blob, or a list of small numbers as some encoders write it.
    pub(crate) fn as_bytes(&self) -> Option<Vec<u8>> {
        match self {
            Value::Blob(bytes) => Some(bytes.clone()),
            Value::List(list) => {
                list.iter().map(|value| u8::try_from(value.as_u64()?).ok()).collect()
            }
            _ => None,
        }
    }

    /// The frame that holds this map; other values make an empty map.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut builder = Builder::new(BuilderOptions::SHARE_NONE);
        let mut map = builder.start_map();
        if let Value::Map(members) = self {
            for (key, value) in members {
                push(&mut map, key, value);
            }
        }
        map.end_map();
        builder.take_buffer()
    }

    /// Reads a frame.
    pub(crate) fn decode(frame: &[u8]) -> Result<Value, Malformed> {
        let end = frame.len();
        if end < 3 {
            return Err(Malformed::OutOfBounds);
        }
        let (packed, width) = (frame[end - 2], usize::from(frame[end - 1]));
        if !matches!(width, 1 | 2 | 4 | 8) {
            return Err(Malformed::UnknownType);
        }
        let at = (end - 2).checked_sub(width).ok_or(Malformed::OutOfBounds)?;
        Decoder { frame, left: VALUES }.value(at, width, packed, 0)
    }
}

fn push(map: &mut MapBuilder<'_>, key: &str, value: &Value) {
    match value {
        Value::Null => map.push(key, ()),
        Value::Bool(value) => map.push(key, *value),
        Value::Int(value) => map.push(key, *value),
        Value::UInt(value) => map.push(key, *value),
        Value::Float(value) => map.push(key, *value),
        Value::Text(value) => map.push(key, value.as_str()),
        Value::Blob(value) => map.push(key, Blob(value.as_slice())),
        Value::List(values) => {
            // Lists of the messages in use hold numbers and texts.
            let mut list = map.start_vector(key);
            for value in values {
                match value {
                    Value::Int(value) => list.push(*value),
                    Value::UInt(value) => list.push(*value),
                    Value::Text(value) => list.push(value.as_str()),
                    _ => list.push(()),
                }
            }
            list.end_vector();
        }
        Value::Map(members) => {
            let mut inner = map.start_map(key);
            for (key, value) in members {
                push(&mut inner, key, value);
            }
            inner.end_map();
        }
    }
}

struct Decoder<'a> {
    frame: &'a [u8],
    left: usize,
}

impl Decoder<'_> {
    fn bytes(&self, at: usize, size: usize) -> Result<&[u8], Malformed> {
        let end = at.checked_add(size).ok_or(Malformed::OutOfBounds)?;
        self.frame.get(at..end).ok_or(Malformed::OutOfBounds)
    }

    fn number(&self, at: usize, width: usize) -> Result<u64, Malformed> {
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(self.bytes(at, width)?);
        Ok(u64::from_le_bytes(wide))
    }

    fn signed(&self, at: usize, width: usize) -> Result<i64, Malformed> {
        let shift = 64 - 8 * width as u32;
        Ok((self.number(at, width)? << shift).cast_signed() >> shift)
    }

    fn float(&self, at: usize, width: usize) -> Result<f64, Malformed> {
        let bits = self.number(at, width)?;
        match width {
            4 => Ok(f32::from_bits(bits as u32).into()),
            8 => Ok(f64::from_bits(bits)),
            _ => Err(Malformed::UnknownType),
        }
    }

    fn size(&self, at: usize, width: usize) -> Result<usize, Malformed> {
        usize::try_from(self.number(at, width)?).map_err(|_| Malformed::OutOfBounds)
    }

    /// Where an offset stored at `at` points.
    fn target(&self, at: usize, width: usize) -> Result<usize, Malformed> {
        at.checked_sub(self.size(at, width)?).ok_or(Malformed::OutOfBounds)
    }

    /// The length stored in front of `at`.
    fn length(&self, at: usize, width: usize) -> Result<usize, Malformed> {
        let length = self.size(at.checked_sub(width).ok_or(Malformed::OutOfBounds)?, width)?;
        if length > self.frame.len() { Err(Malformed::OutOfBounds) } else { Ok(length) }
    }

    /// The value at `at` of a parent whose elements are `parent` bytes wide.
    fn value(
        &mut self,
        at: usize,
        parent: usize,
        packed: u8,
        depth: usize,
    ) -> Result<Value, Malformed> {
        self.left = self.left.checked_sub(1).ok_or(Malformed::TooLarge)?;
        if depth > DEPTH {
            return Err(Malformed::TooLarge);
        }
        let width = 1 << (packed & 3);
        let kind = packed >> 2;
        match kind {
            0 => return Ok(Value::Null),
            1 => return Ok(Value::Int(self.signed(at, parent)?)),
            2 => return Ok(Value::UInt(self.number(at, parent)?)),
            3 => return Ok(Value::Float(self.float(at, parent)?)),
            26 => return Ok(Value::Bool(self.number(at, parent)? != 0)),
            _ => {}
        }
        let at = self.target(at, parent)?;
        match kind {
            4 => Ok(Value::Text(self.key(at)?)),
            5 => {
                let text = self.bytes(at, self.length(at, width)?)?;
                let text = std::str::from_utf8(text).map_err(|_| Malformed::NotText)?;
                Ok(Value::Text(text.to_owned()))
            }
            6 => Ok(Value::Int(self.signed(at, width)?)),
            7 => Ok(Value::UInt(self.number(at, width)?)),
            8 => Ok(Value::Float(self.float(at, width)?)),
            25 => Ok(Value::Blob(self.bytes(at, self.length(at, width)?)?.to_vec())),
            9 => self.map(at, width, depth),
            10 => {
                let length = self.length(at, width)?;
                self.list(at, width, length, None, depth)
            }
            // Typed vectors of a stored length: ints, uints, floats, keys, (old) strings, bools.
            11..=15 | 36 => {
                let length = self.length(at, width)?;
                let element = if kind == 36 { 26 } else { kind - 10 };
                self.list(at, width, length, Some(element << 2), depth)
            }
            // Tuples of two, three and four ints, uints, floats.
            16..=24 => {
                let length = usize::from((kind - 16) / 3 + 2);
                let element = (kind - 16) % 3 + 1;
                self.list(at, width, length, Some(element << 2), depth)
            }
            _ => Err(Malformed::UnknownType),
        }
    }

    fn key(&self, at: usize) -> Result<String, Malformed> {
        let rest = self.frame.get(at..).ok_or(Malformed::OutOfBounds)?;
        let length = rest.iter().position(|byte| *byte == 0).ok_or(Malformed::OutOfBounds)?;
        let text = std::str::from_utf8(&rest[..length]).map_err(|_| Malformed::NotText)?;
        Ok(text.to_owned())
    }

    /// Where element `index` of a vector of elements of `width` bytes is.
    fn element(at: usize, width: usize, index: usize) -> Result<usize, Malformed> {
        index.checked_mul(width).and_then(|o| at.checked_add(o)).ok_or(Malformed::OutOfBounds)
    }

    fn list(
        &mut self,
        at: usize,
        width: usize,
        length: usize,
        typed: Option<u8>,
        depth: usize,
    ) -> Result<Value, Malformed> {
        let mut values = Vec::new();
        for index in 0..length {
            let packed = match typed {
                Some(packed) => packed,
                None => self.bytes(Self::element(at, width, length)?.saturating_add(index), 1)?[0],
            };
            let element = Self::element(at, width, index)?;
            values.push(self.value(element, width, packed, depth + 1)?);
        }
        Ok(Value::List(values))
    }

    fn map(&mut self, at: usize, width: usize, depth: usize) -> Result<Value, Malformed> {
        let header = at.checked_sub(3 * width).ok_or(Malformed::OutOfBounds)?;
        let keys = self.target(header, width)?;
        let key_width = self.size(header + width, width)?;
        if !matches!(key_width, 1 | 2 | 4 | 8) {
            return Err(Malformed::UnknownType);
        }
        let length = self.length(at, width)?;
        let Value::List(values) = self.list(at, width, length, None, depth)? else {
            return Err(Malformed::UnknownType);
        };
        let mut members = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            let key = self.target(Self::element(keys, key_width, index)?, key_width)?;
            members.push((self.key(key)?, value));
        }
        Ok(Value::Map(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;

    fn sample() -> Value {
        // Members are stored in the order of their keys.
        Value::map([
            ("component", Value::Text("UploadChunk".into())),
            ("id", Value::Text("ä-1".into())),
            (
                "payload",
                Value::map([(
                    "chunk",
                    Value::map([
                        ("content", Value::Blob(vec![7; 300])),
                        ("offset", Value::UInt(40 * 1024)),
                    ]),
                )]),
            ),
        ])
    }

    #[test]
    fn a_frame_survives_the_way_there_and_back() {
        assert_eq!(Value::decode(&sample().encode()), Ok(sample()));
        let values = Value::map([
            ("a", Value::Null),
            ("b", Value::Bool(true)),
            ("c", Value::Int(-3)),
            ("d", Value::UInt(u64::MAX)),
            ("e", Value::Float(0.5)),
            ("f", Value::List(vec![Value::UInt(1), Value::Text("x".into()), Value::Null])),
            ("g", Value::Blob(Vec::new())),
        ]);
        assert_eq!(Value::decode(&values.encode()), Ok(values));
    }

    #[test]
    fn what_serde_writes_can_be_read() {
        #[derive(Serialize)]
        struct Chunk<'a> {
            offset: u64,
            numbers: Vec<u32>,
            pair: (u8, u8),
            flags: Vec<bool>,
            text: &'a str,
            none: Option<u8>,
        }
        let numbers = vec![1, 70_000];
        let chunk =
            Chunk { offset: 5, numbers, pair: (1, 2), flags: vec![true], text: "t", none: None };
        let value = Value::decode(&flexbuffers::to_vec(&chunk).expect("encodes")).expect("decodes");
        assert_eq!(value.get("offset").and_then(Value::as_u64), Some(5));
        assert_eq!(value.get("numbers"), Some(&Value::List(vec![Value::UInt(1), Value::UInt(70_000)])));
        assert_eq!(value.get("pair").and_then(Value::as_bytes), Some(vec![1, 2]));
        assert_eq!(value.get("text").and_then(Value::as_text), Some("t"));
        assert_eq!(value.get("none"), Some(&Value::Null));
    }

    #[test]
    fn the_published_crate_reads_what_we_write() {
        let frame = sample().encode();
        let root = flexbuffers::Reader::get_root(frame.as_slice()).expect("a root").as_map();
        let chunk = root.idx("payload").as_map().idx("chunk").as_map();
        assert_eq!(chunk.idx("offset").as_u64(), 40 * 1024);
        assert_eq!(chunk.idx("content").as_blob().0.len(), 300);
    }

    proptest! {
        #[test]
        fn no_frame_panics(frame in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(Value::decode(&frame));
        }

        #[test]
        fn no_damaged_frame_panics(at in 0_usize..400, byte in any::<u8>()) {
            let mut frame = sample().encode();
            let index = at % frame.len();
            frame[index] = byte;
            drop(Value::decode(&frame));
        }
    }
}
