//! The tests of this crate, one program: each links libtorch.

mod autograd;
mod common;
mod delay;
mod finetune;
mod frames;
mod fused;
mod golden;
mod grid;
mod interpreter;
mod kinds;
mod neurons;
mod options;
mod parity;
mod registry;
mod replicas;
mod training;
