//! Lists that come with data sets: text files of a bounded size.

use crate::{Error, Result};
use fs_err as fs;
use std::io::Read as _;
use std::path::Path;

/// Reads a text file of at most `most` bytes.
///
/// # Errors
/// [`Error::Parse`] if it is longer, or where it is not UTF-8; [`Error::Io`].
pub(crate) fn read(path: &Path, most: u64) -> Result<String> {
    let wrong = |offset: u64, expected: String, found: String| Error::Parse {
        path: path.to_owned(),
        offset,
        field: "text",
        expected,
        found,
    };
    let file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    if length > most {
        return Err(wrong(most, format!("at most {most} bytes"), format!("{length} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let found = error
            .as_bytes()
            .get(offset)
            .map_or(String::new(), |byte| format!("the byte {byte:02x}"));
        wrong(offset as u64, "UTF-8".into(), found)
    })
}
