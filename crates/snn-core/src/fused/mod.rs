//! Activation sites, with the sum and the batch norms before them, in one forward and one backward
//! pass over memory, on the CPU; and max pooling.
//!
//! The plain forms ([`crate::lif`], [`crate::quant_relu`]) are made of tensor operations, each of
//! which reads and writes all neurons. Here a block of neurons goes through all macro-steps while
//! it is in the first-level cache. The forward pass keeps nothing but what it reads ([`Term`]): the
//! backward pass computes membranes and levels again from it, block by block in cache. The
//! arithmetic is that of the plain forms, operation by operation, so that levels are equal;
//! gradients differ by rounding. A batch norm needs a pass for its [`BatchStatistics`] before, and
//! one for its gradient after.
//!
//! Values stand in memory as f32, f64 or bf16; from bf16, kernels compute in f32. Blocks are summed
//! in an order that does not depend on the number of threads: a gradient is the same on any of
//! them.
//!
//! Loops are written so that the compiler makes vector code of them: one operation of a few arrays
//! each, results in an array of their own where the compiler cannot know that it is apart from what
//! is read, no choice between values that are still to be computed (`Real::only_if`).
#![expect(
    clippy::inline_always,
    reason = "a kernel is compiled once for each set of vector instructions, by inlining"
)]

mod batch_statistics;
#[expect(unsafe_code, reason = "threads write apart from each other")]
mod bits;
mod block_neuron;
mod lanes;
mod lif;
#[expect(unsafe_code, reason = "threads write apart from each other")]
mod max_pool;
#[expect(unsafe_code, reason = "the values of a tensor as slices")]
mod memory;
mod relu;
#[expect(unsafe_code, reason = "threads write apart from each other")]
mod site;
mod store;
mod terms;

pub use batch_statistics::BatchStatistics;
pub(crate) use bits::Bits;
pub use lif::lif;
pub(crate) use lif::{for_readers as lif_for_readers, has_form};
pub(crate) use max_pool::{has_pool, max_pool};
pub(crate) use memory::{Parts, bf16_bits, channels_last, empty};
pub use relu::{quant_relu, relu};
pub(crate) use relu::{quant_relu_for_readers, relu_for_readers};
pub use terms::{BatchNorm, Term};
