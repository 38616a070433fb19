//! Neurons on tensors, their surrogate gradients, and the registry of custom ones.

pub(crate) mod derivative;
pub mod lif;
pub(crate) mod near_threshold;
pub mod quant_relu;
pub(crate) mod real;
pub(crate) mod registry;
pub mod surrogate;
pub(crate) mod threshold_fn;
