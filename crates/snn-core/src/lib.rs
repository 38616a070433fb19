#![doc = include_str!("../README.md")]

mod allocator;
pub mod autograd;
pub mod convert;
pub mod error;
pub mod evaluator;
pub mod finetune;
mod fire;
pub mod fused;
mod grid;
mod grid_site;
mod grid_unit;
mod interpreter;
pub mod lif;
pub mod monitor;
pub mod network;
pub mod parameter;
pub mod quant_relu;
mod real_site;
mod recompute;
mod record;
mod reestimate;
pub mod registry;
mod self_test;
mod stateless;
mod straight_through;
pub mod surrogate;
mod ties;
pub mod training;
mod walk;

pub use allocator::keep_memory;
pub use convert::Pixels;
pub use error::{Error, Result};
pub use evaluator::Libtorch;
pub use finetune::{GridForward, GridNetwork};
pub use lif::{LifParameters, LifState};
pub use monitor::{Monitor, SiteMonitor, Warning};
pub use network::{Forward, Mode, Network};
pub use parameter::Parameter;
pub use record::FiringRate;
pub use registry::{Registry, SurrogateDerivative, TensorNeuron, TensorParameters};
pub use self_test::self_test;
pub use surrogate::Slope;
/// The version of tch whose tensors this crate takes and returns.
pub use tch;
pub use training::{Memory, Precision, Training};

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/own-neuron-training.md")]
    mod own_neuron_training {}
}
