#![doc = include_str!("../README.md")]
#![expect(clippy::float_cmp, reason = "parameters are the same where their bits are")]

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
mod report;
mod time;
mod value;

pub use error::{Error, Result};
pub use export::{ExportOptions, Exported, Gain, write};
pub use graph::{NIR_VERSION, NirGraph, Node};
pub use import::{Imported, Options, read};
pub use op::{Conv, Op, Padding, Pool};
pub use report::{Note, Report};
pub use time::{DEFAULT_DT, Discretisation};
pub use value::{Table, Value};
