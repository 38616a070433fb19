//! Tensors: conversion from and to arrays, pixels, values with a chosen gradient, memory.

#[expect(unsafe_code, reason = "mallopt belongs to the C library")]
mod allocator;
pub mod arrays;
mod pixels;
mod straight_through;

pub use allocator::keep_memory;
pub(crate) use arrays::{array, int, ints, tensor, weight};
pub use pixels::Pixels;
pub(crate) use straight_through::with_values;
