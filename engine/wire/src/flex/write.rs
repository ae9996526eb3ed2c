//! Writing FlexBuffers: contents first, then what points back at them, each as narrow as it can be.
//! JavaScript's side reads a number that is stored eight bytes wide as a `BigInt`.
//!
//! The published crate would do it too, but takes a second `syn` and a parser of TOML to build; the
//! tests hold what is written here against its reader.

use std::collections::BTreeMap;

use super::Flex;

const WIDTHS: [usize; 4] = [1, 2, 4, 8];

/// A value whose content is written, and what stands for it where it belongs.
#[derive(Clone, Copy)]
struct Stored {
    kind: u8,
    /// Of the value if it is inline, else of what its content is made of; in bytes.
    width: usize,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Inline(u64),
    /// Where the content starts.
    At(usize),
}

#[derive(Default)]
pub(super) struct Writer {
    frame: Vec<u8>,
    /// Where each key starts: one that comes again is not written again.
    keys: BTreeMap<String, usize>,
}

impl Writer {
    /// The frame of one value.
    pub(super) fn frame(mut self, root: &Flex) -> Vec<u8> {
        let root = self.value(root);
        let width = narrowest(|width| self.fits(root, self.aligned(width), width));
        self.align(width);
        self.field(root, width);
        self.frame.push(root.packed(width));
        self.number(width as u64, 1);
        self.frame
    }

    fn value(&mut self, value: &Flex) -> Stored {
        let inline = |kind, width, bits| Stored {
            kind,
            width,
            place: Place::Inline(bits),
        };
        match value {
            Flex::Null => inline(0, 1, 0),
            Flex::Int(value) => {
                let width = narrowest(|width| {
                    let unused = 64 - 8 * width as u32;
                    (value << unused) >> unused == *value
                });
                inline(1, width, value.cast_unsigned())
            }
            Flex::UInt(value) => inline(2, width_of(*value), *value),
            Flex::Float(value) => {
                let narrow = f64::from(*value as f32).to_bits() == value.to_bits();
                inline(3, if narrow { 4 } else { 8 }, value.to_bits())
            }
            Flex::Bool(value) => inline(26, 1, u64::from(*value)),
            Flex::Text(text) => {
                let stored = self.sized(5, text.as_bytes());
                self.frame.push(0);
                stored
            }
            Flex::Blob(bytes) => self.sized(25, bytes),
            Flex::List(values) => {
                let values: Vec<_> = values.iter().map(|value| self.value(value)).collect();
                self.vector(10, &values, None)
            }
            Flex::Map(members) => self.map(members),
        }
    }

    fn map(&mut self, members: &[(String, Flex)]) -> Stored {
        let mut members: Vec<_> = members.iter().collect();
        members.sort_by_key(|(key, _)| key.as_str());
        let keys: Vec<_> = members.iter().map(|(key, _)| self.key(key)).collect();
        let keys = self.vector(14, &keys, None);
        let values: Vec<_> = members.iter().map(|(_, value)| self.value(value)).collect();
        self.vector(9, &values, Some(keys))
    }

    fn key(&mut self, key: &str) -> Stored {
        let at = self.keys.get(key).copied().unwrap_or_else(|| {
            let at = self.frame.len();
            self.frame.extend_from_slice(key.as_bytes());
            self.frame.push(0);
            self.keys.insert(key.to_owned(), at);
            at
        });
        Stored {
            kind: 4,
            width: 1,
            place: Place::At(at),
        }
    }

    /// Bytes with their length in front.
    fn sized(&mut self, kind: u8, bytes: &[u8]) -> Stored {
        let width = width_of(bytes.len() as u64);
        self.align(width);
        self.number(bytes.len() as u64, width);
        let at = self.frame.len();
        self.frame.extend_from_slice(bytes);
        Stored {
            kind,
            width,
            place: Place::At(at),
        }
    }

    /// A vector of values whose contents are written; a map if there are `keys`. The types of the elements
    /// follow them, unless it is one of keys.
    fn vector(&mut self, kind: u8, values: &[Stored], keys: Option<Stored>) -> Stored {
        let prefix = if keys.is_some() { 3 } else { 1 };
        let width = narrowest(|width| {
            let start = self.aligned(width);
            let field = |index: usize| start + index * width;
            width_of(values.len() as u64) <= width
                && keys.is_none_or(|keys| self.fits(keys, start, width))
                && (values.iter().enumerate())
                    .all(|(index, value)| self.fits(*value, field(prefix + index), width))
        });
        self.align(width);
        if let Some(keys) = keys {
            self.field(keys, width);
            self.number(keys.width as u64, width);
        }
        self.number(values.len() as u64, width);
        let at = self.frame.len();
        for value in values {
            self.field(*value, width);
        }
        if kind != 14 {
            self.frame
                .extend(values.iter().map(|value| value.packed(width)));
        }
        Stored {
            kind,
            width,
            place: Place::At(at),
        }
    }

    /// Whether a field `width` bytes wide at `at` can hold the value, or how far its content is away.
    fn fits(&self, value: Stored, at: usize, width: usize) -> bool {
        match value.place {
            Place::Inline(_) => value.width <= width,
            Place::At(start) => width_of((at - start) as u64) <= width,
        }
    }

    fn field(&mut self, value: Stored, width: usize) {
        let bits = match value.place {
            Place::Inline(bits) if value.kind == 3 && width == 4 => {
                u64::from((f64::from_bits(bits) as f32).to_bits())
            }
            Place::Inline(bits) => bits,
            Place::At(start) => (self.frame.len() - start) as u64,
        };
        self.number(bits, width);
    }

    fn number(&mut self, bits: u64, width: usize) {
        self.frame.extend_from_slice(&bits.to_le_bytes()[..width]);
    }

    /// Where the next number so wide is written.
    fn aligned(&self, width: usize) -> usize {
        self.frame.len().next_multiple_of(width)
    }

    fn align(&mut self, width: usize) {
        self.frame.resize(self.aligned(width), 0);
    }
}

impl Stored {
    /// Its type and a width: of the field if it is inline, else of its content.
    fn packed(self, field: usize) -> u8 {
        let width = match self.place {
            Place::Inline(_) => field,
            Place::At(_) => self.width,
        };
        self.kind << 2 | width.ilog2() as u8
    }
}

/// The smallest width that will do; the widest always does.
fn narrowest(will_do: impl Fn(usize) -> bool) -> usize {
    let narrow = WIDTHS
        .into_iter()
        .find(|width| *width == 8 || will_do(*width));
    narrow.unwrap_or(8)
}

fn width_of(number: u64) -> usize {
    narrowest(|width| number.leading_zeros() as usize >= 64 - 8 * width)
}
