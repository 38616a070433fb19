//! NPZ files: a zip archive of NumPy arrays.

use super::bytes::ByteSource;
use super::{ArrayNames, Event, Events, ReadOptions, SensorSize};
use crate::files::tar;
use crate::{Error, Result};
use ndarray::Array4;
use serde::Serialize;
use std::fmt;
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

/// An array whose values were read: its place in the archive, and its shape.
struct Array {
    place: u64,
    shape: Vec<usize>,
}

struct Archive<'s> {
    archive: zip::ZipArchive<Cursor<Vec<u8>>>,
    source: &'s ByteSource,
}

/// Reads events: four arrays of one axis, or one array of a record type that has four fields, of
/// any integer type or of floats that are whole (polarities also of booleans). Names are those that
/// the options give, or the usual ones.
pub(super) fn read_events(source: &mut ByteSource, options: &ReadOptions) -> Result<Events> {
    // No file of arrays says how large its sensor is.
    source.size_is_guessed();
    let forgiving = source.forgiving();
    let mut archive = Archive::open(source)?;
    let [t, x, y, p] = match archive.find(options)? {
        Found::Columns([t, x, y, p]) => {
            let most = options.max_events;
            let mut column = |name: &str, part: Part| archive.column(name, most, part, forgiving);
            [column(&t, Part::T)?, column(&x, Part::X)?, column(&y, Part::Y)?, column(&p, Part::P)?]
        }
        Found::Records { name, fields } => {
            archive.records(&name, &fields, options.max_events, forgiving)?
        }
    };
    let (
        Column::Times(t),
        Column::Places(x) | Column::AnyPlaces(x),
        Column::Places(y) | Column::AnyPlaces(y),
        Column::Signs(p),
    ) = (t, x, y, p)
    else {
        return Err(source.error("arrays", "times, columns, rows and polarities", "others"));
    };
    let polarity =
        p.polarities().map_err(|(expected, found)| source.error("polarities", expected, found))?;
    // The file does not know its sensor: without a word from outside, the smallest that holds all
    // events.
    let side = |places: &[u16]| {
        let inside = places.iter().filter(|&&place| place != OUTSIDE);
        inside.max().map_or(1, |&most| most.saturating_add(1))
    };
    let size = options.size.or(options.default_size);
    let size = size.unwrap_or_else(|| SensorSize { width: side(&x), height: side(&y) });
    let equal = [x.len(), y.len(), polarity.len()].iter().all(|&length| length == t.len());
    if equal && x.iter().zip(&y).any(|(&x, &y)| !size.holds(x, y)) {
        return on_sensor(source, size, &t, [&x, &y], &polarity);
    }
    Events::from_columns(size, t, [x, y], polarity)
        .map_err(|error| source.error("t, x, y, p", "events", error))
}

/// A place that no sensor has: that of an event whose column or row no number from 0 to 65535 is.
const OUTSIDE: u16 = u16::MAX;

/// The events that lie on the sensor; the others are damage.
fn on_sensor(
    source: &mut ByteSource,
    size: SensorSize,
    t: &[i64],
    [x, y]: [&[u16]; 2],
    polarity: &[bool],
) -> Result<Events> {
    let mut events = Events::new(size);
    let (mut outside, mut first) = (0, None);
    for (((&t, &x), &y), &polarity) in t.iter().zip(x).zip(y).zip(polarity) {
        if size.holds(x, y) {
            events.append(Event { t, x, y, polarity });
        } else {
            outside += 1;
            first.get_or_insert((x, y));
        }
    }
    if let Some(place) = first {
        source.outside(outside, source.off_sensor(0, size, place))?;
    }
    Ok(events)
}

/// What a column or field says of events, in the order of [`ArrayNames::USUAL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    T,
    X,
    Y,
    P,
}

const PARTS: [(Part, &str); 4] =
    [(Part::T, "times"), (Part::X, "columns"), (Part::Y, "rows"), (Part::P, "polarities")];

/// Where events are.
enum Found {
    /// In arrays of these names.
    Columns([String; 4]),
    /// In an array of a record type, whose fields of events these are.
    Records { name: String, fields: [Field; 4] },
}

/// One of the parts of all events.
enum Column {
    Times(Vec<i64>),
    Places(Vec<u16>),
    /// Places of which those that none are become [`OUTSIDE`].
    AnyPlaces(Vec<u16>),
    Signs(Signs),
}

impl Column {
    fn new(part: Part, forgiving: bool) -> Self {
        match part {
            Part::T => Self::Times(Vec::new()),
            Part::X | Part::Y if forgiving => Self::AnyPlaces(Vec::new()),
            Part::X | Part::Y => Self::Places(Vec::new()),
            Part::P => Self::Signs(Signs::default()),
        }
    }

    /// Adds a value; an error is what was expected.
    fn push(&mut self, value: Option<i64>) -> Result<(), &'static str> {
        let whole = value.ok_or("whole numbers");
        match self {
            Self::Times(times) => times.push(whole.map_err(|_| "whole numbers (µs)")?),
            Self::Places(places) => {
                places.push(value.and_then(|value| u16::try_from(value).ok()).ok_or(PLACES)?);
            }
            Self::AnyPlaces(places) => places.push(u16::try_from(whole?).unwrap_or(OUTSIDE)),
            Self::Signs(signs) => signs.push(whole?),
        }
        Ok(())
    }
}

/// Polarities, as the values that occur and which of them each event has.
#[derive(Default)]
struct Signs {
    /// The first three values that occur.
    values: Vec<i64>,
    each: Vec<u8>,
}

/// Pairs of values that files have for OFF and ON: NumPy and most cameras, jAER, MATLAB, images.
const POLARITIES: [[i64; 2]; 4] = [[0, 1], [-1, 1], [1, 2], [0, 255]];

impl Signs {
    fn push(&mut self, value: i64) {
        let place = self.values.iter().position(|&known| known == value).unwrap_or_else(|| {
            // A third value is enough to know that this is no polarity.
            if self.values.len() < 3 {
                self.values.push(value);
            }
            self.values.len() - 1
        });
        self.each.push(u8::try_from(place).unwrap_or(u8::MAX));
    }

    /// `true` for each event that is ON, by the values that occur; an error is what was expected
    /// and what was found.
    fn polarities(mut self) -> Result<Vec<bool>, (String, String)> {
        let pair = POLARITIES
            .into_iter()
            .find(|pair| self.values.iter().all(|value| pair.contains(value)));
        let Some([_, on]) = pair else {
            self.values.sort_unstable();
            let expected = "two values, 0 and 1, -1 and 1, 1 and 2, or 0 and 255 (OFF and ON); \
                            `--arrays p=NAME` names another array";
            let found: Vec<_> = self.values.iter().map(ToString::to_string).collect();
            return Err((expected.into(), format!("values {}", found.join(", "))));
        };
        let on: Vec<bool> = self.values.iter().map(|&value| value == on).collect();
        Ok(self.each.iter().map(|&place| on[usize::from(place)]).collect())
    }
}

/// Reads frames `[T, 2, H, W]` that are stored as the array `frames` of an NPZ file (as
/// SpikingJelly stores them); the numbers may be of any type, but must be whole.
///
/// # Errors
/// [`Error::Parse`] naming file, array and what is wrong with it; [`Error::Io`].
pub fn read_npz_frames(path: &Path) -> Result<Array4<u16>> {
    let mut source = ByteSource::new(Box::new(fs_err::File::open(path)?), path);
    let mut archive = Archive::open(&mut source)?;
    let mut values = Vec::new();
    let array = archive.array("frames", MAX_VALUES, |value| {
        values.push(value.and_then(|value| u16::try_from(value).ok()).ok_or(PLACES)?);
        Ok(())
    })?;
    let &[frames, channels, height, width] = array.shape.as_slice() else {
        return Err(archive.wrong(
            array.place,
            "frames",
            "four axes".into(),
            format!("{} axes", array.shape.len()),
        ));
    };
    Array4::from_shape_vec((frames, channels, height, width), values).map_err(|error| {
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
    Ok(listed(Archive::open(&mut source)?.headers()?))
}

/// The arrays of an NPZ file that comes from a reader, and whether they hold events.
#[cfg(all(feature = "pictures", feature = "cache"))]
pub(crate) fn arrays_of(
    reader: Box<dyn Read + Send>,
    path: &Path,
    options: &ReadOptions,
) -> Result<(Vec<NpzArray>, bool)> {
    let mut source = ByteSource::new(reader, path);
    let mut archive = Archive::open(&mut source)?;
    let arrays = listed(archive.headers()?);
    Ok((arrays, archive.find(options).is_ok()))
}

fn listed(headers: Vec<(String, Header)>) -> Vec<NpzArray> {
    let array = |(name, header): (String, Header)| NpzArray {
        name,
        element: header.kind.to_string(),
        shape: header.shape,
    };
    headers.into_iter().map(array).collect()
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

    /// Names and headers of all arrays.
    fn headers(&mut self) -> Result<Vec<(String, Header)>> {
        let mut headers = Vec::new();
        for index in 0..self.archive.len().min(MAX_ARRAYS) {
            let read = self
                .archive
                .by_index(index)
                .map_err(|error| ("an entry that can be read", error.to_string()));
            let read = read.and_then(|mut file| {
                let name = file
                    .name()
                    .map_err(|error| ("a name of text", error.to_string()))?
                    .into_owned();
                let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else {
                    return Err(("arrays of NumPy, `NAME.npy`", format!("`{name}`")));
                };
                Ok((name, header(&mut file)?))
            });
            headers.push(read.map_err(|(expected, found)| {
                self.wrong(0, "archive", expected.to_owned(), found)
            })?);
        }
        Ok(headers)
    }

    /// Finds the arrays, or the array of a record type, that hold the events.
    fn find(&mut self, options: &ReadOptions) -> Result<Found> {
        let headers = self.headers()?;
        let given = options.arrays.given();
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let columns = choose(given, &names);
        if let Ok(columns) = &columns {
            return Ok(Found::Columns(columns.map(|place| names[place].to_owned())));
        }
        let of_fields = |fields: &[Field]| {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            Some(choose(given, &names).ok()?.map(|place| fields[place].clone()))
        };
        let mut records = headers.iter().filter_map(|(name, header)| match &header.kind {
            Element::Record(fields) => Some((name, of_fields(fields)?)),
            Element::Plain(_) => None,
        });
        match (records.next(), records.next()) {
            (Some((name, fields)), None) => Ok(Found::Records { name: name.clone(), fields }),
            (Some((first, _)), Some((second, _))) => Err(self.wrong(
                0,
                "arrays",
                "one array of events".into(),
                format!("`{first}` and `{second}`"),
            )),
            (None, _) => {
                let expected = columns.err().unwrap_or_default();
                let found: Vec<String> = headers
                    .iter()
                    .map(|(name, header)| match &header.kind {
                        Element::Plain(_) => format!("`{name}`"),
                        kind @ Element::Record(_) => format!("`{name}` of {kind}"),
                    })
                    .collect();
                let found = if found.is_empty() { "none".into() } else { found.join(", ") };
                Err(self.wrong(0, "arrays", expected, found))
            }
        }
    }

    /// Reads an array of one axis that is a part of all events.
    fn column(&mut self, name: &str, most: usize, part: Part, forgiving: bool) -> Result<Column> {
        let mut column = Column::new(part, forgiving);
        let array = self.array(name, most, |value| column.push(value))?;
        match array.shape.len() {
            1 => Ok(column),
            axes => {
                let expected = format!("one axis of `{name}`");
                Err(self.wrong(array.place, "array", expected, format!("{axes} axes")))
            }
        }
    }

    /// Reads an array of at most `most` numbers, each of which is given to `take`, as far as it is
    /// a whole number; an error of that is what was expected.
    fn array(
        &mut self,
        name: &str,
        most: usize,
        mut take: impl FnMut(Option<i64>) -> Result<(), &'static str>,
    ) -> Result<Array> {
        self.values(name, most, |header| {
            let Element::Plain(kind) = &header.kind else {
                let expected = format!("numbers in `{name}`");
                return Err((expected, format!("a record type, {}", header.kind)));
            };
            let number = Number::of(kind).ok_or_else(|| {
                let expected = format!("little-endian integers, floats or booleans in `{name}`");
                (expected, format!("{kind:?}"))
            })?;
            Ok((number.bytes(), move |value: &[u8]| take(number.value(value))))
        })
    }

    /// Reads the four parts of all events from an array of a record type.
    fn records(
        &mut self,
        name: &str,
        fields: &[Field; 4],
        most: usize,
        forgiving: bool,
    ) -> Result<[Column; 4]> {
        let mut columns = PARTS.map(|(part, _)| Column::new(part, forgiving));
        let into = &mut columns;
        let array = self.values(name, most, |header| {
            let Element::Record(all) = &header.kind else {
                return Err((format!("a record type of `{name}`"), header.kind.to_string()));
            };
            let size = all.iter().fold(0, |size, field| size + field.bytes);
            let mut parts = Vec::new();
            for field in fields {
                let number = Number::of(&field.kind).filter(|number| number.bytes() == field.bytes);
                let number = number.ok_or_else(|| {
                    let expected =
                        format!("little-endian integers, floats or booleans in `{}`", field.name);
                    (expected, format!("{:?} of {} bytes", field.kind, field.bytes))
                })?;
                parts.push((field.start, number));
            }
            Ok((size, move |record: &[u8]| {
                for (column, (start, number)) in into.iter_mut().zip(&parts) {
                    column.push(number.value(&record[*start..start + number.bytes()]))?;
                }
                Ok(())
            }))
        })?;
        match array.shape.len() {
            1 => Ok(columns),
            axes => {
                let expected = format!("one axis of `{name}`");
                Err(self.wrong(array.place, "array", expected, format!("{axes} axes")))
            }
        }
    }

    /// Reads the values of an array, at most `most`, each of which is given to what `open` makes of
    /// the header: the bytes of a value, and what takes them. Memory is made for values that are
    /// there, not for those that a header announces, and for no other form of them.
    fn values<T: FnMut(&[u8]) -> Result<(), &'static str>>(
        &mut self,
        name: &str,
        most: usize,
        open: impl FnOnce(&Header) -> Result<(usize, T), (String, String)>,
    ) -> Result<Array> {
        let path = self.source.path().to_owned();
        let wrong = move |offset: u64, expected: String, found: String| Error::Parse {
            path: path.clone(),
            offset,
            field: "array",
            expected,
            found,
        };
        let file = self.archive.by_name(&format!("{name}.npy"));
        let mut file =
            file.map_err(|error| wrong(0, format!("an array `{name}`"), error.to_string()))?;
        let place = file.header_start();
        let wrong = move |expected: String, found: String| wrong(place, expected, found);
        let header = header(&mut file)
            .map_err(|(expected, found)| wrong(format!("{expected} in `{name}`"), found))?;
        let count = header.shape.iter().try_fold(1_usize, |count, &axis| count.checked_mul(axis));
        let count = count.filter(|&count| count <= most);
        let count = count.ok_or_else(|| {
            wrong(format!("at most {most} values of `{name}`"), format!("{:?}", header.shape))
        })?;
        let (bytes, mut take) =
            open(&header).map_err(|(expected, found)| wrong(expected, found))?;
        if header.fortran && header.shape.len() > 1 {
            return Err(wrong(format!("values of `{name}` in C order"), "Fortran order".into()));
        }
        let length = count.saturating_mul(bytes);
        let unpack = |(_, error): (usize, std::io::Error)| {
            wrong(format!("an array `{name}` that can be unpacked"), error.to_string())
        };
        let (mut read, mut piece) = (0, vec![0; (PIECE / bytes * bytes).min(length)]);
        while read < count {
            let left = length - read * bytes;
            let room = left.min(piece.len());
            let room = &mut piece[..room];
            let found = tar::fill(&mut file, room).map_err(unpack)?;
            if found < room.len() {
                let found = format!("{} bytes, then the end", length - left + found);
                return Err(wrong(format!("{length} bytes of values of `{name}`"), found));
            }
            for value in room.chunks_exact(bytes) {
                take(value).map_err(|expected| {
                    wrong(format!("{expected} in `{name}`"), format!("another as value {read}"))
                })?;
                read += 1;
            }
        }
        // The archive's checksum of the array is compared at its end.
        if tar::fill(&mut file, &mut [0]).map_err(unpack)? > 0 {
            return Err(wrong(
                format!("{length} bytes of values of `{name}`, then the end"),
                "more bytes".into(),
            ));
        }
        Ok(Array { place, shape: header.shape })
    }
}

/// The places among `names` of times, columns, rows and polarities: under the names that are given,
/// or a usual one; an error is what was expected.
fn choose(given: [Option<&str>; 4], names: &[&str]) -> Result<[usize; 4], String> {
    let mut places = [0; 4];
    for (((place, given), usual), (part, what)) in
        places.iter_mut().zip(given).zip(ArrayNames::USUAL).zip(PARTS)
    {
        let key = format!("{part:?}").to_lowercase();
        *place = if let Some(given) = given {
            let found = names.iter().position(|name| *name == given);
            found.ok_or_else(|| format!("the {what} as `{given}`, as given"))?
        } else {
            let matching =
                |wanted: &&str| names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
            // The short name is taken before the others, of which there must be one.
            let mut found = usual.iter().filter_map(matching);
            let first = found.next().ok_or_else(|| {
                format!(
                    "the {what} as `{}`, or named with `--arrays {key}=NAME` (`frames.arrays` in a \
                     config)",
                    usual.join("`, `")
                )
            })?;
            let short = matching(&usual[0]).is_some();
            if let Some(second) = found.find(|&other| other != first && !short) {
                return Err(format!(
                    "one array of the {what}, not `{}` and `{}`: `--arrays {key}=NAME` \
                     (`frames.arrays` in a config) chooses",
                    names[first], names[second]
                ));
            }
            first
        };
    }
    Ok(places)
}

/// Facts of an NPY header.
struct Header {
    kind: Element,
    fortran: bool,
    shape: Vec<usize>,
}

/// The type of the values of an array.
enum Element {
    /// Numbers, in NumPy's letters.
    Plain(String),
    /// Records of fields, in their order.
    Record(Vec<Field>),
}

impl fmt::Display for Element {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(kind) => write!(formatter, "{kind}"),
            Self::Record(fields) => {
                let field = |field: &Field| format!("{} {}", field.name, field.kind);
                let fields: Vec<_> =
                    fields.iter().filter(|field| !field.name.is_empty()).map(field).collect();
                write!(formatter, "records ({})", fields.join(", "))
            }
        }
    }
}

/// A field of a record.
#[derive(Debug, Clone)]
struct Field {
    name: String,
    /// Its type, in NumPy's letters.
    kind: String,
    /// Where it starts in the record.
    start: usize,
    bytes: usize,
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
        let fortran = entry("fortran_order")?.starts_with("True");
        let axes = entry("shape")?.strip_prefix('(')?.split_once(')')?.0;
        Some(Header { kind: element(entry("descr")?)?, fortran, shape: sizes(axes)? })
    };
    let found = || format!("{:?}", text.chars().take(80).collect::<String>());
    parsed().ok_or_else(|| ("entries `descr`, `fortran_order` and `shape`", found()))
}

/// Numbers separated by commas.
fn sizes(text: &str) -> Option<Vec<usize>> {
    let sizes = text.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().ok()).collect()
}

/// A type: `'<i8'`, or a list of fields `('NAME', 'TYPE')` or `('NAME', 'TYPE', (SIZES))`.
fn element(text: &str) -> Option<Element> {
    let Some(mut rest) = text.strip_prefix('[') else {
        return Some(Element::Plain(quoted(text)?.0.to_owned()));
    };
    let (mut fields, mut start) = (Vec::new(), 0_usize);
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if rest.starts_with(']') {
            return (start > 0).then_some(Element::Record(fields));
        }
        let (name, after) = quoted(rest.strip_prefix('(')?.trim_start())?;
        let after = after.trim_start().strip_prefix(',')?.trim_start();
        let (kind, after) = quoted(after)?;
        let after = after.trim_start_matches([' ', ',']);
        let (count, after) = match after.strip_prefix('(') {
            Some(inner) => {
                let (inner, after) = inner.split_once(')')?;
                let count = sizes(inner)?.into_iter().try_fold(1_usize, usize::checked_mul)?;
                (count, after.trim_start())
            }
            None => (1, after),
        };
        let bytes = bytes_of(kind)?.checked_mul(count)?;
        let field = Field { name: name.to_owned(), kind: kind.to_owned(), start, bytes };
        start = start.checked_add(bytes).filter(|&bytes| bytes <= PIECE)?;
        fields.push(field);
        rest = after.strip_prefix(')')?;
    }
}

/// Text in quotation marks of one of the two kinds, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|mark| ['\'', '"'].contains(mark))?;
    text[1..].split_once(mark)
}

/// Bytes of a value of a type: `<i8` has eight, `|V3` three, `<U5` twenty.
fn bytes_of(kind: &str) -> Option<usize> {
    let kind = kind.trim_start_matches(['<', '>', '|', '=']);
    let (letter, count) = kind.split_at_checked(1)?;
    let unit = match letter {
        "b" | "i" | "u" | "f" | "c" | "V" | "S" | "a" | "M" | "m" => 1,
        "U" => 4,
        _ => return None,
    };
    // Units of times follow the size: `<M8[us]`.
    count.split('[').next()?.parse::<usize>().ok()?.checked_mul(unit)
}

/// A type of numbers.
#[derive(Clone, Copy)]
enum Number {
    Signed(usize),
    Unsigned(usize),
    Float32,
    Float64,
}

impl Number {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "|b1" | "|u1" | "<u1" | "u1" => Self::Unsigned(1),
            "<u2" => Self::Unsigned(2),
            "<u4" => Self::Unsigned(4),
            "<u8" => Self::Unsigned(8),
            "|i1" | "<i1" | "i1" => Self::Signed(1),
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
