//! Names of entries.

use crate::error::{Error, Result};

/// Refuses what HDF5 cannot call an entry.
pub(super) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name == "." || name.contains(['/', '\0']) {
        return Err(Error::container(
            name,
            "a name of a NIR file must not be empty, a dot, or hold a slash or a zero byte",
        ));
    }
    Ok(())
}
