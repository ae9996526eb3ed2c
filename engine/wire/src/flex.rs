//! FlexBuffers as plain values: what the frames of the gsb-api websocket are made of.
//!
//! Owns: a reader that checks every bound (frames come from outside, and the `flexbuffers` crate's
//! own reader panics on broken ones). Does not own: how they are written (`write`).
//!
//! Layout: values before the offsets that point back at them; the last bytes are the root's value,
//! its packed type (type × 4 + width code) and its width.

mod write;

use bytes::Bytes;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 16;
/// Most values in one frame.
const MAX_VALUES: usize = 65_536;

/// A FlexBuffers value.
#[derive(Clone, Debug, PartialEq)]
pub enum Flex {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number that may be negative.
    Int(i64),
    /// A number that is not negative.
    UInt(u64),
    /// A number with a fraction.
    Float(f64),
    /// A text, or a key.
    Text(String),
    /// Bytes.
    Blob(Bytes),
    /// Values in order; typed vectors read as this too.
    List(Vec<Flex>),
    /// Members in the order of the buffer, which is that of the keys.
    Map(Vec<(String, Flex)>),
}

/// A buffer that is not what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlexError {
    /// It ends early or points outside of itself.
    OutOfBounds,
    /// A value has an unknown type or width.
    UnknownType,
    /// It is nested too deeply or holds too many values.
    TooComplex,
    /// A text is not UTF-8.
    NotUtf8,
}

impl std::fmt::Display for FlexError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FlexError::OutOfBounds => "the frame ends early or points outside of itself",
            FlexError::UnknownType => "a value has an unknown type or width",
            FlexError::TooComplex => "the frame is nested too deeply or has too many values",
            FlexError::NotUtf8 => "a text is not UTF-8",
        })
    }
}

impl std::error::Error for FlexError {}

impl Flex {
    /// A map of a fixed set of members.
    pub fn map<const N: usize>(members: [(&str, Flex); N]) -> Flex {
        Flex::Map(
            members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    }

    /// Reads a frame; blobs share its memory.
    ///
    /// # Errors
    /// [`FlexError`] when it is broken; no frame panics.
    pub fn decode(frame: &Bytes) -> Result<Flex, FlexError> {
        let [.., packed, width] = frame[..] else {
            return Err(FlexError::OutOfBounds);
        };
        if !matches!(width, 1 | 2 | 4 | 8) {
            return Err(FlexError::UnknownType);
        }
        let width = usize::from(width);
        let at = frame
            .len()
            .checked_sub(2 + width)
            .ok_or(FlexError::OutOfBounds)?;
        Reader {
            frame,
            left: MAX_VALUES,
        }
        .value(at, width, packed, 0)
    }

    /// Writes a frame.
    pub fn encode(&self) -> Bytes {
        Bytes::from(write::Writer::default().frame(self))
    }

    /// A member of a map.
    pub fn get(&self, key: &str) -> Option<&Flex> {
        let Flex::Map(members) = self else {
            return None;
        };
        members
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// A number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Flex::UInt(number) => Some(*number),
            Flex::Int(number) => u64::try_from(*number).ok(),
            // JavaScript has one kind of number.
            Flex::Float(number) if number.fract() == 0.0 && (0.0..9e15).contains(number) => {
                Some(*number as u64)
            }
            _ => None,
        }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&str> {
        if let Flex::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// Bytes: a blob, or a list of small numbers as encoders without blobs write it.
    pub fn as_bytes(&self) -> Option<Bytes> {
        match self {
            Flex::Blob(bytes) => Some(bytes.clone()),
            Flex::List(list) => list
                .iter()
                .map(|value| u8::try_from(value.as_u64()?).ok())
                .collect(),
            _ => None,
        }
    }
}

struct Reader<'a> {
    frame: &'a Bytes,
    left: usize,
}

/// A vector: where it starts, how wide an element is, how many there are, and their type when it is
/// one for all.
#[derive(Clone, Copy)]
struct Elements {
    start: usize,
    width: usize,
    length: usize,
    typed: Option<u8>,
}

impl Reader<'_> {
    /// The value whose inline part is at `at`, `parent` bytes wide.
    fn value(
        &mut self,
        at: usize,
        parent: usize,
        packed: u8,
        depth: usize,
    ) -> Result<Flex, FlexError> {
        self.left = self.left.checked_sub(1).ok_or(FlexError::TooComplex)?;
        if depth > MAX_DEPTH {
            return Err(FlexError::TooComplex);
        }
        let (kind, width) = (packed >> 2, 1usize << (packed & 3));
        match kind {
            0 => return Ok(Flex::Null),
            1 => return Ok(Flex::Int(self.int(at, parent)?)),
            2 => return Ok(Flex::UInt(self.uint(at, parent)?)),
            3 => return Ok(Flex::Float(self.float(at, parent)?)),
            26 => return Ok(Flex::Bool(self.uint(at, parent)? != 0)),
            _ => {}
        }
        let start = self.target(at, parent)?;
        let elements = |length, typed| Elements {
            start,
            width,
            length,
            typed,
        };
        match kind {
            4 => Ok(Flex::Text(self.key(start)?)),
            5 => {
                let bytes = self.sized(start, width)?;
                let text = std::str::from_utf8(&bytes).map_err(|_| FlexError::NotUtf8)?;
                Ok(Flex::Text(text.to_owned()))
            }
            6 => Ok(Flex::Int(self.int(start, width)?)),
            7 => Ok(Flex::UInt(self.uint(start, width)?)),
            8 => Ok(Flex::Float(self.float(start, width)?)),
            9 => self.map(start, width, depth),
            10 => {
                let length = self.length(start, width)?;
                self.list(elements(length, None), depth)
            }
            // Typed vectors of a stored length: ints, uints, floats, keys, (old) strings, bools.
            11..=15 | 36 => {
                let length = self.length(start, width)?;
                let element = if kind == 36 { 26 } else { kind - 10 };
                self.list(elements(length, Some(element << 2)), depth)
            }
            // Tuples of two, three and four ints, uints, floats.
            16..=24 => {
                let length = usize::from((kind - 16) / 3 + 2);
                self.list(elements(length, Some(((kind - 16) % 3 + 1) << 2)), depth)
            }
            25 => Ok(Flex::Blob(self.sized(start, width)?)),
            _ => Err(FlexError::UnknownType),
        }
    }

    fn list(&mut self, elements: Elements, depth: usize) -> Result<Flex, FlexError> {
        (0..elements.length)
            .map(|index| self.element(elements, index, depth))
            .collect::<Result<_, _>>()
            .map(Flex::List)
    }

    fn map(&mut self, start: usize, width: usize, depth: usize) -> Result<Flex, FlexError> {
        let length = self.length(start, width)?;
        let prefix = start.checked_sub(3 * width).ok_or(FlexError::OutOfBounds)?;
        let keys = self.target(prefix, width)?;
        let keys_width = match self.uint(prefix + width, width)? {
            width @ (1 | 2 | 4 | 8) => width as usize,
            _ => return Err(FlexError::UnknownType),
        };
        if self.length(keys, keys_width)? != length {
            return Err(FlexError::OutOfBounds);
        }
        let elements = Elements {
            start,
            width,
            length,
            typed: None,
        };
        (0..length)
            .map(|index| {
                let key = self.key(self.target(offset(keys, keys_width, index)?, keys_width)?)?;
                Ok((key, self.element(elements, index, depth)?))
            })
            .collect::<Result<_, _>>()
            .map(Flex::Map)
    }

    fn element(&mut self, of: Elements, index: usize, depth: usize) -> Result<Flex, FlexError> {
        let packed = match of.typed {
            Some(packed) => packed,
            // The types of the elements follow the elements.
            None => self.slice(
                offset(of.start, of.width, of.length)?.saturating_add(index),
                1,
            )?[0],
        };
        self.value(
            offset(of.start, of.width, index)?,
            of.width,
            packed,
            depth + 1,
        )
    }

    /// Where an offset points: it counts backwards from itself.
    fn target(&self, at: usize, width: usize) -> Result<usize, FlexError> {
        let back = usize::try_from(self.uint(at, width)?).map_err(|_| FlexError::OutOfBounds)?;
        at.checked_sub(back).ok_or(FlexError::OutOfBounds)
    }

    /// The length in front of a vector, text or blob; never more than the frame could hold.
    fn length(&self, start: usize, width: usize) -> Result<usize, FlexError> {
        let at = start.checked_sub(width).ok_or(FlexError::OutOfBounds)?;
        let length = usize::try_from(self.uint(at, width)?).map_err(|_| FlexError::OutOfBounds)?;
        if length > self.frame.len() {
            Err(FlexError::OutOfBounds)
        } else {
            Ok(length)
        }
    }

    fn sized(&self, start: usize, width: usize) -> Result<Bytes, FlexError> {
        let end = start
            .checked_add(self.length(start, width)?)
            .ok_or(FlexError::OutOfBounds)?;
        if end > self.frame.len() {
            return Err(FlexError::OutOfBounds);
        }
        Ok(self.frame.slice(start..end))
    }

    fn key(&self, start: usize) -> Result<String, FlexError> {
        let rest = self.frame.get(start..).ok_or(FlexError::OutOfBounds)?;
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
        let unused = 64 - 8 * width as u32;
        Ok((self.uint(at, width)? << unused).cast_signed() >> unused)
    }

    fn float(&self, at: usize, width: usize) -> Result<f64, FlexError> {
        let bits = self.uint(at, width)?;
        match width {
            4 => Ok(f64::from(f32::from_bits(bits as u32))),
            8 => Ok(f64::from_bits(bits)),
            _ => Err(FlexError::UnknownType),
        }
    }

    fn slice(&self, at: usize, width: usize) -> Result<&[u8], FlexError> {
        let end = at.checked_add(width).ok_or(FlexError::OutOfBounds)?;
        self.frame.get(at..end).ok_or(FlexError::OutOfBounds)
    }
}

/// Where element `index` of a vector of elements `width` bytes wide is.
fn offset(start: usize, width: usize, index: usize) -> Result<usize, FlexError> {
    index
        .checked_mul(width)
        .and_then(|o| start.checked_add(o))
        .ok_or(FlexError::OutOfBounds)
}

#[cfg(test)]
mod tests;
