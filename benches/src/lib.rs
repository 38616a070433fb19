#![doc = include_str!("../README.md")]

pub mod bare;
pub mod data;
#[cfg(feature = "libtorch")]
pub mod dense;
pub mod layer;
pub mod measured;
pub mod turns;
