#![doc = include_str!("../README.md")]

pub mod autograd;
#[doc(hidden)]
pub mod convolution;
mod device;
mod error;
mod evaluator;
pub mod fused;
mod grid;
#[expect(unsafe_code, reason = "the border to C++")]
pub mod lists;
mod network;
mod neuron;
mod observe;
mod options;
mod ranks;
mod tensor;

pub use device::check as check_kernels;
pub use error::{Error, Result};
pub use evaluator::Libtorch;
pub use grid::finetune::{GridForward, GridNetwork};
pub use grid::inputs::layer_inputs;
pub use grid::operations::{LayerOperations, synaptic_operations};
pub use grid::self_test::self_test;
pub use network::parameter::{LEAST_STEP, LEAST_THRESHOLD, Parameter};
pub use network::{DropoutKey, Forward, Network, check_training};
pub use neuron::lif::{LifParameters, LifState};
pub use neuron::registry::{Registry, SurrogateDerivative, TensorNeuron, TensorParameters};
pub use neuron::surrogate::SurrogateGradient;
pub use neuron::{lif, quant_relu, surrogate};
pub use observe::activity::SiteActivity;
pub use observe::monitor::{Monitor, SATURATED, SiteMonitor, Warning};
pub use observe::observer::FiringRate;
pub use options::{
    Checkpointing, Mode, NetworkOptions, Precision, TrainingOptions, multiplies_bf16,
};
pub use ranks::{ProcessRank, Ranks, Rendezvous, ThreadRank};
pub use snn_ir::BATCH_NORM_MOMENTUM;
/// The version of tch whose tensors this crate takes and returns.
pub use tch;
pub use tensor::{Pixels, arrays, keep_memory};

/// The samples of the book that show this crate.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/src/own-neuron-training.md")]
    mod own_neuron_training {}
}
