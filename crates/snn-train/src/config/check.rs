//! Range checks that name the key.

use crate::error::{Error, Result};
use globset::{Glob, GlobMatcher};

/// Refuses a value that does not fit, naming its key.
#[expect(clippy::needless_pass_by_value, reason = "values of numbers and texts made for it")]
pub(crate) fn check(
    key: &'static str,
    fits: bool,
    expected: &'static str,
    found: impl ToString,
) -> Result<()> {
    if fits { Ok(()) } else { Err(Error::Key { key, expected, found: found.to_string() }) }
}

/// The result of checks of a table, whose keys get the name of the table in front.
pub(crate) fn within(table: &str, result: Result<()>) -> Result<()> {
    result.map_err(|error| match error {
        Error::Key { key, expected, found } => {
            Error::Toml(format!("`{table}.{key}` must be {expected}, found {found}"))
        }
        other => other,
    })
}

/// The matcher of a glob; an error names the place where the pattern stands.
pub(crate) fn matcher(place: &str, pattern: &str) -> Result<GlobMatcher> {
    match Glob::new(pattern) {
        Ok(glob) => Ok(glob.compile_matcher()),
        Err(error) => Err(Error::Toml(format!("`{place}` is no pattern: {}", error.kind()))),
    }
}

/// A setting that `snn-data` refuses, by the key that it has in a config.
pub(crate) fn named<T>(result: snn_data::Result<T>) -> Result<T> {
    named_of("", result)
}

/// As [`named`]; `table` is that of `data` which says how files become samples: `frames` or
/// `pictures`.
pub(crate) fn named_of<T>(table: &str, result: snn_data::Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        snn_data::Error::InvalidConfig { field, expected, found } => {
            let key = match (field, table) {
                ("epochs", _) => "mix_epochs".into(),
                ("threads", _) => "loader_threads".into(),
                ("magnitude" | "operations", _) => format!("auto_augment.{field}"),
                ("slices" | "slicing", _) => "frames.slices".into(),
                ("micros" | "augment", _) => "frames.augment".into(),
                ("arrays", _) => "frames.arrays".into(),
                ("scale" | "ratio" | "resize" | "filter", _) => format!("pictures.{field}"),
                ("size", "frames" | "pictures") => format!("{table}.size"),
                (field, _) => field.into(),
            };
            Error::Toml(format!("`data.{key}` must be {expected}, found {found}"))
        }
        other => other.into(),
    })
}
