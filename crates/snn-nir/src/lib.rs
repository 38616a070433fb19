#![doc = include_str!("../README.md")]

mod check;
mod error;
mod file;
mod graph;
mod node_fields;
mod op;
mod value;

pub use error::{Error, Result};
pub use graph::{NIR_VERSION, NirGraph, Node, read};
pub use op::{Conv, Op, Padding, Pool};
pub use value::{Table, Value};
