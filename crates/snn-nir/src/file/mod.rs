//! HDF5 as Python's `nir` writes it: groups, numbers, strings, and deflate.

mod hdf5_read;
mod hdf5_write;

pub(crate) use hdf5_read::read_table;
pub(crate) use hdf5_write::write_table;

use crate::error::{Error, Result};

/// Refuses what HDF5 cannot call an entry.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name == "." || name.contains(['/', '\0']) {
        return Err(Error::container(
            name,
            "a name of a NIR file must not be empty, a dot, or hold a slash or a zero byte",
        ));
    }
    Ok(())
}
