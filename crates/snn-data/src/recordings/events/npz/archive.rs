//! The archive: its arrays, which of them are events, and their values.

use super::columns::{Column, PARTS, Part};
use super::header::{Element, Field, Header, header};
use super::number::Number;
use crate::files::tar;
use crate::recordings::events::bytes::ByteSource;
use crate::recordings::events::{ArrayNames, ReadOptions};
use crate::{Error, Result};
use std::io::Cursor;

/// Archives are read whole to find their list of files, which is at the end.
const MAX_ARCHIVE: usize = 1 << 31;
/// Arrays that are listed of an archive.
const MAX_ARRAYS: usize = 1 << 10;
/// Bytes of an array that are unpacked at a time; a multiple of the size of every number.
pub(super) const PIECE: usize = 1 << 16;

/// An array whose values were read: its place in the archive, and its shape.
pub(super) struct Array {
    pub(super) place: u64,
    pub(super) shape: Vec<usize>,
}

pub(super) struct Archive<'s> {
    archive: zip::ZipArchive<Cursor<Vec<u8>>>,
    source: &'s ByteSource,
}

/// Where events are.
pub(super) enum Found {
    /// In arrays of these names.
    Columns([String; 4]),
    /// In an array of a record type, whose fields of events these are.
    Records { name: String, fields: [Field; 4] },
}

impl<'s> Archive<'s> {
    pub(super) fn open(source: &'s mut ByteSource) -> Result<Self> {
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

    pub(super) fn wrong(
        &self,
        offset: u64,
        array: &'static str,
        expected: String,
        found: String,
    ) -> Error {
        Error::Parse { path: self.source.path().to_owned(), offset, field: array, expected, found }
    }

    /// Names and headers of all arrays.
    pub(super) fn headers(&mut self) -> Result<Vec<(String, Header)>> {
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
    pub(super) fn find(&mut self, options: &ReadOptions) -> Result<Found> {
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
    pub(super) fn column(
        &mut self,
        name: &str,
        most: usize,
        part: Part,
        forgiving: bool,
    ) -> Result<Column> {
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
    pub(super) fn array(
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
    pub(super) fn records(
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
