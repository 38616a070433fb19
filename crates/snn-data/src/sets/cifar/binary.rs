//! The binary form: records of labels and pixels, and class names as text.

use super::{CifarLayout, IMAGE_BYTES};
use crate::{Error, Result};
use std::io::Read;
use std::path::Path;

/// A file of class names larger than this is something else.
const MAX_NAMES_BYTES: u64 = 1 << 16;

/// Reads a file of as many records as there are labels.
pub(super) fn read(
    layout: &CifarLayout,
    path: &Path,
    length: u64,
    reader: &mut dyn Read,
    pixels: &mut [u8],
    labels: &mut [u16],
) -> Result<()> {
    let record_bytes = (layout.labels.len() + IMAGE_BYTES) as u64;
    let records = labels.len();
    let expected = records as u64 * record_bytes;
    if length != expected {
        let detail = if length.is_multiple_of(record_bytes) {
            format!(
                "{} records of {record_bytes} bytes instead of {records}",
                length / record_bytes
            )
        } else {
            format!("not a whole number of records of {record_bytes} bytes")
        };
        return Err(Error::WrongSize { path: path.to_owned(), expected, found: length, detail });
    }
    for (record, (image, label)) in pixels.chunks_exact_mut(IMAGE_BYTES).zip(labels).enumerate() {
        *label = read_label(layout, reader, path, record)?;
        reader.read_exact(image)?;
    }
    Ok(())
}

/// Reads and checks the labels of a record; returns the last.
fn read_label(
    layout: &CifarLayout,
    reader: &mut dyn Read,
    path: &Path,
    record: usize,
) -> Result<u16> {
    let mut used = 0;
    for &(kind, classes) in layout.labels {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        used = u16::from(byte[0]);
        if used >= classes {
            let classes = usize::from(classes);
            return Err(Error::LabelOutOfRange {
                path: path.to_owned(),
                record,
                kind,
                classes,
                label: byte[0].into(),
            });
        }
    }
    Ok(used)
}

/// Reads class names, one a line.
pub(super) fn read_names(
    layout: &CifarLayout,
    path: &Path,
    reader: &mut dyn Read,
) -> Result<Vec<String>> {
    let expected = layout.classes();
    let wrong = |found: String| Error::ClassNames { path: path.to_owned(), expected, found };
    let mut bytes = Vec::new();
    reader.take(MAX_NAMES_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_NAMES_BYTES {
        return Err(wrong(format!("more than {MAX_NAMES_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if names.len() != expected {
        return Err(wrong(format!("{} names", names.len())));
    }
    Ok(names)
}
