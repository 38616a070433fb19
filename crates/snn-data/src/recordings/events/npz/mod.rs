//! NPZ files: a zip archive of NumPy arrays.

mod archive;
mod columns;
mod header;
mod number;

use super::bytes::ByteSource;
use super::{Event, Events, ReadOptions, SensorSize};
use crate::Result;
use archive::{Archive, Found};
use columns::{Column, OUTSIDE, PLACES, Part};
use header::Header;
use ndarray::Array4;
use serde::Serialize;
#[cfg(all(feature = "pictures", feature = "cache"))]
use std::io::Read;
use std::path::Path;

/// Values of a frame array: at most as many as a recording of 10,000 frames of a large sensor.
const MAX_VALUES: usize = 1 << 29;

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

/// Reads frames `[T, 2, H, W]` that are stored as the array `frames` of an NPZ file (as
/// SpikingJelly stores them); the numbers may be of any type, but must be whole.
///
/// # Errors
/// [`Error::Parse`](crate::Error::Parse) naming file, array and what is wrong with it;
/// [`Error::Io`](crate::Error::Io).
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
/// [`Error::Parse`](crate::Error::Parse) naming file and array; [`Error::Io`](crate::Error::Io).
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
