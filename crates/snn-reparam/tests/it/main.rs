//! Tests of the conversion, the grid and the proof.

mod compare;
mod compose;
mod exact;
mod fold;
mod grid;
mod image_offset;
mod mask;
mod network;
mod plan;
mod proof;
mod quantise;
mod rate;
mod refusals;
mod rounding;
mod streams;
