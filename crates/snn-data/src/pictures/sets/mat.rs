//! The little of MATLAB's MAT-files (version 5) that ImageNet's `meta.mat` needs: an array of
//! structures of numbers and text.
//!
//! A file is 128 bytes of header and then elements: a type, a length, data, padding to 8 bytes. An
//! element may be packed by zlib as a whole, and one of at most four bytes stands inside its own
//! tag.

use crate::{Error, Result};
use flate2::read::ZlibDecoder;
use std::io::Read as _;
use std::path::Path;

const HEADER: usize = 128;
/// An unpacked element is at most this long; that of ImageNet has three megabytes.
const MAX_UNPACKED: u64 = 1 << 26;
/// Structures of an array at most; ImageNet has 1,860.
const MAX_ELEMENTS: usize = 1 << 16;

/// Types of elements.
const COMPRESSED: u32 = 15;
const MATRIX: u32 = 14;
/// Classes of arrays.
const STRUCTURE: u32 = 2;

/// One field of one structure.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Field {
    Number(f64),
    Text(String),
    /// An array of another kind or size, which was left alone.
    Other,
}

/// The structures of the array `name`, each as the fields `wanted` in that order; `path` is for
/// messages.
///
/// # Errors
/// [`Error::Parse`] naming the offset (of a packed element: inside it, unpacked).
pub(super) fn structures(
    bytes: &[u8],
    name: &str,
    wanted: &[&str],
    path: &Path,
) -> Result<Vec<Vec<Field>>> {
    let wrong = |offset: usize, field: &'static str, expected: &str, found: String| Error::Parse {
        path: path.to_owned(),
        offset: offset as u64,
        field,
        expected: expected.to_owned(),
        found,
    };
    if bytes.get(124..HEADER) != Some(b"\x00\x01IM") {
        let found = format!("{:02x?}", bytes.get(124..HEADER).unwrap_or_default());
        return Err(wrong(
            124,
            "header",
            "a MAT-file of version 5, least significant byte first",
            found,
        ));
    }
    let mut cursor = Cursor { bytes, at: HEADER };
    while cursor.at < bytes.len() {
        let start = cursor.at;
        let element = cursor.element();
        let (kind, data) =
            element.ok_or_else(|| wrong(start, "element", "a whole element", "the end".into()))?;
        let unpacked;
        let (kind, data, offset) = if kind == COMPRESSED {
            let mut content = Vec::new();
            let read = ZlibDecoder::new(data).take(MAX_UNPACKED + 1).read_to_end(&mut content);
            read.map_err(|error| {
                wrong(start, "element", "data that can be unpacked", error.to_string())
            })?;
            if content.len() as u64 > MAX_UNPACKED {
                return Err(wrong(
                    start,
                    "element",
                    &format!("at most {MAX_UNPACKED} bytes unpacked"),
                    "more".into(),
                ));
            }
            unpacked = content;
            let mut inner = Cursor { bytes: &unpacked, at: 0 };
            let element = inner.element();
            let (kind, data) = element
                .ok_or_else(|| wrong(start, "element", "a whole element", "the end".into()))?;
            (kind, data, 0)
        } else {
            (kind, data, start)
        };
        if kind != MATRIX {
            continue;
        }
        let mut array = Cursor { bytes: data, at: 0 };
        match array.structures(name, wanted) {
            Ok(Some(structures)) => return Ok(structures),
            Ok(None) => {}
            Err(expected) => {
                let found = "something else, or the end".into();
                return Err(wrong(offset + array.at, "array of structures", expected, found));
            }
        }
    }
    Err(wrong(bytes.len(), "file", &format!("an array of structures `{name}`"), "none".into()))
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    /// The next element: its type and data; `None` if it is not whole.
    fn element(&mut self) -> Option<(u32, &'b [u8])> {
        let word = |at: usize| Some(u32::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?));
        let tag = word(self.at)?;
        let (kind, start, length, room) = if tag >> 16 == 0 {
            let length = usize::try_from(word(self.at + 4)?).ok()?;
            // Packed elements are not padded.
            (
                tag,
                8,
                length,
                if tag == COMPRESSED { length } else { length.checked_next_multiple_of(8)? },
            )
        } else {
            (tag & 0xFFFF, 4, usize::try_from(tag >> 16).ok().filter(|&length| length <= 4)?, 4)
        };
        let start = self.at.checked_add(start)?;
        let data = self.bytes.get(start..start.checked_add(length)?)?;
        self.at = start.checked_add(room)?.min(self.bytes.len());
        Some((kind, data))
    }

    /// Reads an array of structures; `None` if it has another name or is another kind of array.
    fn structures(
        &mut self,
        name: &str,
        wanted: &[&str],
    ) -> Result<Option<Vec<Vec<Field>>>, &'static str> {
        let (class, sides, own_name) = self.head()?;
        if own_name != name.as_bytes() {
            return Ok(None);
        }
        if class != STRUCTURE {
            return Err("an array of structures");
        }
        let count = sides.iter().try_fold(1_usize, |count, &side| count.checked_mul(side));
        let count =
            count.filter(|&count| count <= MAX_ELEMENTS).ok_or("at most 65,536 structures")?;
        let (_, length) = self.element().ok_or("the length of names of fields")?;
        let length = length.first_chunk().map(|&length| u32::from_le_bytes(length) as usize);
        let length = length
            .filter(|length| (1..=64).contains(length))
            .ok_or("names of fields of 1 to 64 bytes")?;
        let (_, names) = self.element().ok_or("names of fields")?;
        let names: Vec<&[u8]> = names.chunks(length).map(until_zero).collect();
        let place = |wanted: &&str| names.iter().position(|name| *name == wanted.as_bytes());
        let places: Vec<usize> = wanted
            .iter()
            .map(place)
            .collect::<Option<_>>()
            .ok_or("the fields that are asked for")?;
        let mut structures = Vec::new();
        for _ in 0..count {
            let mut fields = vec![Field::Other; wanted.len()];
            for field in 0..names.len() {
                let (kind, data) = self.element().ok_or("a field of each structure")?;
                if let Some(index) = places.iter().position(|&place| place == field) {
                    if kind != MATRIX {
                        return Err("an array as a field");
                    }
                    fields[index] = Cursor { bytes: data, at: 0 }.value()?;
                }
            }
            structures.push(fields);
        }
        Ok(Some(structures))
    }

    /// Class, sides and name of an array.
    fn head(&mut self) -> Result<(u32, Vec<usize>, &'b [u8]), &'static str> {
        let (_, flags) = self.element().ok_or("flags of an array")?;
        let class = u32::from(*flags.first().ok_or("the class of an array")?);
        let (_, sides) = self.element().ok_or("sides of an array")?;
        let sides =
            sides.as_chunks().0.iter().map(|&side| u32::from_le_bytes(side) as usize).collect();
        let (_, name) = self.element().ok_or("the name of an array")?;
        Ok((class, sides, name))
    }

    /// One number, or a row of letters.
    fn value(&mut self) -> Result<Field, &'static str> {
        let (class, _, _) = self.head()?;
        match class {
            4 => {
                let (kind, data) = self.element().ok_or("letters")?;
                let wide = || {
                    data.as_chunks()
                        .0
                        .iter()
                        .map(|&letter| u16::from_le_bytes(letter))
                        .collect::<Vec<_>>()
                };
                Ok(Field::Text(match kind {
                    4 | 17 => String::from_utf16_lossy(&wide()),
                    _ => String::from_utf8_lossy(data).into_owned(),
                }))
            }
            6..=15 => {
                let (kind, data) = self.element().ok_or("numbers")?;
                Ok(number(kind, data).map_or(Field::Other, Field::Number))
            }
            _ => Ok(Field::Other),
        }
    }
}

/// A single number of any type; `None` if there are more or fewer.
fn number(kind: u32, data: &[u8]) -> Option<f64> {
    Some(match (kind, data) {
        (1, &[byte]) => f64::from(byte.cast_signed()),
        (2, &[byte]) => f64::from(byte),
        (3, &[a, b]) => f64::from(i16::from_le_bytes([a, b])),
        (4, &[a, b]) => f64::from(u16::from_le_bytes([a, b])),
        (5, _) => f64::from(i32::from_le_bytes(data.try_into().ok()?)),
        (6, _) => f64::from(u32::from_le_bytes(data.try_into().ok()?)),
        (7, _) => f64::from(f32::from_le_bytes(data.try_into().ok()?)),
        (9, _) => f64::from_le_bytes(data.try_into().ok()?),
        (12, _) => i64::from_le_bytes(data.try_into().ok()?) as f64,
        (13, _) => u64::from_le_bytes(data.try_into().ok()?) as f64,
        _ => return None,
    })
}

fn until_zero(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == 0).next().unwrap_or_default()
}
