//! FlexBuffers, the encoding of the daemon's gsb-api frames. Owns: a reader that checks every bound
//! (frames hold what providers send, and the `flexbuffers` crate's own reader panics on broken
//! ones), and the conversion to that crate's builder.
//!
//! Layout: values before the offsets that point back at them; the last bytes are the root's value,
//! its packed type (type × 4 + width code) and its width.

use bytes::Bytes;

/// A value of a frame. Typed vectors and floats do not occur in gftp and are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flex {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Text(String),
    Blob(Bytes),
    Vector(Vec<Flex>),
    /// In the order of the buffer, which is that of the keys.
    Map(Vec<(String, Flex)>),
}

/// A buffer that is not what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlexError {
    #[error("broken FlexBuffers: it points outside of itself")]
    OutOfBounds,
    #[error("broken FlexBuffers: a text is not UTF-8")]
    NotUtf8,
    #[error("broken FlexBuffers: it is nested too deep or holds too many values")]
    TooComplex,
    #[error("FlexBuffers of type {0}, which gftp does not use")]
    UnexpectedType(u8),
}

/// A gftp frame has three levels and about ten values.
const MAX_DEPTH: usize = 8;
const MAX_VALUES: usize = 4096;

const NULL: u8 = 0;
const INT: u8 = 1;
const UINT: u8 = 2;
const KEY: u8 = 4;
const STRING: u8 = 5;
const INDIRECT_INT: u8 = 6;
const INDIRECT_UINT: u8 = 7;
const MAP: u8 = 9;
const VECTOR: u8 = 10;
const VECTOR_UINT: u8 = 12;
const BLOB: u8 = 25;
const BOOL: u8 = 26;

impl Flex {
    /// Reads a buffer.
    pub(crate) fn decode(buffer: &Bytes) -> Result<Flex, FlexError> {
        let [.., packed, width] = buffer[..] else {
            return Err(FlexError::OutOfBounds);
        };
        if !matches!(width, 1 | 2 | 4 | 8) {
            return Err(FlexError::OutOfBounds);
        }
        let width = usize::from(width);
        let at = buffer
            .len()
            .checked_sub(2 + width)
            .ok_or(FlexError::OutOfBounds)?;
        let mut reader = Reader { buffer, values: 0 };
        reader.value(at, width, packed, 0)
    }

    /// Writes a buffer; integers take their minimal width.
    pub(crate) fn encode(&self) -> Bytes {
        let mut builder = flexbuffers::Builder::new(flexbuffers::BuilderOptions::SHARE_KEYS);
        match self {
            Flex::Null => builder.build_singleton(()),
            Flex::Bool(value) => builder.build_singleton(*value),
            Flex::Int(value) => builder.build_singleton(*value),
            Flex::UInt(value) => builder.build_singleton(*value),
            Flex::Text(value) => builder.build_singleton(value.as_str()),
            Flex::Blob(value) => builder.build_singleton(flexbuffers::Blob(&value[..])),
            Flex::Vector(values) => fill_vector(builder.start_vector(), values),
            Flex::Map(entries) => fill_map(builder.start_map(), entries),
        }
        Bytes::from(builder.take_buffer())
    }

    /// The member of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Flex> {
        match self {
            Flex::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// A number that is not negative.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Flex::UInt(value) => Some(*value),
            Flex::Int(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// A text.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Flex::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Bytes: a blob.
    pub(crate) fn as_blob(&self) -> Option<&Bytes> {
        match self {
            Flex::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }
}

fn fill_map(mut map: flexbuffers::MapBuilder<'_>, entries: &[(String, Flex)]) {
    for (key, value) in entries {
        match value {
            Flex::Null => map.push(key, ()),
            Flex::Bool(value) => map.push(key, *value),
            Flex::Int(value) => map.push(key, *value),
            Flex::UInt(value) => map.push(key, *value),
            Flex::Text(value) => map.push(key, value.as_str()),
            Flex::Blob(value) => map.push(key, flexbuffers::Blob(&value[..])),
            Flex::Vector(values) => fill_vector(map.start_vector(key), values),
            Flex::Map(entries) => fill_map(map.start_map(key), entries),
        }
    }
    map.end_map();
}

fn fill_vector(mut vector: flexbuffers::VectorBuilder<'_>, values: &[Flex]) {
    for value in values {
        match value {
            Flex::Null => vector.push(()),
            Flex::Bool(value) => vector.push(*value),
            Flex::Int(value) => vector.push(*value),
            Flex::UInt(value) => vector.push(*value),
            Flex::Text(value) => vector.push(value.as_str()),
            Flex::Blob(value) => vector.push(flexbuffers::Blob(&value[..])),
            Flex::Vector(values) => fill_vector(vector.start_vector(), values),
            Flex::Map(entries) => fill_map(vector.start_map(), entries),
        }
    }
    vector.end_vector();
}

struct Reader<'a> {
    buffer: &'a Bytes,
    values: usize,
}

impl Reader<'_> {
    /// The value whose inline part is at `at`, `parent` bytes wide.
    fn value(&mut self, at: usize, parent: usize, packed: u8, depth: usize) -> Result<Flex, FlexError> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Err(FlexError::TooComplex);
        }
        let (kind, width) = (packed >> 2, 1usize << (packed & 3));
        Ok(match kind {
            NULL => Flex::Null,
            INT => Flex::Int(self.int(at, parent)?),
            UINT => Flex::UInt(self.uint(at, parent)?),
            BOOL => Flex::Bool(self.uint(at, parent)? != 0),
            INDIRECT_INT => Flex::Int(self.int(self.target(at, parent)?, width)?),
            INDIRECT_UINT => Flex::UInt(self.uint(self.target(at, parent)?, width)?),
            KEY => Flex::Text(self.key(self.target(at, parent)?)?),
            STRING => {
                let bytes = self.sized(self.target(at, parent)?, width)?;
                let text = std::str::from_utf8(&bytes).map_err(|_| FlexError::NotUtf8)?;
                Flex::Text(text.to_owned())
            }
            BLOB => Flex::Blob(self.sized(self.target(at, parent)?, width)?),
            // What a sender without blobs makes of bytes: a vector of small numbers.
            VECTOR_UINT if width == 1 => Flex::Blob(self.sized(self.target(at, parent)?, width)?),
            VECTOR => {
                let start = self.target(at, parent)?;
                let length = self.length(start, width)?;
                Flex::Vector(
                    (0..length)
                        .map(|index| self.element(start, width, length, index, depth))
                        .collect::<Result<_, _>>()?,
                )
            }
            MAP => self.map(self.target(at, parent)?, width, depth)?,
            other => return Err(FlexError::UnexpectedType(other)),
        })
    }

    fn map(&mut self, start: usize, width: usize, depth: usize) -> Result<Flex, FlexError> {
        let length = self.length(start, width)?;
        let prefix = start.checked_sub(3 * width).ok_or(FlexError::OutOfBounds)?;
        let keys = self.target(prefix, width)?;
        let keys_width = match self.uint(prefix + width, width)? {
            width @ (1 | 2 | 4 | 8) => usize::try_from(width).map_err(|_| FlexError::OutOfBounds)?,
            _ => return Err(FlexError::OutOfBounds),
        };
        if self.length(keys, keys_width)? != length {
            return Err(FlexError::OutOfBounds);
        }
        (0..length)
            .map(|index| {
                let key = self.key(self.target(keys + index * keys_width, keys_width)?)?;
                Ok((key, self.element(start, width, length, index, depth)?))
            })
            .collect::<Result<_, _>>()
            .map(Flex::Map)
    }

    fn element(
        &mut self,
        start: usize,
        width: usize,
        length: usize,
        index: usize,
        depth: usize,
    ) -> Result<Flex, FlexError> {
        let packed = self.slice(start + length * width + index, 1)?[0];
        self.value(start + index * width, width, packed, depth + 1)
    }

    /// Where an offset points: it counts backwards from itself.
    fn target(&self, at: usize, width: usize) -> Result<usize, FlexError> {
        let back = usize::try_from(self.uint(at, width)?).map_err(|_| FlexError::OutOfBounds)?;
        at.checked_sub(back).ok_or(FlexError::OutOfBounds)
    }

    /// The length in front of a vector, text or blob; never more than the buffer could hold.
    fn length(&self, start: usize, width: usize) -> Result<usize, FlexError> {
        let at = start.checked_sub(width).ok_or(FlexError::OutOfBounds)?;
        let length = usize::try_from(self.uint(at, width)?).map_err(|_| FlexError::OutOfBounds)?;
        if length > self.buffer.len() {
            return Err(FlexError::OutOfBounds);
        }
        Ok(length)
    }

    fn sized(&self, start: usize, width: usize) -> Result<Bytes, FlexError> {
        let length = self.length(start, width)?;
        let end = start.checked_add(length).ok_or(FlexError::OutOfBounds)?;
        if end > self.buffer.len() {
            return Err(FlexError::OutOfBounds);
        }
        Ok(self.buffer.slice(start..end))
    }

    fn key(&self, start: usize) -> Result<String, FlexError> {
        let rest = self.buffer.get(start..).ok_or(FlexError::OutOfBounds)?;
        let end = rest
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(FlexError::OutOfBounds)?;
        let text = std::str::from_utf8(&rest[..end]).map_err(|_| FlexError::NotUtf8)?;
        Ok(text.to_owned())
    }

    fn uint(&self, at: usize, width: usize) -> Result<u64, FlexError> {
        let mut bytes = [0u8; 8];
        bytes[..width].copy_from_slice(self.slice(at, width)?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn int(&self, at: usize, width: usize) -> Result<i64, FlexError> {
        let value = self.uint(at, width)?;
        let unused = 64 - 8 * u32::try_from(width).map_err(|_| FlexError::OutOfBounds)?;
        Ok(value.wrapping_shl(unused).cast_signed() >> unused)
    }

    fn slice(&self, at: usize, width: usize) -> Result<&[u8], FlexError> {
        let end = at.checked_add(width).ok_or(FlexError::OutOfBounds)?;
        self.buffer.get(at..end).ok_or(FlexError::OutOfBounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Flex {
        Flex::Map(vec![
            ("component".into(), Flex::Text("UploadChunk".into())),
            ("id".into(), Flex::Text("17".into())),
            (
                "payload".into(),
                Flex::Map(vec![(
                    "chunk".into(),
                    Flex::Map(vec![
                        ("content".into(), Flex::Blob(Bytes::from(vec![7u8; 40_000]))),
                        ("offset".into(), Flex::UInt(5_000_000_000)),
                    ]),
                )]),
            ),
        ])
    }

    #[test]
    fn what_is_written_reads_back() {
        for value in [
            frame(),
            Flex::Null,
            Flex::Int(-3),
            Flex::Map(vec![
                ("a".into(), Flex::Bool(true)),
                ("b".into(), Flex::Int(-70_000)),
                ("c".into(), Flex::Null),
                ("d".into(), Flex::Vector(vec![Flex::Text("x".into()), Flex::UInt(1)])),
            ]),
        ] {
            assert_eq!(Flex::decode(&value.encode()), Ok(value));
        }
    }

    #[test]
    fn small_numbers_are_written_small() {
        let map = |size: u64| Flex::Map(vec![("fileSize".into(), Flex::UInt(size))]).encode();
        // A value stored eight bytes wide becomes a `BigInt` on JavaScript's side.
        assert!(map(200).len() < map(70_000).len());
        assert!(map(70_000).len() < map(5_000_000_000).len());
    }

    #[test]
    fn no_broken_frame_panics() {
        let good = frame().encode();
        for length in 0..64.min(good.len()) {
            let _ = Flex::decode(&good.slice(good.len() - length..));
        }
        // The interesting bytes are those after the blob.
        for at in good.len() - 120..good.len() {
            for value in 0..=255u8 {
                let mut broken = good.to_vec();
                broken[at] = value;
                let _ = Flex::decode(&Bytes::from(broken));
            }
        }
    }

    #[test]
    fn a_frame_that_contains_itself_is_too_complex() {
        // A vector whose only element is the vector itself.
        let looped = Bytes::from_static(&[1, 0, VECTOR << 2, 2, VECTOR << 2, 1]);
        assert!(Flex::decode(&looped).is_err());
    }
}
