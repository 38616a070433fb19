#![doc = include_str!("../README.md")]

mod check;
mod error;
mod export;
mod file;
mod flat;
mod graph;
mod import;
mod names;
mod node_fields;
mod op;
mod value;

pub use error::{Error, Result};
pub use export::{ExportOptions, Exported, Gain};
pub use graph::{NIR_VERSION, NirGraph, Node, read};
pub use import::{DEFAULT_DT, Discretisation, Imported, Note, Options};
pub use op::{Conv, Op, Padding, Pool};
pub use value::{Table, Value};
