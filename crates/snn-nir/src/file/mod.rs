//! HDF5 as Python's `nir` writes it: groups, numbers, strings, and deflate.

mod hdf5_read;
mod hdf5_write;
mod name;

use crate::error::{Error, Result};
use crate::graph::{NIR_VERSION, NirGraph};
use crate::node_fields::{graph_from_table, graph_to_table};
use crate::value::{Table, Value};
use hdf5_read::read_table;
use hdf5_write::write_table;
use std::path::Path;

impl NirGraph {
    /// Reads a `.nir` file, as [`NirGraph::from_bytes`].
    ///
    /// # Errors
    /// The file cannot be read, or [`NirGraph::from_bytes`] refuses it; the message names it.
    pub fn read(path: &Path) -> Result<Self> {
        let size = fs_err::metadata(path)?.len();
        if size > snn_ir::MAX_WEIGHT_BYTES {
            let most = snn_ir::MAX_WEIGHT_BYTES;
            let reason = format!("expected at most {most} bytes, found {size}");
            return Err(Error::container("/", reason).within(path));
        }
        Self::from_bytes(fs_err::read(path)?).map_err(|error| error.within(path))
    }

    /// Reads the bytes of a `.nir` file and [checks](NirGraph::check) the graph.
    ///
    /// # Errors
    /// The bytes are no HDF5 file, declare more than they can hold, or hold something that is no
    /// NIR graph; the message names the node and the field.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let mut file = read_table(bytes)?;
        match file.remove("node") {
            Some(Value::Table(node)) => {
                let graph = graph_from_table(node, "")?;
                graph.check()?;
                Ok(graph)
            }
            Some(other) => Err(Error::container(
                "/node",
                format!("expected the group of a NIR graph, found {}", other.describe()),
            )),
            None => Err(Error::container("/", "no group `node`: this is HDF5, but no NIR graph")),
        }
    }

    /// The bytes of a `.nir` file, laid out as Python's `nir` does it.
    ///
    /// # Errors
    /// The graph is not valid ([`NirGraph::check`]), or a name cannot be one in HDF5.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check()?;
        let file = Table::from([
            ("version".into(), Value::from(NIR_VERSION)),
            ("node".into(), Value::Table(graph_to_table(self))),
        ]);
        write_table(&file)
    }

    /// Writes a `.nir` file; there is the old file or the new one at any time.
    ///
    /// # Errors
    /// As [`NirGraph::to_bytes`], or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes().map_err(|error| error.within(path))?;
        Ok(snn_ir::write_atomically(path, &bytes)?)
    }
}
