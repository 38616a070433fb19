//! The Python form: pickled dictionaries.

use super::pickle::Pickle;
use super::{CifarLayout, IMAGE_BYTES};
use crate::{Error, Result};
use std::io::Read;
use std::path::Path;

/// Bytes of a pickle beside its pixels: labels, names of pictures, bytes of the format; the
/// official files have less than 50 a record.
const MAX_RECORD_REST: usize = 1 << 9;
/// The same of a whole file, for files of few records.
const MAX_REST: usize = 1 << 20;

/// Reads a file of as many records as there are labels.
pub(super) fn read(
    layout: &CifarLayout,
    path: &Path,
    length: u64,
    reader: &mut dyn Read,
    pixels: &mut [u8],
    labels: &mut [u16],
) -> Result<()> {
    let records = labels.len();
    let bytes =
        bounded(path, length, reader, records * (IMAGE_BYTES + MAX_RECORD_REST) + MAX_REST)?;
    let pickle = Pickle::read(&bytes, path)?;
    pixels.copy_from_slice(pickle.bytes_of("data", [records, IMAGE_BYTES])?);
    for (key, &(kind, classes)) in layout.python_keys.0.iter().zip(layout.labels) {
        let found = pickle.numbers_of(key, records)?;
        // The last one is used.
        for (record, (label, found)) in labels.iter_mut().zip(found).enumerate() {
            *label =
                u16::try_from(found).ok().filter(|&label| label < classes).ok_or_else(|| {
                    let classes = usize::from(classes);
                    Error::LabelOutOfRange {
                        path: path.to_owned(),
                        record,
                        kind,
                        classes,
                        label: found,
                    }
                })?;
        }
    }
    Ok(())
}

/// Reads the class names.
pub(super) fn read_names(
    layout: &CifarLayout,
    path: &Path,
    length: u64,
    reader: &mut dyn Read,
) -> Result<Vec<String>> {
    let bytes = bounded(path, length, reader, MAX_REST)?;
    let names = Pickle::read(&bytes, path)?.texts_of(layout.python_keys.1)?;
    if names.len() != layout.classes() {
        let found = format!("{} names", names.len());
        return Err(Error::ClassNames { path: path.to_owned(), expected: layout.classes(), found });
    }
    Ok(names)
}

/// All bytes of a file that has at most `most`.
fn bounded(path: &Path, length: u64, reader: &mut dyn Read, most: usize) -> Result<Vec<u8>> {
    if length > most as u64 {
        return Err(Error::Parse {
            path: path.to_owned(),
            offset: most as u64,
            field: "file",
            expected: format!("at most {most} bytes"),
            found: format!("{length} bytes"),
        });
    }
    let mut bytes = Vec::new();
    reader.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
