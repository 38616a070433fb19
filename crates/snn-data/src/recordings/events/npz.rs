//! NPZ files: a zip archive of NumPy arrays.

use super::bytes::ByteSource;
use super::{Events, ReadOptions, SensorSize};
use crate::files::tar;
use crate::{Error, Result};
use ndarray::Array4;
use serde::Serialize;
use std::io::{Cursor, Read};
use std::path::Path;

/// Archives are read whole to find their list of files, which is at the end.
const MAX_ARCHIVE: usize = 1 << 31;
/// Headers of NumPy are a hundred bytes; more than this is damage.
const MAX_HEADER: usize = 1 << 16;
/// Expected values of positions and counts.
const PLACES: &str = "whole numbers from 0 to 65535";
/// Arrays that are listed of an archive.
const MAX_ARRAYS: usize = 1 << 10;
/// Values of a frame array: at most as many as a recording of 10,000 frames of a large sensor.
const MAX_VALUES: usize = 1 << 29;
/// Bytes of an array that are unpacked at a time; a multiple of the size of every number.
const PIECE: usize = 1 << 16;

/// An array: its place in the archive, its shape, and its values.
struct Array<V> {
    place: u64,
    shape: Vec<usize>,
    values: Vec<V>,
}

struct Archive<'s> {
    archive: zip::ZipArchive<Cursor<Vec<u8>>>,
    source: &'s ByteSource,
}

/// Reads the arrays `t`, `x`, `y` and `p` of an archive, of any integer type (`p` also of
/// booleans).
pub(super) fn read_events(source: &mut ByteSource, options: &ReadOptions) -> Result<Events> {
    let mut archive = Archive::open(source)?;
    let most = options.max_events;
    let t = archive.column("t", most, "whole numbers", Some)?;
    let place = |value: i64| u16::try_from(value).ok();
    let [x, y] = ["x", "y"].map(|name| archive.column(name, most, PLACES, place));
    let (x, y) = (x?, y?);
    let polarity = archive.column("p", most, "whole numbers", |p| Some(p > 0))?;
    // The file does not know its sensor: without a word from outside, the smallest that holds all
    // events.
    let side = |places: &[u16]| places.iter().max().map_or(1, |&most| most.saturating_add(1));
    let size = options.size.or(options.default_size);
    let size = size.unwrap_or_else(|| SensorSize { width: side(&x), height: side(&y) });
    Events::from_columns(size, t, [x, y], polarity)
        .map_err(|error| archive.wrong(0, "t, x, y, p", "events".into(), error.to_string()))
}

/// Reads frames `[T, 2, H, W]` that are stored as the array `frames` of an NPZ file (as
/// SpikingJelly stores them); the numbers may be of any type, but must be whole.
///
/// # Errors
/// [`Error::Parse`] naming file, array and what is wrong with it; [`Error::Io`].
pub fn read_npz_frames(path: &Path) -> Result<Array4<u16>> {
    let mut source = ByteSource::new(Box::new(fs_err::File::open(path)?), path);
    let mut archive = Archive::open(&mut source)?;
    let array = archive.array("frames", MAX_VALUES, PLACES, |value| u16::try_from(value).ok())?;
    let &[frames, channels, height, width] = array.shape.as_slice() else {
        return Err(archive.wrong(
            array.place,
            "frames",
            "four axes".into(),
            format!("{} axes", array.shape.len()),
        ));
    };
    Array4::from_shape_vec((frames, channels, height, width), array.values).map_err(|error| {
        archive.wrong(
            array.place,
            "frames",
            "as many values as the shape says".into(),
            error.to_string(),
        )
    })
}

/// An array of an NPZ file, as its header says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NpzArray {
    /// Its name.
    pub name: String,
    /// The type of its numbers, in NumPy's letters.
    pub element: String,
    /// Its sizes.
    pub shape: Vec<usize>,
}

/// The arrays of an NPZ file, by their headers.
///
/// # Errors
/// [`Error::Parse`] naming file and array; [`Error::Io`].
pub fn npz_arrays(path: &Path) -> Result<Vec<NpzArray>> {
    let mut source = ByteSource::new(Box::new(fs_err::File::open(path)?), path);
    let mut archive = Archive::open(&mut source)?;
    let mut arrays = Vec::new();
    for index in 0..archive.archive.len().min(MAX_ARRAYS) {
        let read = archive
            .archive
            .by_index(index)
            .map_err(|error| ("an entry that can be read", error.to_string()));
        let read = read.and_then(|mut file| {
            let name =
                file.name().map_err(|error| ("a name of text", error.to_string()))?.into_owned();
            let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else {
                return Err(("arrays of NumPy, `NAME.npy`", format!("`{name}`")));
            };
            let Header { kind, shape, .. } = header(&mut file)?;
            Ok(NpzArray { name, element: kind, shape })
        });
        arrays.push(read.map_err(|(expected, found)| {
            archive.wrong(0, "archive", expected.to_owned(), found)
        })?);
    }
    Ok(arrays)
}

impl<'s> Archive<'s> {
    fn open(source: &'s mut ByteSource) -> Result<Self> {
        let mut bytes = Vec::new();
        loop {
            let piece = source.fill(1)?;
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(piece);
            let length = piece.len();
            if bytes.len() > MAX_ARCHIVE {
                return Err(source.error(
                    "archive",
                    format!("at most {MAX_ARCHIVE} bytes"),
                    "more",
                ));
            }
            source.consume(length);
        }
        let archive = zip::ZipArchive::new(Cursor::new(bytes));
        let archive = archive.map_err(|error| source.error("archive", "a zip archive", error))?;
        Ok(Self { archive, source })
    }

    fn wrong(&self, offset: u64, array: &'static str, expected: String, found: String) -> Error {
        Error::Parse { path: self.source.path().to_owned(), offset, field: array, expected, found }
    }

    /// Reads an array of one axis.
    fn column<V>(
        &mut self,
        name: &'static str,
        most: usize,
        numbers: &str,
        convert: impl Fn(i64) -> Option<V>,
    ) -> Result<Vec<V>> {
        let array = self.array(name, most, numbers, convert)?;
        match array.shape.len() {
            1 => Ok(array.values),
            axes => Err(self.wrong(array.place, name, "one axis".into(), format!("{axes} axes"))),
        }
    }

    /// Reads an array of at most `most` values, each as `convert` takes it; `numbers` says which
    /// those are. Memory is made for values that are there, not for those that a header announces,
    /// and for no other form of them.
    fn array<V>(
        &mut self,
        name: &'static str,
        most: usize,
        numbers: &str,
        convert: impl Fn(i64) -> Option<V>,
    ) -> Result<Array<V>> {
        let path = self.source.path().to_owned();
        let wrong = move |offset: u64, expected: String, found: String| Error::Parse {
            path: path.clone(),
            offset,
            field: name,
            expected,
            found,
        };
        let file = self.archive.by_name(&format!("{name}.npy"));
        let mut file =
            file.map_err(|error| wrong(0, "an array of this name".into(), error.to_string()))?;
        let place = file.header_start();
        let wrong = move |expected: &str, found: String| wrong(place, expected.to_owned(), found);
        let header = header(&mut file).map_err(|(expected, found)| wrong(expected, found))?;
        let count = header.shape.iter().try_fold(1_usize, |count, &axis| count.checked_mul(axis));
        let count = count.filter(|&count| count <= most);
        let count = count.ok_or_else(|| {
            wrong(&format!("at most {most} values"), format!("{:?}", header.shape))
        })?;
        let kind = Kind::of(&header.kind).ok_or_else(|| {
            wrong("little-endian integers, floats or booleans", header.kind.clone())
        })?;
        if header.fortran && header.shape.len() > 1 {
            return Err(wrong("values in C order", "Fortran order".into()));
        }
        let length = count * kind.bytes();
        let unpack = |(_, error): (usize, std::io::Error)| {
            wrong("an array that can be unpacked", error.to_string())
        };
        let (mut values, mut piece) = (Vec::new(), vec![0; PIECE.min(length)]);
        while values.len() < count {
            let left = length - values.len() * kind.bytes();
            let room = &mut piece[..left.min(PIECE)];
            let found = tar::fill(&mut file, room).map_err(unpack)?;
            if found < room.len() {
                let found = format!("{} bytes, then the end", length - left + found);
                return Err(wrong(&format!("{length} bytes of values"), found));
            }
            for value in room.chunks_exact(kind.bytes()) {
                let value = kind.value(value).and_then(&convert);
                values.push(
                    value.ok_or_else(|| {
                        wrong(numbers, format!("another as value {}", values.len()))
                    })?,
                );
            }
        }
        // The archive's checksum of the array is compared at its end.
        if tar::fill(&mut file, &mut [0]).map_err(unpack)? > 0 {
            return Err(wrong(
                &format!("{length} bytes of values, then the end"),
                "more bytes".into(),
            ));
        }
        Ok(Array { place, shape: header.shape, values })
    }
}

/// Facts of an NPY header.
struct Header {
    kind: String,
    fortran: bool,
    shape: Vec<usize>,
}

/// Reads `\x93NUMPY`, the version, the length of the text, and the text: a Python dictionary of
/// three entries.
fn header(file: &mut impl Read) -> Result<Header, (&'static str, String)> {
    let mut read = |count: usize| {
        let mut bytes = vec![0; count];
        file.read_exact(&mut bytes)
            .map(|()| bytes)
            .map_err(|error| ("the header of an array", error.to_string()))
    };
    let start = read(8)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err(("an array of NumPy", "other bytes".into()));
    }
    let length = match start[6] {
        1 => read(2)?.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte)),
        2 | 3 => read(4)?.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte)),
        version => return Err(("version 1, 2 or 3", version.to_string())),
    };
    if length > MAX_HEADER {
        return Err(("a header of at most 64 KiB", format!("{length} bytes")));
    }
    let text = String::from_utf8_lossy(&read(length)?).into_owned();
    let entry =
        |name: &str| text.split_once(&format!("'{name}':")).map(|(_, rest)| rest.trim_start());
    let parsed = || {
        let kind = entry("descr")?.strip_prefix('\'')?.split_once('\'')?.0.to_owned();
        let fortran = entry("fortran_order")?.starts_with("True");
        let axes = entry("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let axes = axes.split(',').map(str::trim).filter(|axis| !axis.is_empty());
        Some(Header {
            kind,
            fortran,
            shape: axes.map(|axis| axis.parse().ok()).collect::<Option<_>>()?,
        })
    };
    let found = || format!("{:?}", text.chars().take(80).collect::<String>());
    parsed().ok_or_else(|| ("entries `descr`, `fortran_order` and `shape`", found()))
}

/// A type of numbers.
#[derive(Clone, Copy)]
enum Kind {
    Signed(usize),
    Unsigned(usize),
    Float32,
    Float64,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "|b1" | "|u1" => Self::Unsigned(1),
            "<u2" => Self::Unsigned(2),
            "<u4" => Self::Unsigned(4),
            "<u8" => Self::Unsigned(8),
            "|i1" => Self::Signed(1),
            "<i2" => Self::Signed(2),
            "<i4" => Self::Signed(4),
            "<i8" => Self::Signed(8),
            "<f4" => Self::Float32,
            "<f8" => Self::Float64,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::Signed(bytes) | Self::Unsigned(bytes) => bytes,
            Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }

    /// A value as a whole number; `None` if it is not, or does not fit.
    fn value(self, bytes: &[u8]) -> Option<i64> {
        let word = bytes.iter().rev().fold(0_u64, |word, &byte| word << 8 | u64::from(byte));
        match self {
            Self::Unsigned(_) => i64::try_from(word).ok(),
            Self::Signed(bytes) => {
                let unused = 64 - 8 * bytes;
                Some((word << unused).cast_signed() >> unused)
            }
            Self::Float32 => whole(f64::from(f32::from_bits(u32::try_from(word).ok()?))),
            Self::Float64 => whole(f64::from_bits(word)),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^53 are exact")]
fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9.0e15).then_some(value as i64)
}
