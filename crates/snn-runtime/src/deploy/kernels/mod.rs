//! The inner loops that are compiled for each instruction set.
//!
//! A kernel is written once, in safe Rust over arrays of constant size, and compiled three times:
//! as it is (the scalar twin), with AVX2 and with AVX-512, see [`snn_simd`]. `unsafe` is left for
//! the instructions that compilers do not find by themselves (`x86.rs`), which the scalar twin does
//! not use.

pub(crate) mod dense;
pub(crate) mod depth_wise;
pub(crate) mod emit;
pub(crate) mod levels;
pub(crate) mod neurons;
pub(crate) mod tiles;
pub(crate) mod vectors;
pub(crate) mod weights;
#[cfg(target_arch = "x86_64")]
mod x86;
