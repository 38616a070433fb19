//! HDF5 as Python's `nir` writes it: groups, numbers, strings, and deflate.

mod hdf5_read;
mod hdf5_write;

pub(crate) use hdf5_read::read_table;
pub(crate) use hdf5_write::write_table;
