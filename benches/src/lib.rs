#![doc = include_str!("../README.md")]

#[cfg(feature = "libtorch")]
pub mod dense;
pub mod layer;
