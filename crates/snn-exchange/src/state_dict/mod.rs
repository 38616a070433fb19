//! State dicts of PyTorch: reading them, and finding which tensor is which weight of a network.
//!
//! A file is read as data: no pickle is executed, every size is bounded by what the file holds, and
//! an object that is not a tensor is one error that names it. [`import`] makes a model of one whose
//! network is recognised or given, [`weights_of`] the weights of a graph.

mod archive;
mod choose;
mod import;
mod legacy;
mod load;
mod matching;
mod names;
mod network;
mod objects;
mod pickle;
mod report;
mod tensor;

pub use import::{ImportOptions, import};
pub use load::StateDict;
pub use matching::{MatchOptions, Partial, weights_of};
pub use network::{BottleneckStride, NetworkOptions, Recognised, network_of};
pub use report::{Axes, Matched, Report, Unmatched};
pub use tensor::{Element, StateTensor};

/// A network of a state dict, and which tensor became which weight.
pub type Imported = crate::Imported<Report>;
