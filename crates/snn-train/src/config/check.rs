//! Range checks that name the key.

use crate::error::{Error, Result};

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
